"""When which satellite passes, from where it looks, under which sky, and how far it misses its grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import numpy as np

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.noise import key_of
from landshift.acquire.simulate.simulation import Simulate
from landshift.acquire.simulate.sun import Geometry, sun
from landshift.step import days

__all__ = ["Overpass", "Sky", "overpasses"]

_EPOCH: Final = date(2015, 1, 1)
_LANDSAT_DAYS: Final = 16.0
_LANDSAT_9: Final = date(2021, 11, 1)
_REFINED: Final = date(2021, 3, 30)
"""Since then Sentinel-2 is geometrically refined against a global reference: its shifts halve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The clouds of a pass."""

    cover: float
    """Share of the sky that clouds cover, over a region much larger than the place."""
    size_m: float
    """Width of the largest clouds."""
    height_m: float
    """Height of their base above the ground."""
    cirrus: float
    """Share of the sky that cirrus covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overpass:
    """One pass of one satellite."""

    sensor: str
    """Name of the sensor."""
    platform: str
    """Satellite."""
    orbit: int
    """Relative orbit, or path of Landsat."""
    moment: datetime
    """Acquisition, UTC."""
    geometry: Geometry
    """Sun and view at the centre of the place."""
    sky: Sky
    """Its clouds."""
    shift_m: tuple[float, float]
    """How far south and east of their place its pixels look."""
    swath: float
    """Where the swath ends, in widths of the place east of its centre."""
    baseline: str
    """Processing baseline; empty for Landsat."""
    offset: int
    """Offset of the stored numbers that the baseline brings."""
    number: int
    """Counts the passes of its orbit."""

    def key(self, seed: int, name: str) -> np.uint64:
        """Root of a random stream of this pass."""
        return key_of(seed, self.sensor, self.orbit, self.platform, self.moment.date(), name)


def overpasses(sim: Simulate, longitude: float, latitude: float) -> tuple[Overpass, ...]:
    """All passes of a simulation over a place, by time.

    Args:
        sim: The simulation.
        longitude: Degrees east of the place's centre.
        latitude: Degrees north.

    >>> early = overpasses(Simulate(end=date(2017, 6, 30)), 15.0, 48.7)
    >>> later = overpasses(Simulate(end=date(2017, 12, 31)), 15.0, 48.7)
    >>> later[: len(early)] == early
    True
    """
    found = []
    for orbit in facts.orbits()["orbit"]:
        if orbit["sensor"] in sim.sensors:
            found += [
                _overpass(sim, orbit, day, number, (longitude, latitude), platform)
                for day, number, platform in _days(sim, orbit)
            ]
    return tuple(sorted(found, key=lambda one: (one.moment, one.sensor)))


def _days(sim: Simulate, orbit: dict[str, Any]) -> list[tuple[date, int, str]]:
    """Days, counts and satellites of an orbit's passes."""
    sentinel = orbit["sensor"] == "sentinel-2-l2a"
    cycle = 2.0 * days(sim.revisit) if sentinel else _LANDSAT_DAYS / 2.0
    first = int((sim.start - _EPOCH).days // cycle) - 1
    last = int((sim.end - _EPOCH).days // cycle) + 1
    found = []
    for number in range(max(first, 0), last + 1):
        day = _EPOCH + timedelta(days=int((number + orbit["phase"]) * cycle))
        if not sim.start <= day <= sim.end:
            continue
        if sentinel:
            platform = "sentinel-2b" if number % 2 and day.year > 2016 else "sentinel-2a"
        else:
            platform = "landsat-9" if number % 2 else "landsat-8"
        if platform != "landsat-9" or day >= _LANDSAT_9:
            found.append((day, number, platform))
    return found


def _overpass(
    sim: Simulate, orbit: dict[str, Any], day: date, number: int, place: tuple[float, float], platform: str
) -> Overpass:
    random = np.random.default_rng(int(key_of(sim.seed, orbit["sensor"], orbit["number"], day)))
    hour = orbit["hour"] - place[0] / 15.0 + float(random.normal(0.0, 0.04))
    moment = datetime.combine(day, time(), tzinfo=UTC) + timedelta(seconds=round(hour * 3600.0))
    zenith, azimuth = sun(moment, *place)
    version, offset = _baseline(day) if orbit["sensor"] == "sentinel-2-l2a" else ("", 0)
    return Overpass(
        sensor=orbit["sensor"],
        platform=platform,
        orbit=orbit["number"],
        moment=moment,
        geometry=Geometry(
            sun_zenith=min(zenith, 80.0),
            sun_azimuth=azimuth,
            view_zenith=orbit["view_zenith"],
            view_azimuth=orbit["view_azimuth"],
        ),
        sky=_sky(sim, day, random),
        shift_m=_shift(sim, orbit, day, random),
        swath=orbit["swath"],
        baseline=version,
        offset=offset,
        number=number,
    )


def _sky(sim: Simulate, day: date, random: np.random.Generator) -> Sky:
    """Clouds of a day: few or many more often than half, of small or of large kind."""
    mean = min(sim.cloud * facts.orbits()["cloud"]["season"][day.month - 1], 0.95)
    drawn = float(random.beta(0.85 * mean + 1e-9, 0.85 * (1.0 - mean)))
    small = float(random.random()) < 0.55
    size = float(random.uniform(900.0, 2200.0) if small else random.uniform(2500.0, 7000.0))
    height = float(random.uniform(900.0, 2200.0) if small else random.uniform(1200.0, 4500.0))
    thin = float(random.random()) < 0.35
    cirrus = float(random.uniform(0.1, 0.6)) if thin else 0.0
    return Sky(cover=drawn, size_m=size, height_m=height, cirrus=cirrus if sim.cloud > 0 else 0.0)


def _shift(
    sim: Simulate, orbit: dict[str, Any], day: date, random: np.random.Generator
) -> tuple[float, float]:
    """A bias of the orbit, a drift over years and a jitter of the pass, metres."""
    fixed = np.random.default_rng(int(key_of(sim.seed, "shift", orbit["sensor"], orbit["number"])))
    bias, phase = fixed.normal(0.0, 2.0, size=2), fixed.uniform(0.0, 2.0 * math.pi, size=2)
    years = (day - _EPOCH).days / 365.25
    drift = 1.8 * np.sin(2.0 * math.pi * years / 2.7 + phase)
    jitter = random.normal(0.0, 1.0, size=2)
    factor = sim.shift * (0.5 if day >= _REFINED and orbit["sensor"] == "sentinel-2-l2a" else 1.0)
    south, east = factor * (bias + drift + jitter)
    return round(float(south), 3), round(float(east), 3)


def _baseline(day: date) -> tuple[str, int]:
    rows = [row for row in facts.orbits()["baseline"] if row["since"] <= day]
    return rows[-1]["version"], rows[-1]["offset"]
