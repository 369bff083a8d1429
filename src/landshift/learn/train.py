"""Training, in one visible loop.

``train`` draws samples, fits the model and writes a checkpoint. For networks the loop is :func:`_loop`: one
``step(batch, split)`` for training and validation alike, the best epoch is kept, training stops when it no longer
gets better. After each epoch the whole state goes to disk in one rename; every random choice comes from the seed and
the epoch's number. A run that is killed at any moment and started again therefore ends with the same bytes.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, LabelError, StoreError
from landshift.kernel.confusion import accumulate, scores
from landshift.learn.checkpoint import Checkpoint, Model, load, write
from landshift.learn.dataset import IGNORE, Samples, extract, ground, same_grid, years_in_common
from landshift.learn.features import Features
from landshift.learn.index import told
from landshift.learn.models.forest import RandomForest
from landshift.learn.models.unet import UNet, repeatable, save
from landshift.learn.patches import Patches
from landshift.learn.split import BUFFER, FOLDS, Folds, Split, windows
from landshift.place import pixel_at_centre_m
from landshift.plan import cores, write_atomic
from landshift.step import key

if TYPE_CHECKING:
    import torch
    from odc.geo.geobox import GeoBox

__all__ = ["fit_network", "train"]

Progress = Callable[[int, int, str], None]
_MOST_WEIGHT = 10.0


def train(  # noqa: PLR0913 - a training run has this many nouns, and each is one
    model: Model,
    *,
    cube: Path,
    labels: Path,
    features: Features,
    patches: Patches,
    split: Split,
    out: Path,
    work: Path,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Checkpoint:
    """Train a model on a cube and labels, and write its checkpoint.

    Args:
        model: The model's configuration.
        cube: The product's store.
        labels: ``labels.zarr`` on the same grid.
        features: What the model sees; what it leaves open is resolved by the model and the cube.
        patches: How samples are drawn.
        split: How ground is dealt out to training, validation and test.
        out: Folder of the checkpoint; it appears when training has ended.
        work: Folder for what a killed run needs to go on; emptied at the end.
        progress: Called with steps done, steps in all, and what is being done.
        threads: Threads to use, by default as many as there are; the bytes of a network depend on it.

    Returns:
        The checkpoint.

    Raises:
        LabelError: Labels are too few, in too few places, or of years that the cube does not have.
        GridError: Labels and cube are on different grids.
    """
    from landshift.cube.labels import label_classes, read_labels
    from landshift.cube.store import geobox_of, open_cube

    threads = threads or cores()
    opened, truth, geobox = open_cube(cube), read_labels(labels), geobox_of(cube)
    same_grid(geobox, truth)
    years = years_in_common(features, opened, truth)
    truth = truth.isel(
        time=[i for i, year in enumerate(truth["time"].dt.year.to_numpy()) if int(year) in years]
    )
    features = features.resolve(opened, years=years, statistics=model.default_statistics)
    size = _size(model, patches)
    classes = tuple(label_classes(labels))
    folds = split(truth, geobox, values=[one.value for one in classes], patch_px=patches.size)
    drawn = patches(truth, geobox, folds, classes=classes, size=size, fractions=split.fractions)
    work.mkdir(parents=True, exist_ok=True)
    samples = extract(opened, truth, drawn, features=features, folder=work / "samples", progress=progress)
    counts = samples.counts("train")
    if not counts.all():
        missing = [one.name for one, count in zip(classes, counts, strict=True) if not count]
        raise LabelError(
            "the cube has no data where these classes are labelled",
            where=cube,
            got=missing,
            hint="look at n_clear",
        )
    checkpoint = Checkpoint(
        folder=out.with_name(f"{out.name}.partial"),
        name=str(getattr(type(model), "__step_name__", "")),
        model=model,
        features=features,
        classes=classes,
        normalisation=samples.normalisation(),
        grid={"crs": str(geobox.crs), "resolution_m": list(pixel_at_centre_m(geobox))},
        stand_ins=told(features.stand_ins(opened)),
        years=years,
        train_pixels=tuple(int(n) for n in ground(truth, folds, [one.value for one in classes])),
        fingerprint=samples.fingerprint(),
    )
    shutil.rmtree(checkpoint.folder, ignore_errors=True)
    checkpoint.folder.mkdir(parents=True)
    fit: Callable[..., dict[str, Any]] = fit_network if model.patch_based else fit_forest
    metrics = fit(model, samples, checkpoint, work, progress=progress, threads=threads)
    return _finish(checkpoint, geobox, folds, samples, metrics, out=out, work=work)


@dataclass
class _State:
    """Everything that a run needs to go on after an epoch."""

    run: str
    """Which run: settings, data, threads."""
    net: dict[str, Any] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def resume(cls, path: Path, run: str) -> _State:
        """The state of an earlier, killed run of exactly this training; a new one where there is none."""
        import torch

        for leftover in path.parent.glob(f"{path.name}.*.partial"):
            leftover.unlink(missing_ok=True)
        said = torch.load(path, weights_only=True) if path.is_file() else {"run": None}
        return cls(**said) if said["run"] == run else cls(run=run)

    def keep(
        self, path: Path, row: dict[str, float], net: torch.nn.Module, optimiser: torch.optim.Optimizer
    ) -> None:
        """Take an epoch in, and write the whole state in one rename."""
        import torch

        self.history.append(row)
        if self.best_epoch < 0 or row["val_miou"] > self.history[self.best_epoch]["val_miou"]:
            self.best_epoch = len(self.history) - 1
            self.best = {name: value.detach().clone() for name, value in net.state_dict().items()}
        self.net, self.optimiser = net.state_dict(), optimiser.state_dict()
        sink = io.BytesIO()
        torch.save(vars(self), sink)
        write_atomic(path, sink.getvalue())


def fit_network(
    model: UNet,
    samples: Samples,
    checkpoint: Checkpoint,
    work: Path,
    *,
    progress: Progress | None,
    threads: int,
) -> dict[str, Any]:
    """Train a network: the loop.

    Args:
        model: Its configuration.
        samples: Patches of training and validation.
        checkpoint: Where the weights go, and the normalisation.
        work: Where the state is kept between epochs.
        progress: Called with epochs done and in all.
        threads: Threads that torch uses.

    Returns:
        Metrics: the best epoch's scores on validation ground, and the history of all.
    """
    with repeatable(threads) as device:
        return _loop(model, samples, checkpoint, work / "state.pt", device=device, progress=progress)


def _loop(
    model: UNet,
    samples: Samples,
    checkpoint: Checkpoint,
    path: Path,
    *,
    device: torch.device,
    progress: Progress | None,
) -> dict[str, Any]:
    """Epoch after epoch, from the state in ``path`` if it is one of this training."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(model.seed)
    net = model.network(samples.x.shape[1], len(samples.classes), checkpoint.normalisation).to(device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=model.learning_rate, weight_decay=model.weight_decay)
    weight = torch.tensor(_weights(samples.counts("train")), dtype=torch.float32, device=device)
    values = range(len(samples.classes))

    def step(batch: tuple[torch.Tensor, torch.Tensor], split: str) -> tuple[float, float, NDArray[np.int64]]:
        x, y = (part.to(device) for part in batch)
        net.train(split == "train")
        with torch.set_grad_enabled(split == "train"):
            logits = net(x)  # (b, class, y, x)
            loss = cross_entropy(logits, y, weight=weight, ignore_index=IGNORE, reduction="sum")
            mass = weight[y[y != IGNORE]].sum()
            if split == "train" and mass > 0:
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(loss / mass)
                optimiser.step()
        guess, truth = logits.argmax(dim=1).cpu().numpy(), y.cpu().numpy()
        return float(loss.detach()), float(mass), accumulate(guess, truth, values=values)

    threads = torch.get_num_threads()
    state = _State.resume(path, key(model, checkpoint.fingerprint, str(threads), torch.__version__))
    if state.history:
        net.load_state_dict(state.net)
        optimiser.load_state_dict(state.optimiser)
    steps = math.ceil(len(samples.rows("train")) / model.batch)
    for epoch in range(len(state.history), model.epochs):
        if epoch - state.best_epoch > model.patience:
            break
        row: dict[str, float] = {"epoch": epoch}
        for split in ("train", "val"):
            parts = []
            for i, batch in enumerate(_batches(samples, split, model.batch, seed=(model.seed, epoch))):
                for group in optimiser.param_groups:
                    group["lr"] = _rate(model, epoch * steps + i, steps)
                parts.append(step(batch, split))
            row |= _summed(parts, split)
        state.keep(path, row, net, optimiser)
        if progress:
            progress(
                epoch + 1, model.epochs, f"train {checkpoint.name}, validation mIoU {row['val_miou']:.3f}"
            )
    net.load_state_dict(state.best)
    save(net, checkpoint.folder, model)
    best = {name: value for name, value in state.history[state.best_epoch].items() if name.startswith("val")}
    return {"best_epoch": state.best_epoch, "epochs": len(state.history), **best, "history": state.history}


