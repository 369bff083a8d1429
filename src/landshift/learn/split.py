"""Training, validation and test areas that do not leak into each other.

Neighbouring pixels look alike, so a random split of pixels or patches promises an accuracy that the map does not
have elsewhere. Here *places* are split before anything is sampled: blocks of ground, or groups of polygons, go to
one fold as a whole, with all their years. Training pixels nearer than a buffer to validation or test ground are not
used, and no patch crosses a block's edge. Blocks are dealt out so that each fold gets its share of every class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, LabelError
from landshift.learn.units import BlockUnits, PolygonUnits, Units
from landshift.place import pixel_m
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["BUFFER", "FOLDS", "Folds", "Split", "deal", "mixed", "windows"]

FOLDS: Final = {"train": 1, "val": 2, "test": 3}
"""Fold codes; 0 is ground without labels."""

BUFFER: Final = 4
"""Code of labelled ground that is too near to another fold to be used."""

_TILE: Final = 512


@dataclass(frozen=True, kw_only=True)
class Folds:
    """Which ground belongs to which fold: the fitted value of :class:`Split`."""

    shape: tuple[int, int]
    """Rows and columns of the place."""
    units: Units
    """What was dealt out."""
    fold_of: tuple[int, ...]
    """Fold code by unit number; the first entry, for no unit, is 0."""
    buffer_px: float
    """Least distance between used pixels of different folds, between centres."""

    def window(self, rows: slice, cols: slice) -> NDArray[np.uint8]:
        """Fold codes of a window: 0 none, 1 train, 2 val, 3 test, 4 in the buffer.

        Test ground is kept whole; validation pixels near test ground, and training pixels near either, go into the
        buffer. A window's codes do not depend on how the raster is cut.
        """
        from scipy.ndimage import distance_transform_edt

        pad = math.ceil(self.buffer_px) + 1
        grown = tuple(
            slice(max(0, part.start - pad), min(size, part.stop + pad))
            for part, size in zip((rows, cols), self.shape, strict=True)
        )
        own = np.array(self.fold_of, np.uint8)[self.units.window(*grown)]
        codes = own.copy()
        for fold, rivals in (("train", ("val", "test")), ("val", ("test",))):
            rival = np.isin(own, [FOLDS[name] for name in rivals])
            if rival.any():
                codes[(own == FOLDS[fold]) & (distance_transform_edt(~rival) < self.buffer_px)] = BUFFER
        top, left = rows.start - grown[0].start, cols.start - grown[1].start
        inner: NDArray[np.uint8] = codes[
            top : top + rows.stop - rows.start, left : left + cols.stop - cols.start
        ]
        return inner


@step(kind="split")
class Split:
    """Deal out blocks of ground, or groups of polygons, to training, validation and test."""

    block_m: float | None = None
    """Side of the square blocks; by default three patches, at most a fifth of the place's shorter side."""

    buffer_m: float = 200.0
    """Least distance between used pixels of different folds."""

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of training, validation and test."""

    groups: str | None = None
    """Vector file (or folder of such) whose features are dealt out instead of blocks: parcels, basins; in a recipe
    ``"labels"`` takes the training polygons themselves."""

    group_field: str | None = None
    """Field that names the group; by default each feature is its own."""

    seed: int = 0
    """Breaks ties between equal blocks."""

    def __post_init__(self) -> None:
        """Refuse shares that do not add up."""
        if min(self.fractions) < 0 or not math.isclose(sum(self.fractions), 1.0, abs_tol=1e-6):
            raise ConfigError("split.fractions must add up to 1", got=self.fractions)
        if self.fractions[0] <= 0 or self.fractions[1] <= 0:
            raise ConfigError(
                "training and validation need a share each", where="split.fractions", got=self.fractions
            )
        if self.buffer_m < 0 or (self.block_m is not None and self.block_m <= 0):
            raise ConfigError(
                "lengths in [split] are positive", got={"block_m": self.block_m, "buffer_m": self.buffer_m}
            )

    def __call__(
        self, labels: xr.DataArray, geobox: GeoBox, *, values: Sequence[int], patch_px: int
    ) -> Folds:
        """Split a place by its labels.

        Args:
            labels: uint8 (time, y, x), 0 = unlabelled.
            geobox: The labels' grid.
            values: The class values that count.
            patch_px: Side of the patches that will be cut; 1 for pixels.

        Raises:
            ConfigError: A block is smaller than a patch.
            LabelError: Fewer than one labelled block or group for each fold.
        """
        height_m, widths_m = pixel_m(geobox)
        side_m = min(height_m, float(widths_m.min()))  # in degrees, pixels are narrower than high
        units = self._units(geobox, patch_px, side_m)
        counts = np.zeros((units.count + 1, len(values)), np.int64)
        for rows, cols in windows(geobox.shape.yx):
            numbers = units.window(rows, cols)
            for year in range(labels.sizes["time"]):
                counts += _count(
                    labels.isel(time=year, y=rows, x=cols).to_numpy(), numbers, values, units.count
                )
        wanted = sum(share > 0 for share in self.fractions)
        labelled = int((counts[1:].sum(axis=1) > 0).sum())
        if labelled < wanted:
            kind = "groups" if self.groups else "blocks"
            raise LabelError(
                f"too few {kind} hold labels to split them",
                where="[split]",
                got=labelled,
                allowed=f"{wanted} or more",
                hint="make block_m smaller or label more places",
            )
        fold_of = deal(counts, self.fractions, seed=self.seed)
        return Folds(
            shape=(int(geobox.shape[0]), int(geobox.shape[1])),
            units=units,
            fold_of=tuple(int(code) for code in fold_of),
            buffer_px=self.buffer_m / side_m,
        )

    def check(self, geobox: GeoBox) -> None:
        """Refuse groups that cannot be read; blocks need no check.

        Args:
            geobox: The labels' grid.

        Raises:
            LabelError: Their file is not there, is empty or has no CRS.
            ConfigError: It has no field ``group_field``.
        """
        if self.groups is not None:
            PolygonUnits(geobox, self.groups, self.group_field)

    def _units(self, geobox: GeoBox, patch_px: int, side_m: float) -> Units:
        if self.groups is not None:
            return PolygonUnits(geobox, self.groups, self.group_field)
        shape = (int(geobox.shape[0]), int(geobox.shape[1]))
        side = 3 * patch_px if patch_px > 1 else 64
        side = max(patch_px, min(side, min(shape) // 5))
        if self.block_m is not None:
            side = max(1, round(self.block_m / side_m))
        units = BlockUnits.cut(shape, side, least_px=patch_px if self.block_m is None else 1)
        smallest = min(np.diff(units.row_edges).min(), np.diff(units.col_edges).min())
        if smallest < patch_px:
            raise ConfigError(
                "a block of the split is smaller than a patch",
                where="split.block_m",
                got=f"{smallest * side_m:g} m, {smallest} px",
                allowed=f"{patch_px * side_m:g} m or more",
                hint="make split.block_m larger or samples.size smaller",
            )
        return units


def deal(counts: NDArray[np.int64], fractions: tuple[float, float, float], *, seed: int) -> NDArray[np.uint8]:
    """Give each unit to a fold so that every fold gets its share of every class.

    Greedy, largest unit first, to the fold that lacks most of what the unit holds; rare classes weigh as much as
    common ones. Then units are moved one at a time while that makes the shares fit better.

    Args:
        counts: (unit, class) labelled pixels; row 0 is "no unit". Units without labels get fold 0.
        fractions: Shares of training, validation and test.
        seed: Breaks ties by a hash of the unit's number.

    Returns:
        uint8 (unit): fold codes.

    >>> deal(np.array([[0], [60], [21], [19]]), (0.6, 0.2, 0.2), seed=0).tolist()
    [0, 1, 2, 3]
    """
    weights = counts / np.maximum(counts.sum(axis=0), 1)
    target = np.array(fractions)
    open_folds = np.flatnonzero(target > 0)
    ties = mixed(np.arange(len(counts)), seed=seed)
    order = [int(i) for i in np.lexsort((ties, -counts.sum(axis=1))) if i > 0 and counts[i].sum() > 0]
    have = np.zeros((3, counts.shape[1]))
    fold_of = np.full(len(counts), -1)
    for unit in order:
        lack = ((target[:, None] - have) / np.maximum(target, 1e-9)[:, None] * weights[unit]).sum(axis=1)
        best = max(open_folds, key=lambda fold: (lack[fold], target[fold]))
        have[best] += weights[unit]
        fold_of[unit] = best
    for _ in range(20):
        moves = [_improve(unit, fold_of, have, weights, target) for unit in order]
        if not any(moves):
            break
    for fold in open_folds:  # never leave a fold empty
        if not (fold_of == fold).any():
            donor = max(open_folds, key=lambda one: int((fold_of == one).sum()))
            fold_of[next(unit for unit in reversed(order) if fold_of[unit] == donor)] = fold
    return np.where(fold_of >= 0, fold_of + 1, 0).astype(np.uint8)


def _improve(
    unit: int,
    fold_of: NDArray[np.int_],
    have: NDArray[np.float64],
    weights: NDArray[np.float64],
    target: NDArray[np.float64],
) -> bool:
    """Move one unit to another fold if the squared misfit of shares falls."""
    scale = np.where(target > 0, 1 / np.maximum(target, 1e-9), 0.0)

    def misfit(shares: NDArray[np.float64]) -> float:
        return float((((shares - target[:, None]) ** 2).sum(axis=1) * scale).sum())

    now, own = misfit(have), fold_of[unit]
    for fold in np.flatnonzero(target > 0):
        if fold == own:
            continue
        moved = have.copy()
        moved[own] -= weights[unit]
        moved[fold] += weights[unit]
        if misfit(moved) < now - 1e-12:
            have[:] = moved
            fold_of[unit] = fold
            return True
    return False


def mixed(*parts: Any, seed: int) -> NDArray[np.uint64]:
    """A stable hash of integer arrays: the same on every machine, for any cut of the data.

    Finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195), applied part by part.

    >>> mixed(1, 2, seed=3) == mixed(1, 2, seed=3), mixed(1, 2, seed=3) == mixed(2, 1, seed=3)
    (np.True_, np.False_)
    """
    state: Any = np.uint64(seed % 2**64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = (np.asarray(part).astype(np.uint64) ^ state) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return np.asarray(state, np.uint64)


def windows(shape: tuple[int, int], side: int = _TILE) -> Iterator[tuple[slice, slice]]:
    """Cover a raster with windows, row by row; the last ones are smaller.

    >>> [(rows.stop, cols.stop) for rows, cols in windows((3, 5), 4)]
    [(3, 4), (3, 5)]
    """
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            yield slice(top, min(shape[0], top + side)), slice(left, min(shape[1], left + side))


def _count(
    found: NDArray[np.uint8], numbers: NDArray[np.int32], values: Sequence[int], units: int
) -> NDArray[np.int64]:
    """Labelled pixels by unit and class in one window of one year."""
    lut = np.full(256, len(values))
    lut[list(values)] = np.arange(len(values))
    flat = numbers.ravel().astype(np.int64) * (len(values) + 1) + lut[found].ravel()
    counted = np.bincount(flat, minlength=(units + 1) * (len(values) + 1))
    return counted.reshape(units + 1, len(values) + 1)[:, :-1].astype(np.int64)
