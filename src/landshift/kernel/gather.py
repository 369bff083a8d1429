"""The inner loops of resampling: gather source pixels at fixed-point coordinates.

Every loop takes the source window, the target's coordinates (int32, units of 2^-14 px, 0 at the centre of the
origin's pixel), a frame and a code. The frame holds, in int64: the window's first row and column relative to the
coordinates' origin; the lowest and one past the highest valid coordinate, rows then columns; the row and
column of the first pixel inside its cell. The code holds nodata (NaN: none), scale and offset, in float64.
As in GDAL's warper, missing source pixels are left out and the remaining weights renormalised, and a target
pixel whose centre falls on a missing source pixel is missing: data do not grow (``average`` takes whatever its
area holds).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BITS", "CELL", "HALF", "ONE", "OUTSIDE", "WIDE"]

BITS: Final = 14
ONE: Final = 1 << BITS
HALF: Final = ONE >> 1
MASK: Final = ONE - 1
INVERSE: Final = 1.0 / ONE
CELL: Final = 32
OUTSIDE: Final = -(2**31)
TINY: Final = 1e-6
WIDE: Final = 1.05
"""From this many source pixels per target pixel on, bilinear and cubic kernels are widened against aliasing."""

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def spread(nodes_y: Array, nodes_x: Array, shape: Any, phase: Any, origin: Any) -> Any:
    """Interpolate coordinates at cell corners to all pixel centres.

    Args:
        nodes_y: float64 (cell_y + 1, cell_x + 1) source rows at the corners of cells.
        nodes_x: float64 the same for columns.
        shape: Rows and columns of the target.
        phase: Row and column of the first pixel inside its cell.
        origin: Source row and column that count as 0.

    Returns:
        Two int32 arrays (y, x): rows and columns.
    """
    rows = np.empty(shape, np.int32)
    cols = np.empty(shape, np.int32)
    for i in range(shape[0]):
        cell_y, in_y = divmod(i + phase[0], CELL)
        v = (in_y + 0.5) / CELL
        for j in range(shape[1]):
            cell_x, in_x = divmod(j + phase[1], CELL)
            u = (in_x + 0.5) / CELL
            rows[i, j] = _fixed(_blend(nodes_y, cell_y, cell_x, v, u), origin[0])
            cols[i, j] = _fixed(_blend(nodes_x, cell_y, cell_x, v, u), origin[1])
    return rows, cols


@njit(cache=True, nogil=True)
def place(found: Array, origin: int) -> Array:
    """Turn exact source coordinates (float64, any length) into fixed point."""
    fixed = np.empty(found.size, np.int32)
    for i in range(found.size):
        fixed[i] = _fixed(found[i], origin)
    return fixed


@njit(cache=True, nogil=True)
def bound(rows: Array, cols: Array, limits: Array) -> Any:
    """First and last row, first and last column of the coordinates inside ``limits`` (fixed point).

    Returns:
        Four integers, whole pixels relative to the origin; the first exceeds the second where there is none.
    """
    top, bottom, left, right = 2**31, OUTSIDE, 2**31, OUTSIDE
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            r, c = rows[i, j], cols[i, j]
            if limits[0] <= r < limits[1] and limits[2] <= c < limits[3]:
                top, bottom = min(top, r), max(bottom, r)
                left, right = min(left, c), max(right, c)
    return top >> BITS, (bottom >> BITS) + 1, left >> BITS, (right >> BITS) + 1


@njit(cache=True, nogil=True)
def shift(fixed: Array, by: Array) -> Array:
    """Add a shift in source pixels (float64, same shape) to fixed-point coordinates."""
    out = np.empty(fixed.shape, np.int32)
    for i in range(fixed.shape[0]):
        for j in range(fixed.shape[1]):
            moved = fixed[i, j] + np.floor(by[i, j] * ONE + 0.5)
            known = fixed[i, j] != OUTSIDE and OUTSIDE < moved < 2**31
            out[i, j] = np.int32(moved) if known else np.int32(OUTSIDE)
    return out


@njit(cache=True, nogil=True)
def scaled(source: Array, code: Array, out: Array) -> None:
    """Copy pixels that need no resampling; missing ones become NaN."""
    nodata, scale, offset = code[0], code[1], code[2]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            value = source[i, j]
            missing = value == nodata or value != value  # noqa: PLR0124 - NaN differs from itself
            out[i, j] = np.nan if missing else value * scale + offset


@njit(cache=True, nogil=True)
def pick(source: Array, rows: Array, cols: Array, frame: Array, table: Array, out: Array) -> None:
    """Look up the nearest pixel's code; pixels outside the source keep what ``out`` holds."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            rv, cv = rows[i, j], cols[i, j]
            if frame[2] <= rv < frame[3] and frame[4] <= cv < frame[5]:
                code = source[((rv + HALF) >> BITS) - frame[0], ((cv + HALF) >> BITS) - frame[1]]
                out[i, j] = table[code]


