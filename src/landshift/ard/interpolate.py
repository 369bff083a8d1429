"""Virtual dates: a regular series by straight lines between the clear looks of each pixel.

Optical looks come when the orbit and the clouds let them; models and charts want the same dates everywhere. A
line between two clear looks invents nothing between them, equals ``numpy.interp`` to float rounding, and tells
how far it reached: ``age`` is the distance to the nearest clear look, ``n_clear`` how many there were.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from landshift.ard._cube import NAMES, Arrays, cube_variables, dataset_on, floats, times_of
from landshift.errors import ConfigError
from landshift.place import Time
from landshift.step import Duration, days, step

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["AGE_MISSING", "Interpolate", "lines"]

AGE_MISSING: Final = -32768
"""Age of a pixel that has no clear look at all."""

_DAY_NS: Final = 86_400_000_000_000
_SCRATCH_BYTES: Final = 1 << 19
"""Looks of one run of pixels that are copied together: half of a common second-level cache."""


@step(kind="product", name="interpolate", version=1)
class Interpolate:
    """Regular virtual dates by linear interpolation between the clear looks of each pixel.

    A look is clear where all bands have a value, so that all bands of a pixel come from the same looks.

    >>> Interpolate(every="5D", max_gap="60D").times(np.array(["2020-01-03", "2020-01-16T10"], "M8[ns]"))
    array(['2020-01-03T00:00:00.000000000', '2020-01-08T00:00:00.000000000',
           '2020-01-13T00:00:00.000000000'], dtype='datetime64[ns]')
    """

    every: Duration = "10D"
    """Step of the virtual dates; months and years (``"1M"``, ``"1Y"``) are the calendar's, on their first day."""
    start: date | datetime | None = None
    """First virtual date; by default the first day of ``[time]``, without one that of the first look."""
    end: date | datetime | None = None
    """Last day, included (a clock time is excluded); by default that of ``[time]``, without one that of the last look."""
    method: Literal["linear"] = "linear"
    """How values between two clear looks are found."""
    min_clear: Annotated[int, Field(ge=1)] = 3
    """Pixels with fewer clear looks in the whole series stay missing."""
    max_gap: Annotated[Duration | None, BeforeValidator(lambda given: "any" if given is None else given)] = (
        "90D"
    )
    """Longest gap between two clear looks that a line may cross; ``"any"`` (or None) sets no limit."""
    extrapolate: Literal["ends", "gaps", "never"] = "ends"
    """Where no line can be drawn, the nearest clear look is held for half of ``max_gap``: before the first and
    after the last look (``ends``), in gaps that are too long as well (``gaps``), or not at all (``never``)."""

    def __post_init__(self) -> None:
        if days(self.every) <= 0:
            raise ConfigError("interpolate.every must be longer than nothing", got=self.every)
        if self._limit <= 0:
            raise ConfigError("interpolate.max_gap must be longer than nothing", got=self.max_gap)
        Time(start=self.start, end=self.end)

    def times(self, observed: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """The virtual dates.

        Args:
            observed: Times of the looks, (time,), ascending; only the first and last matter.

        Returns:
            datetime64[ns] (time,), at midnight UTC where the step is whole days.

        Raises:
            ConfigError: There is no date between start and end.
        """
        first, after = self._span(observed)
        found = re.fullmatch(r"P?(\d+)([MYy])", self.every.strip())
        if found:
            unit = int(found[1]) * (1 if found[2] == "M" else 12)
            begin = first.astype("datetime64[M]")
            begin += np.timedelta64(int(begin.astype("datetime64[ns]") < first), "M")
            dates = np.arange(begin, after.astype("datetime64[M]") + 1, np.timedelta64(unit, "M"))
            stamps = dates.astype("datetime64[ns]")
            stamps = stamps[stamps < after]
        else:
            stamps = np.arange(first, after, np.timedelta64(round(days(self.every) * _DAY_NS), "ns"))
        if stamps.size == 0:
            raise ConfigError("interpolate has no date between start and end", got=f"{first} .. {after}")
        return stamps

    def at(self, times: NDArray[np.datetime64]) -> Callable[[xr.Dataset], xr.Dataset]:
        """The same step on given times instead of regular ones, such as those of looks held out."""
        return partial(self._onto, times=times)

    def __call__(self, cube: xr.Dataset) -> xr.Dataset:
        """Interpolate a masked cube.

        Args:
            cube: Variables (time, name, y, x), NaN where hidden or missing.

        Returns:
            The same variables as float32 on the virtual dates; ``age`` int16 (time, y, x), days to the nearest
            clear look, -32768 where there is none; ``n_clear`` uint16 (y, x), clear looks in the series.
        """
        return self._onto(cube, times=self.times(times_of(cube)))

    @property
    def _limit(self) -> float:
        """Longest gap in days."""
        return np.inf if self.max_gap is None or self.max_gap == "any" else days(self.max_gap)

    def _onto(self, cube: xr.Dataset, *, times: NDArray[np.datetime64]) -> xr.Dataset:
        variables = cube_variables(cube)
        looks = times_of(cube)
        limit = self._limit
        reach = {"ends": (limit / 2, 0.0), "gaps": (limit / 2, limit / 2), "never": (0.0, 0.0)}
        made: Arrays = {}
        first: Arrays = {}
        for name in variables:
            values, age, count = lines(
                floats(cube, name),
                looks=looks,
                times=times,
                min_clear=self.min_clear,
                max_gap=limit,
                reach=reach[self.extrapolate],
            )
            made[name] = (("time", NAMES[name], "y", "x"), values)
            first = first or {"age": (("time", "y", "x"), age), "n_clear": (("y", "x"), count)}
        return dataset_on(cube, times, made | first)

    def _span(self, observed: NDArray[np.datetime64]) -> tuple[np.datetime64, np.datetime64]:
        """First moment, and the first one after."""
        if (self.start is None or self.end is None) and observed.size == 0:
            raise ConfigError("interpolate has no look to take its dates from", hint="give start and end")
        begin, end = Time(start=self.start, end=self.end).span
        day = np.timedelta64(1, "D")
        first = observed[0].astype("datetime64[D]") if self.start is None else _naive(begin)
        after = observed[-1].astype("datetime64[D]") + day if self.end is None else _naive(end)
        return first.astype("datetime64[ns]"), after.astype("datetime64[ns]")


def lines(
    values: NDArray[np.float32],
    *,
    looks: NDArray[np.datetime64],
    times: NDArray[np.datetime64],
    min_clear: int = 1,
    max_gap: float = np.inf,
    reach: tuple[float, float] = (np.inf, 0.0),
    out: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int16], NDArray[np.uint16]]:
    """Interpolate the series of every pixel linearly between its clear looks.

    Args:
        values: float32 (time, band, y, x); a look is clear where all bands are finite.
        looks: Times of the looks, (time,), ascending.
        times: Times wanted, ascending.
        min_clear: Pixels with fewer clear looks are NaN.
        max_gap: Longest gap in days that a line crosses.
        reach: For how many days the nearest look is held, at the ends of the series and in longer gaps.
        out: C-ordered float32 (wanted, band, y, x) to write the values into; fresh memory costs as much as the work.

    Returns:
        Values float32 (wanted, band, y, x); days to the nearest clear look int16 (wanted, y, x), -32768 where
        there is none; number of clear looks uint16 (y, x).

    >>> series = np.array([0.1, np.nan, 0.4], np.float32).reshape(3, 1, 1, 1)
    >>> looks = np.array(["2020-01-01", "2020-01-05", "2020-01-31"], "M8[D]")
    >>> made, age, count = lines(series, looks=looks, times=np.array(["2020-01-11"], "M8[D]"))
    >>> [round(float(part.ravel()[0]), 6) for part in (made, age, count)]
    [0.2, 10.0, 2.0]
    """
    count, bands, rows, cols = values.shape
    origin = times[0].astype("datetime64[ns]") if times.size else np.datetime64(0, "ns")
    when, wanted = (
        (part.astype("datetime64[ns]") - origin).astype(np.int64) / _DAY_NS for part in (looks, times)
    )
    slots = np.searchsorted(when, wanted, side="right")
    shape = (times.size, bands, rows, cols)
    made = np.empty(shape, np.float32) if out is None else out
    age = np.empty((times.size, rows * cols), np.int16)
    clear = np.empty(rows * cols, np.uint16)
    run = max(32, min(1024, _SCRATCH_BYTES // max(1, count * bands * 4) // 16 * 16))
    rules = (float(min_clear), max_gap, *reach)
    flat = values.reshape(count, bands, rows * cols)
    _interpolate(
        flat, (when, wanted, slots), rules, run, (made.reshape(times.size, bands, rows * cols), age, clear)
    )
    return (
        made,
        age.reshape(times.size, rows, cols),
        clear.reshape(rows, cols),
    )


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _interpolate(values: Any, axes: Any, rules: Any, run: Any, out: Any) -> None:
    """Go over all pixels in runs whose looks fit into the cache."""
    when, wanted, slots = axes
    made, age, clear = out
    count, bands, pixels = values.shape
    looks = np.empty((bands, count, run), np.float32)
    bad = np.empty((count, run), np.float32)
    weight = np.empty((wanted.size, run), np.float32)
    fills = np.empty(run, np.float32), np.empty((count + 1, run), np.float32)
    spans = np.empty(run, np.float64), np.empty((count + 1, run), np.float64), np.empty(run, np.float32)
    for start in range(0, pixels, run):
        size = min(run, pixels - start)
        _take(values, start, looks, bad, clear[start : start + size])
        _span(when, bad, clear[start : start + size], rules[0], spans)
        _weigh(when, (wanted, slots), rules, (bad, spans), weight, (age, start, size))
        for b in range(bands):
            _draw(looks[b], slots, weight, fills, (made, b, start, size))


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _take(values: Any, start: Any, looks: Any, bad: Any, seen: Any) -> None:
    """Copy a run of pixels, NaN in all bands of a look that lacks one; count the clear looks.

    ``bad`` becomes 0 where all bands of a look are finite, else NaN.
    """
    count, bands, _ = values.shape
    size = seen.size
    seen[:] = 0
    for t in range(count):
        flag = bad[t]
        flag[:] = 0.0
        for b in range(bands):
            source, target = values[t, b, start : start + size], looks[b, t]
            for p in range(size):
                value = source[p]
                target[p] = value
                flag[p] += value - value
        for p in range(size):
            seen[p] += np.uint16(flag[p] == 0)
        for b in range(bands):
            target = looks[b, t]
            for p in range(size):
                target[p] += flag[p]


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _span(when: Any, bad: Any, seen: Any, least: Any, spans: Any) -> None:
    """Day of the first clear look at or after each look, infinity where there is none; NaN for too few looks."""
    _, later, enough = spans
    count, size = bad.shape
    later[count, :] = np.inf
    for t in range(count - 1, -1, -1):
        flag, old, new, day = bad[t], later[t + 1], later[t], when[t]
        for p in range(size):
            other = old[p]
            new[p] = day if flag[p] == 0 else other
    for p in range(seen.size):
        enough[p] = 0.0 if seen[p] >= least else np.nan


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _weigh(when: Any, axis: Any, rules: Any, state: Any, weight: Any, place: Any) -> None:
    """Weight of the later look for every wanted time, NaN where there is to be no value; and the age."""
    wanted, slots = axis
    bad, (earlier, later, enough) = state
    age, start, size = place
    earlier[:] = -np.inf
    t = 0
    for k in range(wanted.size):
        while t < slots[k]:
            flag, day = bad[t], when[t]
            for p in range(size):
                other = earlier[p]
                earlier[p] = day if flag[p] == 0 else other
            t += 1
        _weigh_one(wanted[k], rules, (earlier, later[t], enough), weight[k], age[k, start : start + size])


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _weigh_one(now: Any, rules: Any, state: Any, weight: Any, age: Any) -> None:
    """All in selects and no branch, so that it is done for several pixels at a time."""
    _, max_gap, at_ends, in_gaps = rules
    earlier, later, enough = state
    zero, one, far, most = np.float32(0), np.float32(1), np.float32(np.inf), np.float32(32767)
    longest, ends, gaps = np.float32(min(max_gap, 1e30)), np.float32(at_ends), np.float32(in_gaps)
    for p in range(age.size):
        before, after = np.float32(now - earlier[p]), np.float32(later[p] - now)
        gap = before + after
        near = min(after, before)
        share = before / gap
        side = one if after < before else zero
        side = side if gap < far else zero
        reach = gaps if gap < far else ends
        held = side if near <= reach else np.float32(np.nan)
        weight[p] = (share if gap <= longest else held) + enough[p]
        whole = np.int32((min(most, near)) + np.float32(0.5))
        age[p] = np.int16(whole if near < far else np.int32(-32768))


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def _draw(looks: Any, slots: Any, weight: Any, fills: Any, place: Any) -> None:
    """One band of a run: fill backward, then forward, and put each wanted time on its line.

    Where one of the two looks is missing, the weight is 0 or NaN: any finite number may stand for a later one.
    """
    made, b, start, size = place
    earlier, later = fills
    count = looks.shape[0]
    later[count, :] = 0.0
    for t in range(count - 1, -1, -1):
        look, old, new = looks[t], later[t + 1], later[t]
        for p in range(size):
            value, other = look[p], old[p]
            new[p] = other if np.isnan(value) else value
    earlier[:] = later[0]
    t = 0
    for k in range(weight.shape[0]):
        while t < slots[k]:
            look = looks[t]
            for p in range(size):
                value, other = look[p], earlier[p]
                earlier[p] = other if np.isnan(value) else value
            t += 1
        after, share, target = later[t], weight[k], made[k, b, start : start + size]
        for p in range(size):
            low = earlier[p]
            target[p] = low + share[p] * (after[p] - low)


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "ns")
