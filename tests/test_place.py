"""A place makes one grid; a span of time has an end that is meant."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely import geometry
from shapely.geometry import Polygon, box

from landshift.errors import ConfigError, GridError
from landshift.place import NativeGrid, Place, Time, footprint, grid_of, pixel_at_centre_m

NATIVE = NativeGrid(
    crs="EPSG:32633", resolution=10.0, anchor=(500005.0, 5400003.0), bounds=(5e5, 54e5, 501e3, 5401e3)
)


def test_the_grid_starts_and_ends_at_multiples_of_six_pixels() -> None:
    grid = grid_of(Place(bbox=(14.1, 50.0, 14.2, 50.1), crs="EPSG:3035", resolution=10), base=Path())
    assert (grid.affine.c % 60, grid.affine.f % 60) == (0, 0)
    assert (grid.shape[0] % 6, grid.shape[1] % 6) == (0, 0)


def test_on_the_scenes_own_grid_their_corners_are_kept() -> None:
    grid = grid_of(Place(), base=Path(), native=NATIVE)
    assert str(grid.crs) == "EPSG:32633"
    assert ((grid.affine.c - 500005) % 10, (grid.affine.f - 5400003) % 10) == (0, 0)
    left, bottom, right, top = grid.boundingbox
    assert left <= 5e5 and bottom <= 54e5 and right >= 501e3 and top >= 5401e3  # noqa: PT018 - one claim: it covers


def test_a_footprint_is_the_grids_outline() -> None:
    near = GeoBox.from_bbox((290000, 5_400_000, 310000, 5_420_000), "EPSG:32633", resolution=100)
    outline, bounds = footprint(near)
    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True)
    for corner in ((290000, 5_400_000), (310000, 5_420_000)):
        assert geometry.shape(outline).distance(geometry.Point(to_degrees.transform(*corner))) < 1e-6
    assert bounds == pytest.approx(geometry.shape(outline).bounds, abs=1e-6)


ACROSS = GeoBox.from_bbox((180_000, 8e6, 240_000, 8.02e6), "EPSG:32701", resolution=100)
IN_DEGREES = GeoBox.from_bbox((178, -18, 182, -16), "EPSG:4326", resolution=0.05)
ON_NAD83 = GeoBox.from_bbox((178, 51, 182, 53), "EPSG:4269", resolution=0.05)
POLE = GeoBox.from_bbox((-400_000, -300_000, 400_000, 300_000), "EPSG:3413", resolution=1000)


@pytest.mark.parametrize("grid", [ACROSS, IN_DEGREES, ON_NAD83, POLE], ids=["utm", "4326", "4269", "pole"])
def test_a_footprint_holds_the_grids_pixels_and_no_others(grid: GeoBox) -> None:
    rng = np.random.default_rng(0)
    high, wide = grid.shape
    x, y = rng.uniform(-0.5 * wide, 1.5 * wide, 2000), rng.uniform(-0.5 * high, 1.5 * high, 2000)
    margin = 0.01 * max(high, wide)
    inside = (x > margin) & (x < wide - margin) & (y > margin) & (y < high - margin)
    outside = (x < -margin) | (x > wide + margin) | (y < -margin) | (y > high + margin)
    to_degrees = Transformer.from_crs(str(grid.crs), 4326, always_xy=True)
    lon, lat = to_degrees.transform(grid.affine.c + grid.affine.a * x, grid.affine.f + grid.affine.e * y)
    lon = (lon + 180) % 360 - 180
    outline, (west, south, east, north) = footprint(grid)
    found = geometry.shape(outline)
    assert found.is_valid
    assert -180 <= found.bounds[0] <= found.bounds[2] <= 180
    assert shapely.contains_xy(found, lon[inside], lat[inside]).all()
    assert not shapely.contains_xy(found, lon[outside], lat[outside]).any()
    in_box = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    assert (in_box & (lat >= south) & (lat <= north))[inside].all()


def test_bounds_across_the_antimeridian_have_a_west_that_is_larger_than_the_east() -> None:
    assert footprint(IN_DEGREES)[1] == [178, -18, -178, -16]
    west, _, east, _ = footprint(ACROSS)[1]
    assert 179 < west < 180
    assert -180 < east < -179
    assert footprint(POLE)[1][::2] == [-180, 180]
    assert footprint(POLE)[1][3] == 90


@pytest.mark.parametrize(("crs", "says"), [(None, "no CRS"), ("EPSG:32633", "no place on the globe")])
def test_a_grid_that_lies_nowhere_has_no_footprint(crs: str | None, says: str) -> None:
    with pytest.raises(GridError, match=says):
        footprint(GeoBox((10, 10), Affine(1e9, 0, 1e15, 0, -1e9, 1e15), crs))


def test_pixels_of_a_grid_in_degrees_are_as_long_as_on_the_ground() -> None:
    from pyproj import Geod

    grid = GeoBox.from_bbox((14.0, 50.0, 14.02, 50.02), "EPSG:4326", resolution=0.0001)
    high, wide = pixel_at_centre_m(grid)
    sphere = Geod(a=6378137.0, b=6378137.0)
    assert high == pytest.approx(sphere.inv(14.0, 50.01, 14.0, 50.0101)[2], rel=1e-3)
    assert wide == pytest.approx(sphere.inv(14.0, 50.01, 14.0001, 50.01)[2], rel=1e-3)


def test_a_geometry_selects_features(tmp_path: Path) -> None:
    file = tmp_path / "zones.gpkg"
    shapes = geopandas.GeoDataFrame(
        {"id": ["a", "b"]}, geometry=[box(0, 0, 60, 60), box(600, 0, 660, 60)], crs=3035
    )
    shapes.to_file(file)
    place = Place(geometry="zones.gpkg", where="id = 'b'", crs="EPSG:3035", resolution=10)
    assert grid_of(place, base=tmp_path).boundingbox.bbox == (600, 0, 660, 60)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"bbox": (500000, 5400000, 500100, 5400100)}, "bbox_crs"),
        ({"bbox": (14.2, 50, 14.1, 51)}, "empty"),
        ({"bbox": (0, 0, 1, 1), "geometry": "a.gpkg"}, "not both"),
        ({"resolution": 0}, "more than 0"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Place(**values)  # type: ignore[arg-type]  # wrong on purpose


def test_borders_that_cross_themselves_still_make_a_place(tmp_path: Path) -> None:
    bow = Polygon([(0, 0), (600, 600), (600, 0), (0, 600)])
    overlapping = Polygon([(0, 0), (600, 500), (600, 0), (0, 500)])
    geopandas.GeoDataFrame(geometry=[bow, overlapping, None], crs=3035).to_file(tmp_path / "bow.gpkg")
    outline = Place(geometry="bow.gpkg").outline(tmp_path)
    assert outline is not None
    assert outline.geom.is_valid
    assert outline.geom.bounds == pytest.approx((0, 0, 600, 600))
    geopandas.GeoDataFrame(geometry=[Polygon()], crs=3035).to_file(tmp_path / "void.gpkg")
    with pytest.raises(ConfigError, match="is empty"):
        Place(geometry="void.gpkg").outline(tmp_path)


def test_a_missing_geometry_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        grid_of(Place(geometry="none.gpkg"), base=tmp_path)


def test_a_resolution_is_asked_for_where_none_can_be_known() -> None:
    with pytest.raises(ConfigError, match="resolution"):
        grid_of(Place(bbox=(14.1, 50.0, 14.2, 50.1), crs="EPSG:3035"), base=Path(), native=NATIVE)


def test_a_bare_end_includes_its_day_and_a_clock_does_not() -> None:
    assert Time(start=date(2020, 1, 1), end=date(2020, 1, 5)).span[1].day == 6
    assert Time(start=date(2020, 1, 1), end=datetime(2020, 1, 5, 12)).span[1].hour == 12  # noqa: DTZ001 - as in TOML


def test_years_and_months_are_lists() -> None:
    time = Time(years="2017..2019", months=(4, 10))
    assert time.year_list == (2017, 2018, 2019)
    assert time.month_list == (4, 5, 6, 7, 8, 9, 10)
    assert Time(start=date(2017, 2, 1), end=date(2019, 12, 31)).year_list == (2018, 2019)


@pytest.mark.parametrize(
    "values",
    [
        {"years": "2017", "start": date(2017, 1, 1)},
        {"years": "seventeen"},
        {"years": "2019..2017"},
        {"start": date(2020, 1, 2), "end": date(2020, 1, 1)},
        {"months": (0, 13)},
    ],
)
def test_a_span_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Time(**values)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"crs": "EPSG:99999"}, "place.crs"),
        ({"crs": "EPSG:5703"}, "place.crs"),
        ({"bbox": (1, 2, 3, 4), "bbox_crs": "metres"}, "place.bbox_crs"),
    ],
)
def test_a_crs_that_no_map_has_is_refused(values: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        Place(**values)
    assert "EPSG:32633" in str(caught.value)
    assert Place(crs="UTM").crs == "UTM"


def test_a_box_says_which_of_its_edges_are_swapped() -> None:
    with pytest.raises(ConfigError, match="left edge is not left of its right"):
        Place(bbox=(15.0, 50.0, 14.0, 51.0))
    with pytest.raises(ConfigError, match="bottom edge is not below its top"):
        Place(bbox=(14.0, 51.0, 15.0, 50.0))


def test_a_span_that_ends_before_it_starts_shows_the_dates_as_they_were_written() -> None:
    with pytest.raises(ConfigError) as caught:
        Time(start=date(2021, 5, 1), end=date(2020, 4, 30))
    assert caught.value.got == "2021-05-01 .. 2020-04-30"
