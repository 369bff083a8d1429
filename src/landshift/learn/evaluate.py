"""How good a model is on ground it has never seen.

Every labelled pixel of the test fold is predicted as the map would show it and counted once, into one confusion
matrix over all tiles and years. The figures say how well the model *transfers* to other ground; the accuracy of the
map as a whole, and areas, come from a probability sample (:mod:`landshift.measure`). The majority-class map stands
beside them: what a model has to beat to be worth anything.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass
from landshift.errors import DataQualityWarning, LabelError
from landshift.kernel.confusion import KAPPA_CAVEAT, Scores, accumulate, constant_map, scores, untested
from landshift.learn.split import FOLDS

if TYPE_CHECKING:
    import pandas as pd

    from landshift.learn.checkpoint import Checkpoint
    from landshift.learn.smooth import Predict

__all__ = ["MAJORITY", "Evaluation", "evaluate", "write_accuracy", "write_history", "write_tables"]

MAJORITY: Final = "majority class"
"""Name of the baseline in the tables."""

Progress = Callable[[int, int, str], None]

_COLUMNS = {
    "model": "what was scored: a model's name, or majority class",
    "fold": "ground it was scored on",
    "class": "class, or all",
    "pixels": "labelled pixels of the class (reference); 0: the class is not tested",
    "users_accuracy": "share of the mapped class that is right (precision), 0 to 1",
    "producers_accuracy": "share of the reference class that was found (recall), 0 to 1",
    "f1": "2 TP / (2 TP + FP + FN); for all classes: their mean",
    "iou": "TP / (TP + FP + FN); for all classes: their mean (mIoU)",
    "overall_accuracy": "share of pixels mapped right, over all classes",
    "kappa": KAPPA_CAVEAT,
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The confusion matrix of one model on one fold, and what it says."""

    model: str
    """The model's name."""
    fold: str
    """The ground it was scored on."""
    classes: tuple[LandClass, ...]
    """Rows and columns of the matrix."""
    matrix: NDArray[np.int64]
    """Counts: rows map, columns reference."""
    unmapped: int
    """Labelled pixels that the map leaves without data; they are in no score."""
    majority: int
    """Position of the class that is most common on training ground."""

    @property
    def scores(self) -> Scores:
        """The model's scores."""
        return scores(self.matrix)

    @property
    def baseline(self) -> Scores:
        """The scores of a map that shows the majority class everywhere."""
        return scores(constant_map(self.matrix, row=self.majority))

    def frame(self) -> pd.DataFrame:
        """Scores as a table: a row per class and one for all, of the model and of the baseline."""
        import pandas as pd

        rows = []
        for name, found in ((self.model, self.scores), (MAJORITY, self.baseline)):
            for i, one in enumerate(self.classes):
                per_class = (found.support[i], found.users[i], found.producers[i], found.f1[i], found.iou[i])
                rows.append((name, self.fold, one.name, *per_class, np.nan, np.nan))
            summary = (found.support.sum(), np.nan, np.nan, found.macro_f1, found.mean_iou)
            rows.append((name, self.fold, "all", *summary, found.overall_accuracy, found.kappa))
        return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"pixels": "int64"})

    def confusion(self) -> pd.DataFrame:
        """The matrix as a table: one row per pair of classes."""
        import pandas as pd

        rows = [
            (self.model, self.fold, mapped.name, real.name, int(self.matrix[i, j]))
            for i, mapped in enumerate(self.classes)
            for j, real in enumerate(self.classes)
        ]
        return pd.DataFrame(rows, columns=["model", "fold", "mapped", "reference", "pixels"])


