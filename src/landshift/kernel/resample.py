"""Take the pixels of one grid from another: where they lie there, and how they are gathered.

The way from target to source pixels is the same for every band and date on one source grid, so it is computed
once, as a :class:`Warp`, and used many times. The exact transform is evaluated at the corners of cells of
32 x 32 target pixels and interpolated bilinearly between; a cell whose centre would come out more than
:data:`TOLERANCE` source pixels wrong is computed exactly, pixel by pixel. Cells lie on a lattice that does not
depend on where a block is cut, so a block read in pieces has the very bytes of one read whole.

Coordinates are kept as 32-bit integers in units of 2^-14 source pixel (rounding error 3e-5 px): half the memory
traffic of floats, and exact alignments stay exact. All kernels release the GIL: run blocks, bands and dates in
threads above them.

Conventions: pixel ``i`` covers ``[i, i + 1)``, its centre is ``i + 0.5``, as in GDAL's affine transforms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from landshift.kernel import gather as kernels

__all__ = [
    "TOLERANCE",
    "Method",
    "Patch",
    "Stored",
    "Warp",
    "copy",
    "copy_codes",
    "gather",
    "gather_codes",
    "locate",
]

Method = Literal["nearest", "bilinear", "cubic", "average"]
"""How pixels are gathered."""

CELL: Final = kernels.CELL
"""Side of a cell in target pixels."""
TOLERANCE: Final = 1e-3
"""Largest error of an interpolated coordinate at a cell's centre, in source pixels."""
ONE: Final = kernels.ONE
"""Fixed-point units in a source pixel."""
FARTHEST: Final = (2**31 - 1) // ONE - 64
"""Source pixels that one warp can span."""

Floats: TypeAlias = NDArray[np.float64]
ToSource: TypeAlias = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""From target pixel coordinates (rows, cols) to source pixel coordinates (rows, cols); inf where undefined."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Warp:
    """Where every target pixel's centre lies on a source grid."""

    rows: NDArray[np.int32]
    """(y, x) source row less ``origin[0]`` and less one half, in 2^-14 px: 0 is the centre of that row."""
    cols: NDArray[np.int32]
    """(y, x) the same for columns."""
    origin: tuple[int, int]
    """Source row and column that count as 0."""
    steps: NDArray[np.float32]
    """(cell_y, cell_x, 2) source pixels that one target pixel spans, down and across."""
    phase: tuple[int, int]
    """Row and column of the first pixel inside its cell."""
    source: tuple[int, int]
    """Rows and columns of the source raster."""
    finest: float
    """Source pixels per target pixel, in the cell where it spans the fewest."""
    coarsest: float
    """Source pixels per target pixel, in the cell where it spans the most."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the target."""
        return (self.rows.shape[0], self.rows.shape[1])

    @property
    def step(self) -> float:
        """Source pixels per target pixel, the smaller of both directions; 1 where nothing is defined."""
        return float(np.median(self.steps.min(axis=-1)))

    def window(self, method: Method) -> tuple[slice, slice] | None:
        """Rows and columns of the source that gathering needs; None where the target lies beside the source."""
        step = self.coarsest
        border = {"nearest": 0, "bilinear": 0, "cubic": 1, "average": math.ceil(step / 2)}[method]
        if step > kernels.WIDE and method in {"bilinear", "cubic"}:
            border = math.ceil(step * (border + 1))
        outside = border if method == "average" else 0
        limits = _limits(self) + np.array([-outside, outside, -outside, outside]) * ONE
        top, bottom, left, right = kernels.bound(self.rows, self.cols, limits)
        if top > bottom:
            return None
        ends = zip(((top, bottom), (left, right)), self.origin, self.source, strict=True)
        found = [
            (max(0, low + at - border), min(size, high + at + border + 1)) for (low, high), at, size in ends
        ]
        return slice(*found[0]), slice(*found[1])

    def shifted(self, rows: float | Floats, cols: float | Floats) -> Warp:
        """Add a shift to the coordinates: pixels are then taken from ``rows``, ``cols`` further down and right.

        Args:
            rows: Source pixels, a number or a smooth field (y, x).
            cols: Source pixels, a number or a smooth field (y, x).

        >>> warp = locate(lambda y, x: (y, x), (4, 4), source=(100, 100))
        >>> patch = Patch(pixels=np.arange(10_000.0).reshape(100, 100), origin=(0, 0))
        >>> gather(patch, warp.shifted(2, 0.5), method="bilinear")[0, :2]
        array([200.5, 201.5], dtype=float32)
        """
        down, across = (np.broadcast_to(np.asarray(part, np.float64), self.shape) for part in (rows, cols))
        return replace(self, rows=kernels.shift(self.rows, down), cols=kernels.shift(self.cols, across))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """A window of a source raster, decoded."""

    pixels: NDArray[Any]
    """(y, x) stored numbers."""
    origin: tuple[int, int]
    """Source row and column of the first pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What stored numbers mean."""

    nodata: float | None = None
    """Stored number that means no data; NaN always does."""
    scale: float = 1.0
    """Value = stored number x scale + offset."""
    offset: float = 0.0
    """See ``scale``."""