def fit_forest(
    model: RandomForest,
    samples: Samples,
    checkpoint: Checkpoint,
    work: Path,  # noqa: ARG001 - a forest is grown anew
    *,
    progress: Progress | None,
    threads: int,
) -> dict[str, Any]:
    """Grow a forest and score it on validation pixels.

    Args:
        model: Its configuration.
        samples: Pixels of training and validation.
        checkpoint: Where the model goes.
        work: Not used: a forest is grown anew.
        progress: Called when it is done.
        threads: Trees grown at the same time.

    Returns:
        Metrics: scores on validation pixels.
    """
    from landshift.learn.predict import forest_predictor

    flat = {fold: _pixels(samples, fold) for fold in ("train", "val")}
    write_atomic(checkpoint.folder / "model.onnx", model.fit(*flat["train"], threads=threads))
    run = forest_predictor(checkpoint, threads)
    metrics: dict[str, Any] = {"trees": model.trees}
    for fold, (x, y) in flat.items():
        guess = run(x.T[:, :, None])[:, :, 0].argmax(axis=0)
        found = scores(accumulate(guess, y, values=range(len(samples.classes))))
        metrics |= {f"{fold}_miou": found.mean_iou, f"{fold}_accuracy": found.overall_accuracy}
    if progress:
        progress(1, 1, f"train {checkpoint.name}, validation mIoU {metrics['val_miou']:.3f}")
    return metrics


