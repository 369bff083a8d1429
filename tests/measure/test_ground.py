"""The ground area of pixels, against geodesic polygons."""

import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Geod
from rasterio import Affine

from landshift.errors import DataQualityWarning, GridError
from landshift.measure.ground import geometry_area_ha, pixel_area_ha


def test_geographic_pixels_have_their_geodesic_area() -> None:
    geobox = GeoBox((5, 3), Affine(0.001, 0, 14.0, 0, -0.001, 46.0), "EPSG:4326")
    area = pixel_area_ha(geobox)
    geod = Geod(ellps="WGS84")
    for row in range(5):
        cell = shapely.box(14.0, 46.0 - 0.001 * (row + 1), 14.001, 46.0 - 0.001 * row)
        assert area[row] == pytest.approx(abs(geod.geometry_area_perimeter(cell)[0]) / 1e4, rel=1e-7)


def test_the_whole_globe_has_the_area_of_the_ellipsoid() -> None:
    geobox = GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    assert pixel_area_ha(geobox).sum() * 360 * 1e4 == pytest.approx(510_065_621_724_088, rel=1e-12)


def test_a_grid_in_feet_is_converted_to_hectares() -> None:
    geobox = GeoBox((2, 2), Affine(100, 0, 985_000, 0, -100, 210_000), "EPSG:2263")
    foot = 1200 / 3937
    assert pixel_area_ha(geobox)[0] == pytest.approx(100 * 100 * foot**2 / 1e4, rel=1e-9)


def test_web_mercator_is_named_as_distorted() -> None:
    geobox = GeoBox((4, 4), Affine(10, 0, 1_600_000, 0, -10, 5_800_000), "EPSG:3857")
    with pytest.warns(DataQualityWarning, match="% too large here"):
        pixel_area_ha(geobox)


def test_a_rotated_grid_is_refused() -> None:
    with pytest.raises(GridError, match="not rotated"):
        pixel_area_ha(GeoBox((2, 2), Affine(10, 1, 0, 1, -10, 0), "EPSG:3035"))


def test_a_polygon_in_degrees_is_measured_on_the_ellipsoid() -> None:
    geobox = GeoBox((1, 1), Affine(0.01, 0, 14.0, 0, -0.01, 46.0), "EPSG:4326")
    cell = shapely.box(14.0, 45.99, 14.01, 46.0)
    assert geobox.crs is not None
    assert np.isclose(geometry_area_ha(cell, geobox.crs), pixel_area_ha(geobox)[0], rtol=1e-5)
