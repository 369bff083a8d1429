"""UNetMini: the network behind :class:`landshift.learn.models.unet.UNet`.

BatchNorm, frozen when the network is applied, is the only normalisation: statistics over a tile (GroupNorm,
InstanceNorm) would make the map depend on how it is cut.
"""

from __future__ import annotations

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

__all__ = ["UNetMini"]


class _Block(nn.Sequential):
    """Two 3x3 convolutions, each followed by BatchNorm and ReLU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )


class UNetMini(nn.Module):
    """U-Net after Ronneberger et al. (2015, doi:10.1007/978-3-319-24574-4_28), small enough for two cores.

    The first layer normalises: features come in as they are, missing ones as NaN.

    >>> sum(weight.numel() for weight in UNetMini(10, 10).parameters())
    451642
    """

    def __init__(self, inputs: int, classes: int, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs, 1, 1))
        self.register_buffer("std", torch.ones(inputs, 1, 1))
        self.down = nn.ModuleList(_Block(i, o) for i, o in zip((inputs, *widths), widths, strict=False))
        self.squeeze = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.up = nn.ModuleList(_Block(2 * width, width) for width in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], classes, 1)

    mean: Tensor
    std: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, class, y, x) of features (batch, feature, y, x); y and x are multiples of the stride."""
        x = (features - self.mean) / self.std
        x = torch.where(torch.isnan(x), torch.zeros_like(x), x).clamp(-10.0, 10.0)
        skips = []
        for level, block in enumerate(self.down):
            x = block(fn.max_pool2d(x, 2) if level else x)  # (b, widths[level], y / 2**level, x / 2**level)
            skips.append(x)
        skips.pop()
        for squeeze, block in zip(self.squeeze, self.up, strict=True):
            x = squeeze(fn.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
            x = block(torch.cat([skips.pop(), x], dim=1))
        logits: Tensor = self.head(x)
        return logits
