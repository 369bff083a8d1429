"""Spectral indices by name, for features: the table in ``_data/indices.toml``, evaluated by ``kernel.expression``."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Collection, Mapping
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, did_you_mean

__all__ = ["computable", "evaluate", "needed"]


@functools.cache
def _formulas() -> dict[str, str]:
    """Formula of every known index, by its name in lower case."""
    file = resources.files("landshift._data") / "indices.toml"
    if not file.is_file():
        return {}
    said = tomllib.loads(file.read_text(encoding="utf-8"))
    return {str(one["name"]).lower(): str(one["formula"]) for one in said["index"]}


def _formula(name: str) -> str:
    known = _formulas()
    if name.lower() not in known:
        raise ConfigError("no such index", where="features.indices", got=name, hint=did_you_mean(name, known))
    return known[name.lower()]


def needed(name: str) -> tuple[str, ...]:
    """Bands that an index is made of."""
    from landshift.kernel.expression import names

    return tuple(sorted(names(_formula(name))))


def computable(name: str, bands: Collection[str]) -> bool:
    """Whether an index is known and its bands are there."""
    return name in _formulas() and set(needed(name)) <= set(bands)


def evaluate(name: str, bands: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """An index of some bands, element by element; NaN where a band is missing or the formula undefined."""
    from landshift.kernel.expression import evaluate as run

    found: NDArray[np.float32] = run(_formula(name), bands)
    return found
