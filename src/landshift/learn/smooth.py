"""Years together: a class that holds for years outweighs what one year's odd weather looks like.

A model sees a year at a time, and a wet or hazy year it has not learned from looks like other land. The years around
it say what the land was before and after. Each pixel is a hidden Markov chain over the years: the model's
probabilities are what is seen, and land keeps its class with a stated probability. The map shows the class that is most
probable given all years looked at (forward-backward algorithm, Rabiner 1989, doi:10.1109/5.18626). Nothing is learned
here, and nothing but the model's own output is looked at.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError
from landshift.step import step

__all__ = ["Predict", "most_probable"]

_DOUBT: Final = 1e-3
"""No model is surer than this that a pixel is not of a class."""


@step(kind="table")
class Predict:
    """How a model's output becomes the maps of the years.

    >>> Predict(years_around=1).around(2020, (2017, 2019, 2020, 2021, 2022))
    (2019, 2020, 2021)
    """

    years_around: int = 0
    """Years before and after its own that a map looks at; 0 maps every year alone. A year's map then changes when a later one comes."""

    stay: float = 0.8
    """Probability that land keeps its class from one year to the next; the rest is shared by the other classes."""

    def __post_init__(self) -> None:
        """Refuse what is no number of years, or no probability of staying."""
        if self.years_around < 0:
            raise ConfigError("predict.years_around is 0 or more", got=self.years_around)
        if not 0.5 <= self.stay < 1:
            raise ConfigError("predict.stay is a probability", got=self.stay, allowed="0.5 <= stay < 1")

    def around(self, year: int, years: tuple[int, ...]) -> tuple[int, ...]:
        """The years that the map of a year looks at, of those there are; its own is one of them."""
        return tuple(sorted({year, *(one for one in years if abs(one - year) <= self.years_around)}))


def most_probable(likely: NDArray[np.float32], *, at: int, stay: float) -> NDArray[np.float32]:
    """Probabilities of the classes in one year, given all years.

    With the probability of a class in year t given looks of that year alone ``p_t``, and the chance of a change
    ``T = stay`` on the diagonal and ``(1 - stay) / (classes - 1)`` beside it, this is proportional to
    ``p_at * (T' ... p_1) * (T ... p_n)``: what comes from before, what is seen, what comes from after.

    Args:
        likely: float32 (year, class, ...), in the order of the years; NaN where a pixel has no look.
        at: Position of the year.
        stay: Probability that land keeps its class from one year to the next.

    Returns:
        float32 (class, ...), adding up to 1.

    >>> seen = np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]], np.float32)
    >>> [f"{chance:.2f}" for chance in most_probable(seen, at=1, stay=0.8)]
    ['0.84', '0.16']
    """
    seen = np.where(np.isnan(likely), np.float32(1.0), np.maximum(likely, np.float32(_DOUBT)))
    before = after = np.ones_like(seen[at])
    for year in range(at):
        before = _a_year_on(before * seen[year], stay)
    for year in range(len(seen) - 1, at, -1):
        after = _a_year_on(after * seen[year], stay)
    found = before * seen[at] * after
    total: NDArray[np.float32] = found / found.sum(axis=0)
    return total


def _a_year_on(chance: NDArray[np.float32], stay: float) -> NDArray[np.float32]:
    """Chances of the classes one year away, either way: the change is symmetric."""
    chance = chance / chance.sum(axis=0)
    others = max(len(chance) - 1, 1)
    moved: NDArray[np.float32] = np.float32(stay) * chance + np.float32((1 - stay) / others) * (1 - chance)
    return moved
