"""What every step of this stage asks of a cube: its variables, its grid, its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, GridError
from landshift.sensor import BAND_DIM

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = [
    "NAMES",
    "cube_variables",
    "dataset_on",
    "floats",
    "geobox_of",
    "in_order",
    "refuse_dask",
    "times_of",
]

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {name: BAND_DIM[name] for name in ("reflectance", "backscatter", "index")}
)
"""Variables that hold pixels, and the dimension that names their layers."""

_OURS: Final = frozenset({*NAMES, "quality", "n_clear", "age"})

Arrays = dict[str, tuple[tuple[str, ...], NDArray[Any]]]
"""Dimensions and values by variable."""


def cube_variables(cube: xr.Dataset) -> tuple[str, ...]:
    """Names of the variables of a cube that hold pixels, after a look at their shape.

    Args:
        cube: Any dataset.

    Returns:
        Those of ``reflectance``, ``backscatter`` and ``index`` that are there, in this order.

    Raises:
        ConfigError: There is none, their dimensions are wrong, or they are dask arrays.
    """
    refuse_dask(cube)
    found = tuple(name for name in NAMES if name in cube.data_vars)
    if not found:
        raise ConfigError(
            "this is no cube: it has none of the variables that hold pixels",
            got=sorted(map(str, cube.data_vars)) or "no variable",
            allowed=list(NAMES),
        )
    for name in found:
        wanted = ("time", NAMES[name], "y", "x")
        if set(cube[name].dims) != set(wanted):
            raise ConfigError(f"{name} has other dimensions", got=cube[name].dims, allowed=wanted)
    return found


def in_order(cube: xr.Dataset) -> xr.Dataset:
    """The same cube with every array's dimensions as ours are: time, names, y, x. No pixel is copied."""
    cube_variables(cube)
    order = ("time", *dict.fromkeys(BAND_DIM.values()), "y", "x")
    turned = {}
    for name in (name for name in cube.data_vars if name in _OURS):
        turned[name] = cube[name].transpose(*(dim for dim in order if dim in cube[name].dims))
    return cube.assign(turned)


def refuse_dask(cube: xr.Dataset) -> None:
    """Refuse lazy arrays: the blocks of a run are the only chunks; and what is no dataset.

    Raises:
        ConfigError: A variable is a dask array, or the cube is a variable itself.
    """
    if not hasattr(cube, "data_vars"):
        hint = "give the dataset that holds `reflectance` and `quality`, not one variable of it"
        raise ConfigError("a step takes a cube, an xarray.Dataset", got=type(cube).__name__, hint=hint)
    lazy = [str(name) for name, array in cube.data_vars.items() if array.chunks is not None]
    if lazy:
        raise ConfigError(
            "steps work on arrays in memory, and this cube is dask-backed",
            got=lazy,
            hint="`cube.load()` where it fits into memory; else write a recipe and use `run`, which works by blocks",
        )


def floats(cube: xr.Dataset, name: str) -> NDArray[np.float32]:
    """A variable as float32 (time, name, y, x) in C order; the cube's own array where it is that already."""
    array = cube[name].transpose("time", NAMES[name], "y", "x")
    return np.ascontiguousarray(array.values, np.float32)


def times_of(cube: xr.Dataset) -> NDArray[np.datetime64]:
    """Times of the cube, ascending.

    Raises:
        ConfigError: They are not times, or not ascending.
    """
    times = cube["time"].values
    if times.dtype.kind != "M":
        raise ConfigError("the cube's `time` holds no times", got=str(times.dtype), allowed="datetime64")
    stamps: NDArray[np.datetime64] = times.astype("datetime64[ns]")
    if np.any(np.diff(stamps) < np.timedelta64(0, "ns")):
        raise ConfigError("the cube's times are not ascending", hint='`cube.sortby("time")` sorts them')
    return stamps


def dataset_on(cube: xr.Dataset, times: NDArray[np.datetime64], data: Arrays) -> xr.Dataset:
    """A new cube on the same grid with another time axis.

    Args:
        cube: The cube whose grid, names and attributes are kept; coordinates per date are not.
        times: New time axis.
        data: Dimensions and values by variable; a variable that the cube has keeps its attributes.
    """
    import xarray as xr

    coords = {name: coord.variable for name, coord in cube.coords.items() if "time" not in coord.dims}
    made = xr.Dataset(
        {name: (dims, values, _attrs(cube, name)) for name, (dims, values) in data.items()},
        coords={**coords, "time": ("time", times.astype("datetime64[ns]"), cube["time"].attrs)},
        attrs=cube.attrs,
    )
    used = {dim for array in made.data_vars.values() for dim in array.dims}
    return made.drop_vars([name for name, coord in made.coords.items() if not set(coord.dims) <= used])


def geobox_of(cube: xr.Dataset) -> GeoBox:
    """The grid of a cube.

    Raises:
        GridError: It has none, or no CRS.
    """
    import odc.geo.xr  # noqa: F401 - registers the accessor

    geobox: GeoBox | None = cube.odc.geobox
    if geobox is None:
        raise GridError(
            "the cube has no grid, so lengths in metres mean nothing on it",
            hint="open it with landshift, or assign one: `cube.odc.assign_crs(...)`",
        )
    return geobox


def _attrs(cube: xr.Dataset, name: str) -> Mapping[str, Any]:
    own: Mapping[str, Any] = cube[name].attrs if name in cube.data_vars else _ATTRS.get(name, {})
    return own


_ATTRS: Final[Mapping[str, Mapping[str, Any]]] = {
    "n_clear": {"long_name": "number of clear looks", "units": "1"},
    "age": {"long_name": "distance to the nearest clear look", "units": "days", "nodata": -32768},
    "index": {"long_name": "spectral index", "units": "1"},
}
