"""The simulator's facts, read once from ``_data/simulate``: materials, endmembers, orbits, baselines, classes."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift import sensor as sensors
from landshift.cube.classes import LandClass

__all__ = [
    "LAND_CLASSES",
    "Material",
    "classes",
    "endmembers",
    "light",
    "material",
    "materials",
    "mistakes",
    "orbits",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One thing that the ground is made of; see ``_data/simulate/materials.toml``."""

    name: str
    """Name."""
    class_value: int
    """Number of its land class."""
    ground: str
    """Endmember below the green cover; ``soil`` is mixed from dry, wet and pale soil by parcel and rain."""
    green: str
    """Endmember of its green cover; empty for none."""
    numbers: Mapping[str, float]
    """Everything else."""
    structure: str
    """Which directional effect it has."""


def _toml(name: str) -> dict[str, Any]:
    text = (resources.files("landshift._data") / "simulate" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@functools.cache
def classes() -> tuple[LandClass, ...]:
    """The land classes of maps and labels.

    >>> [one.name for one in classes()]
    ['impervious', 'bare', 'cropland', 'grassland', 'forest', 'water']
    """
    listed = _toml("materials")["class"]
    return tuple(LandClass(value=value, name=name, colour=colour) for name, (value, colour) in listed.items())


LAND_CLASSES: Final = classes()
"""The land classes of maps and labels."""


@functools.cache
def materials() -> tuple[Material, ...]:
    """All materials, in the order of the file: their place in it is their number."""
    value = {one.name: one.value for one in classes()}
    words = {"name", "class", "ground", "green", "structure"}
    return tuple(
        Material(
            name=row["name"],
            class_value=value[row["class"]],
            ground=row["ground"],
            green=row.get("green", ""),
            numbers={name: float(number) for name, number in row.items() if name not in words},
            structure=row["structure"],
        )
        for row in _toml("materials")["material"]
    )


@functools.cache
def material(name: str) -> int:
    """Number of a material.

    >>> materials()[material("maize")].name
    'maize'
    """
    return [one.name for one in materials()].index(name)


@functools.cache
def structures() -> Mapping[str, tuple[float, float]]:
    """Exponent and asymmetry of the directional effect, by structure."""
    return {name: (row[0], row[1]) for name, row in _toml("materials")["structure"].items()}


@functools.cache
def endmembers(sensor: str) -> tuple[tuple[str, ...], NDArray[np.float64], tuple[str, ...]]:
    """Spectra of the endmembers in a sensor's reflective bands.

    For another sensor than Sentinel-2 the spectrum is taken as piecewise linear between Sentinel-2's band
    centres and averaged over the sensor's bands: this is the band-pass difference.

    Args:
        sensor: Name of the sensor.

    Returns:
        Names of the endmembers, reflectance (endmember, band), names of the bands.
    """
    facts = _toml("spectra")
    names = tuple(facts["endmember"])
    table = np.array(list(facts["endmember"].values()), np.float64)
    if sensor == "sentinel-2-l2a":
        return names, table, tuple(facts["bands"])
    spectra, bands = _through(sensor, table, facts["bands"])
    return names, spectra, bands


@functools.cache
def light(sensor: str) -> Mapping[str, NDArray[np.float64]]:
    """Per band: ``shade``, ``haze`` and ``noise``; see ``_data/simulate/spectra.toml``."""
    facts = _toml("spectra")
    rows = np.array([facts["sensor"][name] for name in ("shade", "haze", "noise")], np.float64)
    if sensor != "sentinel-2-l2a":
        rows, _ = _through(sensor, rows, facts["bands"])
    return dict(zip(("shade", "haze", "noise"), rows, strict=True))


def _through(
    sensor: str, table: NDArray[np.float64], given: list[str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Average piecewise linear spectra over another sensor's bands."""
    source = sensors.get("sentinel-2-l2a")
    centres = np.array([source.band(name).centre_um for name in given])
    order = np.argsort(centres)
    wanted = [band for band in sensors.get(sensor).bands if band.centre_um < 3.0]
    columns = []
    for band in wanted:
        points = np.linspace(band.centre_um - band.width_um / 2, band.centre_um + band.width_um / 2, 21)
        columns.append([np.interp(points, centres[order], row[order]).mean() for row in table])
    return np.array(columns).T, tuple(band.name for band in wanted)


@functools.cache
def orbits() -> dict[str, Any]:
    """Orbits, baselines and seasons of cloud; see ``_data/simulate/orbits.toml``."""
    return _toml("orbits")


def mistakes() -> Mapping[str, float]:
    """Shares of pixels that a product mask gets wrong."""
    found: Mapping[str, float] = orbits()["mistakes"]
    return found
