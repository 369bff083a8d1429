"""Stage 2: make pixels comparable: mask, interpolate, composite, indices."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Composite", "Indices", "Interpolate", "Mask", "Observed", "index"]

_HOMES = {
    "Composite": "composite",
    "Indices": "indices",
    "Interpolate": "interpolate",
    "Mask": "mask",
    "Observed": "observed",
    "index": "indices",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
