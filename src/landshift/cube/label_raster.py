"""A raster as labels: reclassified first, then brought to the grid by mode or nearest, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass
from landshift.cube.label_vector import overlap_error
from landshift.cube.maps import read_classes
from landshift.cube.reclass import Reclass, as_it_comes, text_of
from landshift.errors import ConfigError, LabelError, StoreError
from landshift.plan import plan_blocks

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from landshift.cube.labels import Labels

__all__ = ["RasterLabels"]

_SAME = 1.5
"""A pixel of the place that covers more of a raster's pixels than this sees it as finer."""


class RasterLabels:
    """Labels of one raster's first band.

    Args:
        source: What the recipe says.
        geobox: The whole grid.
        table: Its mapping, or None to take the values as they come.

    Raises:
        LabelError: The raster has no CRS, cannot be read, or lies elsewhere.
    """

    def __init__(self, source: Labels, geobox: GeoBox, table: Reclass | None) -> None:
        from odc.geo.geobox import GeoBox as Grid

        if source.year is None:
            raise ConfigError("a raster of labels needs its year", where="[labels]", hint="set labels.year")
        self.path = source.path
        self.years: tuple[int, ...] = tuple(range(source.year, (source.until or source.year) + 1))
        with _opened(self.path) as raster:
            if raster.crs is None:
                raise LabelError("the labels have no coordinate reference system", where=self.path)
            self.grid = Grid(raster.shape, raster.transform, str(raster.crs))
            self.nodata = raster.nodata
        if not self.grid.extent.to_crs(str(geobox.crs)).intersects(geobox.extent):
            raise overlap_error(self.path, self.grid.boundingbox.bbox, geobox, self.grid.crs)
        self.resampling = source.resampling if _finer(self.grid, geobox) else "nearest"
        self._seen: set[object] = set()
        self._given, self._colours, self._geobox = table, source.colours or {}, geobox

    @cached_property
    def table(self) -> Reclass:
        """Their classes; without a mapping all pixels on the place are read for them."""
        return self._given or as_it_comes(self._values(self._geobox), self._colours, self._named())

    @property
    def known(self) -> tuple[LandClass, ...] | None:
        """Their classes, where a mapping names them."""
        return None if self._given is None else self._given.classes

    def block(self, year: int, geobox: GeoBox) -> NDArray[np.uint8]:
        """Labels over a block, the same for every year for which they are true."""
        from rasterio.enums import Resampling
        from rasterio.warp import reproject

        found = np.zeros(geobox.shape, np.uint8)
        window = self._window(geobox)
        if window is None or year not in self.years:
            return found
        rows, cols = window
        reproject(
            self._reclassified(self._read(window)),
            found,
            src_transform=self.grid[rows, cols].affine,
            src_crs=str(self.grid.crs),
            dst_transform=geobox.affine,
            dst_crs=str(geobox.crs),
            resampling=Resampling[self.resampling],
            tolerance=0,
        )
        return found

    def counts(self) -> dict[str, Any]:
        """What was left out so far."""
        unknown = {text_of(value) for value in self._seen if self.table.number(value) is None}
        return {"conflicts": 0, "unmapped": sorted(unknown), "resampling": self.resampling}

    def _named(self) -> tuple[LandClass, ...]:
        try:
            return read_classes(Path(self.path))
        except StoreError:
            return ()

    def _window(self, geobox: GeoBox) -> tuple[slice, slice] | None:
        """Rows and columns of the raster that a block needs, with a margin; None where there are none."""
        left, top, right, bottom = self.grid.project(geobox.footprint(str(self.grid.crs))).boundingbox.bbox
        height, width = self.grid.shape
        rows = slice(max(int(top) - 3, 0), min(int(bottom) + 4, height))
        cols = slice(max(int(left) - 3, 0), min(int(right) + 4, width))
        return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None

    def _read(self, window: tuple[slice, slice]) -> NDArray[Any]:
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window

        rows, cols = window
        with _opened(self.path) as raster:
            try:
                values: NDArray[Any] = raster.read(1, window=Window.from_slices(rows, cols))
            except RasterioIOError as error:
                raise LabelError("the labels cannot be read", where=self.path, got=str(error)) from error
        return values

    def _values(self, geobox: GeoBox) -> list[object]:
        """All values on the place."""
        windows = (self._window(block.geobox(geobox)) for block in plan_blocks(geobox).blocks)
        found = (np.unique(self._read(window)) for window in windows if window is not None)
        joined = np.unique(np.concatenate([np.empty(0), *found]))
        return [value for value in joined.tolist() if value != self.nodata]

    def _reclassified(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        known, places = np.unique(values, return_inverse=True)
        kept = [value for value in known.tolist() if value != self.nodata and text_of(value)]
        self._seen.update(kept)
        numbers = {value: self.table.number(value) or 0 for value in kept}
        lookup = np.array([numbers.get(value, 0) for value in known.tolist()], np.uint8)
        return lookup[places].reshape(values.shape)


def _finer(grid: GeoBox, geobox: GeoBox) -> bool:
    """Whether a raster has smaller pixels than the place's grid, by their area on the ground of the place."""
    theirs = grid.project(geobox.center_pixel.footprint(str(grid.crs))).boundingbox
    return bool((theirs.right - theirs.left) * (theirs.top - theirs.bottom) > _SAME)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        raster = rasterio.open(path)
    except RasterioIOError as error:
        raise LabelError(
            "the labels cannot be read", where=path, got=str(error), hint="check labels.path"
        ) from error
    with raster:
        yield raster
