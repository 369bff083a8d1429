"""Clear-sky reflectance of the simulated ground at any date, on any grid of the place: the truth of a cube."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift import sensor as sensors
from landshift.acquire.simulate import facts
from landshift.acquire.simulate.granules import site_of
from landshift.acquire.simulate.ground import GROUND_M
from landshift.acquire.simulate.landscape import block
from landshift.acquire.simulate.simulation import Simulate
from landshift.errors import GridError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["clear_sky"]

_MARGIN_M: Final = 135.0


def clear_sky(
    sim: Simulate,
    geobox: GeoBox,
    when: Sequence[date],
    *,
    bands: Sequence[str],
    sensor: str = "sentinel-2-l2a",
) -> NDArray[np.float32]:
    """What a perfect sensor would have seen: no cloud, no air, no noise, no shift, from nadir, sun at 45 degrees.

    Args:
        sim: The simulation.
        geobox: Grid, in the scenes' own CRS, with pixels of a multiple of 2.5 m; a block of it will do.
        when: Dates.
        bands: Bands by common name.
        sensor: Name of the sensor.

    Returns:
        float32 (time, band, y, x), every band integrated over the grid's own pixels.

    Raises:
        GridError: The grid is not in the scenes' CRS or its pixels are no multiple of the ground's.
    """
    site = site_of(geobox)
    size = float(abs(geobox.resolution.x))
    if geobox.crs is None or str(geobox.crs) != site.crs or size % GROUND_M:
        raise GridError(
            "clear-sky truth lies on the simulated scenes' own grid",
            got=f"{geobox.crs}, {size} m",
            allowed=f"{site.crs}, a multiple of {GROUND_M} m",
        )
    _, _, known = facts.endmembers(sensor)
    numbers = tuple(known.index(sensors.get(sensor).band(name).name) for name in bands)
    shape = tuple(round(side * size / GROUND_M) for side in geobox.shape)
    ground = block(
        sim, left=geobox.affine.c, top=geobox.affine.f, shape=(shape[0], shape[1]), margin_m=_MARGIN_M
    )
    found = np.empty((len(when), len(numbers), *geobox.shape), np.float32)
    for place, day in enumerate(when):
        table = ground.spectra(sim, sensor=sensor, day=day, geometry=None)
        found[place] = ground.seen(table, bands=numbers, pixel_m=size)
    return found
