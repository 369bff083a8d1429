"""A block of the landscape: its ground points as rows of a table of spectra, computed alone or in any company."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.ground import GROUND_M, LEVELS, describe, elements
from landshift.acquire.simulate.noise import key_of
from landshift.acquire.simulate.optics import integrate
from landshift.acquire.simulate.simulation import Simulate
from landshift.acquire.simulate.spectra import Patches, spectra
from landshift.acquire.simulate.sun import Geometry
from landshift.acquire.simulate.timeline import History, history

__all__ = ["Ground", "block", "points"]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Ground points of a block with the parcels they belong to."""

    patches: Patches
    """Elements of parcels that occur."""
    rows: NDArray[np.int32]
    """Patch x levels + level of every point, any shape."""
    margin: int = 0
    """Points around the block on each side."""

    @property
    def history(self) -> History:
        """Histories of the parcels that occur."""
        return self.patches.history

    def spectra(
        self, sim: Simulate, *, sensor: str, day: date, geometry: Geometry | None
    ) -> NDArray[np.float32]:
        """Reflectance of every row on a day (rows, bands)."""
        return spectra(self.patches, sim, sensor=sensor, day=day, geometry=geometry)

    def land_class(self, when: float) -> NDArray[np.uint8]:
        """Land class of every point at a decimal year."""
        found = self.history.land_class(self.patches.parcel, self.patches.element, when)
        each: NDArray[np.uint8] = np.repeat(found, LEVELS)[self.rows]
        return each

    def seen(
        self, table: NDArray[np.float32], *, bands: tuple[int, ...], pixel_m: float, shift_m: Any = (0.0, 0.0)
    ) -> NDArray[np.float32]:
        """What pixels measure of a table of spectra; see :func:`optics.integrate`."""
        return integrate(self.rows, table, bands=bands, pixel_m=pixel_m, shift_m=shift_m, margin=self.margin)


def block(
    sim: Simulate, *, left: float, top: float, shape: tuple[int, int], margin_m: float = 0.0, workers: int = 2
) -> Ground:
    """The ground of a rectangle of the plane.

    Args:
        sim: The simulation.
        left: Easting of its left edge, a multiple of 2.5 m.
        top: Northing of its upper edge, a multiple of 2.5 m.
        shape: Ground points down and across.
        margin_m: Ground added on each side, metres.
        workers: Threads.
    """
    margin = round(margin_m / GROUND_M)
    height, width = (side + 2 * margin for side in shape)
    column = round(left / GROUND_M) - margin
    row = round(top / GROUND_M) + margin
    x = (column + np.arange(width) + 0.5) * GROUND_M
    y = (row - np.arange(height) - 0.5) * GROUND_M
    return points(
        sim, *np.broadcast_arrays(x[np.newaxis, :], y[:, np.newaxis]), margin=margin, workers=workers
    )


def points(sim: Simulate, xs: NDArray[Any], ys: NDArray[Any], *, margin: int = 0, workers: int = 2) -> Ground:
    """The ground at any points.

    Args:
        sim: The simulation.
        xs: Eastings in metres, any shape.
        ys: Northings in metres, same shape.
        margin: Points around a block on each side, for :meth:`Ground.seen`.
        workers: Threads.
    """
    seed = key_of(sim.seed, "ground")
    keys, codes = np.empty(xs.size, np.uint64), np.empty(xs.size, np.uint8)
    cuts = np.linspace(0, xs.shape[0], max(1, workers) * 8 + 1).astype(int)
    per_row = xs.size // max(xs.shape[0], 1)

    def work(part: tuple[int, int]) -> None:
        flat = slice(part[0] * per_row, part[1] * per_row)
        at_x, at_y = (np.ascontiguousarray(one[part[0] : part[1]]).ravel() for one in (xs, ys))
        elements(seed, at_x, at_y, keys[flat], codes[flat])

    with ThreadPoolExecutor(max(1, workers)) as pool:
        list(pool.map(work, itertools.pairwise(cuts)))
    unique, first, parcel = np.unique(keys, return_index=True, return_inverse=True)
    place = np.empty((unique.size, 9))
    at = np.unravel_index(first, xs.shape)
    describe(seed, np.ascontiguousarray(xs[at]), np.ascontiguousarray(ys[at]), place)
    code = parcel.astype(np.int32) * 16 + codes // LEVELS
    used = np.flatnonzero(np.bincount(code, minlength=unique.size * 16))
    lookup = np.zeros(unique.size * 16, np.int32)
    lookup[used] = np.arange(used.size)
    rows = (lookup[code] * LEVELS + codes % LEVELS).astype(np.int32)
    patches = Patches(
        history=history(unique, place, growth=sim.growth),
        parcel=(used // 16).astype(np.int32),
        element=(used % 16).astype(np.uint8),
    )
    return Ground(patches=patches, rows=rows.reshape(xs.shape), margin=margin)


def share_of_classes(ground: Ground, when: float) -> dict[str, float]:
    """Share of each land class among the points, for a look at a landscape."""
    count = np.bincount(ground.land_class(when).ravel(), minlength=len(facts.classes()) + 1)
    return {one.name: float(count[one.value] / count.sum()) for one in facts.classes()}
