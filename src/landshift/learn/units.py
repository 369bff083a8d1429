"""Pieces of ground that are never divided between folds: blocks of the raster, or groups of polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from landshift.cube.label_vector import vector_files
from landshift.errors import ConfigError, LabelError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["BlockUnits", "PolygonUnits", "Units"]


class Units(Protocol):
    """Pieces of ground that are never divided between folds, numbered from 1."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def window(self, rows: slice, cols: slice) -> NDArray[np.int32]:
        """Unit numbers of a window of pixels, 0 where there is none."""
        ...

    def around(self, row: int, col: int) -> tuple[slice, slice]:
        """The window that a patch around this pixel must stay in."""
        ...


@dataclass(frozen=True)
class BlockUnits:
    """A raster cut into equal blocks, row by row."""

    row_edges: tuple[int, ...]
    col_edges: tuple[int, ...]

    @classmethod
    def cut(cls, shape: tuple[int, int], side_px: int, *, least_px: int = 1) -> BlockUnits:
        """Blocks of about ``side_px``, all of one size to a pixel, none left over at the edges.

        Args:
            shape: Rows and columns of the raster.
            side_px: Wanted side.
            least_px: No block is narrower, unless the raster is.

        >>> BlockUnits.cut((512, 300), 100).col_edges
        (0, 100, 200, 300)
        >>> BlockUnits.cut((310, 310), 64).row_edges, BlockUnits.cut((310, 310), 64, least_px=64).row_edges
        ((0, 62, 124, 186, 248, 310), (0, 77, 155, 232, 310))
        """
        edges = []
        for size in shape:
            parts = max(1, min(round(size / side_px), size // least_px))
            edges.append(tuple(i * size // parts for i in range(parts + 1)))
        return cls(*edges)

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return (len(self.row_edges) - 1) * (len(self.col_edges) - 1)

    def window(self, rows: slice, cols: slice) -> NDArray[np.int32]:
        """Block numbers of a window of pixels."""
        row = np.searchsorted(self.row_edges, np.arange(rows.start, rows.stop), side="right") - 1
        col = np.searchsorted(self.col_edges, np.arange(cols.start, cols.stop), side="right") - 1
        return (row[:, None] * (len(self.col_edges) - 1) + col[None, :] + 1).astype(np.int32)

    def around(self, row: int, col: int) -> tuple[slice, slice]:
        """The block that holds a pixel."""
        i = int(np.searchsorted(self.row_edges, row, side="right")) - 1
        j = int(np.searchsorted(self.col_edges, col, side="right")) - 1
        return slice(self.row_edges[i], self.row_edges[i + 1]), slice(
            self.col_edges[j], self.col_edges[j + 1]
        )


class PolygonUnits:
    """Polygons burnt onto the grid by their centres; polygons with the same group name are one unit."""

    def __init__(self, geobox: GeoBox, path: str, field: str | None) -> None:
        import shapely

        rows = [
            (name, shape) for file in vector_files(path) for name, shape in _features(file, geobox, field)
        ]
        if not rows:
            raise LabelError("the groups' file has no features", where=path)
        known = sorted({name for name, _ in rows})
        number = {name: i for i, name in enumerate(known, start=1)}
        self.count: int = len(known)
        self._numbers = np.array([number[name] for name, _ in rows], np.int32)
        self._shapes = np.array([shape for _, shape in rows], dtype=object)
        self._tree = shapely.STRtree(self._shapes)
        self._geobox = geobox

    def window(self, rows: slice, cols: slice) -> NDArray[np.int32]:
        """Group numbers of a window of pixels; where polygons overlap, the later one in the file wins."""
        import shapely
        from rasterio.features import rasterize

        part = self._geobox[rows, cols]
        found = np.sort(self._tree.query(shapely.box(*part.extent.boundingbox)))
        if not len(found):
            return np.zeros(part.shape, np.int32)
        burn = [(self._shapes[i], int(self._numbers[i])) for i in found]
        burnt: NDArray[np.int32] = rasterize(
            burn, out_shape=part.shape, transform=part.affine, fill=0, dtype="int32"
        )
        return burnt

    def around(self, row: int, col: int) -> tuple[slice, slice]:  # noqa: ARG002 - the whole raster, whatever the pixel
        """The whole raster: patches may see past a polygon, their labels may not."""
        height, width = self._geobox.shape
        return slice(0, height), slice(0, width)


def _features(file: Path, geobox: GeoBox, field: str | None) -> Iterator[tuple[str, Any]]:
    """Group name and shape, in the grid's CRS, of every feature of a file."""
    import pyogrio

    frame = pyogrio.read_dataframe(file)
    if frame.crs is None:
        raise LabelError("the groups' file has no CRS", where=file, hint="write one into the file")
    if field is not None and field not in frame.columns:
        listed = [str(name) for name in frame.columns if name != "geometry"]
        raise ConfigError(
            "no such field in the groups' file",
            where="split.group_field",
            got=field,
            allowed=listed,
            hint="name one of these, or leave it out: then each feature is a group",
        )
    names = frame[field].astype(str) if field else [f"{file.name} {row:09d}" for row in range(len(frame))]
    yield from zip(names, frame.to_crs(geobox.crs).geometry, strict=True)
