"""The sensor's optics: pixels integrate the ground with a point spread function, wherever they really look.

Ground points are gathered from the table of spectra and weighted along the rows, then along the columns. A
shift of the scene moves the weights, so sub-pixel shifts are made by looking elsewhere, not by resampling an image.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landshift.acquire.simulate.ground import GROUND_M

__all__ = ["PSF_PX", "REACH_PX", "integrate", "weights"]

PSF_PX: Final = 0.50
"""Standard deviation of the point spread function in pixels: a modulation of 0.29 at the Nyquist frequency."""
REACH_PX: Final = 1.6
"""Radius at which the point spread function is cut off, in pixels."""
_LANES: Final = 4
"""Bands that are integrated at once."""


def weights(pixel_m: float, shift_m: float) -> tuple[int, NDArray[np.float32]]:
    """Weights of the ground points of one axis for a pixel.

    Args:
        pixel_m: Pixel size in metres, a multiple of the ground's spacing.
        shift_m: How far beside its place the pixel really looks, along the axis.

    Returns:
        Index of the first ground point, relative to that at the pixel's edge, and float32 weights that sum to one.

    >>> first, share = weights(10.0, 0.0)
    >>> first, share.size, round(float(share.sum()), 6)
    (-4, 12, 1.0)
    """
    ratio = pixel_m / GROUND_M
    centre = 0.5 * ratio + shift_m / GROUND_M
    reach = REACH_PX * ratio
    first = int(np.ceil(centre - reach - 0.5 - 1e-9))
    last = int(np.floor(centre + reach - 0.5 + 1e-9))
    away = (np.arange(first, last + 1) + 0.5 - centre) / (PSF_PX * ratio)
    share = np.exp(-0.5 * away**2)
    return first, (share / share.sum()).astype(np.float32)


def integrate(
    rows: NDArray[np.int32],
    table: NDArray[np.float32],
    *,
    bands: tuple[int, ...],
    pixel_m: float,
    shift_m: tuple[float, float] = (0.0, 0.0),
    margin: int,
) -> NDArray[np.float32]:
    """What pixels of a block measure.

    Args:
        rows: int32 (y, x) row of the table for every ground point, with a margin around the block.
        table: float32 (rows, bands) reflectance.
        bands: Bands that are wanted.
        pixel_m: Pixel size in metres.
        shift_m: How far south and east of its place every pixel really looks, metres.
        margin: Ground points around the block on each side.

    Returns:
        float32 (bands, y, x).
    """
    ratio = round(pixel_m / GROUND_M)
    shape = tuple((side - 2 * margin) // ratio for side in rows.shape)
    first_y, weight_y = weights(pixel_m, shift_m[0])
    first_x, weight_x = weights(pixel_m, shift_m[1])
    found = np.empty((len(bands), *shape), np.float32)
    for start in range(0, len(bands), _LANES):
        part = bands[start : start + _LANES]
        lanes = np.zeros((table.shape[0], _LANES), np.float32)
        lanes[:, : len(part)] = table[:, list(part)]
        out = np.zeros((*shape, _LANES), np.float32)
        _integrate(rows, lanes, out, (margin + first_y, margin + first_x, ratio), weight_y, weight_x)
        found[start : start + len(part)] = np.moveaxis(out, 2, 0)[: len(part)]
    return found


@njit(cache=True, nogil=True)
def _integrate(
    rows: NDArray[Any],
    lanes: NDArray[Any],
    out: NDArray[Any],
    frame: Any,
    weight_y: NDArray[Any],
    weight_x: NDArray[Any],
) -> None:
    """Weigh ground points along each row of the ground, then add the row to the pixels that see it."""
    top, left, ratio = frame
    height, width = out.shape[0], out.shape[1]
    taps_y, taps_x = weight_y.size, weight_x.size
    line = np.empty((width, 4), np.float32)
    for y in range(top, top + (height - 1) * ratio + taps_y):
        for j in range(width):
            a = b = c = d = np.float32(0.0)
            x = left + j * ratio
            for k in range(taps_x):
                row = rows[y, x + k]
                w = weight_x[k]
                a += w * lanes[row, 0]
                b += w * lanes[row, 1]
                c += w * lanes[row, 2]
                d += w * lanes[row, 3]
            line[j, 0], line[j, 1], line[j, 2], line[j, 3] = a, b, c, d
        last = min((y - top) // ratio, height - 1)
        for i in range(last, -1, -1):
            k = y - top - i * ratio
            if k >= taps_y:
                break
            w = weight_y[k]
            for j in range(width):
                for lane in range(4):
                    out[i, j, lane] += w * line[j, lane]