def evaluate(
    model_dir: Path,
    *,
    cube: Path,
    labels: Path,
    fold: str = "test",
    how: Predict | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a model on the ground of a fold, outside all buffers.

    Args:
        model_dir: The checkpoint's folder; its ``folds.tif`` says which ground is whose.
        cube: The product's store.
        labels: ``labels.zarr`` on the same grid.
        fold: ``test``, or ``val`` or ``train`` to see how they differ.
        how: How years are seen together, as in the maps; by default each alone.
        out: Output folder for the tables ``accuracy`` and ``confusion``, where they are wanted.
        progress: Called with tiles done, tiles in all, and what is being done.

    Raises:
        LabelError: The fold holds no labelled pixel.
    """
    from landshift.cube.labels import read_labels
    from landshift.cube.maps import read_map
    from landshift.cube.store import open_cube
    from landshift.learn.checkpoint import load
    from landshift.learn.dataset import years_in_common
    from landshift.learn.predict import Tiler, labelled_tiles

    checkpoint = load(model_dir)
    opened, truth = open_cube(cube), read_labels(labels)
    years = years_in_common(checkpoint.features, opened, truth)
    truth = truth.isel(
        time=[i for i, year in enumerate(truth["time"].dt.year.to_numpy()) if int(year) in years]
    )
    tiler = Tiler(checkpoint, opened, how=how)
    values = [one.value for one in checkpoint.classes]
    matrix = np.zeros((len(values), len(values)), np.int64)
    unmapped = 0

    def keep(core: tuple[slice, slice]) -> NDArray[np.bool_]:
        on_fold: NDArray[np.bool_] = read_map(model_dir / "folds.tif", core) == FOLDS[fold]
        return on_fold

    tiles = list(labelled_tiles(truth, keep, tiler.tile_px))
    for done, (year, core, reference) in enumerate(tiles, start=1):
        mapped = tiler(year, core)[0]
        matrix += accumulate(mapped, reference, values=values)
        unmapped += int(((mapped == 0) & (reference > 0)).sum())
        if progress:
            progress(done, len(tiles), f"score {checkpoint.name}")
    if not matrix.any():
        raise LabelError(
            f"no labelled pixel on {fold} ground",
            where=labels,
            hint="give split.fractions a larger share for it",
        )
    found = Evaluation(
        model=checkpoint.name,
        fold=fold,
        classes=checkpoint.classes,
        matrix=matrix,
        unmapped=unmapped,
        majority=int(np.argmax(checkpoint.train_pixels)),
    )
    if out is not None:
        write_tables(out, [found])
    return found


def write_accuracy(
    models: Mapping[str, Checkpoint],
    *,
    cube: Path,
    labels: Path,
    out: Path,
    how: Predict | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """Score models on test ground and write the tables ``accuracy`` and ``confusion``.

    Args:
        models: Checkpoints by the name they get in the tables.
        cube: The product's store.
        labels: ``labels.zarr`` on the same grid.
        out: The output folder.
        how: How years are seen together, as in the maps; by default each alone.
        progress: Called with tiles done, tiles in all, and what is being done.

    Returns:
        Mean IoU, macro F1 and overall accuracy by model, and of the majority class.
    """
    found = [
        replace(evaluate(one.folder, cube=cube, labels=labels, how=how, progress=progress), model=name)
        for name, one in models.items()
    ]
    write_tables(out, found)
    names = [one.name for one in found[0].classes]
    said = {one.model: untested(names, support=one.scores.support, iou=one.scores.iou) for one in found}
    for text in dict.fromkeys(filter(None, said.values())):
        warnings.warn(text, DataQualityWarning, stacklevel=2)
    board = {one.model: one.scores for one in found} | {MAJORITY: found[0].baseline}
    return {
        name: {"miou": one.mean_iou, "macro_f1": one.macro_f1, "overall_accuracy": one.overall_accuracy}
        for name, one in board.items()
    }


def write_tables(out: Path, evaluations: Sequence[Evaluation]) -> None:
    """Write ``accuracy`` and ``confusion`` of one or several models, as Parquet, CSV and spreadsheet.

    Args:
        out: The output folder.
        evaluations: What was scored; the baseline is written once.
    """
    import pandas as pd

    from landshift.cube.tables import write_table

    frames = [one.frame() for one in evaluations]
    accuracy = pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True)
    write_table(
        out,
        "accuracy",
        accuracy,
        title="Accuracy on ground that the models have not seen",
        columns=_COLUMNS,
        xlsx=True,
    )
    write_table(
        out,
        "confusion",
        pd.concat([one.confusion() for one in evaluations], ignore_index=True),
        title="Confusion matrices: labelled pixels by mapped and reference class",
        columns={
            "model": _COLUMNS["model"],
            "fold": _COLUMNS["fold"],
            "mapped": "class in the map",
            "reference": "class in the labels",
            "pixels": "labelled pixels",
        },
        xlsx=True,
    )


def write_history(out: Path, models: Mapping[str, Checkpoint]) -> None:
    """Write the table ``history``: every epoch of every model that has epochs.

    Args:
        out: The output folder.
        models: Checkpoints by the name they get in the table.
    """
    import pandas as pd

    from landshift.cube.tables import write_table

    rows = [
        (name, row["epoch"] + 1, fold, row[f"{fold}_loss"], row[f"{fold}_miou"], row[f"{fold}_accuracy"])
        for name, one in models.items()
        for row in one.metrics.get("history", [])
        for fold in ("train", "val")
    ]
    if not rows:
        return
    columns = {
        "model": "the model's name",
        "epoch": "passes over the training patches done, from 1",
        "split": "ground: train or val",
        "loss": "class-balanced cross-entropy, mean per labelled pixel",
        "miou": "mean IoU over classes, of the patches of the split",
        "accuracy": "share of labelled pixels that are right",
    }
    frame = pd.DataFrame(rows, columns=list(columns))
    write_table(out, "history", frame, title="Training, epoch by epoch", columns=columns)
