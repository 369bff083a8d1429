"""Change as layers of a map: which pixels became a class, left it or kept it, and when.

Every layer is a uint8 COG with colours and category names, so that a GIS shows it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from landshift.cube.classes import LandClass
from landshift.cube.maps import MapWriter
from landshift.measure.series import MapSeries, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHANGE_CLASSES", "ChangeLayers", "change_layer", "first_year", "layer_name", "write_first_years"]

CHANGE_CLASSES = (
    LandClass(value=1, name="gain", colour="#d7301f"),
    LandClass(value=2, name="loss", colour="#2166ac"),
    LandClass(value=3, name="stable", colour="#8c8c8c"),
    LandClass(value=4, name="other", colour="#f2f0eb"),
)
"""What a change layer says of a pixel: it became the class, left it, kept it, or was never in it."""


def layer_name(name: str) -> str:
    """A class name as part of a file name.

    >>> layer_name("Bare soil / rock")
    'bare_soil_rock'
    """
    return re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_") or "class"


class ChangeLayers:
    """The layers of one pair of years, written together; all are finished, or none is left behind."""

    def __init__(
        self, folder: Path, series: MapSeries, *, pair: tuple[int, int], wanted: tuple[LandClass, ...]
    ) -> None:
        self._stack = ExitStack()
        self._values = [item.value for item in wanted]
        self._writers = [
            MapWriter(
                folder / f"{pair[0]}_{pair[1]}_new_{layer_name(item.name)}.tif",
                series.geobox,
                classes=CHANGE_CLASSES,
                tags=series.tags,
            )
            for item in wanted
        ]

    def __enter__(self) -> Self:
        for writer in self._writers:
            self._stack.enter_context(writer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, window: Window, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
        """Write one window of every layer from the classes of both years."""
        for writer, value in zip(self._writers, self._values, strict=True):
            writer.write(window, change_layer(before, after, value))


def change_layer(before: NDArray[np.uint8], after: NDArray[np.uint8], value: int) -> NDArray[np.uint8]:
    """What became of one class between two maps.

    Args:
        before: Classes of the earlier year, (y, x), 0 = nodata.
        after: Classes of the later year.
        value: The class.

    Returns:
        uint8 (y, x): 1 gain, 2 loss, 3 stable, 4 other, 0 no data in either year.

    >>> change_layer(np.array([[5, 5, 1, 1, 0]]), np.array([[5, 1, 5, 1, 5]]), 5)
    array([[3, 2, 1, 4, 0]], dtype=uint8)
    """
    was, now = before == value, after == value
    layer = np.select([~was & now, was & ~now, was & now], [1, 2, 3], default=4)
    layer[(before == 0) | (after == 0)] = 0
    return layer.astype(np.uint8)


def write_first_years(series: MapSeries, wanted: tuple[LandClass, ...], out: Path) -> None:
    """Write ``first_year_<class>.tif`` for each class: the year in which a pixel was first seen as it."""
    classes = _year_classes(series.years)
    for item in wanted:
        path = out / f"first_year_{layer_name(item.name)}.tif"
        with MapWriter(path, series.geobox, classes=classes, tags=series.tags) as writer:
            for window, maps in _stacks(series):
                writer.write(window, first_year(maps, item.value))


def _stacks(series: MapSeries) -> Iterator[tuple[Window, list[NDArray[np.uint8]]]]:
    for window in series.windows():
        yield window, [series.read(year, window) for year in series.years]


def first_year(maps: list[NDArray[np.uint8]], value: int) -> NDArray[np.uint8]:
    """When pixels were first seen as a class.

    Args:
        maps: Classes of each year, (y, x), 0 = nodata.
        value: The class.

    Returns:
        uint8 (y, x): number (from 2) of the first map with the class; 1 where no earlier map shows another
        class, so that it may have been there before; 0 where it never is.

    >>> first_year([np.array([[1, 2, 0, 2]]), np.array([[1, 1, 1, 2]])], 1)
    array([[1, 2, 1, 0]], dtype=uint8)
    """
    first = np.zeros(maps[0].shape, dtype=np.uint8)
    seen = np.zeros(maps[0].shape, dtype=bool)
    for number, classes in enumerate(maps, start=1):
        new = (classes == value) & (first == 0)
        first[new] = np.where(seen[new], number, 1)
        seen |= classes > 0
    return first


def _year_classes(years: tuple[int, ...]) -> tuple[LandClass, ...]:
    """Colours for years: grey for the start, then light (early) to dark (late)."""
    ramp = np.array([[254, 202, 141], [251, 135, 97], [211, 67, 110], [130, 38, 129], [43, 17, 94]])  # magma
    stops = np.linspace(0, len(ramp) - 1, max(len(years) - 1, 1))
    colours = np.rint([[np.interp(stop, range(len(ramp)), part) for part in ramp.T] for stop in stops])
    start = LandClass(value=1, name=f"{years[0]} or before", colour="#c9c5bc")
    later = (
        LandClass(value=number, name=str(year), colour="#{:02x}{:02x}{:02x}".format(*map(int, colour)))
        for number, (year, colour) in enumerate(zip(years[1:], colours, strict=False), start=2)
    )
    return (start, *later)
