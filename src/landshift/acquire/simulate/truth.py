"""The truth beside the scenes: land cover by year, fractions, changes, shifts, districts and training polygons.

Land cover is the ground's as it is on 1 July, by majority of the 2.5 m points in each pixel of the place's grid;
fractions count the same points.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.granules import Site
from landshift.acquire.simulate.ground import LEVELS
from landshift.acquire.simulate.landscape import Ground
from landshift.acquire.simulate.simulation import Simulate
from landshift.acquire.simulate.strips import Strip, strips
from landshift.acquire.simulate.timeline import year_of
from landshift.cube.maps import MapWriter
from landshift.plan import write_atomic

if TYPE_CHECKING:
    import pandas as pd
    from odc.geo.geobox import GeoBox

__all__ = ["Years", "write_truth"]

_MIDDLE: Final = 0.5


@dataclass(kw_only=True)
class Years:
    """Land cover of the whole place by year, and what changed."""

    cover: dict[int, NDArray[np.uint8]]
    """Land class of every pixel, by year (y, x)."""
    pure: dict[int, NDArray[np.uint8]]
    """Percent of the pixel that its class fills, 0 where the class changes within the year (y, x)."""
    changes: list[pd.DataFrame] = field(default_factory=list)
    """Changes of parcels, one frame per strip."""


def write_truth(sim: Simulate, geobox: GeoBox, site: Site, folder: Path, *, key: str) -> None:
    """Write everything that is known of the place, unless it is there already.

    Args:
        sim: The simulation.
        geobox: Grid of the maps.
        site: The place in the scenes' CRS.
        folder: Where to.
        key: Names what the landscape depends on.
    """
    from landshift.acquire.simulate.clear import write_clear
    from landshift.acquire.simulate.tables import write_changes, write_shifts
    from landshift.acquire.simulate.vectors import write_districts, write_labels

    years = _whole_years(sim.start, sim.end)
    said = {"key": key, "start": sim.start.isoformat(), "end": sim.end.isoformat(), "simulated": True}
    said |= {
        "polygons": sim.polygons,
        "sensors": list(sim.sensors),
        "revisit": sim.revisit,
        "truth": sim.truth,
    }
    done = folder / "truth.json"
    before = json.loads(done.read_text(encoding="utf-8")) if done.exists() else {}
    if before == said:
        return
    for leftover in folder.rglob("*.partial*"):
        leftover.unlink(missing_ok=True)
    found = _write_maps(sim, geobox, site, folder, years)
    write_changes(found.changes, folder, (sim.start, sim.end))
    write_shifts(sim, site, folder)
    write_districts(sim, geobox, folder)
    write_labels(sim, geobox, found, folder)
    write_clear(sim, geobox, site, folder / "clear", keep=before.get("key") == key)
    write_atomic(done, (json.dumps(said, indent=1) + "\n").encode())


def _whole_years(start: date, end: date) -> tuple[int, ...]:
    """Years that lie wholly inside a span, or that it touches where none does.

    >>> _whole_years(date(2017, 1, 1), date(2019, 1, 1)), _whole_years(date(2017, 3, 1), date(2017, 6, 1))
    ((2017, 2018), (2017,))
    """
    touched = range(start.year, end.year + 1)
    whole = [year for year in touched if start <= date(year, 1, 1) and date(year, 12, 31) <= end]
    return tuple(whole or touched)


def _write_maps(sim: Simulate, geobox: GeoBox, site: Site, folder: Path, years: tuple[int, ...]) -> Years:
    """Write land cover and fractions of all years; keep the land cover for what follows."""
    shape = tuple(geobox.shape)
    found = Years(
        cover={year: np.zeros(shape, np.uint8) for year in years},
        pure={year: np.zeros(shape, np.uint8) for year in years},
    )
    tags = {"SIMULATED": "yes"}
    names = tuple(one.name for one in facts.classes())
    with ExitStack() as stack:
        covers, fractions = {}, {}
        for year in years:
            path = folder / f"landcover_{year}.tif"
            covers[year] = stack.enter_context(MapWriter(path, geobox, classes=facts.classes(), tags=tags))
            fractions[year] = stack.enter_context(
                MapWriter(folder / f"fraction_{year}.tif", geobox, bands=names, nodata=255, tags=tags)
            )
        for strip in strips(sim, geobox, site):
            rows, ground, per_pixel = strip.rows, strip.ground, strip.per_pixel
            window = (rows, slice(0, shape[1]))
            for year in years:
                share = _shares(ground, year + _MIDDLE, per_pixel)
                first = share.argmax(axis=0)
                covers[year].write(window, (first + 1).astype(np.uint8))
                fractions[year].write(window, np.rint(100.0 * share).astype(np.uint8))
                found.cover[year][rows] = first + 1
                found.pure[year][rows] = _purity(ground, year, per_pixel, first, share)
            found.changes.append(_changes(strip, sim))
    return found


def _shares(ground: Ground, when: float, per_pixel: int) -> NDArray[np.float32]:
    """Share of each class in every pixel (class, y, x)."""
    height, width = (side // per_pixel for side in ground.rows.shape)
    cells = ground.land_class(when).reshape(height, per_pixel, width, per_pixel)
    return np.stack([(cells == one.value).mean(axis=(1, 3), dtype=np.float32) for one in facts.classes()])


def _purity(
    ground: Ground, year: int, per_pixel: int, first: NDArray[Any], share: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Percent that the pixel's class fills; 0 where it is another at the year's beginning or end."""
    settled = np.ones(first.shape, bool)
    for when in (year + 0.001, year + 0.999):
        settled &= _shares(ground, when, per_pixel).argmax(axis=0) == first
    return np.where(settled, np.rint(100.0 * share.max(axis=0)), 0).astype(np.uint8)


def _changes(strip: Strip, sim: Simulate) -> pd.DataFrame:
    """Area by parcel, change and pair of classes in this strip."""
    import pandas as pd

    history, patches = strip.ground.history, strip.ground.patches
    count = np.bincount(strip.ground.rows.ravel() // LEVELS, minlength=len(patches))
    begin, end = year_of(sim.start), year_of(sim.end + timedelta(days=1))
    frames = []
    for turn in range(2):
        when = history.when[turn][patches.parcel]
        picked = np.flatnonzero((when > begin) & (when <= end))
        for moment in np.unique(when[picked]):
            of = picked[when[picked] == moment]
            before = history.land_class(patches.parcel[of], patches.element[of], moment - 1e-6)
            after = history.land_class(patches.parcel[of], patches.element[of], moment + 1e-6)
            frames.append(
                pd.DataFrame(
                    {
                        "parcel": [f"{key:016x}" for key in history.keys[patches.parcel[of]]],
                        "date": _day(moment),
                        "class_from": before,
                        "class_to": after,
                        "area_ha": count[of] * strip.point_ha,
                    }
                )
            )
    return pd.concat(frames) if frames else pd.DataFrame()


def _day(when: float) -> date:
    """The day that a decimal year falls on."""
    start = date(int(when), 1, 1)
    length = (date(start.year + 1, 1, 1) - start).days
    return start + timedelta(days=int((when - start.year) * length))
