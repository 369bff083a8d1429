"""Composites: one picture per year, quarter or month, from the clear looks in it.

The median takes each band by itself and is robust and fast. The geometric median takes all bands of a pixel
together, so that the composite's spectrum is one that the pixel could have had: ratios of bands stay those of the
ground (Roberts et al. 2017, doi:10.1109/TGRS.2017.2723896).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from landshift.ard._cube import NAMES, Arrays, cube_variables, dataset_on, floats, times_of
from landshift.ard._median import geometric_median, median
from landshift.errors import ConfigError
from landshift.place import Time
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Composite"]

_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


@step(kind="product", name="composite", version=1)
class Composite:
    """One value per pixel, band and period from its clear looks: looks at which all bands have a value.

    >>> Composite(period="quarter").times(np.array(["2020-02-03", "2020-08-16"], "M8[ns]")).astype("M8[D]")
    array(['2020-01-01', '2020-04-01', '2020-07-01'], dtype='datetime64[D]')
    """

    method: Literal["median", "geometric_median"] = "median"
    """Each band by itself, or all bands of a pixel together."""
    period: Literal["year", "quarter", "month"] = "year"
    """Calendar period; its first day is its date."""
    start: date | datetime | None = None
    """Looks before it are left out; by default those before ``[time]``."""
    end: date | datetime | None = None
    """Last day, included (a clock time is excluded); by default that of ``[time]``, without one that of the last look."""
    min_clear: Annotated[int, Field(ge=1)] = 1
    """Pixels with fewer clear looks in a period are missing there."""
    months: tuple[int, ...] | None = None
    """Months whose looks are used: ``[4, 10]`` is April to October, three and more are a list; None for all."""

    def __post_init__(self) -> None:
        if self.months == ():
            raise ConfigError("composite.months names no month", hint="leave it out to use all months")
        Time(start=self.start, end=self.end, months=self.months or ())

    def times(self, observed: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """First days of the periods from ``start`` to ``end``, those without a look too.

        Args:
            observed: Times of the looks, (time,), ascending.

        Returns:
            datetime64[ns] (time,).

        Raises:
            ConfigError: There is no look, and start or end is open.
        """
        if (self.start is None or self.end is None) and observed.size == 0:
            raise ConfigError("composite has no look to take its periods from", hint="give start and end")
        first, after = self._span()
        begin = observed[0] if self.start is None else first
        last = observed[-1] if self.end is None else after - np.timedelta64(1, "ns")
        length = _MONTHS[self.period]
        numbers = [int(moment.astype("datetime64[M]").astype(np.int64)) // length for moment in (begin, last)]
        periods = np.arange(numbers[0], numbers[1] + 1) * length
        wanted = self._wanted_months()
        if wanted:
            used = [any(int(month) % 12 + 1 in wanted for month in range(at, at + length)) for at in periods]
            periods = periods[np.array(used, np.bool_)]
        return periods.astype("datetime64[M]").astype("datetime64[ns]")

    def __call__(self, cube: xr.Dataset) -> xr.Dataset:
        """Composite a masked cube.

        Args:
            cube: Variables (time, name, y, x), NaN where hidden or missing.

        Returns:
            The same variables as float32, one date per period, NaN where there are fewer than ``min_clear`` clear
            looks; ``n_clear`` uint16 (time, y, x).
        """
        variables = cube_variables(cube)
        looks = times_of(cube)
        periods = self.times(looks)
        groups = self._groups(looks, periods)
        kernel = median if self.method == "median" else geometric_median
        made: Arrays = {}
        first: Arrays = {}
        for name in variables:
            values, count = kernel(floats(cube, name), groups, min_clear=self.min_clear)
            made[name] = (("time", NAMES[name], "y", "x"), values)
            first = first or {"n_clear": (("time", "y", "x"), count)}
        return dataset_on(cube, periods, made | first)

    def _groups(
        self, looks: NDArray[np.datetime64], periods: NDArray[np.datetime64]
    ) -> list[NDArray[np.intp]]:
        """Numbers of the looks in each period."""
        first, after = self._span()
        months = looks.astype("datetime64[M]").astype(np.int64)
        used = (looks >= first) & (looks < after)
        wanted = self._wanted_months()
        if wanted:
            used &= np.isin(months % 12 + 1, wanted)
        length = _MONTHS[self.period]
        starts = periods.astype("datetime64[M]").astype(np.int64)
        return [np.flatnonzero(used & (months >= at) & (months < at + length)) for at in starts]

    def _span(self) -> tuple[np.datetime64, np.datetime64]:
        begin, end = Time(start=self.start, end=self.end).span
        first, after = (np.datetime64(moment.replace(tzinfo=None), "ns") for moment in (begin, end))
        return first, after

    def _wanted_months(self) -> tuple[int, ...]:
        return Time(months=self.months or ()).month_list
