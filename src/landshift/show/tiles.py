"""Map tiles as static files: XYZ pyramids in web mercator that any web host can hand out.

The finest level samples the map at tile pixels so small that no map pixel is lost; every coarser level is
made from the four tiles below it, classes by majority, so that a small town does not flicker away between
two zooms. The work goes subtree by subtree: memory does not grow with the map. Tiles without a value are not
written but listed, so that a page never asks for one that is not there.

Class tiles are palette images whose *indices are the classes*: a page may swap the palette to show one class
alone or every transition in its own colour, without any further file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from landshift.errors import GridError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from rasterio.vrt import WarpedVRT

__all__ = [
    "HALF_M",
    "TILE_PX",
    "Pyramid",
    "Span",
    "TileSet",
    "average",
    "build_pyramid",
    "majority",
    "mercator_bounds",
    "tile_bounds",
    "tile_span",
    "zoom_levels",
]

TILE_PX: Final = 256
HALF_M: Final = math.pi * 6378137.0
"""Half the side of the web mercator square, metres: it reaches from -HALF_M to HALF_M on both axes."""

_MAX_ZOOM: Final = 22
_SUBTREE: Final = 3
"""Levels that are read at once: 8 x 8 tiles."""

Values = NDArray[np.uint8]
Store = Callable[[int, int, int, bytes], None]


@dataclass(frozen=True, slots=True)
class Span:
    """A block of tiles: columns and rows of one zoom, ends exclusive."""

    zoom: int
    x: tuple[int, int]
    y: tuple[int, int]

    def parent(self, levels: int) -> Span:
        """The tiles of a coarser zoom that hold this block."""
        return Span(
            self.zoom - levels,
            (self.x[0] >> levels, ((self.x[1] - 1) >> levels) + 1),
            (self.y[0] >> levels, ((self.y[1] - 1) >> levels) + 1),
        )


@dataclass(frozen=True, kw_only=True)
class TileSet:
    """One layer of the site for one year: where its values come from and how they are drawn."""

    name: str
    """Its folder below ``tiles/``, such as ``cover/2018``."""
    sources: tuple[tuple[Path, int], ...]
    """Raster files and their bands (from 1)."""
    encode: Callable[[Values], bytes]
    """Draws one tile from (n, 256, 256) values, n the bands that ``combine`` gives."""
    combine: Callable[[Values], Values] | None = None
    """Makes (m, y, x) values of (n, y, x) sources; 0 in the first is empty. None keeps them."""
    coarsen: Callable[[Values], Values]
    """Halves the resolution of (m, y, x) values; see :func:`majority` and :func:`average`."""
    smooth: bool = False
    """Whether sources are numbers to be interpolated, not classes."""
    suffix: str = "png"
    """Ending of the files."""


@dataclass(kw_only=True)
class Pyramid:
    """What was written of a tile set."""

    min_zoom: int
    max_zoom: int
    tiles: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """(x, y) of every tile that is there, by zoom, in reading order."""

    def rows(self) -> dict[str, list[list[int]]]:
        """The same as runs [y, first x, last x], short enough to travel with a page.

        >>> Pyramid(min_zoom=0, max_zoom=1, tiles={1: [(0, 0), (1, 0), (1, 1)]}).rows()
        {'1': [[0, 0, 1], [1, 1, 1]]}
        """
        return {str(zoom): list(_runs(tiles)) for zoom, tiles in sorted(self.tiles.items())}


def tile_bounds(zoom: int, x: int, y: int) -> tuple[float, float, float, float]:
    """West, south, east and north of a tile, metres of EPSG:3857.

    >>> tile_bounds(0, 0, 0) == (-HALF_M, -HALF_M, HALF_M, HALF_M)
    True
    """
    side = 2 * HALF_M / 2**zoom
    return x * side - HALF_M, HALF_M - (y + 1) * side, (x + 1) * side - HALF_M, HALF_M - y * side


def tile_span(bounds: tuple[float, float, float, float], zoom: int) -> Span:
    """The tiles that touch a box of EPSG:3857 metres."""
    west, south, east, north = bounds
    side, last = 2 * HALF_M / 2**zoom, (1 << zoom) - 1

    def index(value: float, *, up: bool) -> int:
        whole = math.ceil(value) - 1 if up else math.floor(value)
        return min(max(whole, 0), last)

    first_x, last_x = index((west + HALF_M) / side, up=False), index((east + HALF_M) / side, up=True)
    first_y, last_y = index((HALF_M - north) / side, up=False), index((HALF_M - south) / side, up=True)
    return Span(zoom, (first_x, max(last_x, first_x) + 1), (first_y, max(last_y, first_y) + 1))


def mercator_bounds(geobox: GeoBox) -> tuple[float, float, float, float]:
    """Bounds of a grid in EPSG:3857, its curved edges included.

    Raises:
        GridError: The grid has no CRS or lies where web mercator does not reach.
    """
    from pyproj import Transformer

    if geobox.crs is None:
        raise GridError("a map has no CRS and cannot be laid on a web map", hint="write the map with its CRS")
    box = geobox.boundingbox
    to_web = Transformer.from_crs(geobox.crs.proj, 3857, always_xy=True)
    found = to_web.transform_bounds(box.left, box.bottom, box.right, box.top, densify_pts=41)
    if not all(map(math.isfinite, found)) or min(found[3], HALF_M) <= max(found[1], -HALF_M):
        raise GridError("the map lies where web mercator does not reach", got=box, allowed="85°S to 85°N")
    west, south, east, north = (min(max(float(value), -HALF_M), HALF_M) for value in found)
    return west, south, east, north


def zoom_levels(geobox: GeoBox, *, finest: int = _MAX_ZOOM) -> tuple[int, int]:
    """The coarsest and the finest zoom that a grid needs.

    At the finest, tile pixels are so small that each map pixel has the centre of one inside, whatever the
    angle between the two grids: a square of side p holds a point of every lattice of spacing s if
    s (|cos a| + |sin a|) <= p. At the coarsest, the whole grid is a spot of some 32 pixels.

    Args:
        geobox: The grid.
        finest: The finest zoom to go to.

    Raises:
        GridError: The grid does not fit web mercator.
    """
    bounds = mercator_bounds(geobox)
    longest = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    whole: int = math.floor(math.log2(2 * HALF_M / longest)) if longest > 0 else _MAX_ZOOM
    wanted: int = math.ceil(math.log2(2 * HALF_M / (TILE_PX * _widest_step(geobox))) - 1e-9)
    deepest = min(max(wanted, 0), finest, _MAX_ZOOM)
    return int(min(max(whole - 3, 0), deepest)), int(deepest)


def _widest_step(geobox: GeoBox) -> float:
    """The widest spacing of tile pixels that still hits every pixel of a grid, metres of EPSG:3857."""
    from pyproj import Transformer

    rows, cols = geobox.shape
    to_web = Transformer.from_crs(geobox.crs.proj, 3857, always_xy=True) if geobox.crs else None
    steps = []
    for row in (0, rows / 2, rows - 1):
        for col in (0, cols / 2, cols - 1):
            corners = [geobox.affine @ at for at in ((col, row), (col + 1, row), (col, row + 1))]
            at, right, below = (to_web.transform(*corner) if to_web else corner for corner in corners)
            across = np.subtract(right, at)
            down = np.subtract(below, at)
            side = min(float(np.hypot(*across)), float(np.hypot(*down)))
            angle = math.atan2(across[1], across[0])
            if math.isfinite(side) and side > 0:
                steps.append(side / (abs(math.cos(angle)) + abs(math.sin(angle))))
    return min(steps, default=1.0)


def build_pyramid(tiles: TileSet, *, span: Span, min_zoom: int, store: Store) -> Pyramid:
    """Write all tiles of a tile set, subtree by subtree.

    Args:
        tiles: What to draw.
        span: The tiles of the finest zoom.
        min_zoom: The coarsest zoom.
        store: Takes zoom, x, y and the bytes of each tile that is not empty; fine ones come first.

    Returns:
        What was written.
    """
    import contextlib

    made = Pyramid(min_zoom=min_zoom, max_zoom=span.zoom)
    with contextlib.ExitStack() as stack:
        opened = [
            (stack.enter_context(_warped(path, span, tiles.smooth)), band) for path, band in tiles.sources
        ]
        work = _Work(tiles=tiles, span=span, opened=opened, store=store, made=made)
        top = span.parent(span.zoom - min_zoom)
        for y in range(*top.y):
            for x in range(*top.x):
                work.subtree(min_zoom, x, y)
    for found in made.tiles.values():
        found.sort(key=lambda tile: (tile[1], tile[0]))
    return made


@dataclass(kw_only=True)
class _Work:
    """One walk through a pyramid."""

    tiles: TileSet
    span: Span
    opened: list[tuple[WarpedVRT, int]]
    store: Store
    made: Pyramid

    def subtree(self, zoom: int, x: int, y: int) -> Values | None:
        """Write a tile and all below it; give its values, or None where all is empty."""
        left = self.span.zoom - zoom
        here = self.span.parent(left)
        if not (here.x[0] <= x < here.x[1] and here.y[0] <= y < here.y[1]):
            return None
        if left <= _SUBTREE:
            return self._read(zoom, x, y)
        quarters = [[self.subtree(zoom + 1, 2 * x + i, 2 * y + j) for i in (0, 1)] for j in (0, 1)]
        whole = _joined(quarters)
        return None if whole is None else self._finish(zoom, x, y, self.tiles.coarsen(whole))

    def _read(self, zoom: int, x: int, y: int) -> Values | None:
        """Read what lies under a tile at the finest zoom, and write it level by level."""
        levels = self.span.zoom - zoom
        values = self._window(x << levels, y << levels, 1 << levels)
        if not values[0].any():
            return None
        for level in range(self.span.zoom, zoom - 1, -1):
            side = 1 << (level - zoom)
            for below in range(side):
                for right in range(side):
                    cut = values[:, below * TILE_PX :, right * TILE_PX :][:, :TILE_PX, :TILE_PX]
                    self._finish(level, x * side + right, y * side + below, cut)
            if level > zoom:
                values = self.tiles.coarsen(values)
        return values

    def _window(self, x: int, y: int, count: int) -> Values:
        """Values of ``count`` x ``count`` tiles of the finest zoom, 0 outside of the span."""
        from rasterio.windows import Window

        side = count * TILE_PX
        first_x, last_x = max(x, self.span.x[0]), min(x + count, self.span.x[1])
        first_y, last_y = max(y, self.span.y[0]), min(y + count, self.span.y[1])
        window = Window(
            (first_x - self.span.x[0]) * TILE_PX,
            (first_y - self.span.y[0]) * TILE_PX,
            (last_x - first_x) * TILE_PX,
            (last_y - first_y) * TILE_PX,
        )
        read = np.stack([source.read(band, window=window) for source, band in self.opened])
        found = read if self.tiles.combine is None else self.tiles.combine(read)
        if found.shape[1:] == (side, side):
            return found
        values = np.zeros((len(found), side, side), np.uint8)
        top, left = (first_y - y) * TILE_PX, (first_x - x) * TILE_PX
        values[:, top : top + found.shape[1], left : left + found.shape[2]] = found
        return values

    def _finish(self, zoom: int, x: int, y: int, values: Values) -> Values | None:
        if not values[0].any():
            return None
        self.store(zoom, x, y, self.tiles.encode(values))
        self.made.tiles.setdefault(zoom, []).append((x, y))
        return values


def _warped(path: Path, span: Span, smooth: bool) -> Any:  # noqa: FBT001 - private, named at its one caller
    """A raster as GDAL's warper shows it on the pixels of the finest zoom."""
    import contextlib

    import rasterio
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    @contextlib.contextmanager
    def opened() -> Iterator[WarpedVRT]:
        west, _, _, north = tile_bounds(span.zoom, span.x[0], span.y[0])
        step = 2 * HALF_M / 2**span.zoom / TILE_PX
        with (
            rasterio.open(path) as source,
            WarpedVRT(
                source,
                crs="EPSG:3857",
                transform=rasterio.Affine(step, 0, west, 0, -step, north),
                width=(span.x[1] - span.x[0]) * TILE_PX,
                height=(span.y[1] - span.y[0]) * TILE_PX,
                resampling=Resampling.bilinear if smooth else Resampling.nearest,
                src_nodata=0,
                nodata=0,
                tolerance=0.01,
            ) as warped,
        ):
            yield warped

    return opened()


