"""Transitions, gains and layers, counted by hand and by brute force."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import box
from rasterio import Affine

from landshift.cube.classes import LandClass
from landshift.cube.maps import MapWriter, map_tags, read_classes, read_map
from landshift.errors import ConfigError, GridError, LabelError
from landshift.measure.layers import first_year
from landshift.measure.series import MapSeries, windows
from landshift.measure.transitions import Change, class_areas, gains, small_changes, transitions

CLASSES = (
    LandClass(value=1, name="forest", colour="#1b7837"),
    LandClass(value=2, name="bare soil", colour="#c2a5cf"),
    LandClass(value=5, name="impervious", colour="#d7301f"),
)
HERE = GeoBox((4, 6), Affine(10, 0, 4_000_000, 0, -10, 3_000_000), "EPSG:3035")
Values = NDArray[np.uint8]


def write(folder: Path, years: Mapping[int, Values], geobox: GeoBox | None = None) -> dict[int, Path]:
    maps = {}
    for year, values in years.items():
        grid = geobox or GeoBox(values.shape, HERE.affine, HERE.crs)
        path = folder / f"{year}.tif"
        rows, cols = values.shape
        with MapWriter(path, grid, classes=CLASSES) as writer:
            writer.write((slice(0, rows), slice(0, cols)), values)
        maps[year] = path
    return maps


def cell(table: pd.DataFrame, before: str, after: str, column: str = "pixels") -> float:
    return float(table.loc[(table.class_from == before) & (table.class_to == after), column].item())


BEFORE = np.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 2, 2, 0], [1, 5, 5, 2, 0, 0], [1, 5, 5, 2, 0, 1]], np.uint8)
AFTER = np.array([[1, 1, 5, 5, 2, 1], [1, 1, 5, 5, 2, 0], [1, 5, 5, 2, 0, 0], [0, 1, 5, 2, 0, 1]], np.uint8)


def test_every_pixel_is_in_one_cell_of_the_matrix(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    table = transitions(maps, tmp_path / "change", change=Change())
    assert len(table) == 16
    assert table.pixels.sum() == BEFORE.size
    for i, before in {0: "nodata", 1: "forest", 2: "bare soil", 5: "impervious"}.items():
        for j, after in {0: "nodata", 1: "forest", 2: "bare soil", 5: "impervious"}.items():
            assert cell(table, before, after) == np.count_nonzero((i == BEFORE) & (j == AFTER))
    assert cell(table, "forest", "impervious", "area_ha") == pytest.approx(2 * 0.01)


def test_nodata_in_either_year_is_neither_gain_nor_loss(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    change = gains(transitions(maps, tmp_path / "change", change=Change())).set_index("class")
    assert change.loc["forest", "gain_pixels"] == 1  # the pixel mapped for the first time in 2018 is no gain
    assert change.loc["forest", "loss_pixels"] == 2
    assert change.loc["impervious", "net_ha"] == pytest.approx(0.03)
    assert change.net_ha.sum() == pytest.approx(0)


def test_layers_say_gain_loss_stable_other_and_nodata(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    transitions(maps, tmp_path / "change", change=Change())
    path = tmp_path / "change" / "2017_2018_new_impervious.tif"
    expected = np.where((AFTER == 5) & (BEFORE != 5), 1, 4)
    expected[(BEFORE == 5) & (AFTER != 5)] = 2
    expected[(BEFORE == 5) & (AFTER == 5)] = 3
    expected[(BEFORE == 0) | (AFTER == 0)] = 0
    np.testing.assert_array_equal(read_map(path), expected)
    assert [item.name for item in read_classes(path)] == ["gain", "loss", "stable", "other"]
    assert (tmp_path / "change" / "2017_2018_new_bare_soil.tif").exists()


@pytest.mark.parametrize("simulated", [False, True])
def test_layers_of_simulated_maps_say_so(tmp_path: Path, *, simulated: bool) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    if simulated:
        with MapWriter(maps[2018], HERE, classes=CLASSES, tags={"simulated": "true"}) as writer:
            writer.write((slice(0, 4), slice(0, 6)), AFTER)
    transitions(maps, tmp_path / "change", change=Change())
    for name in ("2017_2018_new_impervious.tif", "first_year_impervious.tif"):
        assert ("simulated" in map_tags(tmp_path / "change" / name)) == simulated


def test_the_year_of_change_is_the_first_map_that_shows_it(tmp_path: Path) -> None:
    later = AFTER.copy()
    later[0, 0] = 5
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER, 2020: later})
    transitions(maps, tmp_path / "change", change=Change(classes=("impervious",)))
    path = tmp_path / "change" / "first_year_impervious.tif"
    names = {item.value: item.name for item in read_classes(path)}
    values = read_map(path)
    assert names == {1: "2017 or before", 2: "2018", 3: "2020"}
    assert (values[0, 0], values[0, 2], values[3, 1], values[3, 3]) == (3, 2, 1, 0)
    assert sorted(file.name for file in (tmp_path / "change").glob("first_year_*.tif")) == [path.name]


def test_a_class_seen_after_a_gap_may_have_been_there_before() -> None:
    maps = [np.array([[0, 0, 1]], np.uint8), np.array([[5, 1, 0]], np.uint8), np.array([[5, 5, 5]], np.uint8)]
    np.testing.assert_array_equal(first_year(maps, 5), [[1, 3, 3]])


def test_pairs_follow_the_wish(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER, 2020: BEFORE})
    found = {}
    for pairs in ("consecutive", "first_last", "both", "all"):
        table = transitions(maps, tmp_path / pairs, change=Change(pairs=pairs, classes=("forest",)))
        found[pairs] = list(
            table[["year_from", "year_to"]].drop_duplicates().itertuples(index=False, name=None)
        )
    assert found["consecutive"] == [(2017, 2018), (2018, 2020)]
    assert found["first_last"] == [(2017, 2020)]
    assert found["both"] == [(2017, 2018), (2018, 2020), (2017, 2020)]
    assert found["all"] == [(2017, 2018), (2017, 2020), (2018, 2020)]


def test_small_patches_are_counted_apart_and_left_out_of_gains(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    table = transitions(maps, tmp_path / "change", change=Change(min_area_ha=0.02))
    assert cell(table, "impervious", "forest", "pixels") == 1
    assert cell(table, "impervious", "forest", "small_pixels") == 1
    assert cell(table, "forest", "impervious", "small_pixels") == 0
    change = gains(table).set_index("class")
    assert change.loc["forest", "gain_pixels"] == 0
    assert change.loc["impervious", "stable_ha"] == pytest.approx(0.04)
    assert read_map(tmp_path / "change" / "2017_2018_new_impervious.tif")[3, 1] == 3


def brute_small(before: Values, after: Values, least: int) -> NDArray[np.bool_]:
    """Flood every patch by hand."""
    small = np.zeros(before.shape, dtype=bool)
    done = small.copy()
    for start in np.ndindex(before.shape):
        if done[start] or before[start] == after[start] or not (before[start] and after[start]):
            continue
        patch, stack = set(), [start]
        while stack:
            row, col = stack.pop()
            inside = 0 <= row < before.shape[0] and 0 <= col < before.shape[1]
            if not inside or (row, col) in patch:
                continue
            if (before[row, col], after[row, col]) != (before[start], after[start]):
                continue
            patch.add((row, col))
            stack += [(row + i, col + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        for row, col in patch:
            done[row, col], small[row, col] = True, len(patch) < least
    return small


maps_of_a_few_classes = arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 1, 2]))


@given(before=maps_of_a_few_classes, after=maps_of_a_few_classes, least=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_patches_are_those_of_a_flood_fill(before: Values, after: Values, least: int) -> None:
    found = small_changes(before, after, ground=np.full(7, 0.01), min_area_ha=least * 0.01)
    np.testing.assert_array_equal(found, brute_small(before, after, least))


@given(before=maps_of_a_few_classes, after=maps_of_a_few_classes, least=st.integers(1, 5))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_do_not_change_the_answer(
    *, before: Values, after: Values, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = write(tmp_path, {2017: before, 2018: after})
    change = Change(min_area_ha=least * 0.01, classes=("forest",))
    whole = transitions(maps, tmp_path / "whole", change=change)
    with monkeypatch.context() as patch:
        patch.setattr(MapSeries, "windows", lambda self: windows(self.geobox.shape, 3))
        cut = transitions(maps, tmp_path / "cut", change=change)
    pd.testing.assert_frame_equal(whole, cut)
    name = "2017_2018_new_forest.tif"
    np.testing.assert_array_equal(read_map(tmp_path / "whole" / name), read_map(tmp_path / "cut" / name))


def test_only_pixels_of_the_place_are_counted(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    west = box(4_000_000, 2_999_960, 4_000_024, 3_000_000, "EPSG:3035")
    table = transitions(maps, tmp_path / "change", change=Change(), within=west)
    assert table.pixels.sum() == 8  # the centres of the third column lie outside
    areas = class_areas(maps, within=west.to_crs("EPSG:4326"))
    assert areas[areas.year == 2017].pixels.sum() == 8


def test_class_areas_close(tmp_path: Path) -> None:
    areas = class_areas(write(tmp_path, {2017: BEFORE}))
    assert list(areas["class"]) == ["forest", "bare soil", "impervious", "nodata"]
    assert areas.area_ha.sum() == pytest.approx(0.24)
    assert areas.share.sum() == pytest.approx(1)
    assert areas.set_index("class").loc["impervious", "share"] == pytest.approx(4 / (BEFORE > 0).sum())


def test_maps_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path, {2017: BEFORE})
    with pytest.raises(ConfigError, match="two years"):
        transitions(one, tmp_path / "change", change=Change())
    moved = write(tmp_path, {2018: AFTER}, HERE.translate_pix(1, 0))
    with pytest.raises(GridError, match="different grids"):
        transitions(one | moved, tmp_path / "change", change=Change())
    two = one | write(tmp_path, {2018: AFTER})
    with pytest.raises(ConfigError, match="did you mean 'forest'"):
        transitions(two, tmp_path / "change", change=Change(classes=("forrest",)))
    odd = write(tmp_path, {2019: np.full((4, 6), 9, np.uint8)})
    with pytest.raises(LabelError, match="without a class"):
        class_areas(odd)


def test_a_negative_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match="min_area_ha"):
        Change(min_area_ha=-1)
