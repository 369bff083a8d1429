"""What is counted while a block is done, and noted in its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from landshift.sensor import QUALITY

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["ReadError", "Record", "each_once"]

ReadError: TypeAlias = dict[str, str]
"""A file that could not be read: ``item``, ``where``, ``error``."""


@dataclass
class Record:
    """What is counted while a block is done."""

    clipped: int = 0
    """Values beyond the range of stored numbers."""
    empty_px: int = 0
    """Pixels without a value on any finished date."""
    pixels: int = 0
    """Pixels in all."""
    seen: list[int] = field(default_factory=list)
    """Pixels with data, by look."""
    clear: list[int] = field(default_factory=list)
    """Pixels that are used after masking, by look."""
    filled: list[int] = field(default_factory=list)
    """Pixels with a value, by finished date."""
    unread: list[ReadError] = field(default_factory=list)
    """Files for which scenes were left out of the block."""
    said: list[str] = field(default_factory=list)
    """Quality warnings."""

    def look_at(self, cube: xr.Dataset, variable: str) -> None:
        """Count valid and clear pixels of every date.

        Args:
            cube: Masked looks.
            variable: Their variable.
        """
        quality = cube["quality"].values
        shown = np.isfinite(cube[variable].values[:, 0])
        seen, clear = (quality != QUALITY["nodata"]).sum(axis=(1, 2)), shown.sum(axis=(1, 2))
        self.seen = _plus(self.seen, seen.tolist())
        self.clear = _plus(self.clear, clear.tolist())
        self.pixels += int(quality[0].size)

    def look_back(self, stored: NDArray[np.int16]) -> None:
        """Count pixels of every finished date that hold a value, and pixels that never do."""
        from landshift.cube.layout import MISSING

        holds = (stored != MISSING).any(axis=1)
        self.filled = _plus(self.filled, holds.sum(axis=(1, 2)).tolist())
        self.empty_px += int((~holds.any(axis=0)).sum())

    @classmethod
    def total(cls, parts: Sequence[Record]) -> Record:
        """The counts of all tiles, added in their order."""
        whole = cls()
        for part in parts:
            whole.clipped += part.clipped
            whole.empty_px += part.empty_px
            whole.pixels += part.pixels
            whole.seen, whole.clear = _plus(whole.seen, part.seen), _plus(whole.clear, part.clear)
            whole.filled = _plus(whole.filled, part.filled)
        return whole

    def as_dict(self) -> dict[str, Any]:
        """As plain values for the journal."""
        return asdict(self)


def each_once(errors: Sequence[ReadError]) -> list[ReadError]:
    """Read errors by scene and file, one for each file: tiles of a block and the mask's halo meet it again."""
    found: dict[tuple[str, str], ReadError] = {}
    for one in sorted(errors, key=lambda one: (one["item"], one["where"], one["error"])):
        found.setdefault((one["item"], one["where"]), one)
    return list(found.values())


def _plus(old: list[int], new: list[int]) -> list[int]:
    return [a + b for a, b in zip(old, new, strict=True)] if old else new