def _joined(parts: Sequence[Sequence[Values | None]]) -> Values | None:
    """Four tiles as one, with zeros where there is none."""
    there = [part for row in parts for part in row if part is not None]
    if not there:
        return None
    empty = np.zeros_like(there[0])
    return np.block([[empty if part is None else part for part in row] for row in parts])


def majority(values: Values, prefer: Values | None = None) -> Values:
    """The most frequent of each four values; where two are as frequent, the preferred, then the upper left.

    Args:
        values: Classes (m, y, x), 0 = empty: it has no vote.
        prefer: (256,) 1 for classes that win a tie, such as change against what stayed.

    >>> majority(np.array([[[1, 2], [2, 0]]], np.uint8))
    array([[[2]]], dtype=uint8)
    """
    found: Values = _majority(values, np.zeros(256, np.uint8) if prefer is None else prefer)
    return found


@numba.njit(cache=True, nogil=True, fastmath=False)
def _majority(values: Values, prefer: Values) -> Values:
    bands, height, width = values.shape
    out = np.zeros((bands, height // 2, width // 2), np.uint8)
    for band in range(bands):
        for row in range(height // 2):
            for col in range(width // 2):
                best = -1
                for at in range(4):
                    one = values[band, 2 * row + at // 2, 2 * col + at % 2]
                    if one == 0:
                        continue
                    votes = int(prefer[one])
                    for other in range(4):
                        if values[band, 2 * row + other // 2, 2 * col + other % 2] == one:
                            votes += 2
                    if votes > best:
                        best = votes
                        out[band, row, col] = one
    return out


def average(values: Values) -> Values:
    """The mean of each four numbers, leaving out pixels that are empty (0 in the first band).

    >>> average(np.array([[[10, 0], [21, 0]]], np.uint8))
    array([[[16]]], dtype=uint8)
    """
    there = (values[:1] > 0).astype(np.uint16)
    total = _four(values * there)
    count = np.maximum(_four(there), 1)
    mean: Values = ((total + count // 2) // count).astype(np.uint8)
    return mean


def _four(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    upper, lower = values[:, 0::2], values[:, 1::2]
    total: NDArray[np.uint16] = upper[..., 0::2] + upper[..., 1::2] + lower[..., 0::2] + lower[..., 1::2]
    return total


def _runs(tiles: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Runs [y, first x, last x] of tiles in reading order."""
    run: list[int] = []
    for x, y in tiles:
        if run and run[0] == y and run[2] == x - 1:
            run[2] = x
            continue
        if run:
            yield run
        run = [y, x, x]
    if run:
        yield run
