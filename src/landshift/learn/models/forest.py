"""Random forest on temporal statistics: the baseline that is hard to beat, pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError
from landshift.step import step

__all__ = ["RandomForest"]


@step(kind="model", name="forest")
class RandomForest:
    """A random forest (Breiman 2001, doi:10.1023/A:1010933404324) over single pixels, kept as ONNX.

    >>> RandomForest(trees=50).halo
    0
    """

    trees: int = 100
    """How many trees vote."""

    max_depth: int | None = None
    """Deepest level of a tree; by default leaves decide."""

    min_leaf: int = 3
    """Fewest training pixels in a leaf."""

    seed: int = 1
    """Seed of the bootstrap and of the choice of features."""

    patch_based: ClassVar[bool] = False
    default_statistics: ClassVar[tuple[str, ...]] = (
        "min",
        "p10",
        "p25",
        "p50",
        "p75",
        "p90",
        "max",
        "mean",
        "std",
    )
    tile_px: ClassVar[int] = 512
    stride: ClassVar[int] = 1
    halo: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Refuse a forest without trees."""
        if min(self.trees, self.min_leaf) < 1:
            raise ConfigError("forest: trees and min_leaf are 1 or more")

    def fit(self, x: NDArray[np.float32], y: NDArray[np.uint8], *, threads: int) -> bytes:
        """Grow the forest and give it as an ONNX model; missing features count as the training mean.

        Args:
            x: float32 (pixel, feature), NaN is missing.
            y: uint8 (pixel): position of the class; every position from 0 occurs.
            threads: Trees grown at the same time; the forest does not depend on it.

        Returns:
            The model: ``features`` (pixel, feature) to ``probabilities`` (pixel, class).
        """
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline

        forest = RandomForestClassifier(
            n_estimators=self.trees,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_leaf,
            random_state=self.seed,
            n_jobs=threads,
        )
        whole = make_pipeline(SimpleImputer(keep_empty_features=True), forest).fit(x, y)
        model = to_onnx(
            whole,
            initial_types=[("features", FloatTensorType([None, x.shape[1]]))],
            name="forest",
            options={RandomForestClassifier: {"zipmap": False}},
            target_opset={"": 18, "ai.onnx.ml": 3},
        )
        raw: bytes = model.SerializeToString(deterministic=True)
        return raw


def session(path: Path) -> Any:
    """An ONNX Runtime session that adds up in one fixed order, whatever the machine."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
