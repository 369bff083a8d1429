"""Nine statistics of a pixel's year, as one pass over its series.

Definitions are NumPy's: ``percentile(method="linear")`` and ``std(ddof=0)``, with missing looks (NaN) left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["STATISTICS", "summarise"]

STATISTICS: Final = ("min", "p10", "p25", "p50", "p75", "p90", "max", "mean", "std")
"""Names, in the order of the codes that :func:`summarise` takes."""

_SHARES: Final = (0.0, 0.10, 0.25, 0.50, 0.75, 0.90, 1.0)
_LANES: Final = 16


@njit(cache=True, nogil=True, fastmath=False)
def _rank(values: NDArray[np.float32], count: int, share: float) -> float:
    """The value at ``share`` of a sorted series, linear between ranks."""
    at = share * (count - 1)
    low = int(at)
    if low >= count - 1:
        return float(values[count - 1])
    below, above = np.float64(values[low]), np.float64(values[low + 1])
    part = at - low
    if part >= 0.5:  # as NumPy does, so that equal neighbours give themselves
        return float(above - (above - below) * (1.0 - part))
    return float(below + (above - below) * part)


@njit(cache=True, nogil=True, fastmath=False)
def _insert(values: NDArray[np.float32], count: int, new: float) -> None:
    """Put a value into a sorted series of ``count``."""
    at = count
    while at > 0 and values[at - 1] > new:
        values[at] = values[at - 1]
        at -= 1
    values[at] = new


@njit(cache=True, nogil=True, fastmath=False)
def _sorted_series(lane: NDArray[np.float32], values: NDArray[np.float32]) -> int:
    """Sort the finite part of a series into ``values``; how many there are."""
    count = 0
    if len(lane) <= 64:
        for t in range(len(lane)):
            if np.isfinite(lane[t]):
                _insert(values, count, lane[t])
                count += 1
        return count
    for t in range(len(lane)):
        if np.isfinite(lane[t]):
            values[count] = lane[t]
            count += 1
    values[:count] = np.sort(values[:count])
    return count


@njit(cache=True, nogil=True, fastmath=False)
def _moments(values: NDArray[np.float32], count: int) -> tuple[float, float]:
    """Mean and standard deviation (ddof 0) of the first ``count`` values."""
    total = 0.0
    for i in range(count):
        total += values[i]
    mean = total / count
    squares = 0.0
    for i in range(count):
        squares += (values[i] - mean) ** 2
    return mean, np.sqrt(squares / count)


@njit(cache=True, nogil=True, fastmath=False)
def _fill(
    series: NDArray[np.float32],
    codes: NDArray[np.int64],
    shares: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    times, pixels = series.shape
    lanes = np.empty((_LANES, times), np.float32)
    values = np.empty(times, np.float32)
    for start in range(0, pixels, _LANES):
        stop = min(pixels, start + _LANES)
        for t in range(times):
            for p in range(start, stop):
                lanes[p - start, t] = series[t, p]
        for p in range(start, stop):
            count = _sorted_series(lanes[p - start], values)
            mean, deviation = _moments(values, count) if count else (np.nan, np.nan)
            for i in range(len(codes)):
                code = codes[i]
                if count == 0:
                    out[i, p] = np.nan
                elif code < 7:
                    out[i, p] = _rank(values, count, shares[code])
                else:
                    out[i, p] = mean if code == 7 else deviation


def summarise(series: NDArray[np.float32], statistics: tuple[str, ...] = STATISTICS) -> NDArray[np.float32]:
    """Statistics of each pixel over its looks.

    Args:
        series: float32 (time, pixel), NaN where there is no look.
        statistics: Which of ``STATISTICS``, in the wanted order.

    Returns:
        float32 (statistic, pixel); NaN where a pixel has no look at all.

    >>> found = summarise(np.array([[0.1], [0.2], [0.3]], np.float32))
    >>> [round(float(value), 4) for value in found[:, 0]]
    [0.1, 0.12, 0.15, 0.2, 0.25, 0.28, 0.3, 0.2, 0.0816]
    """
    codes = np.array([STATISTICS.index(name) for name in statistics], np.int64)
    out = np.empty((len(codes), series.shape[1]), np.float32)
    _fill(series, codes, np.array(_SHARES), out)
    return out
