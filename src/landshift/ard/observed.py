"""The looks as they came: masked, on the place's grid, with their quality classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landshift.ard._cube import cube_variables, in_order
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Observed"]


@step(kind="product", name="observed", version=1)
class Observed:
    """Every look at its own time, hidden where it is masked, with ``quality`` beside it.

    >>> Observed().times(np.array(["2020-01-03T10:20"], "M8[ns]")).astype("M8[m]")
    array(['2020-01-03T10:20'], dtype='datetime64[m]')
    """

    def times(self, observed: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        """The looks' own times.

        Args:
            observed: Times of the looks, (time,).
        """
        return observed.astype("datetime64[ns]")

    def __call__(self, cube: xr.Dataset) -> xr.Dataset:
        """Give the masked cube back: its pixels and its quality, in a new dataset.

        Args:
            cube: Variables (time, name, y, x), with or without ``quality``.
        """
        kept = [*cube_variables(cube), *(name for name in ("quality",) if name in cube.data_vars)]
        return in_order(cube[kept])
