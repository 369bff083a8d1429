"""How much ground a pixel covers.

A projected grid is taken at its word: the area is the product of its two resolutions in metres. That is
right in equal-area grids (EPSG:3035, EPSG:6933), off by less than 0.1 % inside a UTM zone, and wrong by a
factor of two in Web Mercator at 45 degrees; such a grid is therefore named in a warning. On a geographic
grid a pixel shrinks towards the poles: its area is the exact area of the cell between two parallels and
two meridians of the ellipsoid.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from landshift.errors import DataQualityWarning, GridError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox
    from shapely.geometry.base import BaseGeometry

__all__ = ["band_area_m2", "geometry_area_ha", "ground_crs", "metres_per_unit", "pixel_area_ha"]

_TOLERANCE = 0.01
"""A projected grid whose areas are off by more than this share is named in a warning."""


def pixel_area_ha(geobox: GeoBox) -> NDArray[np.float64]:
    """The ground area of one pixel, for every row of a grid.

    Args:
        geobox: The grid; north up or north down, not rotated.

    Returns:
        float64 (y,), hectares.

    Raises:
        GridError: The grid is rotated or has no CRS.

    >>> from odc.geo.geobox import GeoBox
    >>> pixel_area_ha(GeoBox.from_bbox((4e6, 3e6, 4.00002e6, 3.00002e6), "EPSG:3035", resolution=10))
    array([0.01, 0.01])
    """
    crs = ground_crs(geobox)
    rows = geobox.shape[0]
    affine = geobox.affine
    if crs.geographic:
        edges = affine.f + affine.e * np.arange(rows + 1)
        return _cells_m2(crs, edges, abs(affine.a)) / 1e4
    unit = metres_per_unit(crs)
    _warn_if_distorted(geobox, crs)
    return np.full(rows, abs(affine.a * affine.e) * unit**2 / 1e4)


def ground_crs(geobox: GeoBox) -> CRS:
    """The CRS of a grid whose areas can be told from its rows.

    Raises:
        GridError: The grid is rotated or has no CRS.
    """
    if geobox.crs is None:
        raise GridError("a map without a CRS has no ground area", hint="give the map a CRS")
    if abs(geobox.affine.b) > 1e-12 or abs(geobox.affine.d) > 1e-12:
        raise GridError("areas need a grid that is not rotated", got=tuple(geobox.affine)[:6])
    return geobox.crs


def metres_per_unit(crs: CRS) -> float:
    """Length of a projected CRS's unit in metres: 1 for most, 0.3048 for feet."""
    return float(crs.proj.axis_info[0].unit_conversion_factor)


def geometry_area_ha(geometry: BaseGeometry, crs: CRS) -> float:
    """The area of a shapely geometry, planar on a projected CRS and geodesic on a geographic one."""
    if crs.geographic:
        geod = crs.proj.get_geod()
        if geod is None:
            raise GridError("a CRS without an ellipsoid has no ground area", got=crs)
        return abs(float(geod.geometry_area_perimeter(geometry)[0])) / 1e4
    return float(geometry.area) * metres_per_unit(crs) ** 2 / 1e4


def band_area_m2(latitude_deg: NDArray[np.float64], *, a: float, b: float) -> NDArray[np.float64]:
    """Ellipsoid area between the equator and a parallel, per radian of longitude.

    Snyder (1987), Map Projections: A Working Manual, eq. 3-12:
    ``A = b^2 / 2 (sin p / (1 - e^2 sin^2 p) + artanh(e sin p) / e)``, and ``b^2 sin p`` on a sphere.

    Args:
        latitude_deg: Geodetic latitudes, degrees.
        a: Semi-major axis, metres.
        b: Semi-minor axis, metres.

    Returns:
        Square metres per radian, negative in the south.
    """
    sine = np.sin(np.deg2rad(latitude_deg))
    eccentricity = float(np.sqrt(1 - (b / a) ** 2))
    if eccentricity == 0:
        return np.asarray(b**2 * sine)
    first = sine / (1 - (eccentricity * sine) ** 2)
    second = np.arctanh(eccentricity * sine) / eccentricity
    return np.asarray(b**2 / 2 * (first + second))


def _cells_m2(crs: CRS, edges_deg: NDArray[np.float64], width_deg: float) -> NDArray[np.float64]:
    ellipsoid = crs.proj.ellipsoid
    if ellipsoid is None:
        raise GridError("a CRS without an ellipsoid has no ground area", got=crs)
    to_degrees = np.rad2deg(crs.proj.axis_info[0].unit_conversion_factor)
    edges = np.clip(edges_deg * to_degrees, -90, 90)
    bands = band_area_m2(edges, a=ellipsoid.semi_major_metre, b=ellipsoid.semi_minor_metre)
    return np.asarray(np.abs(np.diff(bands)) * np.deg2rad(width_deg * to_degrees))


def _warn_if_distorted(geobox: GeoBox, crs: CRS) -> None:
    from pyproj import Proj

    projection = Proj(crs.proj)
    rows, cols = geobox.shape
    affine = geobox.affine
    x, y = affine.c + affine.a * cols / 2, affine.f + affine.e * rows / 2
    factors = projection.get_factors(*projection(x, y, inverse=True))
    scale = float(factors.areal_scale)
    if np.isfinite(scale) and abs(scale - 1) > _TOLERANCE:
        warnings.warn(
            f"areas on {crs} are {abs(scale - 1):.0%} too {'large' if scale > 1 else 'small'} here: "
            "use an equal-area or UTM grid, such as EPSG:3035 or EPSG:6933",
            DataQualityWarning,
            stacklevel=3,
        )
