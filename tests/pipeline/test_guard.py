"""An offset that is taken off twice, or never, shows in the darkest ground."""

from __future__ import annotations

import dataclasses
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from landshift.acquire.tiles import TileReader
from landshift.errors import DataQualityWarning
from landshift.pipeline.guard import check_offsets
from landshift.scene import BandFile, Pass, Scene

GRID = GeoBox.from_bbox((0, 0, 600, 600), "EPSG:32633", resolution=10)


def look(folder: Path, year: int, *, stored_offset: int, offset: float) -> Pass:
    """A date whose darkest ground reflects 1 %, with an offset in the file and one that is taken off."""
    rng = np.random.default_rng(year)
    ground = 100 + rng.integers(0, 3000, GRID.shape)
    file = folder / f"{year}.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "width": 60, "height": 60}
    with rasterio.open(file, "w", **profile, crs="EPSG:32633", transform=GRID.affine) as target:
        target.write((ground + stored_offset).astype(np.uint16), 1)
    scene = Scene(
        id=str(year),
        source="s2",
        sensor="sentinel-2-l2a",
        quantity="reflectance",
        time=datetime(year, 6, 1, 10, tzinfo=UTC),
        bands={"red": BandFile(href=str(file), scale=1e-4, offset=offset)},
    )
    return Pass(scenes=(scene,))


def told(passes: list[Pass]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught, TileReader() as reader:
        warnings.simplefilter("always", DataQualityWarning)
        check_offsets({"s2": passes}, {"s2": ("red",)}, GRID, reader)
    return [str(entry.message) for entry in caught]


@pytest.mark.parametrize(
    ("stored", "offset", "says"),
    [(1000, -0.1, None), (0, -0.1, "twice"), (1000, 0.0, "forgotten")],
)
def test_the_guard_sees_what_the_pixels_say(
    tmp_path: Path, stored: int, offset: float, says: str | None
) -> None:
    old = [look(tmp_path, year, stored_offset=0, offset=0.0) for year in (2019, 2020, 2021)]
    new = [look(tmp_path, year, stored_offset=stored, offset=offset) for year in (2022, 2023)]
    found = told([*old, *new])
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


def test_other_sensors_are_left_alone(tmp_path: Path) -> None:
    one = look(tmp_path, 2023, stored_offset=0, offset=-0.1)
    scene = dataclasses.replace(one.scenes[0], sensor="landsat-8-9-c2l2")
    assert told([Pass(scenes=(scene,))]) == []