def locate(
    to_source: ToSource, shape: tuple[int, int], *, source: tuple[int, int], first: tuple[int, int] = (0, 0)
) -> Warp:
    """Find where the pixels of a target grid lie on a source grid.

    Args:
        to_source: From target pixel coordinates to source pixel coordinates, pixel edges at whole numbers.
        shape: Rows and columns of the target.
        source: Rows and columns of the source raster; pixels outside it are of no interest.
        first: Row and column of the target's first pixel on the lattice that all blocks share.

    Returns:
        The warp; pixels whose centre has no place on the source, or lies outside it, are marked so.

    Raises:
        ValueError: The target spans more source pixels than 2^-14 px steps in 32 bits can count.

    >>> warp = locate(lambda y, x: (y / 2, x / 2 + 7), (2, 4), source=(50, 50))
    >>> warp.window("nearest"), warp.step
    ((slice(0, 2, None), slice(6, 10, None)), 0.5)
    """
    edges = [_lattice(start, size) for start, size in zip(first, shape, strict=True)]
    node_y, node_x = np.meshgrid(edges[0], edges[1], indexing="ij")
    nodes = to_source(node_y, node_x)
    middle_y, middle_x = np.meshgrid(edges[0][:-1] + CELL / 2, edges[1][:-1] + CELL / 2, indexing="ij")
    centres = to_source(middle_y, middle_x)
    steps = _steps(to_source, middle_y, middle_x, centres)
    origin = _origin((*nodes, *centres), source)
    phase = (int(first[0] - edges[0][0]), int(first[1] - edges[1][0]))
    rows, cols = kernels.spread(nodes[0], nodes[1], shape, phase, origin)
    exact = _inexact(nodes, centres).repeat(CELL, axis=0).repeat(CELL, axis=1)
    exact = exact[phase[0] : phase[0] + shape[0], phase[1] : phase[1] + shape[1]]
    if exact.any():
        y, x = np.nonzero(exact)
        found = to_source(y.astype(np.float64) + (first[0] + 0.5), x.astype(np.float64) + (first[1] + 0.5))
        rows[exact], cols[exact] = kernels.place(found[0], origin[0]), kernels.place(found[1], origin[1])
    larger = steps.max(axis=-1)
    return Warp(
        rows=rows,
        cols=cols,
        origin=origin,
        steps=steps,
        phase=phase,
        source=source,
        finest=float(larger.min()),
        coarsest=float(larger.max()),
    )


