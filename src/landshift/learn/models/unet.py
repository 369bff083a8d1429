"""U-Net: land cover from the features of a pixel and of what lies around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from landshift.errors import ConfigError
from landshift.step import step

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from landshift.learn.dataset import Normalisation

__all__ = ["UNet", "plain_onnx", "save", "write_onnx"]


@step(kind="model", name="unet")
class UNet:
    """A small U-Net (0.45 million weights), trained from scratch on this place.

    >>> UNet().stride, UNet().halo
    (8, 56)
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of each level, top first."""

    epochs: int = 30
    """Most passes over the training patches."""

    patience: int = 8
    """Passes without a better validation score after which training stops."""

    batch: int = 8
    """Patches per step."""

    learning_rate: float = 2e-3
    """Largest step size; it rises over the first pass and falls to zero along a cosine."""

    weight_decay: float = 1e-3
    """AdamW's."""

    seed: int = 0
    """First weights, order of the patches, flips and turns."""

    patch_based: ClassVar[bool] = True
    default_statistics: ClassVar[tuple[str, ...]] = ("p10", "p50", "p90", "std")
    tile_px: ClassVar[int] = 512

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not self.widths or min(self.widths) < 1 or min(self.epochs, self.patience, self.batch) < 1:
            raise ConfigError("unet: widths, epochs, patience and batch are 1 or more")

    @property
    def stride(self) -> int:
        """Tile origins and sizes are multiples of this many pixels."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def halo(self) -> int:
        """Pixels around a tile that its result depends on: seven of the coarsest level's, exact for whole strides.

        Two convolutions per level, pooling and bilinear interpolation reach 7 * stride - 2 pixels beyond a tile whose
        edges are multiples of the stride (measured by gradients in the tests).
        """
        return 7 * self.stride

    def network(self, inputs: int, classes: int, normalisation: Normalisation | None = None) -> nn.Module:
        """The untrained network.

        Args:
            inputs: Number of features.
            classes: Number of classes.
            normalisation: Fills the network's first, fixed layer.
        """
        import torch

        from landshift.learn.models.unet_mini import UNetMini

        net = UNetMini(inputs, classes, self.widths)
        if normalisation is not None:
            for buffer, values in ((net.mean, normalisation.mean), (net.std, normalisation.std)):
                buffer.copy_(torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1))
        return net


def save(net: nn.Module, folder: Path, *, stride: int) -> None:
    """Write a network's weights, and the network as ONNX.

    Args:
        net: The network.
        folder: The checkpoint's folder.
        stride: Height and width of what it takes are multiples of it.
    """
    from safetensors.torch import save as packed

    from landshift.plan import write_atomic

    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    write_atomic(folder / "model.safetensors", packed(weights))
    write_onnx(net, folder / "model.onnx", stride=stride)


def write_onnx(net: Any, path: Path, *, stride: int) -> None:
    """Write a network as ONNX that takes any batch and any multiple of the stride, without traces of the machine.

    Args:
        net: The network.
        path: The file; it appears whole or not at all.
        stride: Height and width are multiples of it.
    """
    import contextlib
    import io
    import logging
    import warnings

    import torch

    from landshift.plan import write_atomic

    net = net.eval().cpu()
    dim, side = torch.export.Dim, 4 * stride
    shapes = {0: dim("batch"), 2: stride * dim("rows"), 3: stride * dim("cols")}
    example = torch.zeros(2, net.mean.shape[0], side, 2 * side)
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch's own deprecations inside its exporter
        noisy.setLevel(logging.ERROR)
        try:
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                dynamic_shapes=(shapes,),
                input_names=["features"],
                output_names=["logits"],
                external_data=False,
                verbose=False,
            )
        finally:
            noisy.setLevel(level)
    model = program.model_proto if program is not None else None
    write_atomic(path, plain_onnx(model))


def plain_onnx(model: Any) -> bytes:
    """An ONNX model's bytes without stack traces and other traces of where it was made."""
    del model.metadata_props[:]
    model.producer_version = ""
    graph = model.graph
    del graph.metadata_props[:]
    for group in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for part in group:
            del part.metadata_props[:]
            if hasattr(part, "doc_string"):
                part.doc_string = ""
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw
