from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from landshift.acquire.folder import adopt
from landshift.acquire.offset import offset_doubts
from landshift.acquire.tiles import TileReader
from landshift.scene import BandFile, Scene, scene_from_item
from tiny_rasters import Tiff, write


def scene(folder: Path, *, lowest: int, offset: float, year: int = 2023) -> Scene:
    """A scene whose darkest pixels store ``lowest``, read with ``offset``."""
    rng = np.random.default_rng(3)
    bands = {}
    for name in ("blue", "nir"):
        pixels = (lowest + rng.gamma(2.0, 400, (1, 128, 128))).astype(np.uint16)
        path = write(folder / f"{name}_{lowest}.tif", Tiff(), pixels)
        bands[name] = BandFile(href=str(path), scale=1e-4, offset=offset, nodata=0)
    return Scene(
        id="s",
        source="s2",
        sensor="sentinel-2-l2a",
        quantity="reflectance",
        time=datetime(year, 6, 1, tzinfo=UTC),
        bands=bands,
    )


@pytest.mark.parametrize(
    ("lowest", "offset", "year", "said"),
    [
        (1050, -0.1, 2023, None),
        (60, 0.0, 2023, None),
        (60, 0.0, 2019, None),
        (60, -0.1, 2023, "twice"),
        (1050, 0.0, 2023, "may still be in"),
        (1050, 0.0, 2019, None),
    ],
)
def test_dark_pixels_tell_what_was_done_with_the_offset(
    tmp_path: Path, lowest: int, offset: float, year: int, said: str | None
) -> None:
    with TileReader() as reader:
        doubts = offset_doubts([scene(tmp_path, lowest=lowest, offset=offset, year=year)], reader)
    assert len(doubts) == (said is not None)
    if said is not None:
        assert said in doubts[0]


def test_other_sensors_and_files_that_cannot_be_read_raise_no_doubt(tmp_path: Path) -> None:
    good = scene(tmp_path, lowest=60, offset=-0.1)
    gone = replace(good, bands={"blue": BandFile(href=str(tmp_path / "gone.tif"), offset=-0.1)})
    with TileReader() as reader:
        assert offset_doubts([replace(good, sensor="landsat-8-9-c2l2"), gone], reader) == []


@pytest.mark.data
def test_a_bright_desert_of_2020_raises_no_doubt(shared_data: Path) -> None:
    scenes = [scene_from_item(item, source="s") for item in adopt(shared_data / "s2-l2a-cog-29RKH")]
    with TileReader() as reader:
        assert offset_doubts(scenes, reader) == []
