"""Clear-sky reflectance of the simulated ground at any date, on the place's own grid: the truth of a cube."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift import sensor as sensors
from landshift.acquire.simulate import facts
from landshift.acquire.simulate.granules import Site, granules, site_of
from landshift.acquire.simulate.items import item_id
from landshift.acquire.simulate.passes import Overpass, overpasses
from landshift.acquire.simulate.rasters import CogWriter
from landshift.acquire.simulate.simulation import Simulate
from landshift.acquire.simulate.strips import Strip, strips

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["clear_sky", "write_clear"]

SCALE: Final = 1e-4
"""Reflectance = stored number x scale."""
_SAMPLE: Final = 6
_WORKERS: Final = 2


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
        geobox: Grid of the place, or of a block of it.
        when: Dates.
        bands: Bands by common name.
        sensor: Name of the sensor.

    Returns:
        float32 (time, band, y, x), every band integrated over the grid's own pixels.
    """
    _, _, known = facts.endmembers(sensor)
    numbers = tuple(known.index(sensors.get(sensor).band(name).name) for name in bands)
    found = np.empty((len(when), len(numbers), *geobox.shape), np.float32)
    for strip in strips(sim, geobox, site_of(geobox), margin=True):
        for place, day in enumerate(when):
            table = strip.ground.spectra(sim, sensor=sensor, day=day, geometry=None)
            found[place, :, strip.rows] = strip.seen(table, numbers)
    return found


def write_clear(sim: Simulate, geobox: GeoBox, site: Site, folder: Path, *, keep: bool) -> None:
    """Write clear-sky reflectance of passes on the place's grid, named after the pass's first item.

    The ground is seen under the scene's own angles, with pixels of the place's grid in all bands.

    Args:
        sim: The simulation; its ``truth`` says for which passes.
        geobox: Grid of the place.
        site: The place in the scenes' CRS.
        folder: Where to.
        keep: Whether files that are there already are right.
    """
    todo = {
        folder / f"{name}.tif": one
        for name, one in _wanted(sim, site).items()
        if not (keep and (folder / f"{name}.tif").exists())
    }
    if not todo:
        return
    with ExitStack() as stack:
        files = {
            path: stack.enter_context(
                CogWriter(path, geobox, names=facts.endmembers(one.sensor)[2], scale=SCALE)
            )
            for path, one in todo.items()
        }
        for strip in strips(sim, geobox, site, margin=True):
            jobs = [(files[path], one) for path, one in todo.items()]
            with ThreadPoolExecutor(_WORKERS) as pool:
                list(pool.map(lambda job, strip=strip: _fill(sim, strip, *job), jobs))


def _wanted(sim: Simulate, site: Site) -> dict[str, Overpass]:
    """Passes whose clear sky is kept, by the id of their first item."""
    found = {}
    for one in overpasses(sim, site.longitude, site.latitude):
        if sim.truth == "all" or (sim.truth == "sample" and one.number % _SAMPLE == 0):
            names = sorted(
                item_id(granule, one, site)
                for granule in granules(site, one.sensor)
                if not granule.outline(one, site).is_empty
            )
            if names:
                found[names[0]] = one
    return found


def _fill(sim: Simulate, strip: Strip, file: CogWriter, seen: Overpass) -> None:
    """Write a strip of one pass."""
    table = strip.ground.spectra(sim, sensor=seen.sensor, day=seen.moment.date(), geometry=seen.geometry)
    values = strip.seen(table, tuple(range(table.shape[1])))
    file.write(strip.rows, np.rint(values / SCALE).astype(np.int16))
