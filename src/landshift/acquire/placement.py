"""Where a block lies on a source raster: copied where grids coincide, warped where they do not.

Grids coincide where the reference system is the same and pixels fall on pixels: then nothing is resampled.
Everywhere else the coordinates of one block on one source grid serve all bands and dates of that grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from affine import Affine

from landshift.dateline import boxes, cut_at_180, folded, in_degrees
from landshift.errors import ConfigError
from landshift.kernel.resample import Floats, Method, ToSource, Warp, locate
from landshift.projection import projection

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from shapely.geometry.base import BaseGeometry

    from landshift.acquire.datasets import Header, Raster
    from landshift.acquire.tiles import TileReader
    from landshift.scene import Scene

__all__ = ["Placement", "placement_of", "surroundings", "touches", "window_of"]

COINCIDE: Final = 1e-3
"""Grids coincide where no pixel of the block lies further than this from a source pixel, in source pixels."""
MARGIN_DEG: Final = 0.1
"""Footprints in catalogues are this rough."""
ALIKE: Final = 1.02
"""Pixels that differ by less than this factor are as fine as each other."""
OUTLINE_PX: Final = 256
"""Pixels on the longer side of a grid that is only outlined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The source window that a block needs, and the way to its pixels."""

    level: int
    """0 is full resolution, 1 the first overview."""
    rows: slice
    """Source rows, at that level."""
    cols: slice
    """Source columns, at that level."""
    warp: Warp | None
    """Coordinates; None where pixels are copied."""
    at: tuple[slice, slice]
    """Target rows and columns that the window fills, where pixels are copied; else all."""


def placement_of(
    reader: TileReader, raster: Raster, geobox: GeoBox, method: Method, *, whole: GeoBox | None = None
) -> Placement | None:
    """Find what a block needs of a raster, from its header alone.

    Args:
        reader: Knows headers, and the coordinates of blocks met before.
        raster: The source.
        geobox: The block's grid.
        method: How pixels will be gathered. ``nearest`` never reads overviews, whose pixels are mixtures.
        whole: The grid that the block is cut from, which decides about the overview; None for the block's own.

    Returns:
        The placement, or None where the block lies beside the raster.

    Raises:
        ConfigError: The grid has no CRS.
        SceneError: The raster cannot be opened or has no CRS.
    """
    if geobox.crs is None:
        raise ConfigError("the place's grid has no CRS", hint='set one: `crs = "EPSG:3035"`')
    header = reader.header(raster)
    key = (header.key, _key(geobox), method, None if whole is None else _key(whole))

    def make() -> Placement | None:
        return _place(reader, raster, geobox, _level(reader, header, whole or geobox, method), method)

    placed: Placement | None = reader.placements.get(key, make)
    return placed


def _place(
    reader: TileReader, raster: Raster, geobox: GeoBox, level: int, method: Method
) -> Placement | None:
    header = reader.header(raster)
    offset = _coincidence(header, geobox)
    if offset is not None:
        return _copied(header, geobox, offset)
    if level:
        header = _at_level(header, reader.header(raster, level))
    warp = _warp(reader, header, geobox)
    window = warp.window(method)
    if window is None:
        return None
    whole = (slice(0, geobox.shape[0]), slice(0, geobox.shape[1]))
    return Placement(level=level, rows=window[0], cols=window[1], warp=warp, at=whole)


def window_of(reader: TileReader, raster: Raster, geobox: GeoBox, method: Method) -> Placement | None:
    """The source window of a grid of any size, a pixel or two generous: what :func:`placement_of` would find, cheaply.

    Args:
        reader: Knows headers.
        raster: The source.
        geobox: The grid, of a whole place if need be.
        method: How pixels will be gathered.

    Returns:
        The placement without coordinates, or None where the grid lies beside the raster.
    """
    header = reader.header(raster)
    offset = _coincidence(header, geobox)
    if offset is not None:
        return _copied(header, geobox, offset)
    level = _level(reader, header, geobox, method)
    if level:
        header = _at_level(header, reader.header(raster, level))
    warp = _warp(reader, header, geobox.zoom_out(_coarser(geobox)))
    window = warp.window("average")
    if window is None:
        return None
    return Placement(level=level, rows=window[0], cols=window[1], warp=None, at=(slice(0), slice(0)))


def _level(reader: TileReader, header: Header, whole: GeoBox, method: Method) -> int:
    """The coarsest overview that is as fine as a place's grid: one for all blocks, wherever the place is cut.

    The scale between two maps drifts: by some tenths of a percent within a scene from one UTM zone to the next, by
    some percent in EPSG:3857. What counts is its middle over the part of the place that lies on the source.
    """
    if method == "nearest" or not header.overviews or _coincidence(header, whole) is not None:
        return 0
    part = _part_on(header, whole)
    step = _warp(reader, header, part.zoom_out(_coarser(part))).step / _coarser(part)
    return max(
        (number for number, factor in enumerate(header.overviews, 1) if factor <= step * ALIKE), default=0
    )


def _part_on(header: Header, whole: GeoBox) -> GeoBox:
    """The part of a place that lies on a source; all of it where that cannot be told."""
    from odc.geo.geobox import GeoBox

    if whole.crs is None:
        return whole
    extent = GeoBox(header.shape, header.affine, header.crs).extent.to_crs(whole.crs)
    if not np.isfinite(extent.boundingbox.bbox).all():
        return whole
    left, bottom, right, top = extent.boundingbox.bbox
    corners = [
        ~whole.affine @ corner for corner in ((left, bottom), (left, top), (right, bottom), (right, top))
    ]
    parts = []
    for places, size in zip(zip(*corners, strict=True), whole.shape[::-1], strict=True):
        low, high = max(0, math.floor(min(places))), min(size, math.ceil(max(places)))
        if low >= high:
            return whole
        parts.append(slice(low, high))
    return whole[parts[1], parts[0]]


def _coarser(geobox: GeoBox) -> float:
    """How much coarser pixels are that outline a grid."""
    return max(1.0, max(geobox.shape) / OUTLINE_PX)


def _at_level(header: Header, overview: Header) -> Header:
    """An overview covers the very ground of the full raster."""
    (height, width), (rows, cols) = header.shape, overview.shape
    return replace(overview, affine=header.affine * Affine.scale(width / cols, height / rows))


def _coincidence(header: Header, geobox: GeoBox) -> tuple[int, int] | None:
    """Source row and column of the block's first pixel, where grids coincide."""
    if header.crs != geobox.crs:
        return None
    to_source = ~header.affine * geobox.affine
    height, width = geobox.shape
    row, col = round(to_source.f), round(to_source.c)
    for x, y in ((0, 0), (width, 0), (0, height), (width, height)):
        found_x, found_y = to_source @ (x, y)
        if max(abs(found_x - x - col), abs(found_y - y - row)) > COINCIDE:
            return None
    return row, col


