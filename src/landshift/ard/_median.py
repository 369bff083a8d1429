"""Medians over time: by band, with a sorting network; over all bands together, by Weiszfeld's iteration.

Both work on runs of pixels side by side, so that every comparison and every sum is done for several pixels at once.
A look counts where all bands are finite; what one pixel gets never depends on its neighbours in the run.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["geometric_median", "median"]

_SCRATCH_BYTES: Final = 1 << 15
_LANES: Final = 8
_STEP: Final = 1e-7
_ITERATIONS: Final = 1000

Medians = tuple[NDArray[np.float32], NDArray[np.uint16]]


def median(values: NDArray[np.float32], groups: Sequence[NDArray[np.intp]], *, min_clear: int = 1) -> Medians:
    """Median of every band over the clear looks of each group; the mean of the middle two of an even number.

    Args:
        values: float32 (time, band, y, x), NaN where missing.
        groups: Numbers of the looks of each group.
        min_clear: Fewest clear looks for a value.

    Returns:
        float32 (group, band, y, x), NaN where there are too few; clear looks uint16 (group, y, x).

    >>> made, count = median(np.float32([0.3, 0.1, np.nan, 0.4]).reshape(4, 1, 1, 1), [np.arange(4)])
    >>> round(float(made.squeeze()), 6), int(count.squeeze())
    (0.3, 3)
    """
    flat, made, count = _flat(values, len(groups))
    for number, looks in enumerate(groups):
        run = max(32, min(512, _SCRATCH_BYTES // (4 * max(1, looks.size)) // 16 * 16))
        _median(flat, looks, network(looks.size), (min_clear, run), made[number], count[number])
    return _shaped(values, made, count)


def geometric_median(
    values: NDArray[np.float32], groups: Sequence[NDArray[np.intp]], *, min_clear: int = 1
) -> Medians:
    """The point with the least sum of distances to the clear looks of each group, over all bands.

    Weiszfeld's iteration from the mean, with the rule of Vardi and Zhang (2000, doi:10.1073/pnas.97.4.1423) where
    it meets a look: y' = max(0, 1 - k/|R|) T + min(1, k/|R|) y, with k looks at y, R = (T - y) sum(1/d). It
    stops at a step of 1e-7 or after 1000 steps; a look that fulfils the condition |R| <= k exactly is taken.

    Args:
        values: float32 (time, band, y, x), NaN where missing.
        groups: Numbers of the looks of each group.
        min_clear: Fewest clear looks for a value.

    Returns:
        float32 (group, band, y, x), NaN where there are too few; clear looks uint16 (group, y, x).

    >>> corner = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]]).reshape(4, 2, 1, 1)
    >>> geometric_median(corner, [np.arange(4)])[0].squeeze().tolist()
    [0.5, 0.5]
    """
    flat, made, count = _flat(values, len(groups))
    for number, looks in enumerate(groups):
        _geometric(flat, looks, (min_clear, _STEP, _ITERATIONS), made[number], count[number])
    return _shaped(values, made, count)


@functools.lru_cache(maxsize=256)
def network(length: int) -> NDArray[np.int32]:
    """Batcher's odd-even merge sort for so many values (1968, doi:10.1145/1468075.1468121).

    Returns:
        int32 (comparison, 2): each puts the smaller value first.

    >>> network(3).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    pairs: list[tuple[int, int]] = []
    p = 1
    while p < length:
        k = p
        while k >= 1:
            starts = range(k % p, length - k, 2 * k)
            lower = [i + j for j in starts for i in range(min(k, length - j - k))]
            pairs.extend((low, low + k) for low in lower if low // (2 * p) == (low + k) // (2 * p))
            k //= 2
        p *= 2
    return np.array(pairs, np.int32).reshape(-1, 2)


def _flat(
    values: NDArray[np.float32], groups: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    times, bands, rows, cols = values.shape
    pixels = rows * cols
    made = np.empty((groups, bands, pixels), np.float32)
    return values.reshape(times, bands, pixels), made, np.empty((groups, pixels), np.uint16)


def _shaped(values: NDArray[np.float32], made: NDArray[np.float32], count: NDArray[np.uint16]) -> Medians:
    plane = values.shape[2:]
    return made.reshape(*made.shape[:2], *plane), count.reshape(count.shape[0], *plane)


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _median(values: Any, looks: Any, pairs: Any, rules: Any, made: Any, count: Any) -> None:
    """Sort each band of a run of pixels, missing looks last, and take the middle of those there are."""
    min_clear, run = rules
    bands, pixels = made.shape
    bad = np.empty((looks.size, run), np.float32)
    lanes = np.empty((looks.size, run), np.float32)
    for start in range(0, pixels, run):
        stop = min(pixels, start + run)
        seen = count[start:stop]
        _missing(values, looks, start, bad, seen)
        for b in range(bands):
            target = made[b, start:stop]
            if looks.size == 0:
                target[:] = np.nan
                continue
            for i in range(looks.size):
                source, flag, lane = values[looks[i], b, start:stop], bad[i], lanes[i]
                for p in range(source.size):
                    value, lost = source[p], flag[p]
                    lane[p] = np.float32(np.inf) if np.isnan(lost) else value
            _sort(lanes, pairs, target.size)
            for p in range(target.size):
                n = np.int64(seen[p])
                if n >= min_clear:
                    low, high = lanes[(n - 1) // 2, p], lanes[n // 2, p]
                    target[p] = low if low == high else (low + high) * np.float32(0.5)
                else:
                    target[p] = np.nan


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _missing(values: Any, looks: Any, start: Any, bad: Any, seen: Any) -> None:
    """``bad`` becomes 0 where a look is clear and NaN where any band is not finite; ``seen`` counts the clear ones."""
    bands = values.shape[1]
    size = seen.size
    seen[:] = 0
    for i in range(looks.size):
        flag = bad[i]
        flag[:] = 0.0
        for b in range(bands):
            source = values[looks[i], b, start : start + size]
            for p in range(size):
                value = source[p]
                flag[p] += value - value
        for p in range(size):
            seen[p] += np.uint16(flag[p] == 0)


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _sort(lanes: Any, pairs: Any, size: Any) -> None:
    for c in range(pairs.shape[0]):
        first, second = lanes[pairs[c, 0]], lanes[pairs[c, 1]]
        for p in range(size):
            a, b = first[p], second[p]
            first[p] = min(b, a)
            second[p] = max(a, b)


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _geometric(values: Any, looks: Any, rules: Any, made: Any, count: Any) -> None:
    """Geometric medians of all pixels, eight side by side."""
    min_clear, limit, steps = rules
    bands, pixels = made.shape
    points = np.empty((looks.size, bands, _LANES))
    there = np.empty((looks.size, _LANES))
    bad = np.empty((looks.size, _LANES), np.float32)
    at, nearby = np.empty((bands, _LANES)), np.empty((bands, _LANES))
    for start in range(0, pixels, _LANES):
        stop = min(pixels, start + _LANES)
        seen = count[start:stop]
        _missing(values, looks, start, bad, seen)
        there[:] = 0.0
        points[:] = 0.0
        for i in range(looks.size):
            for p in range(stop - start):
                if bad[i, p] == 0:
                    there[i, p] = 1.0
                    for b in range(bands):
                        points[i, b, p] = values[looks[i], b, start + p]
        _mean(points, there, at)
        _weiszfeld(points, there, at, limit, steps)
        _snap(points, there, at, nearby)
        for p in range(stop - start):
            enough = seen[p] >= min_clear
            for b in range(bands):
                made[b, start + p] = at[b, p] if enough else np.nan


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _mean(points: Any, there: Any, at: Any) -> None:
    number = np.zeros(_LANES)
    at[:] = 0.0
    for i in range(points.shape[0]):
        for p in range(_LANES):
            number[p] += there[i, p]
        for b in range(points.shape[1]):
            for p in range(_LANES):
                at[b, p] += points[i, b, p]
    for b in range(points.shape[1]):
        for p in range(_LANES):
            at[b, p] /= max(number[p], 1.0)


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _pull(points: Any, there: Any, at: Any, pulled: Any, total: Any, met: Any) -> None:
    """Weighted sum of the looks with weights 1/d, the sum of the weights, and how many looks are met."""
    looks, bands, _ = points.shape
    pulled[:] = 0.0
    total[:] = 0.0
    met[:] = 0.0
    square, weight = np.empty(_LANES), np.empty(_LANES)
    for i in range(looks):
        square[:] = 0.0
        for b in range(bands):
            for p in range(_LANES):
                away = points[i, b, p] - at[b, p]
                square[p] += away * away
        for p in range(_LANES):
            far = square[p] > 1e-24
            inverse = there[i, p] / np.sqrt(square[p] if far else 1.0)
            weight[p] = inverse if far else 0.0
            met[p] += 0.0 if far else there[i, p]
            total[p] += weight[p]
        for b in range(bands):
            for p in range(_LANES):
                pulled[b, p] += weight[p] * points[i, b, p]


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _weiszfeld(points: Any, there: Any, at: Any, limit: Any, steps: Any) -> None:
    """Move ``at`` to the geometric median; a lane that has arrived stays where it is."""
    bands = points.shape[1]
    pulled, total, met = np.empty((bands, _LANES)), np.empty(_LANES), np.empty(_LANES)
    moving, moved = np.ones(_LANES), np.empty(_LANES)
    for _ in range(steps):
        _pull(points, there, at, pulled, total, met)
        moved[:] = 0.0
        for b in range(bands):
            for p in range(_LANES):
                pulled[b, p] = pulled[b, p] / max(total[p], 1e-300) - at[b, p]
                moved[p] += pulled[b, p] ** 2
        largest = 0.0
        for p in range(_LANES):
            strength = np.sqrt(moved[p]) * total[p]
            keep = min(1.0, met[p] / max(strength, 1e-300))
            share = moving[p] * (1.0 - keep) if total[p] > 0 else 0.0
            moved[p] = share * share * moved[p]
            moving[p] = moving[p] if moved[p] >= limit * limit else 0.0
            largest = max(largest, moving[p])
            total[p] = share
        for b in range(bands):
            for p in range(_LANES):
                at[b, p] += total[p] * pulled[b, p]
        if largest == 0.0:
            break


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _snap(points: Any, there: Any, at: Any, nearby: Any) -> None:
    """Take the nearest look itself where it is the median: where the pull of the others is no more than its own."""
    looks, bands, _ = points.shape
    best = np.full(_LANES, np.inf)
    nearby[:] = at
    for i in range(looks):
        for p in range(_LANES):
            square = 0.0
            for b in range(bands):
                square += (points[i, b, p] - at[b, p]) ** 2
            if there[i, p] > 0 and square < best[p]:
                best[p] = square
                for b in range(bands):
                    nearby[b, p] = points[i, b, p]
    pulled, total, met = np.empty((bands, _LANES)), np.empty(_LANES), np.empty(_LANES)
    _pull(points, there, nearby, pulled, total, met)
    for p in range(_LANES):
        strength = 0.0
        for b in range(bands):
            strength += (pulled[b, p] - total[p] * nearby[b, p]) ** 2
        if met[p] > 0 and np.sqrt(strength) < met[p] and best[p] < 1e-6:
            for b in range(bands):
                at[b, p] = nearby[b, p]
