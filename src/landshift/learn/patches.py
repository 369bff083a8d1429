"""Choose what a model learns from: as many samples of a rare class as of a common one.

Each class is a stratum: labelled pixels are drawn from it without replacement, and a patch is the window around
such a pixel, moved so that it stays inside its block. The draw keeps the pixels with the smallest hash of seed,
year, row and column, so it needs one pass over the labels, the same pixels come out however the raster is cut, and
a sample stays drawn when labels are added elsewhere. The probability with which a pixel was drawn is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass
from landshift.errors import ConfigError, LabelError
from landshift.learn.split import BUFFER, FOLDS, Folds, mixed, windows
from landshift.step import step

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["Drawn", "Patches"]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Which samples to cut, and what the split says of the ground below them."""

    frame: gpd.GeoDataFrame
    """One row per sample: id, year, row, col (upper left corner), label, fold, inclusion_probability (of the pixel
    in the middle, within its class and fold), geometry."""
    size: int
    """Side of a sample in pixels."""
    classes: tuple[LandClass, ...]
    """The classes, in the order of the targets."""
    folds: Folds
    """The split."""


@dataclass
class _Stratum:
    """The pixels of one class in one fold: how many there are, and those drawn so far."""

    wanted: int
    total: int = 0
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    places: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))  # year, row, col

    def offer(self, year: int, rows: NDArray[np.int64], cols: NDArray[np.int64], *, seed: int) -> None:
        """Let some pixels take part in the draw."""
        self.total += len(rows)
        hashes = np.concatenate([self.hashes, mixed(year, rows, cols, seed=seed)])
        new = np.stack([np.full_like(rows, year), rows, cols], axis=1)
        places = np.concatenate([self.places, new])
        kept = np.lexsort((*places.T[::-1], hashes))[: self.wanted]
        self.hashes, self.places = hashes[kept], places[kept]


@step(kind="samples", name="samples")
class Patches:
    """Balanced samples: patches for networks, pixels for forests."""

    size: int = 64
    """Side of a patch in pixels; a multiple of the model's stride."""

    per_class: int = 50
    """Training patches drawn for each class; validation gets its share."""

    pixels_per_class: int = 2000
    """Training pixels drawn for each class, for models that look at single pixels."""

    min_per_class: int = 25
    """Fewest labelled training pixels with which a class can be learned."""

    seed: int = 0
    """Seed of the draw."""

    def __post_init__(self) -> None:
        """Refuse sizes of nothing."""
        if min(self.size, self.per_class, self.pixels_per_class, self.min_per_class) < 1:
            raise ConfigError("sizes and counts in [samples] are 1 or more")

    def __call__(
        self,
        labels: xr.DataArray,
        geobox: GeoBox,
        folds: Folds,
        *,
        classes: Sequence[LandClass],
        size: int,
        fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    ) -> Drawn:
        """Draw the samples of training and validation; test ground is scored whole, never sampled.

        Args:
            labels: uint8 (time, y, x), 0 = unlabelled; ``time`` holds the years.
            geobox: The labels' grid.
            folds: The split.
            classes: The classes to draw.
            size: Side of a patch in pixels; 1 draws pixels.
            fractions: Shares of the split: validation gets ``fractions[1] / fractions[0]`` of the training count.

        Returns:
            The samples, sorted by id.

        Raises:
            LabelError: A class has too few labelled training pixels.
        """
        n = self.per_class if size > 1 else self.pixels_per_class
        share = {"train": 1.0, "val": fractions[1] / fractions[0]}
        strata = {
            (fold, one.value): _Stratum(wanted=math.ceil(n * share[fold]))
            for fold in share
            for one in classes
        }
        years = [int(year) for year in labels["time"].dt.year.to_numpy()]
        for rows, cols in windows(geobox.shape.yx):
            codes = folds.window(rows, cols)
            for i, year in enumerate(years):
                found = labels.isel(time=i, y=rows, x=cols).to_numpy()
                for (fold, value), stratum in strata.items():
                    at, across = np.nonzero((found == value) & (codes == FOLDS[fold]))
                    if len(at):
                        stratum.offer(year, at + rows.start, across + cols.start, seed=self.seed)
        few = [one for one in classes if strata["train", one.value].total < self.min_per_class]
        if few:
            raise self._too_few(few, _by_fold(labels, folds, classes))
        frame = _frame(strata, geobox, folds, classes, size)
        return Drawn(frame=frame, size=size, classes=tuple(classes), folds=folds)

    def _too_few(self, few: Sequence[LandClass], counts: dict[str, dict[str, int]]) -> LabelError:
        """The error for classes that training lacks; it shows where their pixels are and what would help most."""
        there = {fold: sum(counts[one.name][fold] for one in few) for fold in (*FOLDS, "buffer")}
        if sum(there.values()) < self.min_per_class * len(few):
            hint = "label more of it in other places, merge or drop the class, or lower samples.min_per_class"
        elif there["buffer"] > there["val"] + there["test"]:
            hint = "most lie in the buffer between folds: make split.buffer_m smaller"
        else:
            hint = (
                "most lie in blocks of validation and test: make split.block_m (or the groups) smaller, so that the "
                "class lies in several"
            )
        return LabelError(
            f"too few labelled training pixels: {', '.join(one.name for one in few)}",
            where="[samples]",
            got="; ".join(
                f"{name}: " + ", ".join(f"{count} {fold}" for fold, count in found.items())
                for name, found in counts.items()
            ),
            allowed=f"{self.min_per_class} or more of each class in training",
            hint=hint,
        )


