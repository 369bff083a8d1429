"""The ground: what stands at every point of the plane, at any coordinate, from a seed.

A point belongs to a parcel and to an *element* of it: open land, trees, a field margin, and, for the day
the parcel is built up, a house, a street or a garden. Roads, rivers, lakes and gravel banks are elements of
their own. Which material an element shows on which date is the parcel's history (:mod:`timeline`), so the
geometry is computed once and every change is a change of a table.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landshift.acquire.simulate.noise import fractal, hashed, smooth, uniform, white
from landshift.acquire.simulate.parcels import CELL_M, bend, lot, parcel

__all__ = [
    "GROUND_M",
    "LAKE",
    "LEVELS",
    "LOCAL_ELEMENTS",
    "RIVER",
    "ROAD",
    "SAND",
    "describe",
    "elements",
]

GROUND_M: Final = 2.5
"""Spacing of ground points in metres."""
LEVELS: Final = 8
"""Steps of brightness and vigour inside a parcel."""
LOCAL_ELEMENTS: Final = 12
"""Elements below this are 4 x rural (open, wood, margin) + urban (house, street, garden, garden tree)."""
ROAD: Final = 12
RIVER: Final = 13
LAKE: Final = 14
SAND: Final = 15
TOWN_M: Final = 4200.0
"""Spacing of towns."""
HAMLET_M: Final = 1900.0
"""Spacing of hamlets."""
SITES: Final = 0.02
"""Share of parcels anywhere in the country that are sites for a business of their own."""
URBAN: Final = 2.2
"""Town index below which a parcel may be built up one day."""
RIVER_M: Final = 5200.0
"""Spacing of rivers."""
HIGHWAY_M: Final = 7800.0
"""Spacing of main roads."""
_U: Final = np.uint64


@njit(cache=True, nogil=True)
def _centres(seed: np.uint64, at: Any, spacing: float, radii: Any, share: float) -> Any:
    """Distance to the nearest centre of a jittered lattice, in units of its radius."""
    u, v = at
    i0, j0 = np.int64(np.floor(u / spacing)), np.int64(np.floor(v / spacing))
    best = 1e9
    for i in range(i0 - 1, i0 + 2):
        for j in range(j0 - 1, j0 + 2):
            if uniform(hashed(seed + _U(3), i, j)) > share:
                continue
            cu = (i + 0.5 + 0.55 * (uniform(hashed(seed, i, j)) - 0.5)) * spacing
            cv = (j + 0.5 + 0.55 * (uniform(hashed(seed + _U(1), i, j)) - 0.5)) * spacing
            radius = radii[0] + (radii[1] - radii[0]) * uniform(hashed(seed + _U(2), i, j))
            best = min(best, np.sqrt((u - cu) ** 2 + (v - cv) ** 2) / radius)
    return best


@njit(cache=True, nogil=True)
def _town(seed: np.uint64, u: float, v: float) -> Any:
    """Town index: distance to the nearest town or hamlet in units of its radius; below 1: built before 2017."""
    s = seed + _U(211)
    town = _centres(s, (u, v), TOWN_M, (400.0, 850.0), 1.1)
    hamlet = _centres(s + _U(20), (u, v), HAMLET_M, (90.0, 190.0), 0.6)
    bumpy = 1.0 + 0.6 * fractal(s + _U(40), u / 650.0, v / 650.0, 3)
    return min(town * bumpy, max(0.8 * hamlet, 0.75))


@njit(cache=True, nogil=True)
def _target(seed: np.uint64, u: float, v: float) -> Any:
    """Typical parcel size of a cell in square metres: large fields here, small ones there, smaller in town."""
    i, j = np.floor(u / CELL_M), np.floor(v / CELL_M)
    town = _town(seed, (i + 0.5) * CELL_M, (j + 0.5) * CELL_M)
    r = uniform(hashed(seed + _U(307), np.int64(i), np.int64(j)))
    return 9000.0 if town < 1.6 else 12000.0 + 38000.0 * r * r


@njit(cache=True, nogil=True)
def _forest(seed: np.uint64, u: float, v: float) -> Any:
    """How much a place wants to be forest; above 0.12 it is."""
    return fractal(seed + _U(401), u / 1900.0, v / 1900.0, 3)


@njit(cache=True, nogil=True)
def _river(seed: np.uint64, x: float, y: float) -> Any:
    """Distance to the middle of the nearest river and its half width there; metres."""
    s = seed + _U(503)
    a, b = 0.34 * x + 0.94 * y, 0.94 * x - 0.34 * y
    k = np.floor(b / RIVER_M)
    base = (k + 0.5 + 0.4 * (uniform(hashed(s, np.int64(k), 0)) - 0.5)) * RIVER_M
    row = s + _U(np.int64(k) + 1000000)
    mid = base + 620.0 * smooth(row, a / 1700.0, 0.5) + 150.0 * smooth(row, a / 430.0, 7.5)
    ahead = base + 620.0 * smooth(row, (a + 5.0) / 1700.0, 0.5) + 150.0 * smooth(row, (a + 5.0) / 430.0, 7.5)
    slope = (ahead - mid) / 5.0
    half = 17.0 + 6.0 * smooth(row + _U(1), a / 300.0, 3.5) + 6.0 * uniform(hashed(s + _U(2), np.int64(k), 0))
    return abs(b - mid) / np.sqrt(1.0 + slope * slope), half


@njit(cache=True, nogil=True)
def _highway(seed: np.uint64, x: float, y: float) -> Any:
    """Distance to the middle of the nearest main road, metres."""
    s = seed + _U(601)
    a, b = 0.97 * x - 0.24 * y, 0.24 * x + 0.97 * y
    k = np.floor(b / HIGHWAY_M)
    base = (k + 0.5 + 0.3 * (uniform(hashed(s, np.int64(k), 0)) - 0.5)) * HIGHWAY_M
    mid = base + 420.0 * smooth(s + _U(np.int64(k) + 1000000), a / 2600.0, 0.5)
    return abs(b - mid)


@njit(cache=True, nogil=True)
def _lake(seed: np.uint64, x: float, y: float) -> Any:
    """Above 0 a lake, just below it its shore."""
    return fractal(seed + _U(701), x / 1300.0, y / 1300.0, 3) - 0.50


@njit(cache=True, nogil=True)
def _water(seed: np.uint64, x: float, y: float) -> int:
    """River, lake or gravel bank at a point, else -1."""
    distance, half = _river(seed, x, y)
    if distance < half:
        return RIVER
    if _lake(seed, x, y) > 0.0:
        return LAKE
    bank = smooth(seed + _U(809), x / 110.0, y / 110.0)
    if distance < half + 22.0 * (bank - 0.15):
        return SAND
    if _lake(seed, x, y) > -0.012 and bank > 0.1:
        return SAND
    return -1


@njit(cache=True, nogil=True)
def _rural(seed: np.uint64, x: float, y: float, wants: float, edge: float) -> int:
    """0 open, 1 wood, 2 margin: what a point of the countryside is."""
    fine = fractal(seed + _U(907), x / 130.0, y / 130.0, 3)
    if wants + 0.16 * fine > 0.12:
        return 1
    distance, half = _river(seed, x, y)
    if distance < half + 30.0 and fine > -0.05:
        return 1
    hedge = smooth(seed + _U(911), x / 220.0, y / 220.0)
    if edge < 4.5 and hedge > 0.25:
        return 1
    if fine > 0.62:
        return 1
    return 2 if edge < 3.0 else 0


@njit(cache=True, nogil=True)
def _urban(seed: np.uint64, key: np.uint64, box: Any, at: Any, town: float) -> int:
    """0 house, 1 street or yard, 2 garden, 3 garden tree: what a point is once its parcel is built up."""
    u, v = at
    edge = min(u - box[0], box[1] - u, v - box[2], box[3] - v)
    if edge < 4.0:
        return 1
    kind = uniform(hashed(key, 3, 1))
    large = kind < 0.22
    dense = 1.25 - 0.45 * town + 0.5 * (uniform(hashed(key, 3, 2)) - 0.5)
    _, plot = lot(key, box, u, v, 5200.0 if large else 900.0)
    inner = min(u - plot[0], plot[1] - u, v - plot[2], plot[3] - v)
    if large:
        return 0 if inner > 7.0 else (1 if inner > 1.2 or dense > 0.7 else 2)
    if inner > (3.2 if dense > 0.85 else 6.4):
        return 0
    patch = smooth(seed + _U(1009), u / 9.0, v / 9.0)
    if patch < 2.0 * dense - 1.25:
        return 1
    return 3 if smooth(seed + _U(1013), u / 11.0, v / 11.0) > 0.42 else 2


@njit(cache=True, nogil=True)
def _level(seed: np.uint64, x: float, y: float) -> int:
    """Brightness and vigour at a point, 0 to 7: soil patches of 60 m, tufts and crowns of 8 m, grain of 2.5 m."""
    value = 1.1 * fractal(seed + _U(1103), x / 60.0, y / 60.0, 2) + 0.9 * smooth(
        seed + _U(1105), x / 8.0, y / 8.0
    )
    value += 0.22 * white(seed + _U(1107), np.int64(np.floor(x / GROUND_M)), np.int64(np.floor(y / GROUND_M)))
    return min(max(int(4.0 + 2.6 * value), 0), LEVELS - 1)


@njit(cache=True, nogil=True)
def elements(
    seed: np.uint64, xs: NDArray[Any], ys: NDArray[Any], keys: NDArray[Any], codes: NDArray[Any]
) -> None:
    """Find parcel, element and level of points.

    Args:
        seed: Seed of the landscape.
        xs: float64 (n,) eastings in metres.
        ys: float64 (n,) northings in metres.
        keys: uint64 (n,) filled with the parcels' keys.
        codes: uint8 (n,) filled with element x 8 + level.
    """
    cell_u, cell_v, target = np.int64(-1 << 40), np.int64(-1 << 40), 0.0
    last, town, centre_wish = _U(0), 9.0, 0.0
    for n in range(xs.size):
        x, y = xs[n], ys[n]
        u, v = bend(seed, x, y)
        i, j = np.int64(np.floor(u / CELL_M)), np.int64(np.floor(v / CELL_M))
        if i != cell_u or j != cell_v:
            cell_u, cell_v, target = i, j, _target(seed, u, v)
        key, box, lane = parcel(seed, u, v, target)
        if key != last:  # neighbours mostly share their parcel
            cu, cv = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
            last, town, centre_wish = key, _town(seed, cu, cv), _forest(seed, cu, cv)
        keys[n] = key
        element = _water(seed, x, y)
        if (lane < 3.2 and element != LAKE) or _highway(seed, x, y) < 10.0:
            element = ROAD
        if element < 0:
            wants = 0.65 * centre_wish + 0.35 * _forest(seed, u, v)
            edge = min(u - box[0], box[1] - u, v - box[2], box[3] - v)
            element = 4 * _rural(seed, x, y, wants, edge)
            if town < URBAN or uniform(hashed(key, 3, 9)) < SITES:
                element += _urban(seed, key, box, (u, v), town)
        codes[n] = element * LEVELS + _level(seed, x, y)


@njit(cache=True, nogil=True)
def describe(seed: np.uint64, xs: NDArray[Any], ys: NDArray[Any], out: NDArray[Any]) -> None:
    """What is the same all over a parcel, asked at any of its points.

    Args:
        seed: Seed of the landscape.
        xs: float64 (n,) eastings of one point per parcel.
        ys: float64 (n,) northings.
        out: float64 (n, 9) filled with: town index, wish to be forest, distance to the river and lake index at
            the centre, centre u and v, area in square metres, how dry it is, whether it is a business site.
    """
    for n in range(xs.size):
        u, v = bend(seed, xs[n], ys[n])
        key, box, _ = parcel(seed, u, v, _target(seed, u, v))
        cu, cv = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
        x, y = 0.9563 * cu - 0.2924 * cv, 0.2924 * cu + 0.9563 * cv
        out[n, 0] = _town(seed, cu, cv)
        out[n, 1] = _forest(seed, cu, cv)
        out[n, 2], _ = _river(seed, x, y)
        out[n, 3] = _lake(seed, x, y)
        out[n, 4], out[n, 5] = cu, cv
        out[n, 6] = (box[1] - box[0]) * (box[3] - box[2])
        out[n, 7] = fractal(seed + _U(1201), cu / 2300.0, cv / 2300.0, 2)
        out[n, 8] = uniform(hashed(key, 3, 9)) < SITES
