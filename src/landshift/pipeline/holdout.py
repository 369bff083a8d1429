"""The hold-out: hide some of each pixel's clear looks, predict them from the rest, and tell the error.

It is a second pass in memory; the written cube uses all looks. The looks are drawn by a hash of seed, pixel and
day, so the figures do not depend on how the place is cut. Beside the product's own method stand the two rules
anybody could use: the nearest kept look, and the mean of all kept looks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from landshift.kernel.holdout import baselines, hidden, tally
from landshift.pipeline.output import hash_of
from landshift.pipeline.record import ReadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from landshift.pipeline.block import Job
    from landshift.plan import Block

__all__ = ["Holdout", "Score"]


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """How looks are held out."""

    share: float
    """Share of each pixel's clear looks; 0 leaves the pass out."""
    seed: int
    """Seed of the hash."""

    def key(self, job: Job) -> str:
        """Names the scores of a product: what it is made of, and how looks are hidden; "" where it has none.

        Only products on virtual dates are scored.

        Args:
            job: The product.
        """
        if self.share <= 0 or not hasattr(job.step, "at"):
            return ""
        return hash_of([job.key, self.share, self.seed])

    def score(self, cube: xr.Dataset, job: Job, tile: Block) -> Score:
        """The errors at the hidden looks of a tile.

        Args:
            cube: The tile's masked looks.
            job: The product.
            tile: Where it lies, which decides with the seed what is hidden.
        """
        values = cube[job.variable].values
        clear = np.isfinite(values).all(axis=1)
        stamps = cube["time"].values.astype("datetime64[ns]")
        whole_days = stamps.astype("datetime64[D]").astype(np.int64)
        held = hidden(clear, whole_days, (tile.y[0], tile.x[0]), self.share, self.seed)
        kept = clear & ~held
        rest = cube.copy()
        rest[job.variable] = (cube[job.variable].dims, np.where(kept[:, None], values, np.float32(np.nan)))
        said = job.step.at(stamps)(rest)[job.variable].values
        days = stamps.astype(np.int64) / 86_400e9
        made = Score()
        for number, band in enumerate(job.bands):
            truth = np.ascontiguousarray(values[:, number])
            near, mean = baselines(truth, kept, held, days)
            found: dict[str, Any] = {"interpolate": said[:, number], "nearest": near, "mean": mean}
            fair = held & np.all([np.isfinite(guess) for guess in found.values()], axis=0)
            for method, guess in found.items():
                made.add(f"{band}/{method}", tally(truth, guess, fair))
        return made


@dataclass
class Score:
    """Sums of the errors at hidden looks: whole numbers, the same in any order; see :func:`landshift.kernel.holdout.tally`."""

    errors: dict[str, list[int]] = field(default_factory=dict)
    """Number, squares and magnitudes of errors by ``<band>/<method>``."""
    unread: list[ReadError] = field(default_factory=list)
    """Files for which scenes were left out of the block."""
    said: list[str] = field(default_factory=list)
    """Quality warnings."""

    def add(self, name: str, sums: Sequence[int]) -> None:
        """Add number, squares and magnitudes of errors under the name of a band and a method."""
        self.errors[name] = [
            old + new for old, new in zip(self.errors.get(name, [0, 0, 0]), sums, strict=True)
        ]

    @classmethod
    def total(cls, parts: Sequence[Score]) -> Score:
        """The sums of all tiles."""
        whole = cls()
        for part in parts:
            for name, sums in part.errors.items():
                whole.add(name, sums)
        return whole

    def as_dict(self) -> dict[str, Any]:
        """As plain values for the journal."""
        return asdict(self)
