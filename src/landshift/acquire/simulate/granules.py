"""Where scenes lie: the granules that cover a place, on the sensors' own grids."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift import sensor as sensors
from landshift.acquire.simulate.passes import Overpass

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Granule", "Site", "granules", "site_of"]

_OVERLAP: Final = 0.12
"""Share of a granule's height and width that its neighbour covers too."""
_LARGEST_M: Final = 20_000.0
"""Largest side of a granule; larger places have more of them."""
_TILT: Final = 0.21
"""How far the edge of the swath leans: metres west per metre north."""
GRID: Final = {"sentinel-2-l2a": (60.0, 0.0), "landsat-8-9-c2l2": (30.0, 15.0)}
"""Step and start of the corners of each sensor's grid, metres."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The place in the scenes' own CRS."""

    crs: str
    """Authority code of the scenes' CRS."""
    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top in metres."""
    longitude: float
    """Centre, degrees east."""
    latitude: float
    """Centre, degrees north."""

    @property
    def zone(self) -> str:
        """UTM zone and letter of the band of latitude, such as ``33U``."""
        letters = "CDEFGHJKLMNPQRSTUVWX"
        letter = letters[min(max(int((self.latitude + 80.0) // 8.0), 0), 19)]
        return f"{int((self.longitude + 180.0) // 6.0) % 60 + 1:02d}{letter}"


@dataclass(frozen=True, kw_only=True)
class Granule:
    """One tile of the scenes of a sensor."""

    sensor: str
    """Name of the sensor."""
    name: str
    """Name of the tile."""
    row: int
    """Counted from the north."""
    col: int
    """Counted from the west."""
    left: float
    """Easting of the left edge, metres."""
    top: float
    """Northing of the upper edge, metres."""
    height_m: float
    """Height, a multiple of every band's pixel size."""
    width_m: float
    """Width, likewise."""

    @property
    def pixel_m(self) -> float:
        """Pixel size of the finest bands."""
        return min(band.gsd_m for band in sensors.get(self.sensor).bands)

    def shape(self, pixel_m: float) -> tuple[int, int]:
        """Pixels down and across at a pixel size."""
        return round(self.height_m / pixel_m), round(self.width_m / pixel_m)

    def inside(self, seen: Overpass, site: Site, pixel_m: float) -> NDArray[np.bool_]:
        """Which pixels the swath of a pass reaches (y, x)."""
        height, width = self.shape(pixel_m)
        x = self.left + (np.arange(width) + 0.5) * pixel_m
        y = self.top - (np.arange(height) + 0.5) * pixel_m
        found: NDArray[np.bool_] = x[np.newaxis, :] < swath_edge(seen, site, y)[:, np.newaxis]
        return found

    def outline(self, seen: Overpass, site: Site) -> Any:
        """The polygon that holds data, in the scenes' CRS; empty where the swath misses the granule."""
        from shapely.geometry import Polygon, box

        bottom, right = self.top - self.height_m, self.left + self.width_m
        lower, upper = (float(one) for one in swath_edge(seen, site, np.array([bottom, self.top])))
        west = self.left - 1e7
        swath = Polygon([(west, bottom), (lower, bottom), (upper, self.top), (west, self.top)])
        return box(self.left, bottom, right, self.top).intersection(swath)


def swath_edge(seen: Overpass, site: Site, y: NDArray[Any]) -> NDArray[Any]:
    """Easting at which the swath ends, by northing."""
    left, bottom, right, top = site.bounds
    return (left + right) / 2.0 + seen.swath * (right - left) - _TILT * (y - (bottom + top) / 2.0)


def site_of(geobox: GeoBox) -> Site:
    """The place of a grid: in its own CRS where that is UTM, else in the UTM zone of its centre."""
    from odc.geo.crs import CRS

    centre = geobox.extent.to_crs("EPSG:4326").centroid.coords[0]
    epsg = geobox.crs.epsg if geobox.crs else None
    is_utm = epsg is not None and epsg // 100 in {326, 327}
    crs = CRS(f"EPSG:{epsg}") if is_utm else CRS.utm(*centre)
    box = geobox.extent.to_crs(crs).boundingbox
    return Site(
        crs=f"EPSG:{crs.epsg}",
        bounds=(box.left, box.bottom, box.right, box.top),
        longitude=float(centre[0]),
        latitude=float(centre[1]),
    )


def granules(site: Site, sensor: str) -> tuple[Granule, ...]:
    """The granules of a sensor that cover a place: at least two along the track, which overlap."""
    step, start = GRID[sensor]
    left, bottom, right, top = site.bounds
    west = math.floor((left - start) / step - 1) * step + start
    south = math.floor((bottom - start) / step - 1) * step + start
    east = math.ceil((right - start) / step + 1) * step + start
    north = math.ceil((top - start) / step + 1) * step + start
    down = _cut(north - south, step, at_least=2)
    across = _cut(east - west, step, at_least=1)
    return tuple(
        Granule(
            sensor=sensor,
            name=f"{chr(65 + col % 26)}{chr(65 + row % 22)}"
            + (f"{row}{col}" if row > 21 or col > 25 else ""),
            row=row,
            col=col,
            left=west + x,
            top=north - y,
            height_m=height,
            width_m=width,
        )
        for row, (y, height) in enumerate(down)
        for col, (x, width) in enumerate(across)
    )


def _cut(length: float, step: float, *, at_least: int) -> list[tuple[float, float]]:
    """Starts and lengths of pieces that cover a length and overlap, in whole steps."""
    steps = round(length / step)
    count = max(at_least, math.ceil(length / _LARGEST_M))
    if steps < 4 * count:
        return [(0.0, steps * step)]
    edges = [round(n * steps / count) for n in range(count + 1)]
    more = max(1, round(_OVERLAP * steps / count))
    return [
        (begin * step, (min(end + (more if n + 1 < count else 0), steps) - begin) * step)
        for n, (begin, end) in enumerate(itertools.pairwise(edges))
    ]
