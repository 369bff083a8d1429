"""Ground of different folds never overlaps, and stays apart by the buffer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.spatial import cKDTree

from landshift.errors import ConfigError, LabelError
from landshift.learn.split import BUFFER, FOLDS, Folds, Split, deal, mixed, windows
from landshift.learn.units import BlockUnits

Labelled = Callable[[NDArray[np.uint8]], tuple[xr.DataArray, GeoBox]]


def whole(folds: Folds) -> NDArray[np.uint8]:
    return folds.window(slice(0, folds.shape[0]), slice(0, folds.shape[1]))


def apart(one: NDArray[np.intp], other: NDArray[np.intp]) -> float:
    """Least distance between two sets of pixels, between centres, in pixels."""
    return float(np.min(cKDTree(other).query(one)[0]))


def places(codes: NDArray[np.uint8], fold: str) -> NDArray[np.intp]:
    return np.argwhere(codes == FOLDS[fold])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    buffer_m=st.sampled_from([0.0, 15.0, 40.0, 75.0]),
    block_m=st.sampled_from([160, 230]),
)
def test_folds_are_apart_by_the_buffer(seed: int, buffer_m: float, block_m: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([0, 1, 2, 3], np.uint8), (2, 96, 90), p=[0.7, 0.2, 0.07, 0.03])
    geobox = GeoBox.from_bbox((0, 0, 900, 960), "EPSG:3035", resolution=10)
    labels = xr.DataArray(values, dims=("time", "y", "x"))
    folds = Split(block_m=block_m, buffer_m=buffer_m, seed=seed)(labels, geobox, values=(1, 2, 3), patch_px=8)
    codes = whole(folds)
    assert set(np.unique(codes)) <= {0, BUFFER, *FOLDS.values()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert len(places(codes, one))
        assert len(places(codes, other))
        assert apart(places(codes, one), places(codes, other)) * 10 >= max(buffer_m, 10)


def test_a_window_of_the_folds_is_that_of_the_whole(labelled: Labelled) -> None:
    values = np.random.default_rng(3).integers(0, 3, (1, 130, 170)).astype(np.uint8)
    labels, geobox = labelled(values)
    folds = Split(block_m=300, buffer_m=60)(labels, geobox, values=(1, 2), patch_px=16)
    codes = whole(folds)
    for window in windows(folds.shape, 37):
        np.testing.assert_array_equal(folds.window(*window), codes[window])


def test_every_class_is_shared_out_as_asked(labelled: Labelled) -> None:
    rng = np.random.default_rng(0)
    values = rng.choice(np.array([0, 1, 2, 3], np.uint8), (3, 400, 400), p=[0.5, 0.3, 0.15, 0.05])
    values[:, :200, :200][values[:, :200, :200] == 3] = 1  # a class that is not everywhere
    labels, geobox = labelled(values)
    folds = Split(block_m=500, buffer_m=0)(labels, geobox, values=(1, 2, 3), patch_px=16)
    codes = whole(folds)
    for value in (1, 2, 3):
        found = np.array([(values[:, codes == code] == value).sum() for code in FOLDS.values()])
        np.testing.assert_allclose(found / found.sum(), [0.6, 0.2, 0.2], atol=0.04)


def test_all_years_of_a_place_share_a_fold(labelled: Labelled) -> None:
    values = np.zeros((2, 90, 90), np.uint8)
    values[0, :, ::2], values[1, :, 1::2] = 1, 1
    labels, geobox = labelled(values)
    folds = Split(block_m=300, buffer_m=0)(labels, geobox, values=(1,), patch_px=16)
    assert folds.window(slice(0, 30), slice(0, 30)).min() == folds.window(slice(0, 30), slice(0, 30)).max()


@settings(deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(1, 150))
def test_blocks_cover_every_pixel_once(height: int, width: int, side: int) -> None:
    units = BlockUnits.cut((height, width), side)
    numbers = units.window(slice(0, height), slice(0, width))
    assert np.unique(numbers).tolist() == list(range(1, units.count + 1))
    row, col = height // 2, width // 3
    rows, cols = units.around(row, col)
    assert rows.start <= row < rows.stop
    assert cols.start <= col < cols.stop
    assert len(np.unique(numbers[rows, cols])) == 1


def test_the_deal_does_not_change() -> None:
    counts = np.random.default_rng(4).integers(0, 50, (20, 3))
    counts[0] = 0
    first = deal(counts, (0.6, 0.2, 0.2), seed=1)
    np.testing.assert_array_equal(first, deal(counts, (0.6, 0.2, 0.2), seed=1))
    assert first[0] == 0
    assert set(first[1:]) == {1, 2, 3}


def test_the_hash_is_the_same_on_every_machine() -> None:
    assert mixed(2020, np.array([0, 1, 2]), 7, seed=0).tolist() == [
        1830738478851057599,
        7103611459932828500,
        12282027801256928061,
    ]


def write_groups(path: Path) -> None:
    boxes = [
        shapely.box(100 * i + 10, 100 * j + 10, 100 * i + 80, 100 * j + 80)
        for j in range(6)
        for i in range(6)
    ]
    names = [f"farm {i // 2}" for i in range(36)]
    gpd.GeoDataFrame({"farm": names}, geometry=boxes, crs="EPSG:3035").to_file(path)


def test_groups_of_polygons_go_to_one_fold_whole(labelled: Labelled, tmp_path: Path) -> None:
    write_groups(tmp_path / "farms.gpkg")
    values = np.random.default_rng(2).integers(1, 4, (1, 60, 60)).astype(np.uint8)
    labels, geobox = labelled(values)
    split = Split(groups=str(tmp_path / "farms.gpkg"), group_field="farm", buffer_m=0)
    folds = split(labels, geobox, values=(1, 2, 3), patch_px=1)
    codes, numbers = whole(folds), folds.units.window(slice(0, 60), slice(0, 60))
    assert len(np.unique(numbers)) == 19
    for group in range(1, 19):
        assert len(np.unique(codes[numbers == group])) == 1
    assert (codes[numbers == 0] == 0).all()
    kept_apart = split.__class__(groups=split.groups, group_field="farm", buffer_m=35)(
        labels, geobox, values=(1, 2, 3), patch_px=1
    )
    train, test = (places(whole(kept_apart), fold) for fold in ("train", "test"))
    assert apart(train, test) * 10 >= 35


def test_what_cannot_be_split_is_refused(labelled: Labelled, tmp_path: Path) -> None:
    values = np.zeros((1, 60, 60), np.uint8)
    values[0, :10, :10] = 1
    labels, geobox = labelled(values)
    with pytest.raises(LabelError, match="too few blocks"):
        Split(block_m=200)(labels, geobox, values=(1,), patch_px=8)
    with pytest.raises(ConfigError, match="smaller than a patch"):
        Split(block_m=100)(labels, geobox, values=(1,), patch_px=32)
    with pytest.raises(ConfigError, match="add up to 1"):
        Split(fractions=(0.5, 0.2, 0.2))
    with pytest.raises(ConfigError, match="a share each"):
        Split(fractions=(0.8, 0.0, 0.2))
    write_groups(tmp_path / "farms.gpkg")
    with pytest.raises(ConfigError, match="no such field"):
        Split(groups=str(tmp_path / "farms.gpkg"), group_field="owner")(
            labels, geobox, values=(1,), patch_px=1
        )


def test_metres_are_metres_on_a_grid_of_degrees() -> None:
    """At 60 degrees north a pixel is half as wide as high: the buffer holds across as well."""
    grid = GeoBox.from_bbox((14, 60, 14.06, 60.06), "EPSG:4326", resolution=0.0002)
    truth = xr.DataArray(np.ones((1, *grid.shape), np.uint8), dims=("time", "y", "x"))
    folds = Split(block_m=1100, buffer_m=100)(truth, grid, values=(1,), patch_px=1)
    assert 100 / 11.2 <= folds.buffer_px <= 100 / 11.0
    assert folds.units.count == 9
