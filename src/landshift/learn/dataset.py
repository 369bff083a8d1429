"""Samples as arrays: what the drawn patches and pixels look like in the cube.

Arrays are written to disk and mapped, so their number is bounded by the disk and not by memory. Normalisation
statistics come from training pixels alone: nothing of validation or test ground reaches the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass
from landshift.errors import GridError, LabelError
from landshift.learn.features import Features
from landshift.learn.patches import Drawn
from landshift.learn.split import FOLDS, Folds, windows

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["IGNORE", "Normalisation", "Samples", "extract", "ground", "same_grid", "years_in_common"]

IGNORE: Final = 255
"""Target of a pixel that does not count: unlabelled, in the buffer, of another fold, or without data."""

_GROUP_PX: Final = 256

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation of every feature over the labelled ground of the training fold."""

    mean: tuple[float, ...]
    """Subtracted; also what a missing value counts as."""
    std: tuple[float, ...]
    """Divided by; 1 where a feature does not vary."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """All samples of a training run, as mapped arrays."""

    x: NDArray[np.float32]
    """Features, float32 (sample, feature, y, x); NaN is missing."""
    y: NDArray[np.uint8]
    """Targets, uint8 (sample, y, x): position of the class in ``classes``, or ``IGNORE``."""
    frame: gpd.GeoDataFrame
    """One row per sample, in the same order: what, where, which fold."""
    classes: tuple[LandClass, ...]
    """The classes, in the order of the targets."""
    features: Features
    """What the features are; resolved."""

    def rows(self, fold: str) -> NDArray[np.int64]:
        """Positions of a fold's samples."""
        return np.flatnonzero((self.frame["fold"] == fold).to_numpy())

    def counts(self, fold: str) -> NDArray[np.int64]:
        """Labelled pixels per class in a fold's samples."""
        found = np.zeros(len(self.classes), np.int64)
        for row in self.rows(fold):
            found += np.bincount(self.y[row].ravel(), minlength=256)[: len(self.classes)]
        return found

    def normalisation(self) -> Normalisation:
        """Mean and deviation over the known pixels of the training samples, summed in float64."""
        n_features = self.x.shape[1]
        count, total, squares = (np.zeros(n_features) for _ in range(3))
        for row in self.rows("train"):
            values = self.x[row].reshape(n_features, -1).astype(np.float64)
            known = np.isfinite(values)
            values = np.where(known, values, 0.0)
            count += known.sum(axis=1)
            total += values.sum(axis=1)
            squares += (values**2).sum(axis=1)
        count = np.maximum(count, 1)
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        std = np.where(std > 1e-6, std, 1.0)
        rounded = [tuple(float(np.float32(v)) for v in values) for values in (mean, std)]
        return Normalisation(mean=rounded[0], std=rounded[1])

    def fingerprint(self) -> str:
        """Hash of everything that was learned from: features, targets, folds."""
        digest = hashlib.sha256(
            "\n".join([*self.features.names, *self.frame["fold"], *self.frame["id"]]).encode()
        )
        for row in range(len(self.x)):
            digest.update(self.x[row].tobytes())
            digest.update(self.y[row].tobytes())
        return digest.hexdigest()[:16]


