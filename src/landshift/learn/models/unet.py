"""U-Net: land cover from the features of a pixel and of what lies around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from landshift.errors import ConfigError
from landshift.step import step

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from landshift.learn.dataset import Normalisation

__all__ = ["UNet", "repeatable", "save"]


@step(kind="model", name="unet")
class UNet:
    """A small U-Net (0.45 million weights), trained from scratch on this place.

    >>> UNet().stride, UNet().halo
    (8, 56)
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of each level, top first."""

    epochs: int = 16
    """Most passes over the training patches."""

    patience: int = 6
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


@contextmanager
def repeatable(threads: int) -> Iterator[torch.device]:
    """Run torch with a fixed number of threads and, on the CPU, with sums in a fixed order; all restored at the end.

    Args:
        threads: How many threads.

    Yields:
        The device to use: a GPU where there is one, else the CPU.
    """
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    try:
        with torch.random.fork_rng():
            yield device
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def save(net: nn.Module, folder: Path, model: UNet) -> None:
    """Write a network's weights, and the network as ONNX.

    Args:
        net: The network.
        folder: The checkpoint's folder.
        model: Its configuration.
    """
    from safetensors.torch import save as packed

    from landshift.learn.models.unet_onnx import graph_of
    from landshift.plan import write_atomic

    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    write_atomic(folder / "model.safetensors", packed(weights))
    arrays = {name: value.numpy() for name, value in weights.items()}
    write_atomic(folder / "model.onnx", graph_of(arrays, levels=len(model.widths), stride=model.stride))
