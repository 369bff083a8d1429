"""Hidden looks: which of a pixel's clear looks are held out, and what simple rules would have said of them."""

from __future__ import annotations

import math
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["baselines", "hidden", "mean_errors", "tally"]

_SQUARES: Final = 10**12
"""Parts of one in which squares are summed."""
_MAGNITUDES: Final = 10**9
"""Parts of one in which magnitudes are summed."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


@numba.njit(cache=True, nogil=True)
def _mix(value: Any) -> Any:
    """SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195)."""
    value = (value ^ (value >> np.uint64(30))) * _MIX1
    value = (value ^ (value >> np.uint64(27))) * _MIX2
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True, nogil=True)
def hidden(
    clear: NDArray[np.bool_], days: NDArray[np.int64], origin: tuple[int, int], share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose looks to hide, by a hash of seed, pixel and day: the same ones however the place is cut.

    Args:
        clear: Clear looks, (time, y, x).
        days: Day number of every look, (time,).
        origin: Row and column of the first pixel in the whole grid.
        share: Share of the clear looks to hide, 0 to 1.
        seed: Seed.

    Returns:
        Hidden looks, (time, y, x); always clear ones.
    """
    times, rows, cols = clear.shape
    found = np.zeros((times, rows, cols), np.bool_)
    limit = np.float64(share) * np.float64(2.0**53)
    for row in range(rows):
        for col in range(cols):
            pixel = _mix(np.uint64(seed) * _GOLDEN + np.uint64(origin[0] + row))
            pixel = _mix(pixel + np.uint64(origin[1] + col) * _GOLDEN)
            for look in range(times):
                if clear[look, row, col]:
                    drawn = _mix(pixel + np.uint64(days[look]) * _MIX1) >> np.uint64(11)
                    found[look, row, col] = np.float64(drawn) < limit
    return found


@numba.njit(cache=True, nogil=True)
def baselines(
    values: NDArray[np.float32], kept: NDArray[np.bool_], held: NDArray[np.bool_], days: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predict hidden looks by the nearest kept look (the earlier of two), and by the mean of all kept looks.

    Args:
        values: One band, (time, y, x).
        kept: Looks that may be used, (time, y, x).
        held: Looks to predict, (time, y, x).
        days: Day of every look, (time,).

    Returns:
        Both predictions, (time, y, x); NaN where nothing is asked or known.
    """
    times, rows, cols = values.shape
    nearest = np.full((times, rows, cols), np.nan, np.float32)
    mean = np.full((times, rows, cols), np.nan, np.float32)
    for row in range(rows):
        for col in range(cols):
            total, count = 0.0, 0
            for look in range(times):
                if kept[look, row, col]:
                    total += values[look, row, col]
                    count += 1
            if count == 0:
                continue
            for look in range(times):
                if not held[look, row, col]:
                    continue
                mean[look, row, col] = total / count
                best = np.inf
                for other in range(times):
                    gap = abs(days[other] - days[look])
                    if kept[other, row, col] and gap < best:
                        best = gap
                        nearest[look, row, col] = values[other, row, col]
    return nearest, mean


def tally(
    truth: NDArray[np.float32], said: NDArray[np.float32], held: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Count, sum of squares and sum of magnitudes of the errors at hidden looks that were predicted.

    Sums are whole numbers, so that they are the same in any order and however the place is cut.

    Args:
        truth: Observed values, (time, y, x).
        said: Predictions, same shape; NaN where none could be made.
        held: Looks that count, same shape.

    Returns:
        Number of errors, sum of their squares in 1e-12, sum of their magnitudes in 1e-9.
    """
    error = said[held].astype(np.float64) - truth[held]
    error = error[np.isfinite(error)]
    return int(error.size), _exact_sum(np.square(error) * _SQUARES), _exact_sum(np.abs(error) * _MAGNITUDES)


def mean_errors(count: int, squares: int, magnitudes: int) -> tuple[float, float]:
    """Root mean square error and mean absolute error of what :func:`tally` counted; NaN of nothing.

    >>> mean_errors(4, 10**12, 2 * 10**9)
    (0.5, 0.5)
    """
    if not count:
        return math.nan, math.nan
    return math.sqrt(squares / (count * _SQUARES)), magnitudes / (count * _MAGNITUDES)


def _exact_sum(values: NDArray[np.float64]) -> int:
    """Sum of numbers of 0 or more, each rounded to a whole one first."""
    whole = np.rint(values)
    total = float(whole.sum())
    return (
        int(total) if total < 2**53 else sum(map(int, whole.tolist()))
    )  # below, floats hold every whole number
