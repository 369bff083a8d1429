"""Spectral indices by name: formulas are facts of ``_data/indices.toml``, evaluated on any cube.

>>> len(known()) >= 30, known()["ndvi"].formula
(True, '(nir - red) / (nir + red)')
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landshift.ard._cube import NAMES, cube_variables, in_order
from landshift.errors import ConfigError, did_you_mean
from landshift.kernel.expression import compiled
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Index", "Indices", "check_bands", "index", "known"]

_STANDS_IN = {"nir": "nir08", "nir08": "nir"}
"""A cube has the one or the other near infrared, by its sensors: where one is missing the other is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is known of an index."""

    name: str
    """Name in recipes and cubes, such as ``ndvi``."""
    title: str
    """Name for people."""
    formula: str
    """Over STAC common band names; reflectance 0 to 1, backscatter in dB."""
    range: tuple[float, float]
    """What its values span in practice."""
    reference: str
    """Where it comes from."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands it is made of, sorted."""
        return compiled(self.formula).names


@functools.cache
def known() -> Mapping[str, Index]:
    """All indices by name, in the order of the file."""
    said = tomllib.loads((resources.files("landshift._data") / "indices.toml").read_text(encoding="utf-8"))
    found = [Index(**{**facts, "range": tuple(facts["range"])}) for facts in said["index"]]
    return MappingProxyType({one.name: one for one in found})


@step(kind="ard", name="indices", version=1)
class Indices:
    """Indices beside the bands, as the table ``[indices]`` asks for them.

    >>> Indices(names=["ndvi", "ndwi"])
    Indices(names=('ndvi', 'ndwi'))
    """

    names: tuple[str, ...] = ()
    """Names of indices."""

    def __post_init__(self) -> None:
        _entries(self.names, where="indices.names")

    def __call__(self, cube: xr.Dataset) -> xr.Dataset:
        """See :func:`index`; without names the cube is given back."""
        return index(cube, self.names) if self.names else in_order(cube)


def index(cube: xr.Dataset, names: str | Sequence[str]) -> xr.Dataset:
    """Compute indices from the layers of a cube.

    Where a formula asks for ``nir`` and the cube has only ``nir08`` (Landsat, or Sentinel-2's B8A), that is taken, and
    the other way round.

    Args:
        cube: Variables (time, name, y, x); layers are found by name, whatever variable they are in.
        names: One name or several, in the wanted order, in any case of letters.

    Returns:
        A new cube with a variable ``index`` float32 (time, index, y, x); NaN where a band is missing or the formula
        has no value. Indices that the cube already has stay before the new ones.

    Raises:
        ConfigError: There is no such index, or a band is missing.
    """
    import xarray as xr

    entries = _entries([names] if isinstance(names, str) else names, where="index")
    cube = in_order(cube)
    layers = _layers(cube)
    before = [str(name) for name in cube[NAMES["index"]].values] if "index" in cube.data_vars else []
    listed = [name for name in before if name not in {entry.name for entry in entries}]
    planes = [layers[name] for name in listed]
    for entry in entries:
        chosen = {name: _stand_in(name, layers, entry) for name in entry.bands}
        planes.append(compiled(entry.formula)({name: layers[used] for name, used in chosen.items()}))
    labels = np.array([*listed, *(entry.name for entry in entries)], object)
    made = xr.DataArray(
        np.stack(planes, axis=1),
        dims=("time", NAMES["index"], "y", "x"),
        coords={NAMES["index"]: labels},
        attrs={"long_name": "spectral index", "units": "1"},
    )
    return cube.drop_vars(["index", NAMES["index"]], errors="ignore").assign(index=made)


def check_bands(names: Sequence[str], layers: Sequence[str]) -> None:
    """Refuse indices whose bands are not among the layers that a cube is going to have.

    Args:
        names: Names of indices.
        layers: Names of layers.

    Raises:
        ConfigError: There is no such index, or a band is missing.

    >>> check_bands(["ndvi"], ["red", "nir08"])
    """
    for entry in _entries(names, where="index"):
        for name in entry.bands:
            _stand_in(name, layers, entry)


def _entries(names: Sequence[str], *, where: str) -> tuple[Index, ...]:
    """Facts of indices by name, each once.

    Raises:
        ConfigError: A name is not known.
    """
    table = known()
    for name in names:
        if name.lower() not in table:
            raise ConfigError(
                f"there is no index {name!r}", where=where, hint=did_you_mean(name.lower(), table)
            )
    return tuple(table[name] for name in dict.fromkeys(name.lower() for name in names))


def _layers(cube: xr.Dataset) -> dict[str, NDArray[Any]]:
    """Every layer (time, y, x) of a cube by its name; the first variable wins."""
    found: dict[str, NDArray[Any]] = {}
    for variable in cube_variables(cube):
        array = cube[variable]
        for place, name in enumerate(array[NAMES[variable]].values):
            found.setdefault(str(name), array.values[:, place])
    return found


def _stand_in(name: str, layers: Collection[str], entry: Index) -> str:
    """The layer to use for a band."""
    if name in layers:
        return name
    other = _STANDS_IN.get(name, "")
    if other in layers and other not in entry.bands:
        return other
    raise ConfigError(
        f"{entry.name} needs the band {name!r}, which the cube does not have",
        got=list(layers),
        allowed=f"{entry.formula}, with {', '.join(entry.bands)}",
        hint="add it to `bands` of the source, or leave this index out",
    )
