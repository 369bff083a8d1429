"""A trained UNetMini as an ONNX graph, written node by node.

The graph is a dozen lines of layers, so it is spelled out instead of traced: it takes a fraction of a second, the
same weights give the same bytes, and no stack trace or path of the machine can get into it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["graph_of"]

_OPSET: Final = 18
_IR: Final = 10


class _Graph:
    """Nodes and weights so far; every method adds a layer and gives the name of what it puts out."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.held: dict[str, NDArray[Any]] = {}

    def add(self, kind: str, *inputs: str, **options: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **options))
        return name

    def hold(self, name: str, values: NDArray[Any] | None = None) -> str:
        self.held[name] = self.weights[name] if values is None else values
        return name

    def conv(self, x: str, layer: str) -> str:
        names = [
            self.hold(f"{layer}.{part}") for part in ("weight", "bias") if f"{layer}.{part}" in self.weights
        ]
        side = self.weights[names[0]].shape[-1]
        return self.add("Conv", x, *names, kernel_shape=[side, side], pads=[side // 2] * 4)

    def block(self, x: str, layer: str) -> str:
        """Two 3x3 convolutions, each followed by BatchNorm and ReLU."""
        for conv, norm in ((0, 1), (3, 4)):
            x = self.conv(x, f"{layer}.{conv}")
            parts = ("weight", "bias", "running_mean", "running_var")
            x = self.add("BatchNormalization", x, *(self.hold(f"{layer}.{norm}.{part}") for part in parts))
            x = self.add("Relu", x)
        return x


def graph_of(weights: dict[str, NDArray[np.float32]], *, levels: int, stride: int) -> bytes:
    """The network as an ONNX model that takes any batch, and any height and width that are multiples of the stride.

    Args:
        weights: The network's state by name.
        levels: How many levels it has.
        stride: Its stride, for the names of the dimensions.

    Returns:
        The model: ``features`` (batch, feature, y, x), NaN is missing, to ``logits`` (batch, class, y, x).
    """
    made = _Graph(weights)
    x = made.add("Div", made.add("Sub", "features", made.hold("mean")), made.hold("std"))
    zero = made.hold("zero", np.zeros((), np.float32))
    ends = [made.hold(name, np.array(at, np.float32)) for name, at in (("lowest", -10), ("highest", 10))]
    x = made.add("Clip", made.add("Where", made.add("IsNaN", x), zero, x), *ends)
    skips = []
    for level in range(levels):
        if level:
            x = made.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = made.block(x, f"down.{level}")
        skips.append(x)
    skips.pop()
    twice = made.hold("twice", np.array([1, 1, 2, 2], np.float32))
    for level in range(levels - 1):
        x = made.add("Resize", x, "", twice, mode="linear", coordinate_transformation_mode="half_pixel")
        x = made.conv(x, f"squeeze.{level}")
        x = made.block(made.add("Concat", skips.pop(), x, axis=1), f"up.{level}")
    x = made.conv(x, "head")
    made.nodes[-1].output[0] = "logits"
    return _model(made, stride)


def _model(made: _Graph, stride: int) -> bytes:
    inputs, classes = made.weights["mean"].shape[0], made.weights["head.bias"].shape[0]
    sides = [f"{stride}*rows", f"{stride}*cols"]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", depth, *sides])
        for name, depth in (("features", inputs), ("logits", classes))
    ]
    held = [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in made.held.items()]
    graph = helper.make_graph(made.nodes, "unet", ends[:1], ends[1:], held)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="landshift"
    )
    model.ir_version = _IR
    onnx.checker.check_model(model)
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw
