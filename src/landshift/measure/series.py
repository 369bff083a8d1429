"""Yearly maps as one thing: same grid, same classes, read by windows.

Everything that is measured over several years first has to know that the maps may be compared at all.
:class:`MapSeries` checks this once; below it, code may rely on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landshift.cube.classes import LandClass
from landshift.cube.maps import map_geobox, map_tags, read_classes, read_map
from landshift.errors import ConfigError, GridError, LabelError
from landshift.measure.ground import ground_crs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

__all__ = ["NODATA", "MapSeries", "Window", "windows"]

NODATA = "nodata"
"""The name under which pixels without a class are counted."""

Window = tuple[slice, slice]
"""Rows and columns of a grid, in pixels."""

_WINDOW_PX = 1024


@dataclass(frozen=True, kw_only=True)
class MapSeries:
    """Class maps of several years on one grid."""

    paths: Mapping[int, Path]
    """The map of each year, ascending."""

    geobox: GeoBox
    """The grid they share."""

    classes: tuple[LandClass, ...]
    """The classes they share, by value."""

    tags: Mapping[str, str]
    """What layers made of these maps say of themselves: that they are simulated, where a map is."""

    @classmethod
    def of(cls, maps: Mapping[int, Path]) -> MapSeries:
        """Check that maps share grid and classes.

        Args:
            maps: A map for each year: band 1 holds classes, 0 is nodata.

        Raises:
            ConfigError: There is no map.
            GridError: Two maps lie on different grids.
            LabelError: A value means one class in one map and another class in the next.
        """
        if not maps:
            raise ConfigError("there is no map to measure", hint="run the stage that makes maps first")
        paths = {int(year): Path(maps[year]) for year in sorted(maps)}
        first = next(iter(paths.values()))
        geobox = map_geobox(first)
        classes: dict[int, LandClass] = {}
        for path in paths.values():
            if map_geobox(path) != geobox:
                raise GridError("maps of one series lie on different grids", where=path, got=first.name)
            for item in read_classes(path):
                known = classes.setdefault(item.value, item)
                if known.name != item.name:
                    raise LabelError(
                        f"value {item.value} has two meanings", where=path, got=f"{known.name}, {item.name}"
                    )
        simulated = any(map_tags(path).get("simulated") == "true" for path in paths.values())
        return cls(
            paths=paths,
            geobox=geobox,
            classes=tuple(classes[value] for value in sorted(classes)),
            tags={"simulated": "true"} if simulated else {},
        )

    @property
    def years(self) -> tuple[int, ...]:
        """The years, ascending."""
        return tuple(self.paths)

    @property
    def crs(self) -> CRS:
        """The CRS of the grid."""
        return ground_crs(self.geobox)

    def names(self) -> dict[int, str]:
        """The name of every value, nodata first."""
        return {0: NODATA} | {item.value: item.name for item in self.classes}

    def positions(self) -> NDArray[np.intp]:
        """A table from class value to position: 0 for nodata, 1 for the first class; intp (256,)."""
        table = np.zeros(256, dtype=np.intp)
        table[[item.value for item in self.classes]] = np.arange(1, len(self.classes) + 1)
        return table

    def read(self, year: int, window: Window) -> NDArray[np.uint8]:
        """The classes of one year in one window; uint8 (y, x), 0 = nodata.

        Raises:
            LabelError: A pixel holds a value that no class has.
        """
        values = np.asarray(read_map(self.paths[year], window), dtype=np.uint8)
        known = np.zeros(256, dtype=bool)
        known[[0, *(item.value for item in self.classes)]] = True
        if not known[values].all():
            raise LabelError(
                "a map holds a value without a class",
                where=self.paths[year],
                got=int(values[~known[values]][0]),
                allowed=[item.value for item in self.classes],
            )
        return values

    def windows(self, size: int = _WINDOW_PX) -> Iterator[Window]:
        """Windows that cover every pixel once."""
        rows, cols = self.geobox.shape
        yield from windows((int(rows), int(cols)), size)

    def inside(self, window: Window, within: Geometry | None) -> NDArray[np.bool_]:
        """Which pixels of a window have their centre in a geometry; all of them without one."""
        shape = tuple(part.stop - part.start for part in window)
        if within is None:
            return np.ones(shape, dtype=bool)
        from rasterio.features import geometry_mask

        local = within if within.crs == self.crs else within.to_crs(self.crs)
        part = self.geobox[window]
        mask = geometry_mask([local.json], out_shape=shape, transform=part.affine, invert=True)
        return np.asarray(mask, dtype=bool)


def windows(shape: tuple[int, int], size: int) -> Iterator[Window]:
    """Cut a grid into windows of at most ``size`` pixels a side, row by row.

    >>> [tuple((w.start, w.stop) for w in window) for window in windows((3, 5), 4)]
    [((0, 3), (0, 4)), ((0, 3), (4, 5))]
    """
    for row in range(0, shape[0], size):
        for col in range(0, shape[1], size):
            yield slice(row, min(row + size, shape[0])), slice(col, min(col + size, shape[1]))