def extract(
    cube: xr.Dataset,
    labels: xr.DataArray,
    drawn: Drawn,
    *,
    features: Features,
    folder: Path,
    progress: Progress | None = None,
) -> Samples:
    """Cut the samples out of cube and labels.

    Samples that are near each other are read together. A label counts in a sample only where it lies in the
    sample's own fold, outside the buffer, and where the cube has data.

    Args:
        cube: The cube, opened lazily.
        labels: uint8 (time, y, x) on the same grid.
        drawn: Which samples to cut.
        features: Resolved features.
        folder: Where the arrays are kept.
        progress: Called with samples done, samples in all, and what is being done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n, size = len(drawn.frame), drawn.size
    x = np.lib.format.open_memmap(
        folder / "x.npy", mode="w+", dtype=np.float32, shape=(n, len(features.names), size, size)
    )
    y = np.lib.format.open_memmap(folder / "y.npy", mode="w+", dtype=np.uint8, shape=(n, size, size))
    lut = np.full(256, IGNORE, np.uint8)
    lut[[one.value for one in drawn.classes]] = np.arange(len(drawn.classes))
    years = [int(year) for year in labels["time"].dt.year.to_numpy()]
    done = 0
    for year, rows, cols, group in _neighbours(drawn):
        seen = features.compute(cube, year, (rows, cols))
        known = np.isfinite(seen[: features.n_band_features]).all(axis=0)
        truth = lut[labels.isel(time=years.index(year), y=rows, x=cols).to_numpy()]
        truth[~known] = IGNORE
        codes = drawn.folds.window(rows, cols)
        for at, fold, row, col in group:
            inside = tuple(
                slice(i - part.start, i - part.start + size) for i, part in ((row, rows), (col, cols))
            )
            x[at] = seen[:, *inside]
            y[at] = np.where(codes[inside] == FOLDS[fold], truth[inside], IGNORE)
        done += len(group)
        if progress:
            progress(done, n, "samples")
    x.flush()
    y.flush()
    return Samples(x=x, y=y, frame=drawn.frame, classes=drawn.classes, features=features)


def _neighbours(drawn: Drawn) -> Iterator[tuple[int, slice, slice, list[tuple[int, str, int, int]]]]:
    """Samples of one year that are near each other: the window that holds them, and position, fold, row, column."""
    frame = drawn.frame
    cells = frame.assign(
        at=np.arange(len(frame)), top=frame["row"] // _GROUP_PX, left=frame["col"] // _GROUP_PX
    )
    for (year, _, _), group in cells.groupby(["year", "top", "left"], sort=True):
        rows, cols = (
            slice(int(group[name].min()), int(group[name].max()) + drawn.size) for name in ("row", "col")
        )
        members = zip(*(group[name].tolist() for name in ("at", "fold", "row", "col")), strict=True)
        yield int(year), rows, cols, list(members)


def same_grid(geobox: GeoBox, labels: xr.DataArray) -> None:
    """Refuse labels that are not on the cube's own grid.

    Args:
        geobox: The cube's grid.
        labels: Labels with coordinates y and x.

    Raises:
        GridError: The grids differ.
    """
    import odc.geo.xr  # noqa: F401 - gives arrays their `.odc`

    own: GeoBox | None = labels.odc.geobox
    same = own is not None and own.shape == geobox.shape and own.crs == geobox.crs
    tolerance = 1e-3 * abs(float(geobox.resolution.x))
    if own is None or not same or not own.affine.almost_equals(geobox.affine, tolerance):
        raise GridError(
            "labels and cube are not on one grid",
            got="labels without a grid" if own is None else f"labels {tuple(own.shape)} {own.crs}",
            allowed=f"{tuple(geobox.shape)} {geobox.crs}",
            hint="make the labels on the cube's grid: landshift labels",
        )


def years_in_common(features: Features, cube: xr.Dataset, labels: xr.DataArray) -> tuple[int, ...]:
    """The labelled years that the cube can show.

    Raises:
        LabelError: There are none.
    """
    labelled = tuple(int(year) for year in labels["time"].dt.year.to_numpy())
    shown = features.years(cube)
    common = tuple(year for year in labelled if year in shown)
    if not common:
        raise LabelError(
            "no labelled year is in the cube",
            got=f"labels of {list(labelled)}",
            allowed=list(shown),
            hint="set the labels' year, or build the cube for that year",
        )
    return common


def ground(labels: xr.DataArray, folds: Folds, values: Sequence[int]) -> NDArray[np.int64]:
    """Labelled pixels per class on training ground, over all years."""
    total = np.zeros(256, np.int64)
    for rows, cols in windows(folds.shape):
        used = folds.window(rows, cols) == FOLDS["train"]
        for i in range(labels.sizes["time"]):
            found = labels.isel(time=i, y=rows, x=cols).to_numpy()
            total += np.bincount(found[used].ravel(), minlength=256)
    return total[list(values)]
