"""Where sun and satellite stand, and how brightness depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Geometry", "directional", "sun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Angles in degrees; azimuths clockwise from north."""

    sun_zenith: float
    """Sun's zenith angle."""
    sun_azimuth: float
    """Sun's azimuth."""
    view_zenith: float = 0.0
    """Sensor's zenith angle."""
    view_azimuth: float = 0.0
    """Sensor's azimuth."""


def sun(when: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Zenith and azimuth of the sun in degrees, to about half a degree (Spencer 1971 for declination).

    Args:
        when: Moment, UTC.
        longitude: Degrees east.
        latitude: Degrees north.

    >>> from datetime import UTC
    >>> [round(part) for part in sun(datetime(2020, 6, 21, 12, tzinfo=UTC), 0.0, 50.0)]
    [27, 179]
    """
    day = when.timetuple().tm_yday
    gamma = 2.0 * math.pi * (day - 1 + (when.hour - 12) / 24.0) / 365.0
    declination = (
        0.006918
        - 0.399912 * math.cos(gamma)
        + 0.070257 * math.sin(gamma)
        - 0.006758 * math.cos(2 * gamma)
        + 0.000907 * math.sin(2 * gamma)
    )
    minutes = 229.18 * (
        0.000075
        + 0.001868 * math.cos(gamma)
        - 0.032077 * math.sin(gamma)
        - 0.014615 * math.cos(2 * gamma)
        - 0.040849 * math.sin(2 * gamma)
    )
    hours = when.hour + when.minute / 60.0 + when.second / 3600.0 + longitude / 15.0 + minutes / 60.0
    angle = math.radians(15.0 * (hours - 12.0))
    phi = math.radians(latitude)
    cosine = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(angle)
    zenith = math.acos(max(-1.0, min(1.0, cosine)))
    east = -math.cos(declination) * math.sin(angle)
    north = math.sin(declination) * math.cos(phi) - math.cos(declination) * math.sin(phi) * math.cos(angle)
    return math.degrees(zenith), math.degrees(math.atan2(east, north)) % 360.0


def directional(geometry: Geometry, exponent: float, asymmetry: float) -> float:
    """How much brighter a surface looks than from nadir under a sun at 45 degrees.

    The model of Rahman, Pinty and Verstraete (1993) without its hot spot: on purpose another one than the
    kernel model that corrections use.

    Args:
        geometry: Sun and view.
        exponent: k: below 1 a bowl, above 1 a bell.
        asymmetry: Parameter of Henyey and Greenstein; negative scatters back.

    >>> directional(Geometry(sun_zenith=45.0, sun_azimuth=0.0), 0.8, -0.1)
    1.0
    """
    reference = Geometry(sun_zenith=45.0, sun_azimuth=geometry.sun_azimuth)
    return _bowl(geometry, exponent, asymmetry) / _bowl(reference, exponent, asymmetry)


def _bowl(geometry: Geometry, exponent: float, asymmetry: float) -> float:
    sun_cos = math.cos(math.radians(geometry.sun_zenith))
    view_cos = math.cos(math.radians(geometry.view_zenith))
    around = math.cos(math.radians(geometry.sun_azimuth - geometry.view_azimuth))
    between = sun_cos * view_cos + (
        math.sin(math.radians(geometry.sun_zenith)) * math.sin(math.radians(geometry.view_zenith)) * around
    )
    power = (sun_cos * view_cos * (sun_cos + view_cos)) ** (exponent - 1.0)
    scatter = (1.0 - asymmetry**2) / (1.0 + 2.0 * asymmetry * between + asymmetry**2) ** 1.5
    return float(power * scatter)