def _summed(parts: list[tuple[float, float, NDArray[np.int64]]], split: str) -> dict[str, float]:
    """One epoch's figures from the sums of its batches."""
    found = scores(np.sum([matrix for _, _, matrix in parts], axis=0))
    loss = sum(loss for loss, _, _ in parts) / max(sum(mass for _, mass, _ in parts), 1e-9)
    return {
        f"{split}_loss": loss,
        f"{split}_miou": found.mean_iou,
        f"{split}_accuracy": found.overall_accuracy,
    }


def _batches(
    samples: Samples, fold: str, size: int, *, seed: tuple[int, int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of a fold; training patches in the epoch's own order, each turned or mirrored."""
    import torch

    rows, rng = samples.rows(fold), np.random.default_rng(seed)
    turns = np.zeros(len(rows), int)
    if fold == "train":
        rows, turns = rng.permutation(rows), rng.integers(0, 8, len(rows))
    for start in range(0, len(rows), size):
        some = list(zip(rows[start : start + size], turns[start : start + size], strict=True))
        x = np.stack([_turned(samples.x[row], turn) for row, turn in some])
        y = np.stack([_turned(samples.y[row], turn) for row, turn in some]).astype(np.int64)
        yield torch.from_numpy(x), torch.from_numpy(y)


def _turned(values: NDArray[Any], turn: int) -> NDArray[Any]:
    """One of the eight symmetries of a square, over the last two axes."""
    turned = np.rot90(values, turn % 4, axes=(-2, -1))
    return turned[..., ::-1] if turn >= 4 else turned


def _rate(model: UNet, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step: up over the first epoch, then down along a cosine; a function of the step alone."""
    if step < steps_per_epoch:
        return model.learning_rate * (step + 1) / steps_per_epoch
    part = (step - steps_per_epoch) / max(1, (model.epochs - 1) * steps_per_epoch)
    return model.learning_rate * 0.5 * (1 + math.cos(math.pi * part))


def _weights(counts: NDArray[np.int64]) -> list[float]:
    """Weights that make every class count the same, none more than ten times the commonest."""
    share = counts.max() / np.maximum(counts, 1)
    weights = np.minimum(share, _MOST_WEIGHT)
    return [float(np.float32(one)) for one in weights / weights.mean()]


def _pixels(samples: Samples, fold: str) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    rows = samples.rows(fold)
    x, y = samples.x[rows].reshape(len(rows), -1), samples.y[rows].ravel()
    return np.ascontiguousarray(x[y != IGNORE]), y[y != IGNORE]


def _size(model: Model, patches: Patches) -> int:
    if not model.patch_based:
        return 1
    if patches.size % model.stride:
        raise ConfigError(
            "the side of a patch is a multiple of the model's stride",
            where="samples.size",
            got=patches.size,
            allowed=f"multiples of {model.stride}",
        )
    return patches.size


def _finish(
    checkpoint: Checkpoint,
    geobox: GeoBox,
    folds: Folds,
    samples: Samples,
    metrics: dict[str, Any],
    *,
    out: Path,
    work: Path,
) -> Checkpoint:
    """Write what belongs to the weights, put the folder in its place, empty the work folder."""
    from landshift.cube.classes import from_names
    from landshift.cube.maps import MapWriter

    folder = checkpoint.folder
    names = from_names({**FOLDS, "buffer": BUFFER})
    with MapWriter(folder / "folds.tif", geobox, classes=names, bands=("fold",)) as target:
        for window in windows(folds.shape):
            target.write(window, folds.window(*window))
    samples.frame.to_parquet(folder / "samples.parquet", index=False)
    counted = {fold: samples.counts(fold).tolist() for fold in ("train", "val")}
    metrics = {**_finite(metrics), "classes": [one.name for one in samples.classes], "sample_pixels": counted}
    write(checkpoint, geobox, metrics)
    try:
        shutil.rmtree(out, ignore_errors=True)
        folder.replace(out)
    except OSError as error:
        raise StoreError("the model cannot be put in its place", where=out, got=error.strerror) from error
    shutil.rmtree(work, ignore_errors=True)
    return replace(load(out), folder=out)


def _finite(values: Any) -> Any:
    """NaN and infinity as null, floats rounded to eight digits, for JSON."""
    if isinstance(values, dict):
        return {name: _finite(part) for name, part in values.items()}
    if isinstance(values, list):
        return [_finite(part) for part in values]
    if isinstance(values, float):
        return round(values, 8) if math.isfinite(values) else None
    return values
