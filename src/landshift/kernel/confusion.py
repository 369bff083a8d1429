"""One confusion matrix, and every accuracy figure that is read from it.

Rows are the map, columns the reference, as in Olofsson et al. (2013, doi:10.1016/j.rse.2012.10.031). The matrix
is accumulated over a whole test set and read once: a mean of per-batch scores is another, wrong, number.
Class 0 means "unlabelled" or "no data" and is never counted. The same functions take a matrix of estimated
area proportions (floats), which is how :mod:`landshift.measure` uses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["KAPPA_CAVEAT", "Scores", "accumulate", "constant_map", "scores", "untested"]

KAPPA_CAVEAT = (
    "kappa compares with a chance agreement that no map maker faces and mixes quantity with allocation error "
    "(Pontius and Millones 2011, doi:10.1080/01431161.2011.552923); it is given for old tables only"
)
"""Why kappa is printed last, and never decides anything here."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a confusion matrix says; a score that is undefined (0/0) is NaN and left out of the means."""

    overall_accuracy: float
    """Share on the diagonal; an estimate for the map only if the sample is a simple random one."""

    mean_iou: float
    """Mean over classes of TP / (TP + FP + FN)."""

    macro_f1: float
    """Mean over classes of 2 TP / (2 TP + FP + FN)."""

    kappa: float
    """Cohen's kappa; see ``KAPPA_CAVEAT``."""

    iou: NDArray[np.float64]
    """Intersection over union, per class."""

    f1: NDArray[np.float64]
    """F1 score, per class."""

    users: NDArray[np.float64]
    """User's accuracy (precision): the share of the mapped class that is right, per class."""

    producers: NDArray[np.float64]
    """Producer's accuracy (recall): the share of the reference class that was found, per class."""

    support: NDArray[np.float64]
    """Reference total, per class."""


def accumulate(
    predicted: NDArray[np.integer], reference: NDArray[np.integer], *, values: Sequence[int]
) -> NDArray[np.int64]:
    """Count map against reference; add the matrices of many windows to get that of the whole.

    Args:
        predicted: Mapped class values, any shape.
        reference: Reference class values, same shape.
        values: The class values that count, in the order of rows and columns. A pixel whose map or reference
            value is not among them (0: no data, unlabelled) is left out.

    Returns:
        Counts, int64 (class, class): rows map, columns reference.

    Raises:
        ValueError: The shapes differ, or a value is listed twice.

    >>> accumulate(np.array([1, 1, 2, 0, 2]), np.array([1, 2, 2, 1, 0]), values=(1, 2))
    array([[1, 1],
           [0, 1]])
    """
    if predicted.shape != reference.shape:
        raise ValueError(f"map {predicted.shape} and reference {reference.shape} differ in shape")
    if len(set(values)) != len(values):
        raise ValueError(f"a class value is listed twice: {list(values)}")
    rows, cols = _positions(predicted, values), _positions(reference, values)
    both = (rows >= 0) & (cols >= 0)
    size = len(values)
    counts = np.bincount(rows[both] * size + cols[both], minlength=size * size)
    return counts.reshape(size, size).astype(np.int64)


def scores(matrix: ArrayLike) -> Scores:
    """Read every score from one matrix of counts or of area proportions.

    Args:
        matrix: (class, class), rows map, columns reference; non-negative.

    Returns:
        The scores; definitions in :class:`Scores`.

    >>> found = scores([[3, 1], [0, 4]])
    >>> found.overall_accuracy, found.iou.tolist(), found.mean_iou
    (0.875, [0.75, 0.8], 0.775)
    """
    counts = np.asarray(matrix, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {counts.shape}")
    hit, mapped, real = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    total = counts.sum()
    iou, f1 = _share(hit, mapped + real - hit), _share(2 * hit, mapped + real)
    observed = float(_share(hit.sum(), total))
    chance = float(_share((mapped * real).sum(), total**2))
    return Scores(
        overall_accuracy=observed,
        mean_iou=_mean(iou),
        macro_f1=_mean(f1),
        kappa=float(_share(observed - chance, 1 - chance)),
        iou=iou,
        f1=f1,
        users=_share(hit, mapped),
        producers=_share(hit, real),
        support=real,
    )


def constant_map(matrix: ArrayLike, *, row: int) -> NDArray[np.float64]:
    """The matrix that a map of one class everywhere would have had: the baseline to beat.

    Args:
        matrix: (class, class), rows map, columns reference.
        row: Position of the class that the constant map shows.

    >>> constant_map([[3, 1], [0, 4]], row=1)
    array([[0., 0.],
           [3., 5.]])
    """
    counts = np.asarray(matrix, dtype=np.float64)
    constant = np.zeros_like(counts)
    constant[row] = counts.sum(axis=0)
    return constant


def untested(names: Sequence[str], *, support: ArrayLike, iou: ArrayLike) -> str | None:
    """What a reader has to know of a mean IoU when the reference lacks a class; None where it has them all.

    Args:
        names: The classes.
        support: Reference pixels of each.
        iou: IoU of each, NaN where it is undefined.

    >>> untested(["water", "forest"], support=[9, 0], iou=[0.8, np.nan])
    'no test pixel of forest: the mean IoU is of 1 of 2 classes'
    >>> untested(["water", "forest"], support=[9, 0], iou=[0.8, 0.0])
    'no test pixel of forest: the mean IoU is of 2 of 2 classes, with 0 for forest, which the map shows there'
    """
    counted, known = np.asarray(support), np.isfinite(np.asarray(iou, dtype=np.float64))
    lacking = [name for name, count in zip(names, counted, strict=True) if not count]
    if not lacking:
        return None
    shown = [name for name, count, has in zip(names, counted, known, strict=True) if has and not count]
    text = f"no test pixel of {', '.join(lacking)}: the mean IoU is of {int(known.sum())} of {len(known)} classes"
    return text + (f", with 0 for {', '.join(shown)}, which the map shows there" if shown else "")


def _positions(found: NDArray[np.integer], values: Sequence[int]) -> NDArray[np.int64]:
    """Position of each value in ``values``, -1 where it is not there."""
    order = np.argsort(values)
    ranked = np.asarray(values)[order]
    at = np.clip(np.searchsorted(ranked, found), 0, len(ranked) - 1)
    return np.where(ranked[at] == found, order[at], -1).ravel().astype(np.int64)


def _share(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """``part / whole``, NaN where the whole is 0."""
    below = np.asarray(whole, dtype=np.float64)
    ratio = np.full(below.shape, np.nan)
    np.divide(part, below, out=ratio, where=below != 0)
    return ratio


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
