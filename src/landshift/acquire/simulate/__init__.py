"""Simulate scenes with known truth: a test bed for everything that follows, and a demo without a network.

A landscape is a function of place and seed (:mod:`ground`, :mod:`timeline`), its colours one of the date (:mod:`spectra`),
and a scene what a sensor sees of it through its optics and the air (:mod:`optics`, :mod:`air`). Nothing here is shared with
the code that reads, masks, registers or classifies the scenes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.simulate.simulation import Simulate

if TYPE_CHECKING:
    from landshift.acquire.simulate.clear import clear_sky
    from landshift.acquire.simulate.facts import LAND_CLASSES
    from landshift.acquire.simulate.scenes import write_scenes

__all__ = ["LAND_CLASSES", "Simulate", "clear_sky", "write_scenes"]

_HOME: Final = {"LAND_CLASSES": "facts", "clear_sky": "clear", "write_scenes": "scenes"}


def __getattr__(name: str) -> Any:
    """Load what needs numba and rasterio when it is asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
