"""From satellite scenes to analysis-ready cubes, deep-temporal models, and maps of how land and water change.

Everything here is loaded when it is first used, so that importing landshift costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landshift.acquire.folder import adopt
    from landshift.acquire.load import load
    from landshift.acquire.simulate import write_scenes as simulate
    from landshift.acquire.source import search
    from landshift.ard.composite import Composite
    from landshift.ard.indices import index
    from landshift.ard.interpolate import Interpolate
    from landshift.ard.mask import Mask
    from landshift.config import Recipe
    from landshift.cube.store import open_cube as open  # noqa: A004 - the name users look for
    from landshift.learn.patches import Patches
    from landshift.learn.predict import predict
    from landshift.learn.split import Split
    from landshift.learn.train import train
    from landshift.measure.transitions import transitions
    from landshift.measure.zonal import zonal
    from landshift.pipeline.explain import explain
    from landshift.pipeline.run import run

__version__ = "0.1.0"

__all__ = [
    "Composite",
    "Interpolate",
    "Mask",
    "Patches",
    "Recipe",
    "Split",
    "adopt",
    "explain",
    "index",
    "load",
    "open",
    "predict",
    "run",
    "search",
    "simulate",
    "train",
    "transitions",
    "zonal",
]

_HOME = {
    "Composite": "landshift.ard.composite",
    "Interpolate": "landshift.ard.interpolate",
    "Mask": "landshift.ard.mask",
    "Patches": "landshift.learn.patches",
    "Recipe": "landshift.config",
    "Split": "landshift.learn.split",
    "adopt": "landshift.acquire.folder",
    "explain": "landshift.pipeline.explain",
    "index": "landshift.ard.indices",
    "load": "landshift.acquire.load",
    "open": "landshift.cube.store:open_cube",
    "predict": "landshift.learn.predict",
    "run": "landshift.pipeline.run",
    "search": "landshift.acquire.source",
    "simulate": "landshift.acquire.simulate:write_scenes",
    "train": "landshift.learn.train",
    "transitions": "landshift.measure.transitions",
    "zonal": "landshift.measure.zonal",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOME:
        from landshift.errors import did_you_mean

        raise AttributeError(f"landshift has no {name!r}; {did_you_mean(name, __all__)}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(import_module(module), attribute or name)


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
