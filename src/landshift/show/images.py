"""One true-colour picture per year out of a cube, as the site and a reader's eye want it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.cube.maps import MapWriter
from landshift.cube.store import geobox_of, layout_of, open_cube

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["YearImages", "year_images"]

_RGB: Final = ("red", "green", "blue")
_PROBE_PX: Final = 96
_ROWS: Final = 512


@dataclass(frozen=True, kw_only=True)
class YearImages:
    """Pictures by year."""

    files: Mapping[int, Path]
    """RGB rasters, 0 = empty."""
    dates: Mapping[int, str]
    """The date of each, ISO."""


def year_images(cubes: Sequence[Path], years: Sequence[int], work: Path) -> YearImages:
    """Draw one picture per year from the product that has the fewest dates a year, the likeliest composite.

    Of several dates in a year the one with the most values is taken, and among equals the one nearest to
    midsummer. One stretch serves all years, so that a change of colour is a change of the ground.

    Args:
        cubes: Stores to choose from; those without red, green and blue are left out.
        years: Years wanted.
        work: Folder for the rasters.

    Returns:
        What could be drawn; empty where no product fits.
    """
    fitting = [path for path in cubes if set(_RGB) <= set(layout_of(path).names)]
    if not fitting:
        return YearImages(files={}, dates={})
    path = min(fitting, key=lambda one: (layout_of(one).times, one.name))
    cube = open_cube(path)
    values = cube[layout_of(path).variable].sel(band=list(_RGB))
    chosen = _dates(values, years, south=_is_south(path))
    if not chosen:
        return YearImages(files={}, dates={})
    stretch = _stretch(values, list(chosen.values()))
    files = {}
    for year, index in chosen.items():
        files[year] = work / f"{year}.tif"
        _write(files[year], path, values.isel(time=index), stretch)
    days = {year: str(values.time.values[index].astype("datetime64[D]")) for year, index in chosen.items()}
    return YearImages(files=files, dates=days)


def _is_south(path: Path) -> bool:
    return bool(geobox_of(path).geographic_extent.boundingbox.top < 0)


def _dates(values: xr.DataArray, years: Sequence[int], *, south: bool) -> dict[int, int]:
    """The position of the best date of each year."""
    stamps = values.time.values.astype("datetime64[D]").astype(dt.date)
    found = {}
    for year in years:
        scored = []
        for index, day in enumerate(stamps):
            if day.year == year:
                share = float(np.isfinite(_probe(values.isel(time=index))).mean())
                middle = dt.date(year, 1, 15) if south else dt.date(year, 7, 1)
                scored.append((round(-share, 2), abs((day - middle).days), index))
        if scored and min(scored)[0] < 0:
            found[year] = min(scored)[2]
    return found


def _probe(plane: xr.DataArray) -> NDArray[np.float32]:
    """Nine windows of a picture, all that is looked at before it is drawn: (band, n)."""
    height, width = plane.sizes["y"], plane.sizes["x"]
    rows = [_window(height, third) for third in range(3)]
    cols = [_window(width, third) for third in range(3)]
    parts = [plane.isel(y=row, x=col).values.reshape(len(_RGB), -1) for row in rows for col in cols]
    return np.concatenate(parts, axis=1)


def _window(length: int, third: int) -> slice:
    middle = int((third + 0.5) * length / 3)
    return slice(max(middle - _PROBE_PX // 2, 0), min(middle + _PROBE_PX // 2, length))


def _stretch(values: xr.DataArray, positions: Sequence[int]) -> tuple[NDArray[np.float64], float]:
    """Darkest value of each band and one range for all three, over all years."""
    seen = np.concatenate([_probe(values.isel(time=index)) for index in positions], axis=1)
    seen = seen[:, np.isfinite(seen).all(axis=0)]
    if not seen.size:
        return np.zeros(3), 0.3
    low, high = np.percentile(seen, 1, axis=1), np.percentile(seen, 98.5, axis=1)
    return np.round(low, 3), max(round(float((high - low).max()), 3), 0.02)


def _write(
    target: Path, store: Path, plane: xr.DataArray, stretch: tuple[NDArray[np.float64], float]
) -> None:
    low, width = stretch
    geobox: Any = geobox_of(store)
    with MapWriter(target, geobox, bands=_RGB, overviews="average") as writer:
        for first in range(0, plane.sizes["y"], _ROWS):
            rows = slice(first, min(first + _ROWS, plane.sizes["y"]))
            part = plane.isel(y=rows).values.astype(np.float64)
            bright = np.clip((part - low[:, np.newaxis, np.newaxis]) / width, 0, 1) ** 0.8
            drawn = np.where(np.isfinite(part).all(axis=0), np.round(1 + 254 * np.nan_to_num(bright)), 0)
            writer.write((rows, slice(None)), drawn.astype(np.uint8))
