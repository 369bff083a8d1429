"""Make one date of a cube from the scenes of one overpass, pixel by pixel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landshift.sensor import QUALITY

__all__ = ["merge", "settle"]

NODATA: Final = QUALITY["nodata"]
CLEAR: Final = QUALITY["clear"]
WATER: Final = QUALITY["water"]


@njit(cache=True, nogil=True)
def settle(bands: NDArray[Any], quality: NDArray[np.uint8]) -> None:
    """Make bands and quality agree: a pixel that lacks one band, or its quality, lacks all.

    Args:
        bands: float32 (band, y, x), NaN for missing; changed in place.
        quality: (y, x) codes of ``sensor.QUALITY``; changed in place.

    >>> bands, quality = np.array([[[1.0, 2.0]], [[3.0, np.nan]]], np.float32), np.array([[1, 6]], np.uint8)
    >>> settle(bands, quality)
    >>> quality.tolist(), bands[0].tolist()
    ([[1, 0]], [[1.0, nan]])
    """
    count, height, width = bands.shape
    for i in range(height):
        for k in range(count):
            for j in range(width):
                if bands[k, i, j] != bands[k, i, j]:
                    quality[i, j] = NODATA
        for k in range(count):
            for j in range(width):
                if quality[i, j] == NODATA:
                    bands[k, i, j] = np.nan


@njit(cache=True, nogil=True)
def merge(
    bands: NDArray[Any], quality: NDArray[np.uint8], later: NDArray[Any], later_quality: NDArray[np.uint8]
) -> None:
    """Fill a date from a later scene of its overpass: the first clear look stays, else the first valid one.

    Args:
        bands: float32 (band, y, x) of the scenes so far; changed in place.
        quality: (y, x) their quality; changed in place.
        later: float32 (band, y, x) of the next scene.
        later_quality: (y, x) its quality.

    >>> bands, quality = np.array([[[1.0, 2.0]]], np.float32), np.array([[6, 1]], np.uint8)
    >>> merge(bands, quality, bands + 10, np.array([[1, 1]], np.uint8))
    >>> bands.tolist(), quality.tolist()
    ([[[11.0, 2.0]]], [[1, 1]])
    """
    for i in range(quality.shape[0]):
        for j in range(quality.shape[1]):
            old, new = quality[i, j], later_quality[i, j]
            if old in (CLEAR, WATER):
                continue
            if new in (CLEAR, WATER) or (old == NODATA and new != NODATA):
                quality[i, j] = new
                for k in range(bands.shape[0]):
                    bands[k, i, j] = later[k, i, j]