@njit(cache=True, nogil=True)
def look_up(source: Array, table: Array, out: Array) -> None:
    """Look up the code of every pixel."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = table[source[i, j]]


@njit(cache=True, nogil=True)
def nearest(source: Array, rows: Array, cols: Array, frame: Array, code: Array, out: Array) -> None:
    """Gather the nearest pixel."""
    nodata, scale, offset = code[0], code[1], code[2]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            rv, cv = rows[i, j], cols[i, j]
            out[i, j] = np.nan
            if frame[2] <= rv < frame[3] and frame[4] <= cv < frame[5]:
                value = source[((rv + HALF) >> BITS) - frame[0], ((cv + HALF) >> BITS) - frame[1]]
                if value != nodata:
                    out[i, j] = value * scale + offset


@njit(cache=True, nogil=True)
def _mend(
    source: Array, rows: Array, cols: Array, frame: Array, code: Array, left: Array, out: Array
) -> None:
    """Interpolate bilinearly between those of the four pixels that are there, in the columns ``left`` lists."""
    nodata, scale, offset = code[0], code[1], code[2]
    height, width = source.shape
    for i in range(out.shape[0]):
        for j in range(left[i, 0], left[i, 1]):
            rv, cv = rows[i, j], cols[i, j]
            inside = frame[2] <= rv < frame[3] and frame[4] <= cv < frame[5]
            if out[i, j] == out[i, j] or not inside:
                continue
            centre = source[((rv + HALF) >> BITS) - frame[0], ((cv + HALF) >> BITS) - frame[1]]
            if centre == nodata or centre != centre:  # noqa: PLR0124 - NaN differs from itself
                continue
            r, c = (rv >> BITS) - frame[0], (cv >> BITS) - frame[1]
            u, v = (cv & MASK) * INVERSE, (rv & MASK) * INVERSE
            total, weight = 0.0, 0.0
            for y in range(max(r, 0), min(r + 2, height)):
                for x in range(max(c, 0), min(c + 2, width)):
                    value = np.float64(source[y, x])
                    if value != nodata and value == value:  # noqa: PLR0124 - NaN differs from itself
                        part = (v if y > r else 1.0 - v) * (u if x > c else 1.0 - u)
                        total += part * value
                        weight += part
            out[i, j] = total / weight * scale + offset


@njit(cache=True, nogil=True)
def bilinear(source: Array, rows: Array, cols: Array, frame: Array, code: Array, out: Array) -> None:
    """Interpolate between those of the four pixels around that are there."""
    left = np.empty((out.shape[0], 2), np.int64)
    dy, dx = frame[0], frame[1]
    nodata, scale, offset = code[0], code[1], code[2]
    height, width = np.uint32(source.shape[0] - 1), np.uint32(source.shape[1] - 1)
    one = np.uint64(1)
    for i in range(out.shape[0]):
        first, past = out.shape[1], 0
        for j in range(out.shape[1]):
            rv, cv = rows[i, j], cols[i, j]
            row, col = np.uint32((rv >> BITS) - dy), np.uint32((cv >> BITS) - dx)
            if row < height and col < width:  # negative ones have wrapped around
                r, c = np.uint64(row), np.uint64(col)
                a, b = np.float64(source[r, c]), np.float64(source[r, c + one])
                d, e = np.float64(source[r + one, c]), np.float64(source[r + one, c + one])
                u, v = (cv & MASK) * INVERSE, (rv & MASK) * INVERSE
                upper, lower = a + (b - a) * u, d + (e - d) * u
                value = upper + (lower - upper) * v
                if nodata not in (a, b, d, e) and value == value:  # noqa: PLR0124 - NaN differs from itself
                    out[i, j] = value * scale + offset
                    continue
            out[i, j] = np.nan
            if frame[2] <= rv < frame[3] and frame[4] <= cv < frame[5]:
                first, past = min(first, j), j + 1
        left[i, 0], left[i, 1] = first, past
    _mend(source, rows, cols, frame, code, left, out)


@njit(cache=True, nogil=True)
def cubic(source: Array, rows: Array, cols: Array, frame: Array, code: Array, out: Array) -> None:
    """Interpolate between sixteen pixels (Keys 1981, a = -1/2); around missing ones and at the edge bilinearly."""
    left = np.empty((out.shape[0], 2), np.int64)
    dy, dx = frame[0], frame[1]
    nodata, scale, offset = code[0], code[1], code[2]
    height, width = source.shape
    for i in range(out.shape[0]):
        first, past = out.shape[1], 0
        for j in range(out.shape[1]):
            rv, cv = rows[i, j], cols[i, j]
            r, c = (rv >> BITS) - dy, (cv >> BITS) - dx
            if 1 <= r < height - 2 and 1 <= c < width - 2:
                wx, wy = _keys((cv & MASK) * INVERSE), _keys((rv & MASK) * INVERSE)
                total, complete = 0.0, True
                for k in range(4):
                    line = 0.0
                    for m in range(4):
                        value = np.float64(source[r - 1 + k, c - 1 + m])
                        complete &= value != nodata
                        line += wx[m] * value
                    total += wy[k] * line
                if complete and total == total:  # noqa: PLR0124 - NaN differs from itself
                    out[i, j] = total * scale + offset
                    continue
            out[i, j] = np.nan
            if frame[2] <= rv < frame[3] and frame[4] <= cv < frame[5]:
                first, past = min(first, j), j + 1
        left[i, 0], left[i, 1] = first, past
    _mend(source, rows, cols, frame, code, left, out)


@njit(cache=True, nogil=True)
def wide(
    source: Array, rows: Array, cols: Array, frame: Array, code: Array, steps: Array, out: Array
) -> None:
    """Interpolate with a kernel as wide as the target pixel, in cells where that is larger than a source pixel.

    ``frame[8]`` tells the kernel: 0 triangle (bilinear), 1 Keys' (cubic).
    """
    nodata, scale, offset = code[0], code[1], code[2]
    reach = 2.0 if frame[8] else 1.0
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            step = steps[(i + frame[6]) // CELL, (j + frame[7]) // CELL]
            if max(step[0], step[1]) <= WIDE:
                continue
            out[i, j] = np.nan
            rv, cv = rows[i, j], cols[i, j]
            if not (frame[2] <= rv < frame[3] and frame[4] <= cv < frame[5]):
                continue
            centre = source[((rv + HALF) >> BITS) - frame[0], ((cv + HALF) >> BITS) - frame[1]]
            if centre == nodata or centre != centre:  # noqa: PLR0124 - NaN differs from itself
                continue
            sy, sx = max(1.0, step[0]), max(1.0, step[1])
            y, x = rv * INVERSE - frame[0], cv * INVERSE - frame[1]
            top, bottom = _ends(y, reach * sy, source.shape[0])
            left, right = _ends(x, reach * sx, source.shape[1])
            total, weight = 0.0, 0.0
            for r in range(top, bottom):
                wy = _weight((r - y) / sy, frame[8])
                for c in range(left, right):
                    value = np.float64(source[r, c])
                    if value != nodata and value == value:  # noqa: PLR0124 - NaN differs from itself
                        part = wy * _weight((c - x) / sx, frame[8])
                        total += part * value
                        weight += part
            if weight > TINY:
                out[i, j] = total / weight * scale + offset


@njit(cache=True, nogil=True)
def average(
    source: Array, rows: Array, cols: Array, frame: Array, code: Array, steps: Array, out: Array
) -> None:
    """Mean over the source area of a target pixel, source pixels weighted by the part that is covered."""
    height, width = source.shape
    nodata, scale, offset = code[0], code[1], code[2]
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = np.nan
            if rows[i, j] == OUTSIDE or cols[i, j] == OUTSIDE:
                continue
            step = steps[(i + frame[6]) // CELL, (j + frame[7]) // CELL]
            y = rows[i, j] * INVERSE + 0.5 - frame[0]
            x = cols[i, j] * INVERSE + 0.5 - frame[1]
            top, bottom = max(y - 0.5 * step[0], 0.0), min(y + 0.5 * step[0], height)
            left, right = max(x - 0.5 * step[1], 0.0), min(x + 0.5 * step[1], width)
            total, weight = 0.0, 0.0
            for r in range(int(top), int(np.ceil(bottom))):
                part_y = min(bottom, r + 1.0) - max(top, r)
                for c in range(int(left), int(np.ceil(right))):
                    value = np.float64(source[r, c])
                    if value != nodata and value == value:  # noqa: PLR0124 - NaN differs from itself
                        part = part_y * (min(right, c + 1.0) - max(left, c))
                        total += part * value
                        weight += part
            if weight > TINY:
                out[i, j] = total / weight * scale + offset


@njit(inline="always")
def _blend(nodes: Array, cell_y: int, cell_x: int, v: float, u: float) -> float:
    upper = nodes[cell_y, cell_x] * (1 - u) + nodes[cell_y, cell_x + 1] * u
    lower = nodes[cell_y + 1, cell_x] * (1 - u) + nodes[cell_y + 1, cell_x + 1] * u
    blended: float = upper * (1 - v) + lower * v
    return blended


@njit(inline="always")
def _fixed(found: float, origin: int) -> Any:
    """Fixed point of a coordinate counted from pixel edges; rounding comes before the origin is taken off."""
    value = np.floor((found - 0.5) * ONE + 0.5) - origin * ONE
    return np.int32(value) if OUTSIDE < value < 2**31 else np.int32(OUTSIDE)


@njit(inline="always")
def _keys(t: float) -> tuple[float, float, float, float]:
    """Weights of Keys' cubic convolution at fraction ``t`` for the pixels at -1, 0, 1, 2."""
    t2, t3 = t * t, t * t * t
    return (
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1.0,
        -1.5 * t3 + 2.0 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    )


@njit(inline="always")
def _ends(at: float, reach: float, size: int) -> tuple[int, int]:
    """First pixel within reach, and the one past the last."""
    return max(int(np.ceil(at - reach)), 0), min(int(np.floor(at + reach)) + 1, size)


@njit(inline="always")
def _weight(t: float, cubic: int) -> float:
    """Kernel at distance ``t``: triangle, or Keys' cubic convolution."""
    t = abs(t)
    if not cubic:
        return max(1.0 - t, 0.0)
    if t < 1.0:
        return (1.5 * t - 2.5) * t * t + 1.0
    return ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0 if t < 2.0 else 0.0
