"""The ground below the place's own pixels, strip by strip, so that a large place never sits in memory at 2.5 m."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.simulate.granules import Site
from landshift.acquire.simulate.ground import GROUND_M
from landshift.acquire.simulate.landscape import Ground, points
from landshift.acquire.simulate.optics import REACH_PX
from landshift.acquire.simulate.simulation import Simulate

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Strip", "strips"]

_POINTS: Final = 5_000_000
"""Ground points held at once."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Some rows of the place."""

    rows: slice
    """Which."""
    ground: Ground
    """Their ground points, ``per_pixel`` down and across each pixel, with the ground's margin around."""
    per_pixel: int
    """Points along a pixel's side."""
    point_ha: float
    """Area of a point in hectares."""

    def seen(self, table: NDArray[np.float32], bands: tuple[int, ...]) -> NDArray[np.float32]:
        """What a sensor with the place's own pixels would measure (bands, y, x)."""
        return self.ground.seen(table, bands=bands, pixel_m=self.per_pixel * GROUND_M)


def strips(sim: Simulate, geobox: GeoBox, site: Site, *, margin: bool = False) -> Iterator[Strip]:
    """The place from top to bottom.

    Args:
        sim: The simulation.
        geobox: The place's grid, in any CRS.
        site: The place in the scenes' CRS.
        margin: Whether the ground reaches beyond the strip as far as a pixel's point spread function.
    """
    from pyproj import Transformer

    height, width = geobox.shape
    same = geobox.crs is not None and geobox.crs.epsg == int(site.crs.split(":")[1])
    convert = None if same else Transformer.from_crs(str(geobox.crs), site.crs, always_xy=True)
    side = _side(geobox, convert)
    per_pixel = max(1, round(side / GROUND_M))
    around = math.ceil(REACH_PX * per_pixel) + 1 if margin else 0
    step = max(1, _POINTS // (width * per_pixel**2))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        x, y = _places(geobox, rows, per_pixel, around)
        if convert is not None:
            x, y = convert.transform(x, y)
        ground = points(sim, x, y, margin=around)
        yield Strip(rows=rows, ground=ground, per_pixel=per_pixel, point_ha=(side / per_pixel) ** 2 / 1e4)


def _places(geobox: GeoBox, rows: slice, per_pixel: int, around: int) -> Any:
    """Coordinates of the points of some rows, in the grid's CRS."""
    down = np.arange(rows.start * per_pixel - around, rows.stop * per_pixel + around)
    across = np.arange(-around, geobox.shape[1] * per_pixel + around)
    affine = geobox.affine
    x = affine.c + affine.a * ((across + 0.5) / per_pixel)
    y = affine.f + affine.e * ((down + 0.5) / per_pixel)
    return np.broadcast_arrays(x[np.newaxis, :], y[:, np.newaxis])


def _side(geobox: GeoBox, convert: Any) -> float:
    """Side of the middle pixel in metres."""
    affine, (height, width) = geobox.affine, geobox.shape
    if convert is None:
        return float(abs(affine.a))
    corners = [(width / 2, height / 2), (width / 2 + 1, height / 2), (width / 2, height / 2 + 1)]
    (x0, y0), (x1, y1), (x2, y2) = (convert.transform(*(affine * corner)) for corner in corners)
    return math.sqrt(abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)))
