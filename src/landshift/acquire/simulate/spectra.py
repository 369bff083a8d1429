"""What the ground looks like on a day: endmembers mixed by green cover, straw, soil moisture and light.

One row per patch (an element of a parcel) and level; the rows are what the optics integrate. Fractions follow
the material's year (``_data/simulate/materials.toml``), moved by parcel and season.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.ground import LEVELS
from landshift.acquire.simulate.noise import draw
from landshift.acquire.simulate.simulation import Simulate
from landshift.acquire.simulate.sun import Geometry, directional
from landshift.acquire.simulate.timeline import History, year_of
from landshift.acquire.simulate.weather import season, wetness

__all__ = ["Patches", "spectra"]

_LEVEL_Z: Final = (np.arange(LEVELS) - 3.5) / 1.9
"""Levels as a number of zero mean and nearly unit variance."""
_CUT_DAYS: Final = (148.0, 196.0, 246.0)
"""Mean days of the first, second and third cut."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """The patches of a block: pairs of parcel and element."""

    history: History
    """Parcels of the block."""
    parcel: NDArray[np.int32]
    """Parcel of each patch."""
    element: NDArray[np.uint8]
    """Element of each patch."""

    def __len__(self) -> int:
        return int(self.parcel.size)


@dataclass(frozen=True, kw_only=True)
class _Cover:
    """Shares of a patch, each (n,)."""

    green: NDArray[np.float64]
    straw: NDArray[np.float64]
    flower: NDArray[np.float64]


def spectra(
    patches: Patches, sim: Simulate, *, sensor: str, day: date, geometry: Geometry | None
) -> NDArray[np.float32]:
    """Reflectance of every patch and level.

    Args:
        patches: The patches.
        sim: The simulation.
        sensor: Name of the sensor.
        day: The date.
        geometry: Sun and view; None for a nadir view under a sun at 45 degrees.

    Returns:
        float32 (patches x levels, bands), the level running fastest.
    """
    shown = _shown(patches, day)
    cover = _cover(patches, day, sim.seed)
    names, table, _ = facts.endmembers(sensor)
    number = {name: place for place, name in enumerate(names)}
    stuff = facts.materials()
    below = _ground(patches, shown, table, number, wetness(sim.seed, day))
    plant = np.array([number[one.green or "grass"] for one in stuff])[shown]
    vigour, bright = (_parameter(name)[shown] for name in ("vigour", "bright"))
    green = np.clip(cover.green[:, None] * (1.0 + vigour[:, None] * _LEVEL_Z), 0.0, 1.0)[..., None]
    straw = np.minimum(cover.straw[:, None, None], 1.0 - green)
    flower = np.minimum(cover.flower[:, None, None], green)
    mixed = (green - flower) * table[plant][:, None, :] + flower * table[number["flower"]]
    mixed = mixed + straw * table[number["straw"]] + (1.0 - green - straw) * below[:, None, :]
    each = 1.0 + 0.16 * (draw(patches.history.keys, "bright") - 0.5)[patches.parcel]
    mixed = mixed * (each[:, None] * (1.0 + bright[:, None] * _LEVEL_Z))[..., None]
    if geometry is not None:
        mixed = mixed * _directional(shown, geometry, sim.directional)[:, None, None]
    return np.ascontiguousarray(mixed.reshape(-1, table.shape[1]), np.float32)


def _shown(patches: Patches, day: date) -> NDArray[np.int16]:
    return patches.history.material(patches.parcel, patches.element, year_of(day), day.year)


def _parameter(name: str) -> NDArray[np.float64]:
    """A number of every material; 0 where the file does not give it."""
    return np.array([one.numbers.get(name, 0.0) for one in facts.materials()])


def _ground(
    patches: Patches, shown: NDArray[Any], table: NDArray[Any], number: dict[str, int], wet: float
) -> NDArray[np.float64]:
    """Spectra below the green cover (n, bands)."""
    keys = patches.history.keys
    names = [one.ground for one in facts.materials()]
    base = table[np.array([number[name] for name in names])][shown]
    pale = np.clip(0.25 + 0.5 * draw(keys, "pale") + 0.4 * patches.history.place[:, 7], 0.0, 1.0)[
        patches.parcel
    ]
    moist = np.clip(wet * (0.6 + 0.8 * draw(keys, "moist")), 0.0, 1.0)[patches.parcel]
    earth = np.array([name.startswith("soil") for name in names])[shown]
    loam = np.array([name == "soil" for name in names])[shown]
    dry = np.where(
        loam[:, None],
        (1.0 - pale[:, None]) * table[number["soil"]] + pale[:, None] * table[number["soil_pale"]],
        base,
    )
    share = np.where(earth, 0.75 * moist, 0.0)[:, None]
    found: NDArray[np.float64] = (1.0 - share) * dry + share * table[number["soil_wet"]]
    return found


def _cover(patches: Patches, day: date, seed: int) -> _Cover:
    """Shares of green, straw and flowers on a day; the strongest of this harvest, the last and the next."""
    size = len(patches)
    green, straw, flower = np.zeros(size), np.zeros(size), np.zeros(size)
    for harvest in (day.year - 1, day.year, day.year + 1):
        grown = patches.history.material(patches.parcel, patches.element, year_of(day), harvest)
        t = float((day - date(harvest, 1, 1)).days)
        part = _year(patches, grown, t, seed, harvest)
        stronger = part.green > green
        green = np.where(stronger, part.green, green)
        straw = np.maximum(straw, part.straw)
        flower = np.maximum(flower, part.flower)
    return _Cover(green=green, straw=straw, flower=flower)


def _year(patches: Patches, grown: NDArray[Any], t: float, seed: int, harvest: int) -> _Cover:
    """Shares on day ``t`` of the year of a harvest."""
    year = season(seed, harvest)
    keys, parcel = patches.history.keys, patches.parcel
    shift = (
        _parameter("spread")[grown] * 1.7 * (draw(keys, f"time {harvest}") + draw(keys, "time") - 1.0)[parcel]
    )
    up = _parameter("up")[grown] + shift - year.early_days
    down = _parameter("down")[grown] + shift - 0.5 * year.early_days
    rise = _logistic((t - up) / np.maximum(_parameter("up_days")[grown], 1.0))
    fall = _logistic((t - down) / np.maximum(_parameter("down_days")[grown], 1.0))
    strength = (0.88 + 0.24 * draw(keys, f"vigour {harvest}"))[parcel] * year.vigour
    base, amplitude = _parameter("base")[grown], _parameter("amplitude")[grown]
    sown = _logistic((t - _parameter("autumn_from")[grown] - shift) / 10.0)
    winter = _parameter("autumn")[grown] * sown * (1.0 - rise)
    green = np.minimum(base + winter + amplitude * strength * (rise - fall), 1.0)
    green = green * _cuts(patches, grown, t)
    gone = np.exp(-np.maximum(t - down, 0.0) / np.maximum(_parameter("straw_days")[grown], 1.0))
    dried = _parameter("straw")[grown] * fall * np.where(t < down + 260.0, gone, 0.0)
    grass = np.array([one.structure == "grass" for one in facts.materials()])[grown]
    drought = year.dry * np.exp(-(((t - 215.0) / 32.0) ** 2))
    straw = np.where(grass, dried + drought, dried)
    green = np.where(grass, green * (1.0 - drought), green)
    start, end = (_parameter(name)[grown] + shift for name in ("flower_from", "flower_to"))
    flower = _parameter("flower")[grown] * _logistic((t - start) / 3.0) * _logistic((end - t) / 3.0)
    return _Cover(green=green, straw=straw, flower=flower)


def _cuts(patches: Patches, grown: NDArray[Any], t: float) -> NDArray[np.float64]:
    """What the cuts of meadows leave: half of the cover, which grows back in three weeks."""
    left = np.ones(len(patches))
    count = _parameter("cuts")[grown]
    for turn, mean in enumerate(_CUT_DAYS):
        after = t - (mean + 26.0 * (draw(patches.history.keys, f"cut {turn}") - 0.5)[patches.parcel])
        loss = np.where(after > 0.0, 0.5 * np.exp(-np.maximum(after, 0.0) / 16.0), 0.0)
        left = left * np.where(count > turn, 1.0 - loss, 1.0)
    return left


def _logistic(value: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(value, -40.0, 40.0)))
    return found


def _directional(shown: NDArray[Any], geometry: Geometry, strength: float) -> NDArray[np.float64]:
    """Factor of the directional effect of every patch (n,)."""
    by_structure = {
        name: directional(geometry, *numbers) ** strength for name, numbers in facts.structures().items()
    }
    found: NDArray[np.float64] = np.array([by_structure[one.structure] for one in facts.materials()])[shown]
    return found