def _copied(header: Header, geobox: GeoBox, offset: tuple[int, int]) -> Placement | None:
    parts = []
    for first, size, length in zip(offset, geobox.shape, header.shape, strict=True):
        low, high = max(first, 0), min(first + size, length)
        if low >= high:
            return None
        parts.append((slice(low, high), slice(low - first, high - first)))
    (rows, at_rows), (cols, at_cols) = parts
    return Placement(level=0, rows=rows, cols=cols, warp=None, at=(at_rows, at_cols))


def _warp(reader: TileReader, header: Header, geobox: GeoBox) -> Warp:
    """Coordinates of a block on a source grid, from memory where another band or date has needed them."""
    key = (header.key, _key(geobox))

    def make() -> Warp:
        to_source, first = _way(header, geobox)
        height, width = geobox.shape
        return locate(to_source, (height, width), source=header.shape, first=first)

    return reader.warps.get(key, make)


def _key(geobox: GeoBox) -> tuple[object, ...]:
    """What names a grid; quick to hash, unlike a CRS."""
    return (str(geobox.crs), tuple(geobox.affine[:6]), tuple(geobox.shape))


def _way(header: Header, geobox: GeoBox) -> tuple[ToSource, tuple[int, int]]:
    """The exact way from a lattice of target pixels, the same for all blocks of a grid, to source pixels.

    The lattice has the grid's spacing and a point within the first pixel from the origin of its CRS, so that it
    does not depend on where the grid was cut.
    """
    spacing = Affine(geobox.affine.a, geobox.affine.b, 0, geobox.affine.d, geobox.affine.e, 0)
    start_x, start_y = (round(value, 6) for value in ~spacing @ (geobox.affine.c, geobox.affine.f))
    first_x, first_y = int(np.floor(start_x)), int(np.floor(start_y))
    rest_x, rest_y = round(start_x - first_x, 6), round(start_y - first_y, 6)
    back = ~header.affine
    project = None
    if geobox.crs is not None and header.crs != geobox.crs:
        project = projection(geobox.crs, header.crs)
    around = header.affine.c if project is not None and header.crs.geographic else None

    def to_source(y: Floats, x: Floats) -> tuple[Floats, Floats]:
        right, down = spacing @ (x + rest_x, y + rest_y)
        with np.errstate(invalid="ignore"):  # inf, where a point has no place on the source's map
            if project is not None:
                right, down = project(right, down)
            if around is not None:
                right = around + np.mod(right - around, 360.0)
            cols, rows = back @ (right, down)
        return rows, cols

    return to_source, (first_y, first_x)


def surroundings(geobox: GeoBox) -> BaseGeometry | None:
    """The neighbourhood of a grid in degrees, some 10 km wide, cut at 180 degrees.

    Args:
        geobox: The grid.

    Returns:
        Boxes in EPSG:4326; None where the grid has no place on the globe.
    """
    from shapely.geometry import box

    if geobox.crs is None:
        return None
    outline = in_degrees(geobox.extent)
    if outline.is_empty:
        return None
    wide = []
    for left, bottom, right, top in boxes(outline):
        side = MARGIN_DEG / max(0.05, np.cos(np.deg2rad(max(abs(bottom), abs(top)))))
        wide.append(box(left - side, bottom - MARGIN_DEG, right + side, top + MARGIN_DEG))
    return folded(wide)


def touches(scene: Scene, around: BaseGeometry | None) -> bool:
    """Whether a scene may touch a grid, by its footprint: no file is opened for scenes that cannot.

    Args:
        scene: A scene; without a footprint it may.
        around: See :func:`surroundings`.
    """
    if scene.footprint is None or around is None:
        return True
    return bool(around.intersects(cut_at_180(scene.footprint)))
