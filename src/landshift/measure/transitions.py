"""From yearly maps to change: who became what, how much of it, where and when.

For every pair of years the whole transition matrix is counted, from one class to every other, with pixels
that lack a class in either year counted apart: what was not seen has not changed. Gains, losses and net
follow from it. A class that shows up in single, scattered pixels is more often a mistake of the map than
a change of the ground, so a minimum mapping unit can set small patches of change aside; they are counted
in their own columns and left out of gains, losses and layers.

Post-classification comparison adds up the errors of both maps (Fuller et al., 2003): the figures are areas
of mapped change, not of true change. Estimate the latter from a reference sample.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from landshift.cube.classes import LandClass
from landshift.errors import ConfigError, did_you_mean
from landshift.measure.ground import pixel_area_ha
from landshift.measure.layers import ChangeLayers, write_first_years
from landshift.measure.series import NODATA, MapSeries, Window
from landshift.step import step

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geom import Geometry

__all__ = [
    "AREA_COLUMNS",
    "GAIN_COLUMNS",
    "TRANSITION_COLUMNS",
    "Change",
    "class_areas",
    "classes_of_change",
    "gains",
    "transitions",
    "year_pairs",
]

Progress = Callable[[int, int, str], None]

TRANSITION_COLUMNS = {
    "year_from": "the earlier year",
    "year_to": "the later year",
    "class_from": "class in the earlier year; nodata = not mapped that year",
    "class_to": "class in the later year; nodata = not mapped that year",
    "pixels": "number of pixels, small patches of change included",
    "area_ha": "their ground area in hectares",
    "small_pixels": "of these, pixels in patches of change below the minimum mapping unit",
    "small_area_ha": "their ground area in hectares",
}
"""The columns of the table ``transitions``."""

GAIN_COLUMNS = {
    "year_from": "the earlier year",
    "year_to": "the later year",
    "class": "land class",
    "gain_pixels": "pixels that became this class",
    "loss_pixels": "pixels that left this class",
    "gain_ha": "area that became this class, hectares",
    "loss_ha": "area that left this class, hectares",
    "net_ha": "gain minus loss, hectares",
    "stable_ha": "area of this class in both years, hectares (small patches of change count as stable)",
}
"""The columns of the table ``gains``. Pixels that lack a class in either year take no part."""

AREA_COLUMNS = {
    "year": "year of the map",
    "class": "land class; nodata = not mapped",
    "pixels": "number of pixels",
    "area_ha": "ground area in hectares",
    "share": "share of the mapped area (0-1); empty for nodata",
}
"""The columns of the table ``area``."""


@step(kind="measure")
class Change:
    """Which years are compared, for which classes, and what counts as a change."""

    pairs: Literal["consecutive", "first_last", "both", "all"] = "both"
    """Each year with the next, the first with the last, both of these, or every earlier with every later."""

    classes: tuple[str, ...] | None = None
    """Classes that get change layers; by default all of them. Tables always hold all classes."""

    min_area_ha: float = 0.0
    """Minimum mapping unit: patches of one and the same change that are smaller are set aside."""

    def __post_init__(self) -> None:
        if self.min_area_ha < 0:
            raise ConfigError("change.min_area_ha must be 0 or more", got=self.min_area_ha)


def transitions(
    maps: Mapping[int, Path],
    out: str | Path,
    *,
    change: Change | None = None,
    within: Geometry | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Count what became what between yearly maps, and write where and when.

    Layers written to ``out``, uint8 COGs with colours and category names:

    - ``<from>_<to>_new_<class>.tif``: 1 gain, 2 loss, 3 stable, 4 other (the class in neither year), 0 no
      data in either year; patches below the minimum mapping unit keep what they were;
    - ``first_year_<class>.tif``: the year in which a pixel was first seen as the class, 0 never.

    Args:
        maps: The map of each year: band 1 holds classes, 0 is nodata.
        out: The folder of the layers, ``out/change``.
        change: Pairs, classes and minimum mapping unit; by default each year with the next, the first with
            the last, and every class.
        within: Count only pixels with their centre in this geometry; layers are written whole.
        progress: Called with pairs done, pairs in all and what is being done.

    Returns:
        One row per pair, class before and class after, zero cells included; columns as in
        :data:`TRANSITION_COLUMNS`.

    Raises:
        ConfigError: There are fewer than two maps, or ``change.classes`` names an unknown class.
        GridError: The maps lie on different grids.
    """
    series, spec, folder = MapSeries.of(maps), change or Change(), Path(out)
    wanted = classes_of_change(spec, series.classes)
    pairs = year_pairs(series.years, spec.pairs)
    folder.mkdir(parents=True, exist_ok=True)
    tables = []
    for done, pair in enumerate(pairs):
        if progress is not None:
            progress(done, len(pairs) + 1, f"change {pair[0]}-{pair[1]}")
        tables.append(_count_pair(series, pair, change=spec, layers=(folder, wanted), within=within))
    if progress is not None:
        progress(len(pairs), len(pairs) + 1, "year of change")
    write_first_years(series, wanted, folder)
    return pd.concat(tables, ignore_index=True)


def year_pairs(years: tuple[int, ...], pairs: str) -> tuple[tuple[int, int], ...]:
    """The pairs of years to compare, without repetition.

    Raises:
        ConfigError: There are fewer than two years.

    >>> year_pairs((2017, 2018, 2020), "both")
    ((2017, 2018), (2018, 2020), (2017, 2020))
    """
    if len(years) < 2:
        raise ConfigError("change needs maps of two years or more", got=years)
    chosen = {
        "consecutive": [*itertools.pairwise(years)],
        "first_last": [(years[0], years[-1])],
        "both": [*itertools.pairwise(years), (years[0], years[-1])],
        "all": [*itertools.combinations(years, 2)],
    }
    return tuple(dict.fromkeys(chosen[pairs]))


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Gain, loss and net of every class from a transition table.

    Args:
        table: What :func:`transitions` returned.

    Returns:
        One row per pair and class; columns as in :data:`GAIN_COLUMNS`.
    """
    seen = table[(table.class_from != NODATA) & (table.class_to != NODATA)]
    kept = seen.assign(pixels=seen.pixels - seen.small_pixels, area_ha=seen.area_ha - seen.small_area_ha)
    rows = []
    for (first, last), pair in kept.groupby(["year_from", "year_to"], sort=False):
        small = seen.loc[pair.index].groupby("class_from", sort=False)["small_area_ha"].sum()
        for name in pair.class_from.drop_duplicates():
            moved = pair.class_from != pair.class_to
            gain = pair[moved & (pair.class_to == name)]
            loss = pair[moved & (pair.class_from == name)]
            stable = pair[~moved & (pair.class_from == name)].area_ha.sum() + small[name]
            gained, lost = float(gain.area_ha.sum()), float(loss.area_ha.sum())
            counts = int(gain.pixels.sum()), int(loss.pixels.sum())
            rows.append((first, last, name, *counts, gained, lost, gained - lost, float(stable)))
    return pd.DataFrame(rows, columns=[*GAIN_COLUMNS])


def class_areas(maps: Mapping[int, Path], *, within: Geometry | None = None) -> pd.DataFrame:
    """The area of every class in every year.

    Args:
        maps: The map of each year: band 1 holds classes, 0 is nodata.
        within: Count only pixels with their centre in this geometry.

    Returns:
        One row per year and class, nodata last; columns as in :data:`AREA_COLUMNS`.
    """
    series = MapSeries.of(maps)
    ground = pixel_area_ha(series.geobox)
    names = series.names()
    rows = []
    for year in series.years:
        pixels, area = np.zeros(256, dtype=np.int64), np.zeros(256)
        for window in series.windows():
            values = series.read(year, window).astype(np.intp)
            _add(pixels, area, values, inside=series.inside(window, within), ground=ground[window[0]])
        mapped = sum(area[item.value] for item in series.classes)
        for value in [*(item.value for item in series.classes), 0]:
            share = area[value] / mapped if value and mapped else math.nan
            rows.append((year, names[value], int(pixels[value]), float(area[value]), share))
    return pd.DataFrame(rows, columns=[*AREA_COLUMNS])


def small_changes(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    *,
    ground: NDArray[np.float64],
    min_area_ha: float,
) -> NDArray[np.bool_]:
    """Pixels in patches of one and the same change that are smaller than the minimum mapping unit.

    A patch holds pixels that went from the same class to the same class and touch at a side or a corner.

    Args:
        before: Classes of the earlier year, (y, x), 0 = nodata.
        after: Classes of the later year.
        ground: Area of a pixel by row, hectares.
        min_area_ha: Patches below this area are small.

    Returns:
        Bool (y, x).

    >>> was = np.ones((1, 6), dtype=np.uint8)
    >>> now = np.array([[2, 1, 2, 2, 1, 3]], dtype=np.uint8)
    >>> small_changes(was, now, ground=np.array([0.01]), min_area_ha=0.02)
    array([[ True, False, False, False, False,  True]])
    """
    from skimage.measure import label

    changed = (before != after) & (before > 0) & (after > 0)
    code = np.where(changed, before.astype(np.int32) * 256 + after, 0)
    patches: NDArray[np.intp] = label(code, background=0, connectivity=2)  # type: ignore[no-untyped-call] # untyped
    weights = np.broadcast_to(ground[:, None], before.shape)
    area = np.bincount(patches.ravel(), weights=weights.ravel())
    small = area < min_area_ha * (1 - 1e-9)
    small[0] = False
    return np.asarray(small[patches])


def classes_of_change(change: Change, classes: Sequence[LandClass]) -> tuple[LandClass, ...]:
    """The classes that get layers of their own: those that are asked for, else all.

    Raises:
        ConfigError: ``change.classes`` names an unknown class.
    """
    known = {item.name: item for item in classes}
    for name in change.classes or ():
        if name not in known:
            raise ConfigError(
                f"no class {name!r} in the maps", where="change.classes", hint=did_you_mean(name, known)
            )
    return tuple(known[name] for name in change.classes or known)


def _count_pair(
    series: MapSeries,
    pair: tuple[int, int],
    *,
    change: Change,
    layers: tuple[Path, tuple[LandClass, ...]],
    within: Geometry | None,
) -> pd.DataFrame:
    """Count one pair of years and write its layers, window by window."""
    ground = pixel_area_ha(series.geobox)
    halo = math.ceil(change.min_area_ha / ground.min()) if change.min_area_ha else 0
    pixels, area = np.zeros((2, 65536), dtype=np.int64), np.zeros((2, 65536))
    folder, wanted = layers
    with ChangeLayers(folder, series, pair=pair, wanted=wanted) as layers_of:
        for window in series.windows():
            before, after, small = _read_pair(series, pair, window, halo=halo, change=change, ground=ground)
            code = before.astype(np.intp) * 256 + after
            inside, rows = series.inside(window, within), ground[window[0]]
            _add(pixels[0], area[0], code, inside=inside, ground=rows)
            if halo:
                _add(pixels[1], area[1], code, inside=inside & small, ground=rows)
                after = np.where(small, before, after)
            layers_of.write(window, before, after)
    return _matrix(series, pair, pixels.reshape(2, 256, 256), area.reshape(2, 256, 256))


def _read_pair(
    series: MapSeries,
    pair: tuple[int, int],
    window: Window,
    *,
    halo: int,
    change: Change,
    ground: NDArray[np.float64],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Both years of a window, and its small changes.

    A patch of fewer than ``halo`` pixels that touches the window lies whole in the window grown by
    ``halo``; of a larger one at least ``halo`` pixels do. So the answer does not depend on the windows.
    """
    grown = tuple(
        slice(max(part.start - halo, 0), min(part.stop + halo, int(size)))
        for part, size in zip(window, series.geobox.shape, strict=True)
    )
    outer = (grown[0], grown[1])
    before, after = series.read(pair[0], outer), series.read(pair[1], outer)
    if not halo:
        return before, after, np.zeros(before.shape, dtype=bool)
    small = small_changes(before, after, ground=ground[outer[0]], min_area_ha=change.min_area_ha)
    core = tuple(
        slice(part.start - wide.start, part.stop - wide.start)
        for part, wide in zip(window, outer, strict=True)
    )
    return before[core], after[core], small[core]


def _add(
    pixels: NDArray[np.int64],
    area: NDArray[np.float64],
    code: NDArray[np.intp],
    *,
    inside: NDArray[np.bool_],
    ground: NDArray[np.float64],
) -> None:
    """Add a window's pixels and areas to running sums over codes."""
    chosen = code[inside]
    pixels += np.bincount(chosen, minlength=pixels.size)
    weights = np.broadcast_to(ground[:, None], code.shape)[inside]
    area += np.bincount(chosen, weights=weights, minlength=area.size)


def _matrix(
    series: MapSeries, pair: tuple[int, int], pixels: NDArray[np.int64], area: NDArray[np.float64]
) -> pd.DataFrame:
    names = series.names()
    order = [*(item.value for item in series.classes), 0]
    rows = [
        (*pair, names[i], names[j], int(pixels[0, i, j]), area[0, i, j], int(pixels[1, i, j]), area[1, i, j])
        for i in order
        for j in order
    ]
    return pd.DataFrame(rows, columns=[*TRANSITION_COLUMNS])
