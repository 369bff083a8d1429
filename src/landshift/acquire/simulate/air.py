"""What the air does: clouds and their shadows, cirrus, what atmospheric correction left, and the sensor's noise.

Clouds are fractal fields over the plane, cut at the level that gives the wanted cover. A point lies in shadow where
the way to the sun meets a cloud: the cloud over ``height x tan(sun zenith)`` towards the sun.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.noise import fractal, smooth, white
from landshift.acquire.simulate.passes import Overpass
from landshift.acquire.simulate.simulation import Simulate

__all__ = ["Air", "air_of", "level_of", "measured"]

_OCTAVES: Final = 6
_DENSE: Final = 26.0
"""Optical depth per unit of the field above its threshold."""
_GRADIENT_M: Final = 15_000.0
"""Width of the slow gradient that atmospheric correction leaves."""
_RELIEF_M: Final = 420.0
"""Width of the lumps on a cloud's top."""
_U: Final = np.uint64


@dataclass(frozen=True, kw_only=True)
class Air:
    """The air over a block of pixels; shares of light, float32 (y, x)."""

    cloud: NDArray[np.float32]
    """Opacity of clouds."""
    cirrus: NDArray[np.float32]
    """Opacity of cirrus."""
    shadow: NDArray[np.float32]
    """Share of direct sunlight that clouds take."""

    def coarser(self, ratio: int) -> Air:
        """The same on pixels ``ratio`` times as wide, by averaging."""
        return self if ratio == 1 else Air(**{name: _mean(getattr(self, name), ratio) for name in _FIELDS})


_FIELDS: Final = ("cloud", "cirrus", "shadow")


def air_of(
    sim: Simulate, seen: Overpass, corner: tuple[float, float], shape: tuple[int, int], pixel_m: float
) -> Air:
    """The air over a block.

    Args:
        sim: The simulation.
        seen: The pass.
        corner: Easting and northing of the block's upper left corner.
        shape: Pixels down and across.
        pixel_m: Their size.
    """
    fields = np.zeros((3, *shape), np.float32)
    seed, sky = seen.key(sim.seed, "cloud"), seen.sky
    distance = sky.height_m * math.tan(math.radians(seen.geometry.sun_zenith))
    azimuth = math.radians(seen.geometry.sun_azimuth)
    to_sun = (distance * math.sin(azimuth), distance * math.cos(azimuth))
    frame = (corner[0], corner[1], pixel_m)
    if sky.cover > 0.002:
        level = level_of(_OCTAVES, 1.0 - sky.cover)
        _clouds(seed, fields[0], frame, (0.0, 0.0), (sky.size_m, level))
        _clouds(seed, fields[2], frame, to_sun, (sky.size_m, level))
    if sky.cirrus > 0.0:
        _cirrus(seed + _U(77), fields[1], frame, level_of(4, 1.0 - sky.cirrus))
    return Air(cloud=fields[0], cirrus=fields[1], shadow=fields[2])


@functools.cache
def _sorted_field(octaves: int) -> NDArray[np.float64]:
    """Values of the fractal field at many scattered places, sorted: its distribution."""
    values = np.empty(1 << 15)
    _scatter(octaves, values)
    values.sort()
    return values


def level_of(octaves: int, share: float) -> float:
    """The level below which a share of the fractal field lies.

    >>> level_of(6, 0.2) < level_of(6, 0.8)
    True
    """
    return float(np.quantile(_sorted_field(octaves), min(max(share, 0.0), 1.0)))


@njit(cache=True, nogil=True)
def _scatter(octaves: int, out: NDArray[Any]) -> None:
    for n in range(out.size):
        out[n] = fractal(_U(12345), n * 7.31 + 0.37, (n % 181) * 11.17 + 0.71, octaves)


