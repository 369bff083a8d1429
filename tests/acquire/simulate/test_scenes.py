"""Scenes: complete, deterministic, restartable, and honest about what they are."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest
from odc.geo.geobox import GeoBox

from landshift.acquire.simulate import Simulate, write_scenes


def grid(side: int = 60) -> GeoBox:
    return GeoBox.from_bbox(
        (501_240, 5_403_000, 501_240 + 10 * side, 5_403_000 + 10 * side),
        "EPSG:32633",
        resolution=10,
        tight=True,
    )


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes")
    sim = Simulate(start=date(2021, 11, 1), end=date(2022, 3, 31), revisit="20D", truth="all")
    return write_scenes(sim, grid(), out).parent


def test_the_same_seed_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    sim = Simulate(start=date(2021, 11, 1), end=date(2022, 3, 31), revisit="20D", truth="all")
    write_scenes(sim, grid(), tmp_path)
    assert digest(tmp_path) == digest(written)


def test_the_offset_comes_with_the_baseline(written: Path) -> None:
    offsets = {}
    for path in written.glob("sentinel-2-c1-l2a/*/*.json"):
        item = json.loads(path.read_text())
        raster = item["assets"]["red"]["raster:bands"][0]
        offsets[item["properties"]["datetime"][:10]] = (
            item["properties"]["s2:processing_baseline"],
            raster["offset"],
        )
    for day, (baseline, offset) in offsets.items():
        assert (offset == -0.1) == (day >= "2022-01-25") == (baseline >= "04.00")
    assert {offset for _, offset in offsets.values()} == {0.0, -0.1}
