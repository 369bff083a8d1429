"""How the land is divided: a hashed binary partition of the plane into parcels, and of parcels into lots.

Country lanes run along the borders of 960 m cells; inside, every rectangle is cut in two at a hashed place
until it is small enough. Any point finds its parcel alone, in a dozen steps, with its size, centre and distance to
the border. The plane is bent by smooth noise beforehand, so borders curve as real ones do.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from landshift.acquire.simulate.noise import hashed, scramble, smooth, uniform

__all__ = ["CELL_M", "bend", "lot", "parcel"]

CELL_M: Final = 960.0
"""Side of the cells whose borders are country lanes."""
_ONE: Final = np.uint64(1)
_TWO: Final = np.uint64(2)


@njit(cache=True, nogil=True)
def bend(seed: np.uint64, x: float, y: float) -> Any:
    """Plane coordinates after rotation by 17 degrees and a smooth bend of up to 130 m; metres."""
    u, v = 0.9563 * x + 0.2924 * y, -0.2924 * x + 0.9563 * y
    s = np.uint64(seed + np.uint64(101))
    du = smooth(s, u / 1500.0, v / 1500.0) * 130.0
    dv = smooth(s + _ONE, u / 1500.0, v / 1500.0) * 130.0
    return u + du, v + dv


@njit(cache=True, nogil=True)
def _cut(key: np.uint64, x0: float, x1: float, y0: float, y1: float) -> Any:
    """Where and along which side a rectangle is cut: along the longer one, mostly near the middle."""
    r = uniform(scramble(key ^ _ONE))
    wide = (x1 - x0) * (0.75 + 0.5 * uniform(scramble(key ^ _TWO))) > (y1 - y0)
    share = 0.34 + 0.32 * r
    return wide, (x0 + share * (x1 - x0) if wide else y0 + share * (y1 - y0))


@njit(cache=True, nogil=True)
def _split(key: np.uint64, box: Any, u: float, v: float, target: float) -> Any:
    """Cut a rectangle until it is smaller than a target area; the piece that holds the point."""
    x0, x1, y0, y1 = box
    for _ in range(12):
        size = (x1 - x0) * (y1 - y0)
        if size < target * (0.6 + 0.8 * uniform(key)):
            break
        wide, at = _cut(key, x0, x1, y0, y1)
        if wide:
            if u < at:
                x1, key = at, scramble(key + _ONE)
            else:
                x0, key = at, scramble(key + _TWO)
        elif v < at:
            y1, key = at, scramble(key + _ONE)
        else:
            y0, key = at, scramble(key + _TWO)
    return key, (x0, x1, y0, y1)


@njit(cache=True, nogil=True)
def parcel(seed: np.uint64, u: float, v: float, target_m2: float) -> Any:
    """The parcel that holds a point of the bent plane.

    Args:
        seed: Seed of the partition.
        u: Coordinate of the bent plane, metres.
        v: The other coordinate, metres.
        target_m2: Typical size of parcels around here; must depend on the cell alone.

    Returns:
        Its key, its rectangle (u0, u1, v0, v1) and the distance to the lane around its cell, metres.
    """
    i, j = np.floor(u / CELL_M), np.floor(v / CELL_M)
    box = (i * CELL_M, (i + 1.0) * CELL_M, j * CELL_M, (j + 1.0) * CELL_M)
    key = hashed(seed, np.int64(i), np.int64(j))
    lane = min(u - box[0], box[1] - u, v - box[2], box[3] - v)
    key, box = _split(key, box, u, v, target_m2)
    return key, box, lane


@njit(cache=True, nogil=True)
def lot(key: np.uint64, box: Any, u: float, v: float, target_m2: float) -> Any:
    """The building lot inside a parcel that holds a point: its key and rectangle."""
    return _split(scramble(key + np.uint64(7)), box, u, v, target_m2)
