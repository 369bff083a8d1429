"""Spectral indices by name, for features: the table in ``_data/indices.toml``, evaluated by ``kernel.expression``."""

from __future__ import annotations

import functools
import tomllib
import warnings
from collections.abc import Collection, Mapping
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, DataQualityWarning, did_you_mean
from landshift.kernel.expression import compiled

__all__ = ["computable", "evaluate", "needed", "told"]

_STANDS_IN: Final = {"nir": "nir08", "nir08": "nir"}
"""A cube has the one or the other near infrared, by its sensors: where one is missing the other is taken."""


@functools.cache
def _formulas() -> dict[str, str]:
    """Formula of every known index, by its name."""
    text = (resources.files("landshift._data") / "indices.toml").read_text(encoding="utf-8")
    return {str(one["name"]): str(one["formula"]) for one in tomllib.loads(text)["index"]}


def _formula(name: str) -> str:
    known = _formulas()
    if name not in known:
        raise ConfigError("no such index", where="features.indices", got=name, hint=did_you_mean(name, known))
    return known[name]


def needed(name: str, bands: Collection[str]) -> dict[str, str]:
    """The layer that each band of an index's formula is read from, by the formula's name of it.

    >>> needed("ndvi", ["red", "nir08"])
    {'nir': 'nir08', 'red': 'red'}
    """
    return {
        band: _STANDS_IN[band] if band not in bands and _STANDS_IN.get(band) in bands else band
        for band in compiled(_formula(name)).names
    }


def computable(name: str, bands: Collection[str]) -> bool:
    """Whether an index's bands are there."""
    return set(needed(name, bands).values()) <= set(bands)


def told(stand_ins: dict[str, str]) -> dict[str, str]:
    """The same, and a word about each: which near infrared an index is made of decides what it means.

    Args:
        stand_ins: Bands that indices ask for and the cube lacks, with those taken in their place.
    """
    for band, layer in stand_ins.items():
        text = f"indices ask for {band}, which the cube does not have: they are made of {layer}"
        warnings.warn(text, DataQualityWarning, stacklevel=3)
    return stand_ins


def evaluate(name: str, layers: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """An index of some layers, element by element; NaN where one is missing or the formula has no value."""
    found: NDArray[np.float32] = compiled(_formula(name))(
        {band: layers[layer] for band, layer in needed(name, layers).items()}
    )
    return found
