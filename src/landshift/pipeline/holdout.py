"""The hold-out: hide some of each pixel's clear looks, predict them from the rest, and tell the error.

It is a second pass in memory; the written cube uses all looks. The looks are drawn by a hash of seed, pixel and
day, so the figures do not depend on how the place is cut. Beside the product's own method stand the two rules
anybody could use: the nearest kept look, and the mean of all kept looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landshift.kernel.holdout import baselines, hidden, tally

if TYPE_CHECKING:
    import xarray as xr

    from landshift.pipeline.block import Job, Record
    from landshift.plan import Block

__all__ = ["Holdout"]


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """How looks are held out."""

    share: float
    """Share of each pixel's clear looks; 0 leaves the pass out."""
    seed: int
    """Seed of the hash."""

    def score(self, cube: xr.Dataset, job: Job, tile: Block, record: Record) -> None:
        """Add the errors at the hidden looks of a tile to its record; only products on virtual dates are scored."""
        if self.share <= 0 or not hasattr(job.step, "at"):
            return
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
        for number, band in enumerate(job.bands):
            truth = np.ascontiguousarray(values[:, number])
            near, mean = baselines(truth, kept, held, days)
            found: dict[str, Any] = {"interpolate": said[:, number], "nearest": near, "mean": mean}
            fair = held & np.all([np.isfinite(guess) for guess in found.values()], axis=0)
            for method, guess in found.items():
                record.add_errors(f"{band}/{method}", tally(truth, guess, fair))