@njit(cache=True, nogil=True)
def _clouds(seed: np.uint64, out: NDArray[Any], frame: Any, moved: Any, kind: Any) -> None:
    """Opacity 1 - exp(-depth) of the cloud field over every pixel, looked up ``moved`` metres away."""
    left, top, pixel = frame
    size, level = kind
    for i in range(out.shape[0]):
        y = top - (i + 0.5) * pixel + moved[1]
        for j in range(out.shape[1]):
            x = left + (j + 0.5) * pixel + moved[0]
            depth = (fractal(seed, x / size, y / size, 6) - level) * _DENSE
            out[i, j] = 1.0 - np.exp(-depth) if depth > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _cirrus(seed: np.uint64, out: NDArray[Any], frame: Any, level: float) -> None:
    """Opacity of drawn-out veils, at most about a third."""
    left, top, pixel = frame
    for i in range(out.shape[0]):
        y = top - (i + 0.5) * pixel
        for j in range(out.shape[1]):
            x = left + (j + 0.5) * pixel
            a, b = 0.8 * x + 0.6 * y, -0.6 * x + 0.8 * y
            depth = (fractal(seed, a / 9000.0, b / 2200.0, 4) - level) * 1.1
            out[i, j] = 1.0 - np.exp(-depth) if depth > 0.0 else 0.0


def measured(
    sim: Simulate,
    seen: Overpass,
    clear: NDArray[np.float32],
    air: Air,
    frame: tuple[float, float, float],
    band: int,
) -> NDArray[np.float32]:
    """What the sensor reports of a band.

    Args:
        sim: The simulation.
        seen: The pass.
        clear: Reflectance under a clear sky (y, x); changed in place.
        air: The air over the same pixels.
        frame: Easting and northing of the upper left corner, and the pixel size.
        band: Number of the band.

    Returns:
        The same array.
    """
    light = facts.light(seen.sensor)
    names, table, _ = facts.endmembers(seen.sensor)
    random = np.random.default_rng(int(seen.key(sim.seed, "residual")))
    common, own = random.normal(size=2), random.normal(size=(2, table.shape[1]))
    strength = sim.atmosphere * light["haze"][band]
    numbers = np.array(
        [
            1.0 + sim.atmosphere * 0.015 * (0.8 * common[0] + 0.6 * own[0, band]),
            0.0035 * strength * (0.8 * common[1] + 0.6 * own[1, band]),
            0.004 * strength,
            sim.noise * light["noise"][band],
            light["shade"][band],
            table[names.index("cloud"), band],
            table[names.index("cirrus"), band],
        ]
    )
    _report(
        seen.key(sim.seed, "noise") + _U(band), clear, (air.cloud, air.cirrus, air.shadow), frame, numbers
    )
    return clear


@njit(cache=True, nogil=True)
def _report(seed: np.uint64, values: NDArray[Any], air: Any, frame: Any, numbers: NDArray[Any]) -> None:
    """Shadow, cirrus, cloud, residual gain, offset and gradient, noise: in the order the light meets them."""
    cloud, cirrus, shadow = air
    left, top, pixel = frame
    gain, offset, slope, noise, shade, white_cloud, white_veil = numbers
    row0, col0 = np.int64(np.floor(-top / pixel + 0.5)), np.int64(np.floor(left / pixel + 0.5))
    for i in range(values.shape[0]):
        y = top - (i + 0.5) * pixel
        for j in range(values.shape[1]):
            x = left + (j + 0.5) * pixel
            value = np.float64(values[i, j]) * (1.0 - shade * shadow[i, j])
            value = value * (1.0 - cirrus[i, j]) + white_veil * cirrus[i, j]
            if cloud[i, j] > 0.0:
                relief = 0.9 + 0.1 * smooth(seed ^ _U(0x77), x / _RELIEF_M, y / _RELIEF_M)
                value = value * (1.0 - cloud[i, j]) + white_cloud * relief * cloud[i, j]
            drift = smooth(seed ^ _U(0x5151), x / _GRADIENT_M, y / _GRADIENT_M)
            value = value * gain + offset + slope * drift
            grain = white(seed, row0 + i, col0 + j) * noise * np.sqrt(0.5 + 2.5 * max(value, 0.0))
            values[i, j] = value + grain


def _mean(values: NDArray[np.float32], ratio: int) -> NDArray[np.float32]:
    height, width = (side // ratio for side in values.shape)
    found: NDArray[np.float32] = values.reshape(height, ratio, width, ratio).mean(
        axis=(1, 3), dtype=np.float32
    )
    return found
