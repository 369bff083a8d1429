"""What a model sees of a year: bands and indices of one date, or their statistics over many.

A year of looks has a different number of dates in every place; nine statistics per band and index turn it into
a fixed list of features. A single date (a yearly composite, a mosaic) gives its bands and indices as they are.
Features are ordered feature-major: ``blue.min, blue.p10, ..., ndvi.std``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, ModelError, did_you_mean
from landshift.sensor import BAND_DIM
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["STATISTICS", "Features"]

STATISTICS: Final = ("min", "p10", "p25", "p50", "p75", "p90", "max", "mean", "std")
"""The nine statistics; see :mod:`landshift.learn.statistics`."""

_DEFAULT_INDICES: Final = ("ndvi", "mndwi", "ndbi")
READ_BYTES: Final = 96 * 2**20
"""Looks read at once, as float32; reading them takes about three times this for a moment."""
_ROWS: Final = 64


@step(kind="features")
class Features:
    """Per-pixel features of a year.

    >>> Features(bands=("red", "nir"), indices=("ndvi",), statistics=("p50", "std")).names
    ('red.p50', 'red.std', 'nir.p50', 'nir.std', 'ndvi.p50', 'ndvi.std')
    """

    bands: tuple[str, ...] | None = None
    """Bands (or polarisations) to use; by default all of the cube."""

    indices: tuple[str, ...] | None = None
    """Indices to add, by name; by default those of ndvi, mndwi, ndbi whose bands are there."""

    statistics: tuple[str, ...] | None = None
    """Which of the nine statistics; by default the model's own choice. Empty means: one date, as it is."""

    window: tuple[str, str] = ("01-01", "12-31")
    """First and last day of the year's looks, month-day; a first day after the last one lies in the year before."""

    def __post_init__(self) -> None:
        """Refuse statistics and days that do not exist."""
        for name in self.statistics or ():
            if name not in STATISTICS:
                raise ConfigError(
                    "no such statistic",
                    where="features.statistics",
                    got=name,
                    hint=did_you_mean(name, STATISTICS),
                )
        for day in self.window:
            if not re.fullmatch(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", day):
                raise ConfigError(
                    "not a day of the year",
                    where="features.window",
                    got=day,
                    allowed="month-day, such as 04-01",
                )

    @property
    def layers(self) -> tuple[str, ...]:
        """Bands, then indices."""
        return (*(self.bands or ()), *(self.indices or ()))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all features, in order; of a resolved set (see :meth:`resolve`)."""
        if not self.statistics:
            return self.layers
        return tuple(f"{layer}.{name}" for layer in self.layers for name in self.statistics)

    @property
    def n_band_features(self) -> int:
        """How many of the features come from bands; a pixel has data when all of these are known."""
        return len(self.bands or ()) * max(1, len(self.statistics or ()))

    def dates(self, cube: xr.Dataset, year: int) -> slice:
        """Positions of the year's looks on the cube's time axis."""
        first, last = self.window
        begin = np.datetime64(f"{year - 1 if first > last else year}-{first}")
        end = np.datetime64(_last_day(year, last)) + np.timedelta64(1, "D")
        times = cube["time"].to_numpy()
        return slice(int(np.searchsorted(times, begin)), int(np.searchsorted(times, end)))

    def years(self, cube: xr.Dataset) -> tuple[int, ...]:
        """The years in which the cube has looks inside the window."""
        times = cube["time"].to_numpy().astype("datetime64[Y]").astype(int) + 1970
        around = sorted({int(year) + more for year in np.unique(times) for more in (0, 1)})
        spans = {year: self.dates(cube, year) for year in around}
        return tuple(year for year, span in spans.items() if span.stop > span.start)

    def fitting_years(self, cube: xr.Dataset) -> tuple[int, ...]:
        """Those of :meth:`years` that can be shown as resolved features ask: by several dates, or by one."""
        spans = {year: self.dates(cube, year) for year in self.years(cube)}
        return tuple(
            year for year, span in spans.items() if (span.stop - span.start > 1) == bool(self.statistics)
        )

    def stand_ins(self, cube: xr.Dataset) -> dict[str, str]:
        """Bands that indices ask for and the cube lacks, with the near infrared that is taken in their place."""
        from landshift.learn.index import needed

        stored = _stored(cube)
        computed = [name for name in self.indices or () if name not in stored]
        read = {band: layer for name in computed for band, layer in needed(name, stored).items()}
        return {band: layer for band, layer in sorted(read.items()) if band != layer}

    def resolve(self, cube: xr.Dataset, *, years: tuple[int, ...], statistics: tuple[str, ...]) -> Features:
        """The same features with nothing left open: what a checkpoint keeps.

        Args:
            cube: The cube to learn from.
            years: Years that will be used; they decide between statistics and single dates.
            statistics: The model's own choice, where this step names none.

        Raises:
            ConfigError: A band or index is not there, or the years differ in kind.
        """
        from landshift.learn.index import computable, needed

        stored = _stored(cube)
        bands = self.bands
        if bands is None:
            own = [name for name, (variable, _) in stored.items() if variable != "index"]
            bands = tuple(own or stored)
        _all_there(bands, stored, where="features.bands")
        if self.indices is None:
            known = set(stored)
            indices = tuple(
                n for n in _DEFAULT_INDICES if n not in bands and (n in known or computable(n, known))
            )
        else:
            indices = self.indices
            for name in indices:
                if name not in stored:
                    _all_there(
                        tuple(needed(name, stored).values()), stored, where=f"features.indices: {name}"
                    )
        counts = {year: span.stop - span.start for year in years for span in [self.dates(cube, year)]}
        if not counts or min(counts.values()) < 1:
            empty = [year for year, count in counts.items() if count < 1]
            raise ConfigError(
                "the cube has no dates in the feature window", where="features.window", got=empty
            )
        wanted = self.statistics if self.statistics is not None else statistics
        if max(counts.values()) == 1:
            wanted = ()
        elif min(counts.values()) == 1 or not wanted:
            raise ConfigError(
                "one date per year, or several in every year: the years differ",
                where="features",
                got=counts,
                hint="leave the years with a single date out, or choose another product",
            )
        return replace(self, bands=bands, indices=indices, statistics=wanted)

    def __call__(self, cube: xr.Dataset, *, year: int) -> xr.DataArray:
        """Features of a year over the whole of an in-memory cube.

        Args:
            cube: Cube with dims (time, band, y, x); NaN is missing.
            year: The year.

        Returns:
            float32 (feature, y, x); NaN where a pixel has no look.
        """
        import xarray as xr

        full = (
            self
            if self.bands is not None and self.indices is not None and self.statistics is not None
            else None
        )
        full = full or self.resolve(cube, years=(year,), statistics=STATISTICS)
        values = full.compute(cube, year, (slice(0, cube.sizes["y"]), slice(0, cube.sizes["x"])))
        coords = {name: cube.coords[name] for name in ("y", "x", "spatial_ref") if name in cube.coords}
        return xr.DataArray(
            values,
            dims=("feature", "y", "x"),
            coords={"feature": list(full.names), **coords},
            name="features",
        )

    def compute(
        self, cube: xr.Dataset, year: int, window: tuple[slice, slice], *, threads: int = 2
    ) -> NDArray[np.float32]:
        """Features of one window of a stored cube; resolved features only.

        Looks are read in strips of rows, so that memory stays bounded however many dates there are.

        Args:
            cube: Cube with dims (time, band, y, x), opened lazily.
            year: The year.
            window: Rows and columns, inside the cube.
            threads: Layers summarised at the same time; the result does not depend on it.

        Returns:
            float32 (feature, rows, columns).

        Raises:
            ModelError: The year has no dates, or one where the features are statistics (or the reverse).
        """
        span = self.dates(cube, year)
        self._same_kind(span.stop - span.start, year)
        rows, cols = window
        height, width = rows.stop - rows.start, cols.stop - cols.start
        out = np.empty((len(self.names), height, width), np.float32)
        depth = max(1, len(self.statistics or ()))
        with ThreadPoolExecutor(max(1, threads)) as pool:
            for strip in _strips(rows, width * (span.stop - span.start) * len(self.layers) * 4):
                series = self._series(cube, span, (strip, cols))
                target = out[:, strip.start - rows.start : strip.stop - rows.start]
                jobs = [
                    pool.submit(self._summary, values, target[i * depth : (i + 1) * depth])
                    for i, values in enumerate(series)
                ]
                for job in jobs:
                    job.result()
        return out

    def _same_kind(self, dates: int, year: int) -> None:
        if dates == 0:
            raise ModelError(
                "the cube has no dates in this year's feature window", got=year, allowed=self.window
            )
        if (dates == 1) == bool(self.statistics):
            learned = "statistics over several dates" if self.statistics else "single dates"
            raise ModelError(
                f"the model has learned from {learned}",
                where=f"year {year}",
                got=f"{dates} dates",
                hint="train again on this cube, or use the product the model was trained on",
            )

    def _series(
        self, cube: xr.Dataset, span: slice, window: tuple[slice, slice]
    ) -> Iterator[NDArray[np.float32]]:
        """Each layer's looks (time, y, x), bands before indices."""
        from landshift.learn.index import evaluate, needed

        stored = _stored(cube)
        computed = [name for name in self.indices or () if name not in stored]
        wanted = {*self.layers, *(band for name in computed for band in needed(name, stored).values())} & set(
            stored
        )
        arrays = _read(cube, sorted(wanted), span, window)
        for name in self.layers:
            yield arrays[name] if name in arrays else evaluate(name, arrays)

    def _summary(self, series: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        if not self.statistics:
            out[0] = series[0]
            return
        from landshift.learn.statistics import summarise

        flat = series.reshape(series.shape[0], -1)
        out[:] = summarise(flat, tuple(self.statistics)).reshape(out.shape)


def _stored(cube: xr.Dataset) -> dict[str, tuple[str, str]]:
    """Every stored layer's name with its variable and axis."""
    found: dict[str, tuple[str, str]] = {}
    for variable, axis in BAND_DIM.items():
        if variable in cube:
            found |= {str(name): (variable, axis) for name in cube[axis].to_numpy() if str(name) not in found}
    if not found:
        raise ConfigError(
            "the cube has no layers to learn from", got=list(cube.data_vars), allowed=list(BAND_DIM)
        )
    return found


def _read(
    cube: xr.Dataset, names: list[str], span: slice, window: tuple[slice, slice]
) -> dict[str, NDArray[np.float32]]:
    """Read layers of a window, each variable once."""
    stored = _stored(cube)
    arrays: dict[str, NDArray[np.float32]] = {}
    for variable, axis in BAND_DIM.items():
        own = [name for name in names if stored[name][0] == variable]
        if not own:
            continue
        places = [list(map(str, cube[axis].to_numpy())).index(name) for name in own]
        part = cube[variable].isel({"time": span, "y": window[0], "x": window[1], axis: places})
        values = part.transpose(axis, "time", "y", "x").to_numpy().astype(np.float32, copy=False)
        arrays |= dict(zip(own, values, strict=True))
    return arrays


def _strips(rows: slice, row_bytes: int) -> Iterator[slice]:
    """Cut rows into strips that fit the read buffer, at multiples of 64 rows where they can be."""
    step_rows = max(_ROWS, READ_BYTES // max(1, row_bytes) // _ROWS * _ROWS)
    start = rows.start
    while start < rows.stop:
        stop = min(rows.stop, (start // step_rows + 1) * step_rows)
        yield slice(start, stop)
        start = stop


def _all_there(names: tuple[str, ...], stored: dict[str, tuple[str, str]], *, where: str) -> None:
    for name in names:
        if name not in stored:
            raise ConfigError(
                "no such band in the cube", where=where, got=name, hint=did_you_mean(name, stored)
            )


def _last_day(year: int, day: str) -> str:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return f"{year}-02-28" if day == "02-29" and not leap else f"{year}-{day}"
