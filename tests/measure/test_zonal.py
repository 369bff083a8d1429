"""Zonal sums against the areas that shapely gives for polygon and pixel."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Geod
from rasterio import Affine
from shapely.geometry.base import BaseGeometry

from landshift.cube.classes import LandClass
from landshift.cube.maps import MapWriter
from landshift.errors import ConfigError, DataQualityWarning, GridError, SceneError
from landshift.measure.series import MapSeries, windows
from landshift.measure.zonal import Zonal, ZonalTables, zonal, zonal_tables

CLASSES = (
    LandClass(value=1, name="forest", colour="#1b7837"),
    LandClass(value=2, name="water", colour="#2166ac"),
)
WEST, NORTH = 4_000_000, 3_000_000
HERE = GeoBox((6, 8), Affine(10, 0, WEST, 0, -10, NORTH), "EPSG:3035")
Values = NDArray[np.uint8]
RNG = np.random.default_rng(5)
BEFORE = RNG.integers(0, 3, HERE.shape).astype(np.uint8)
AFTER = RNG.integers(0, 3, HERE.shape).astype(np.uint8)


def write(folder: Path, years: Mapping[int, Values], geobox: GeoBox = HERE) -> dict[int, Path]:
    maps = {}
    for year, values in years.items():
        maps[year] = folder / f"{year}.tif"
        with MapWriter(maps[year], geobox, classes=CLASSES) as writer:
            writer.write((slice(0, values.shape[0]), slice(0, values.shape[1])), values)
    return maps


def zones_file(folder: Path, zones: Mapping[str, BaseGeometry], crs: str = "EPSG:3035") -> Path:
    path = folder / "zones.gpkg"
    gpd.GeoDataFrame({"district": list(zones)}, geometry=list(zones.values()), crs=crs).to_file(path)
    return path


def oracle(zone: BaseGeometry, values: Values, value: int) -> float:
    """Area of the zone in pixels of a class: one intersection per pixel."""
    area = 0.0
    for row, col in zip(*np.nonzero(values == value), strict=True):
        west, north = WEST + 10 * col, NORTH - 10 * row
        area += zone.intersection(shapely.box(west, north - 10, west + 10, north)).area
    return area / 1e4


def area_of(tables: ZonalTables, zone: str, year: int, name: str) -> float:
    table = tables.area
    chosen = table[(table.zone == zone) & (table.year == year) & (table["class"] == name)]
    return float(chosen.area_ha.item())


def test_half_pixels_count_half(tmp_path: Path) -> None:
    values = np.full(HERE.shape, 1, np.uint8)
    values[:, 4:] = 2
    maps = write(tmp_path, {2017: values})
    half = shapely.box(WEST + 35, NORTH - 25, WEST + 45, NORTH - 5)
    table = zonal(maps, zones_file(tmp_path, {"half": half})).set_index("class")
    assert table.loc["forest", "area_ha"] == pytest.approx(0.01)
    assert table.loc["water", "area_ha"] == pytest.approx(0.01)
    assert table.loc["water", "share"] == pytest.approx(0.5)
    assert table.loc["nodata", "area_ha"] == pytest.approx(0, abs=1e-9)


def test_any_polygon_has_the_areas_of_its_intersections(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    star = shapely.Point(WEST + 37, NORTH - 31).buffer(24, quad_segs=3)
    ring = shapely.Point(WEST + 50, NORTH - 20).buffer(18) - shapely.Point(WEST + 50, NORTH - 20).buffer(7)
    zones = {"star": star, "ring": ring, "sliver": shapely.box(WEST + 1, NORTH - 60, WEST + 2, NORTH)}
    tables = zonal_tables(maps, Zonal(zones=zones_file(tmp_path, zones), id="district"))
    for name, zone in zones.items():
        for value, land in enumerate(("nodata", "forest", "water")):
            found = area_of(tables, name, 2017, land)
            assert found == pytest.approx(oracle(zone, BEFORE, value), abs=1e-8)
        change = tables.change[(tables.change.zone == name) & (tables.change["class"] == "water")]
        expected = oracle(zone, np.where((BEFORE == 1) & (AFTER == 2), 9, 0).astype(np.uint8), 9)
        assert change.gain_ha.item() == pytest.approx(expected, abs=1e-8)


def test_windows_do_not_change_the_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = write(tmp_path, {2017: BEFORE, 2018: AFTER})
    zones = zones_file(tmp_path, {"a": shapely.Point(WEST + 37, NORTH - 31).buffer(24)})
    whole = zonal_tables(maps, Zonal(zones=zones))
    monkeypatch.setattr(MapSeries, "windows", lambda self: windows(self.geobox.shape, 3))
    cut = zonal_tables(maps, Zonal(zones=zones))
    np.testing.assert_allclose(whole.area.area_ha, cut.area.area_ha, rtol=1e-6)
    np.testing.assert_allclose(whole.change.net_ha, cut.change.net_ha, atol=1e-8)


def test_zones_are_brought_onto_the_grid_of_the_map(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: np.ones(HERE.shape, np.uint8)})
    zone = gpd.GeoSeries([shapely.box(WEST + 5, NORTH - 55, WEST + 75, NORTH - 5)], crs="EPSG:3035")
    path = zones_file(tmp_path, {"a": zone.to_crs("EPSG:4326").item()}, "EPSG:4326")
    table = zonal(maps, path).set_index("class")
    assert table.loc["forest", "area_ha"] == pytest.approx(70 * 50 / 1e4, rel=1e-6)


def test_ground_outside_the_map_is_nodata_of_the_zone(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: np.ones(HERE.shape, np.uint8)})
    table = zonal(maps, zones_file(tmp_path, {"a": shapely.box(WEST - 100, NORTH - 60, WEST + 40, NORTH)}))
    assert dict(zip(table["class"], table.area_ha.round(9), strict=True)) == {
        "forest": 0.24,
        "water": 0.0,
        "nodata": 0.6,
    }


def test_zones_that_miss_the_map_are_reported(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE})
    here, away = shapely.box(WEST, NORTH - 60, WEST + 80, NORTH), shapely.box(0, 0, 10, 10)
    with pytest.warns(DataQualityWarning, match="1 of 2 zones lie outside the map: b"):
        tables = zonal_tables(maps, Zonal(zones=zones_file(tmp_path, {"a": here, "b": away})))
    assert tables.outside == ("b",)
    assert set(tables.area.zone) == {"a"}
    with pytest.raises(GridError, match="no zone touches"):
        zonal(maps, zones_file(tmp_path, {"b": away}))


def test_polygons_of_one_name_are_one_zone(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: np.ones(HERE.shape, np.uint8)})
    path = tmp_path / "zones.gpkg"
    parts = [
        shapely.box(WEST, NORTH - 20, WEST + 20, NORTH),
        shapely.box(WEST + 40, NORTH - 20, WEST + 60, NORTH),
    ]
    gpd.GeoDataFrame({"name": ["a", "a"]}, geometry=parts, crs="EPSG:3035").to_file(path)
    table = zonal(maps, path, id="name").set_index("class")
    assert table.loc["forest", "area_ha"] == pytest.approx(0.08)


def test_a_bow_tie_is_mended(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: np.ones(HERE.shape, np.uint8)})
    tie = shapely.Polygon([(WEST, NORTH), (WEST + 20, NORTH - 20), (WEST + 20, NORTH), (WEST, NORTH - 20)])
    table = zonal(maps, zones_file(tmp_path, {"a": tie})).set_index("class")
    assert table.loc["forest", "area_ha"] == pytest.approx(200 / 1e4)


def test_a_geographic_grid_sums_geodesic_areas(tmp_path: Path) -> None:
    geobox = GeoBox((50, 50), Affine(0.001, 0, 14.0, 0, -0.001, 46.0), "EPSG:4326")
    maps = write(tmp_path, {2017: np.ones(geobox.shape, np.uint8)}, geobox)
    zone = shapely.box(14.0105, 45.9605, 14.0395, 45.9895)
    table = zonal(maps, zones_file(tmp_path, {"a": zone}, "EPSG:4326")).set_index("class")
    geodesic = abs(Geod(ellps="WGS84").geometry_area_perimeter(zone.segmentize(0.001))[0]) / 1e4
    assert table.loc["forest", "area_ha"] == pytest.approx(geodesic, rel=1e-6)


def test_a_south_up_grid_gives_the_same_sums(tmp_path: Path) -> None:
    flipped = GeoBox(HERE.shape, Affine(10, 0, WEST, 0, 10, NORTH - 60), "EPSG:3035")
    zone = shapely.Point(WEST + 37, NORTH - 11).buffer(15)
    path = zones_file(tmp_path, {"a": zone})
    up = zonal(write(tmp_path, {2017: BEFORE}), path)
    (tmp_path / "flip").mkdir()
    down = zonal(write(tmp_path / "flip", {2017: BEFORE[::-1]}, flipped), path)
    np.testing.assert_allclose(up.area_ha, down.area_ha, atol=1e-8)


def test_a_zone_column_is_found_or_asked_for(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE})
    zone = [shapely.box(WEST, NORTH - 60, WEST + 80, NORTH)]
    path = tmp_path / "two.gpkg"
    gpd.GeoDataFrame({"code": ["a"], "name": ["A"]}, geometry=zone, crs="EPSG:3035").to_file(path)
    with pytest.raises(ConfigError, match=r"which column") as caught:
        zonal(maps, path)
    assert "code, name" in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'code'"):
        zonal(maps, path, id="cod")
    with pytest.raises(ConfigError, match="no layer"):
        zonal(maps, path, id="code", layer="three")


def test_zones_without_a_crs_or_a_file_are_refused(tmp_path: Path) -> None:
    maps = write(tmp_path, {2017: BEFORE})
    with pytest.raises(ConfigError, match="not there"):
        zonal(maps, tmp_path / "none.gpkg")
    bad = tmp_path / "bad.gpkg"
    bad.write_text("not a geopackage")
    with pytest.raises(SceneError, match="cannot be read"):
        zonal(maps, bad)
    loose = tmp_path / "loose.fgb"
    frame = gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)])
    with pytest.warns(UserWarning, match="crs"):
        frame.to_file(loose)
    with pytest.raises(SceneError, match="no CRS"):
        zonal(maps, loose)


@pytest.mark.data
def test_countries_have_their_area_on_a_coarse_grid(tmp_path: Path, shared_data: Path) -> None:
    path = shared_data / "nuts-2024-subset" / "nuts_2024_20m_subset.geojson"
    regions = gpd.read_file(path)
    chosen = regions[(regions["LEVL_CODE"] == 2) & (regions["CNTR_CODE"] == "BE")]
    here = chosen.to_crs("EPSG:3035")
    west, south, east, north = here.total_bounds
    rows, cols = int((north - south) // 2000) + 2, int((east - west) // 2000) + 2
    geobox = GeoBox((rows, cols), Affine(2000, 0, west - 500, 0, -2000, north + 500), "EPSG:3035")
    maps = write(tmp_path, {2017: np.ones((rows, cols), np.uint8)}, geobox)
    chosen.to_file(tmp_path / "be.gpkg")
    table = zonal(maps, tmp_path / "be.gpkg", id="NUTS_ID")
    found = table[table["class"] == "forest"].set_index("zone").area_ha
    expected = here.set_index("NUTS_ID").area / 1e4
    assert len(found) == 11
    np.testing.assert_allclose(found, expected.loc[found.index], rtol=2e-6)
    assert (table[table["class"] == "nodata"].area_ha.abs() < 1).all()
