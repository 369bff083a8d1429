"""A trained model on disk, with everything that is needed to use it.

``model.onnx`` runs anywhere and normalises by itself; ``model.safetensors`` holds a network's weights; ``model.json``
is a STAC item with the Machine Learning Model extension that says what goes in, what comes out, how the features are
made and what was learned from; ``metrics.json`` how it did; ``samples.parquet`` and ``folds.tif`` on which ground.
No clock, path or host is in any of them, so the same training gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass, as_records, as_stac, from_records
from landshift.errors import ModelError
from landshift.learn.dataset import Normalisation
from landshift.learn.features import Features
from landshift.learn.models.forest import RandomForest
from landshift.learn.models.unet import UNet
from landshift.place import footprint
from landshift.step import from_table, table

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["MODELS", "Checkpoint", "Model", "Predictor", "load", "write"]

MODELS: Final[dict[str, type[UNet | RandomForest]]] = {"unet": UNet, "forest": RandomForest}
"""Models by their name in recipes."""

MLM: Final = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
CLASSIFICATION: Final = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"

Model = UNet | RandomForest
_ARCHITECTURE: Final = {"unet": ("U-Net", "pytorch"), "forest": ("Random Forest", "scikit-learn")}


class Predictor(Protocol):
    """Something that turns features into class probabilities."""

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (class, y, x) of features (feature, y, x), NaN where missing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained model: what :func:`landshift.learn.train.train` returns and :func:`load` reads."""

    folder: Path
    """Where it is."""
    name: str
    """The model's name in recipes: unet, forest."""
    model: Model
    """Its configuration."""
    features: Features
    """What it sees; resolved."""
    classes: tuple[LandClass, ...]
    """What it tells apart, in the order of its outputs."""
    normalisation: Normalisation
    """Mean and deviation of the features in training; also inside ``model.onnx`` of a network."""
    grid: dict[str, Any]
    """``crs`` of the grid it was trained on, and ``resolution_m``: height and width of its pixels in metres."""
    stand_ins: Mapping[str, str]
    """Bands of indices that the cube lacked, with the near infrared that stood in: ``nir`` by ``nir08``."""
    years: tuple[int, ...]
    """Years whose labels it has learned from."""
    train_pixels: tuple[int, ...]
    """Labelled training ground per class, in pixels; the largest is the majority class."""
    fingerprint: str
    """Hash of the data it was trained on."""

    @property
    def resolution_m(self) -> tuple[float, float]:
        """Height and width, in metres on the ground, of the pixels it was trained on."""
        height, width = self.grid["resolution_m"]
        return float(height), float(width)

    @property
    def halo(self) -> int:
        """Pixels around a tile that its result depends on."""
        return self.model.halo

    @property
    def stride(self) -> int:
        """Tile origins and sizes are multiples of it."""
        return self.model.stride

    @property
    def metrics(self) -> dict[str, Any]:
        """How it did on validation ground, and its history."""
        found: dict[str, Any] = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
        return found

    def predictor(self, *, threads: int | None = None) -> Predictor:
        """The model, ready to run.

        Args:
            threads: Threads it may use; by default as many as there are.
        """
        from landshift.learn.predict import forest_predictor, network_predictor

        made = {"unet": network_predictor, "forest": forest_predictor}[self.name]
        return made(self, threads)


