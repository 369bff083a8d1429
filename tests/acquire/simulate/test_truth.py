"""Truth: maps, changes, districts and training polygons agree with each other."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask

from landshift.acquire.simulate import LAND_CLASSES, Simulate
from landshift.acquire.simulate.granules import site_of
from landshift.acquire.simulate.truth import write_truth
from landshift.cube.maps import read_classes, read_map

SIDE = 150
SIM = Simulate(start=date(2018, 1, 1), end=date(2021, 12, 31), growth=2.0)
YEARS = range(2018, 2022)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    write_truth(SIM, geobox(), site_of(geobox()), folder, key="k")
    return folder


def geobox() -> GeoBox:
    box = (501_000, 5_403_000, 501_000 + 10 * SIDE, 5_403_000 + 10 * SIDE)
    return GeoBox.from_bbox(box, "EPSG:32633", resolution=10, tight=True)


def test_land_cover_is_the_largest_fraction(truth: Path) -> None:
    for year in YEARS:
        assert read_classes(truth / f"landcover_{year}.tif") == LAND_CLASSES
        with rasterio.open(truth / f"fraction_{year}.tif") as file:
            shares = file.read()
            assert file.descriptions == tuple(one.name for one in LAND_CLASSES)
        cover = read_map(truth / f"landcover_{year}.tif")
        np.testing.assert_array_equal(shares.argmax(axis=0) + 1, cover)
        assert np.abs(shares.sum(axis=0, dtype=int) - 100).max() <= 3


def areas(folder: Path, year: int) -> dict[str, float]:
    with rasterio.open(folder / f"fraction_{year}.tif") as file:
        return {
            one.name: float(layer.sum(dtype=np.int64)) * 1e-4
            for one, layer in zip(LAND_CLASSES, file.read(), strict=True)
        }


def test_areas_change_as_the_change_table_says(truth: Path) -> None:
    table = pd.read_parquet(truth / "change.parquet")
    days = pd.to_datetime(table["date"])
    assert set(table["class_to"]) >= {"impervious", "bare"}
    for year in YEARS[1:]:
        between = table[days.between(pd.Timestamp(year - 1, 7, 3), pd.Timestamp(year, 7, 2))]
        gain = between.groupby("class_to")["area_ha"].sum()
        loss = between.groupby("class_from")["area_ha"].sum()
        before, after = areas(truth, year - 1), areas(truth, year)
        for one in LAND_CLASSES:
            said = gain.get(one.name, 0.0) - loss.get(one.name, 0.0)
            assert after[one.name] - before[one.name] == pytest.approx(said, abs=0.35)


def test_districts_cover_the_place_without_overlap(truth: Path) -> None:
    zones = gpd.read_file(truth / "districts.gpkg")
    assert 6 <= len(zones) <= 9
    assert zones["district"].is_unique
    assert zones.area.sum() == pytest.approx((10 * SIDE) ** 2, rel=1e-6)
    assert zones.union_all().area == pytest.approx((10 * SIDE) ** 2, rel=1e-6)
    assert zones.is_valid.all()


def test_training_polygons_lie_in_their_class(truth: Path) -> None:
    drawn = gpd.read_file(truth / "labels.gpkg")
    value = {one.name: one.value for one in LAND_CLASSES}
    assert set(drawn["year"]) == {2018, 2020, 2021} or len(set(drawn["year"])) == 3
    assert set(drawn["class"]) <= set(value)
    assert len(set(drawn["class"])) >= 4
    right = total = 0
    for (year, name), group in drawn.groupby(["year", "class"]):
        cover = read_map(truth / f"landcover_{year}.tif")
        inside = ~geometry_mask(group.geometry, cover.shape, geobox().affine)
        right += int((cover[inside] == value[str(name)]).sum())
        total += int(inside.sum())
    assert right / total > 0.97
    assert drawn.area.min() > 250.0


def test_training_polygons_are_spread_over_the_place(truth: Path) -> None:
    drawn = gpd.read_file(truth / "labels.gpkg")
    fields = drawn[drawn["class"] == "cropland"].geometry.centroid
    quadrants = set(zip(fields.x > 501_750, fields.y > 5_403_750, strict=True))
    assert len(quadrants) >= 3  # one is all forest


def test_truth_that_is_there_is_left_alone(truth: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in truth.iterdir()}
    write_truth(SIM, geobox(), site_of(geobox()), truth, key="k")
    assert before == {path: path.stat().st_mtime_ns for path in truth.iterdir()}