def _by_fold(labels: xr.DataArray, folds: Folds, classes: Sequence[LandClass]) -> dict[str, dict[str, int]]:
    """Labelled pixels of every class on the ground of each fold and in the buffer, over all years."""
    codes_of = FOLDS | {"buffer": BUFFER}
    counts = {one.name: dict.fromkeys(codes_of, 0) for one in classes}
    for rows, cols in windows(folds.shape):
        codes, found = folds.window(rows, cols), labels.isel(y=rows, x=cols).to_numpy()
        for one in classes:
            for fold, code in codes_of.items():
                counts[one.name][fold] += int(((found == one.value) & (codes == code)).sum())
    return counts


def _frame(
    strata: dict[tuple[str, int], _Stratum],
    geobox: GeoBox,
    folds: Folds,
    classes: Sequence[LandClass],
    size: int,
) -> gpd.GeoDataFrame:
    """Drawn pixels as a table of patches."""
    import geopandas as gpd
    import shapely

    names = {one.value: one.name for one in classes}
    records: list[dict[str, Any]] = []
    for (fold, value), stratum in strata.items():
        for year, row, col in stratum.places.tolist():
            top, left = _corner(folds, row, col, size)
            records.append(
                {
                    "id": f"{year}-{row:06d}-{col:06d}",
                    "year": year,
                    "row": top,
                    "col": left,
                    "label": names[value],
                    "fold": fold,
                    "inclusion_probability": len(stratum.places) / stratum.total,
                }
            )
    records.sort(key=lambda record: str(record["id"]))
    frame = gpd.GeoDataFrame(records, geometry=[None] * len(records), crs=str(geobox.crs))
    rows, cols = frame["row"].to_numpy(), frame["col"].to_numpy()
    affine = geobox.affine
    left, top = affine.c + cols * affine.a, affine.f + rows * affine.e
    boxes = shapely.box(left, top + size * affine.e, left + size * affine.a, top)
    frame["geometry"] = boxes if size > 1 else shapely.centroid(boxes)
    return frame


def _corner(folds: Folds, row: int, col: int, size: int) -> tuple[int, int]:
    """Upper left corner of the patch around a pixel, moved to stay inside the pixel's block."""
    inside = folds.units.around(row, col)
    top, left = (
        min(max(at - size // 2, part.start), part.stop - size)
        for at, part in zip((row, col), inside, strict=True)
    )
    return top, left
