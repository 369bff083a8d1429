"""Weather over the whole simulated land: how wet the soil is on a day, how early and how dry a year was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import numpy as np

from landshift.acquire.simulate.noise import key_of

__all__ = ["Season", "season", "wetness"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """How a year differs from the mean."""

    early_days: float
    """Days by which spring comes early."""
    vigour: float
    """Factor of green cover."""
    dry: float
    """Share of grass that turns dry in summer."""


def season(seed: int, year: int) -> Season:
    """The season of a year.

    >>> season(1, 2018) == season(1, 2018)
    True
    """
    random = np.random.default_rng([seed & 0xFFFFFFFF, 0x5EA5, year])
    early, vigour, dry = random.normal(size=3)
    return Season(
        early_days=float(5.0 * early),
        vigour=float(1.0 + 0.04 * vigour),
        dry=float(max(0.0, 0.12 + 0.10 * dry)),
    )


def wetness(seed: int, day: date) -> float:
    """How wet the topsoil is, 0 dry to 1 wet: rain of the last twenty days, fading with a time of five days.

    >>> 0.0 <= wetness(1, date(2020, 5, 1)) <= 1.0
    True
    """
    key, total = int(key_of(seed, "rain")) & 0xFFFFFFFF, 0.0
    for back in range(20):
        number = day.toordinal() - back
        random = np.random.default_rng([key, number])
        if random.random() < 0.30:
            total += random.exponential(0.45) * math.exp(-back / 5.0)
    return min(total, 1.0)
