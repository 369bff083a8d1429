"""Coordinates from one reference system to another, asked of PROJ by one thread on behalf of all.

PROJ keeps a context per thread, and setting one up takes a tenth of a second with Python's lock held: a run that
reads blocks in sixteen threads would stand still for seconds. So small questions go to one thread of the process
that has its context already; large ones are worth a context of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from odc.geo.crs import CRS

__all__ = ["Project", "projection"]

Floats: TypeAlias = NDArray[np.float64]
Project: TypeAlias = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""From x and y to x and y, longitude before latitude; inf where undefined."""

LARGE: Final = 2**15
"""Points from which on a thread asks PROJ itself."""


class _Asker:
    """The thread that asks; a forked process needs its own."""

    def __init__(self) -> None:
        self.start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.start)

    def start(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="proj")


_ASKER: Final = _Asker()


def projection(source: CRS, target: CRS) -> Project:
    """The way from one reference system to another.

    Args:
        source: Where the points are.
        target: Where they are wanted.

    >>> from odc.geo.crs import CRS
    >>> there = projection(CRS("EPSG:32633"), CRS("EPSG:4326"))
    >>> [float(part[0].round(6)) for part in there(np.array([500_000.0]), np.array([0.0]))]
    [15.0, 0.0]
    """
    asked: Project = source.transformer_to_crs(target)

    def through(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        if x.size >= LARGE:
            return asked(x, y)
        try:
            answer = _ASKER.pool.submit(asked, x, y)
        except RuntimeError:  # the process is ending, and pools take nothing more
            return asked(x, y)
        return answer.result()

    return through
