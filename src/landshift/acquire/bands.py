"""What a band in a plain file is: its common name, and the quantity a set of bands holds.

A file says ``B04`` or ``red`` or nothing. A name counts as known where the recipe's sensor, or every sensor that
knows all names of the file, means the same band by it; a name that two sensors read differently stays as it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from landshift import sensor as sensors

__all__ = ["band_fields", "common_names", "contradict", "find_band", "quantity_of"]

_POLARISATIONS: Final = frozenset({"vv", "vh", "hh", "hv"})


def common_names(names: Sequence[str], sensor: str | None) -> tuple[str | None, ...]:
    """Common name of each band of one scene, or None where it cannot be told.

    Args:
        names: Names as files or a user give them; those that no sensor knows, such as ``NDVI``, say nothing of the others.
        sensor: Sensor the recipe names, if it does.

    >>> common_names(["B04", "B8A"], None), common_names(["SR_B4"], None), common_names(["SR_B4"], "landsat-4-7-c2l2")
    (('red', 'nir08'), (None,), ('nir08',))
    >>> common_names(["ndvi", "B04"], None), common_names(["B1", "B11"], None)
    ((None, 'red'), (None, None))
    """
    if sensor is not None and sensor in sensors.names():
        known = _lookup(sensors.get(sensor))
        return tuple(known.get(name.lower()) for name in names)
    readings = []
    telling = [name.lower() for name in names if _meanings(name, None)]
    for each in sensors.names():
        known = _lookup(sensors.get(each))
        if all(name in known for name in telling):
            readings.append(tuple(known.get(name.lower()) for name in names))
    agreed = readings and all(reading == readings[0] for reading in readings)
    return readings[0] if agreed else tuple(_plain(name) for name in names)


def find_band(wanted: str, names: Sequence[str], sensor: str | None) -> int | None:
    """Where among a file's names a wanted band stands; None where it is not there, or cannot be told.

    Args:
        wanted: Its common name, native name or alias, in any case.
        names: Names of the file's bands.
        sensor: Sensor the recipe names, if it does.

    >>> find_band("nir", ["B04", "B08"], None), find_band("B04", ["nir", "red"], None), find_band("nir", ["red"], None)
    (1, 1, None)
    """
    lower = wanted.lower()
    meant = _meanings(wanted, sensor)
    known = common_names(names, sensor)
    exact = [at for at, name in enumerate(names) if name.lower() == lower]
    common = [at for at, name in enumerate(known) if name is not None and name.lower() == lower]
    agreed = [at for at, name in enumerate(known) if name in meant]
    loose = [at for at, name in enumerate(names) if meant & _meanings(name, sensor)]
    return next((found[0] for found in (exact, common, agreed, loose) if len(found) == 1), None)


def contradict(one: str, other: str, sensor: str | None) -> bool:
    """Whether two names cannot be of one band: both are known, and no sensor means the same by them.

    Args:
        one: A name.
        other: Another.
        sensor: Sensor the recipe names, if it does.

    >>> contradict("green", "nir", None), contradict("B04", "red", None), contradict("Layer_1", "red", None)
    (True, False, False)
    """
    mine, theirs = _meanings(one, sensor), _meanings(other, sensor)
    return bool(mine and theirs) and one.lower() != other.lower() and not mine & theirs


def quantity_of(names: Sequence[str | None]) -> str:
    """``reflectance``, ``backscatter`` or ``index``: what a set of common names holds.

    >>> quantity_of(["red", "nir"]), quantity_of(["vv"]), quantity_of([None])
    ('reflectance', 'backscatter', 'index')
    """
    known = {name for name in names if name}
    if not known or None in names:
        return "index"
    if known <= _POLARISATIONS:
        return "backscatter"
    return "index" if known & _POLARISATIONS else "reflectance"


def band_fields(
    name: str, common: str | None, *, scale: float | None, offset: float | None, nodata: float | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ``eo:bands`` and ``raster:bands`` entries of one band.

    Args:
        name: Name the band goes by.
        common: STAC common name.
        scale: Value = stored number x scale + offset; None where the sensor's facts hold.
        offset: See ``scale``.
        nodata: Stored number that means no data.
    """
    eo: dict[str, Any] = {"name": name}
    if common is not None:
        eo["common_name"] = common
    said: Mapping[str, float | str | None] = {
        "scale": scale,
        "offset": offset,
        "nodata": "nan" if nodata is not None and math.isnan(nodata) else nodata,
    }
    return eo, {key: value for key, value in said.items() if value is not None}


@functools.lru_cache(maxsize=4096)
def _meanings(name: str, sensor: str | None) -> frozenset[str]:
    """Common names of the bands that the recipe's sensor, else any sensor, means by a name; empty where none does."""
    asked = [sensor] if sensor is not None and sensor in sensors.names() else sensors.names()
    found = (_lookup(sensors.get(each)).get(name.lower()) for each in asked)
    return frozenset(band for band in found if band is not None)


def _lookup(sensor: sensors.Sensor) -> dict[str, str]:
    """Every name a sensor's bands go by, in lower case; a native name beats an alias."""
    found: dict[str, str] = {}
    for band in sensor.bands:
        found |= {alias.lower(): band.name for alias in band.aliases if alias.lower() not in found}
    for band in sensor.bands:
        found |= {band.name.lower(): band.name, band.native.lower(): band.name}
    return found


def _plain(name: str) -> str | None:
    """A name that is itself a common name of some sensor's band."""
    for each in sensors.names():
        if name in {band.name for band in sensors.get(each).bands}:
            return name
    return None