def load(folder: Path | str) -> Checkpoint:
    """Read a checkpoint.

    Args:
        folder: The folder that training wrote.

    Raises:
        ModelError: There is none, or it is not one of ours.
    """
    folder = Path(folder)
    path = folder / "model.json"
    if not path.is_file():
        raise ModelError("no model here", where=folder, hint="train one: landshift train")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["properties"]["landshift:model"]
        name = said["name"]
        return Checkpoint(
            folder=folder,
            name=name,
            model=from_table(MODELS[name], said["settings"], where=name),
            features=from_table(Features, said["features"], where="features"),
            classes=from_records(said["classes"]),
            normalisation=Normalisation(
                mean=tuple(said["normalisation"]["mean"]), std=tuple(said["normalisation"]["std"])
            ),
            grid=said["grid"],
            stand_ins=said["stand_ins"],
            years=tuple(said["years"]),
            train_pixels=tuple(said["train_pixels"]),
            fingerprint=said["fingerprint"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "model.json is not one that landshift wrote", where=path, got=f"{type(error).__name__}: {error}"
        ) from error


def write(checkpoint: Checkpoint, geobox: GeoBox, metrics: dict[str, Any]) -> None:
    """Write ``model.json`` and ``metrics.json`` beside the weights that are there.

    Args:
        checkpoint: The checkpoint, its folder included.
        geobox: Grid of the ground it was trained on.
        metrics: How it did.
    """
    item = _item(checkpoint, geobox)
    for name, content in (("model.json", item), ("metrics.json", metrics)):
        text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
        (checkpoint.folder / name).write_text(text + "\n", encoding="utf-8")


def _item(checkpoint: Checkpoint, geobox: GeoBox) -> dict[str, Any]:
    """The STAC item of a model; extension MLM 1.5.2."""
    shape, bounds = footprint(geobox)
    weights = {"model.safetensors": ("application/octet-stream", ["mlm:weights", "data"])}
    assets: dict[str, Any] = {
        "model": {
            "href": "./model.onnx",
            "type": "application/octet-stream; application=onnx",
            "roles": ["mlm:model", "mlm:inference-runtime", "data"],
            "mlm:artifact_type": "onnx",
        }
    }
    for name, (kind, roles) in weights.items():
        if (checkpoint.folder / name).exists():
            assets["weights"] = {"href": f"./{name}", "type": kind, "roles": roles}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM, CLASSIFICATION],
        "id": f"{checkpoint.name}-{checkpoint.fingerprint}",
        "geometry": shape,
        "bbox": bounds,
        "properties": _properties(checkpoint),
        "links": [],
        "assets": assets,
    }


def _properties(checkpoint: Checkpoint) -> dict[str, Any]:
    architecture, framework = _ARCHITECTURE[checkpoint.name]
    spatial = checkpoint.model.patch_based
    names = list(checkpoint.features.names)
    classes = as_records(checkpoint.classes)
    shape: list[Any] = [-1, len(names), -1, -1] if spatial else [-1, len(names)]
    dims = ["batch", "bands", "height", "width"] if spatial else ["batch", "bands"]
    return {
        "datetime": None,
        "start_datetime": f"{min(checkpoint.years)}-01-01T00:00:00Z",
        "end_datetime": f"{max(checkpoint.years)}-12-31T23:59:59Z",
        "mlm:name": f"landshift {checkpoint.name}",
        "mlm:architecture": architecture,
        "mlm:framework": framework,
        "mlm:tasks": ["semantic-segmentation" if spatial else "classification"],
        "mlm:pretrained": False,
        "mlm:input": [
            {
                "name": "features of a year",
                "bands": names,
                "input": {"shape": shape, "dim_order": dims, "data_type": "float32"},
                "description": "missing values are NaN; normalisation is part of the model",
                "value_scaling": None,
                "resize_type": None,
                "pre_processing_function": {
                    "format": "python",
                    "expression": "landshift.learn.features:Features",
                },
            }
        ],
        "mlm:output": [
            {
                "name": "logits" if spatial else "probabilities",
                "tasks": ["semantic-segmentation" if spatial else "classification"],
                "result": {
                    "shape": [shape[0], len(classes), *shape[2:]],
                    "dim_order": ["batch", "class", *dims[2:]],
                    "data_type": "float32",
                },
                "classification:classes": as_stac(checkpoint.classes),
                "post_processing_function": None,
            }
        ],
        "landshift:model": {
            "name": checkpoint.name,
            "settings": table(checkpoint.model),
            "features": table(checkpoint.features),
            "classes": classes,
            "normalisation": {
                "mean": list(checkpoint.normalisation.mean),
                "std": list(checkpoint.normalisation.std),
            },
            "grid": checkpoint.grid,
            "stand_ins": dict(checkpoint.stand_ins),
            "halo": checkpoint.halo,
            "stride": checkpoint.stride,
            "years": list(checkpoint.years),
            "train_pixels": list(checkpoint.train_pixels),
            "fingerprint": checkpoint.fingerprint,
        },
    }