def gather(
    patch: Patch,
    warp: Warp,
    *,
    method: Method = "bilinear",
    stored: Stored = Stored(),
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Resample a window of a source raster and turn stored numbers into values, in one pass.

    Missing pixels are left out and the other weights renormalised. Bilinear and cubic kernels are widened to the
    target pixel where that is more than 1.05 source pixels large, as GDAL does, so that nothing aliases.

    Args:
        patch: The window; it must hold :meth:`Warp.window` of the warp.
        warp: Where the target's pixels lie.
        method: ``nearest``, ``bilinear``, ``cubic`` or ``average`` (mean over the target pixel's area).
        stored: What stored numbers mean.
        out: Array to write to, (y, x).

    Returns:
        float32 (y, x), NaN where there is no data.

    >>> warp = locate(lambda y, x: (2 * y, 2 * x), (1, 2), source=(2, 4))
    >>> pixels = np.array([[1, 3, 10, 0], [1, 3, 10, 10]], np.uint16)
    >>> gather(Patch(pixels=pixels, origin=(0, 0)), warp, method="average", stored=Stored(nodata=0))
    array([[ 2., 10.]], dtype=float32)
    """
    target = np.empty(warp.shape, np.float32) if out is None else out
    code = _code(stored)
    frame = _frame(patch, warp, cubic=method == "cubic")
    data = patch.pixels
    if method == "nearest":
        kernels.nearest(data, warp.rows, warp.cols, frame, code, target)
    elif method == "average":
        kernels.average(data, warp.rows, warp.cols, frame, code, warp.steps, target)
    else:
        _interpolate(data, warp, frame, code, target)
    return target


def gather_codes(patch: Patch, warp: Warp, *, table: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Look up the code of the nearest pixel, for classes and flags.

    Args:
        patch: The window, unsigned codes.
        warp: Where the target's pixels lie.
        table: What every code means.
        out: (y, x), written where the source has a pixel.
    """
    kernels.pick(patch.pixels, warp.rows, warp.cols, _frame(patch, warp), table, out)


def copy_codes(pixels: NDArray[Any], *, table: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Look up the codes of a grid that coincides with the target.

    >>> seen = np.zeros((1, 2), np.uint8)
    >>> copy_codes(np.array([[3, 0]], np.uint8), table=np.array([9, 8, 7, 6], np.uint8), out=seen)
    >>> seen
    array([[6, 9]], dtype=uint8)
    """
    kernels.look_up(pixels, table, out)


def copy(
    pixels: NDArray[Any],
    *,
    stored: Stored = Stored(),
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Turn stored numbers of a grid that coincides with the target into values; nothing is resampled.

    >>> copy(np.array([[0, 5000]], np.uint16), stored=Stored(nodata=0, scale=1e-4))
    array([[nan, 0.5]], dtype=float32)
    """
    target = np.empty(pixels.shape, np.float32) if out is None else out
    kernels.scaled(pixels, _code(stored), target)
    return target


def _lattice(first: int, size: int) -> Floats:
    """Corners of the cells that cover pixels ``first`` to ``first + size``."""
    start, stop = first // CELL, -((-first - size) // CELL)
    return np.arange(start, stop + 1, dtype=np.float64) * CELL


def _steps(to_source: ToSource, y: Floats, x: Floats, centre: tuple[Floats, Floats]) -> NDArray[np.float32]:
    """Source pixels per target pixel in every cell; 1 where that is undefined.

    A turned target pixel counts as the upright box of the same spread: its extent along a source axis is the
    root of the summed squares of its sides' extents.
    """
    ends = [to_source(y + dy, x + dx) for dy, dx in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))]
    with np.errstate(invalid="ignore"):  # the smaller half counts: the other may jump across a date line
        halves = [[np.abs(end[k] - centre[k]) for end in ends] for k in (0, 1)]
        steps = [2 * np.hypot(np.minimum(n, s), np.minimum(w, e)) for n, s, w, e in halves]
    joined = np.stack(steps, axis=-1)
    return np.where(np.isfinite(joined), joined, 1.0).astype(np.float32)


def _inexact(nodes: tuple[Floats, Floats], centres: tuple[Floats, Floats]) -> NDArray[np.bool_]:
    """Cells in which interpolation would be off by more than the tolerance, or is undefined."""
    bad = np.zeros(centres[0].shape, np.bool_)
    with np.errstate(invalid="ignore"):
        for node, centre in zip(nodes, centres, strict=True):
            mean = (node[:-1, :-1] + node[1:, :-1] + node[:-1, 1:] + node[1:, 1:]) / 4
            bad |= ~(np.abs(mean - centre) <= TOLERANCE)
    return bad


def _origin(found: tuple[Floats, ...], source: tuple[int, int]) -> tuple[int, int]:
    """The first source row and column in reach; refuses what fixed point cannot count."""
    origin = []
    for k in (0, 1):
        known = np.concatenate([part[np.isfinite(part)] for part in found[k::2]])
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        low, high = (float(np.clip(np.floor(end), 0, source[k])) for end in (low, high))
        if high - low > FARTHEST:
            raise ValueError(
                f"a block may span {FARTHEST} source pixels, not {high - low:.0f}: cut it smaller"
            )
        origin.append(int(low))
    return origin[0], origin[1]


def _interpolate(
    data: NDArray[Any], warp: Warp, frame: NDArray[np.int64], code: Floats, out: NDArray[np.float32]
) -> None:
    """Bilinear or cubic, widened in the cells that need it."""
    if warp.finest <= kernels.WIDE:
        kernel = kernels.cubic if frame[-1] else kernels.bilinear
        kernel(data, warp.rows, warp.cols, frame, code, out)
    if warp.coarsest > kernels.WIDE:
        kernels.wide(data, warp.rows, warp.cols, frame, code, warp.steps, out)


def _code(stored: Stored) -> Floats:
    nodata = np.nan if stored.nodata is None else stored.nodata
    return np.array([nodata, stored.scale, stored.offset], np.float64)


def _limits(warp: Warp) -> NDArray[np.int64]:
    """Lowest and one past the highest coordinate inside the source raster, rows then columns."""
    pairs = [(-at * ONE, (size - at) * ONE) for at, size in zip(warp.origin, warp.source, strict=True)]
    return np.array([end - kernels.HALF for pair in pairs for end in pair], np.int64)


def _frame(patch: Patch, warp: Warp, *, cubic: bool = False) -> NDArray[np.int64]:
    offset = [start - at for start, at in zip(patch.origin, warp.origin, strict=True)]
    return np.array([*offset, *_limits(warp), *warp.phase, int(cubic)], np.int64)
