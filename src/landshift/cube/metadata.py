"""The metadata of a store: arrays, coordinates and attributes, written once, before any block.

CF: time in microseconds since 1970, scale and fill value, flags, grid mapping. GeoZarr: the conventions
``proj`` and ``spatial`` in the group's attributes. Text coordinates are variable-length strings, so that
``sel(band="red")`` works in plain xarray. Consolidated metadata is written in sorted order: the folder's own
order differs between file systems.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landshift.cube.codec import LEVEL
from landshift.cube.layout import Array, Layout
from landshift.errors import GridError
from landshift.sensor import BAND_DIM

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Columns", "first_difference", "refuse_odd", "write_metadata"]

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Coordinates per date by name."""

_TIME = {
    "standard_name": "time",
    "long_name": "time (UTC)",
    "axis": "T",
    "units": "microseconds since 1970-01-01",
    "calendar": "proleptic_gregorian",
}


def refuse_odd(layout: Layout, times: NDArray[np.datetime64], coords: Columns) -> None:
    """Stop before anything is written that could not be read back."""
    if not len(times) or (np.diff(times) <= np.timedelta64(0)).any():
        raise GridError("a cube needs dates, ascending and each once", got=f"{len(times)} dates")
    listed = (*layout.names, *layout.indices)
    if bool(layout.names) != (layout.variable in BAND_DIM) or len(set(listed)) != len(listed):
        raise GridError(f"{layout.variable} needs its bands, each once", got=listed)
    for name, values in coords.items():
        if len(values) != len(times):
            raise GridError(
                f"coordinate {name} does not go with the dates", got=len(values), allowed=len(times)
            )


def write_metadata(
    path: Path,
    layout: Layout,
    times: NDArray[np.datetime64],
    coords: Columns,
    attrs: Mapping[str, Any],
) -> None:
    """Write the whole metadata of a store into a folder that does not exist yet."""
    import zarr

    group = zarr.create_group(path, attributes=dict(attrs))
    aux = " ".join(["spatial_ref", *sorted(coords)])
    for array in layout.arrays:
        _create_array(group, array, aux if "time" in array.dims else "spatial_ref")
    _put(group, "time", ("time",), times.astype("datetime64[us]").astype(np.int64), _TIME)
    for array in layout.arrays:
        if dim := array.axis:
            texts = np.array(layout.names_of(array.name), dtype=object)
            _put(group, dim, (dim,), texts, {"long_name": f"{dim} name"})
    for name, values in coords.items():
        _put(group, name, ("time",), _column(values), {})
    _put_grid(group, layout.geobox)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(path)
    root = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    members = root["consolidated_metadata"]["metadata"]
    root["consolidated_metadata"]["metadata"] = dict(sorted(members.items()))
    (path / "zarr.json").write_text(json.dumps(root, indent=1), encoding="utf-8")


def _create_array(group: Any, array: Array, aux: str) -> None:
    from xarray.backends.zarr import FillValueCoder
    from zarr.codecs import BloscCodec, Crc32cCodec

    kind = array.kind
    attrs = dict(kind.attrs) | {"grid_mapping": "spatial_ref", "coordinates": aux}
    if kind.masked:
        attrs["_FillValue"] = FillValueCoder.encode(kind.fill, np.dtype(kind.dtype))
    if kind.scale is not None:
        attrs["scale_factor"] = kind.scale
    size = np.dtype(kind.dtype).itemsize
    group.create_array(
        array.name,
        shape=array.shape,
        dtype=kind.dtype,
        chunks=array.chunk,
        shards=array.shard,
        fill_value=kind.fill,
        dimension_names=array.dims,
        attributes=attrs,
        compressors=[
            BloscCodec(typesize=size, cname="zstd", clevel=LEVEL, shuffle="bitshuffle", blocksize=0),
            Crc32cCodec(),
        ],
    )


def _put_grid(group: Any, geobox: GeoBox) -> None:
    """Pixel centres and the CF grid mapping."""
    from odc.geo.xr import xr_coords

    made = xr_coords(geobox)
    dims = dict(zip(geobox.dimensions, ("y", "x"), strict=True))
    for dim, name in dims.items():
        coord = made[dim]
        said = {"standard_name": f"projection_{name}_coordinate", "units": "m"}
        if geobox.crs is not None and geobox.crs.geographic:
            long = {"y": "latitude", "x": "longitude"}[name]
            said = {"standard_name": long, "units": {"y": "degrees_north", "x": "degrees_east"}[name]}
        _put(group, name, (name,), coord.values, said | {"axis": name.upper()})
    mapping = {name: _json(value) for name, value in made["spatial_ref"].attrs.items()}
    _put(group, "spatial_ref", (), np.array(0, np.int32), mapping)


def _put(
    group: Any, name: str, dims: tuple[str, ...], values: NDArray[Any], attrs: Mapping[str, Any]
) -> None:
    """A small array in one chunk."""
    kind = "str" if values.dtype == object else values.dtype
    target = group.create_array(
        name,
        shape=values.shape,
        dtype=kind,
        chunks=tuple(max(n, 1) for n in values.shape),
        dimension_names=dims,
        attributes=dict(attrs),
    )
    target[...] = values


def _column(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """A coordinate as it is stored: text as objects, numbers as they are, dates as text."""
    if all(isinstance(value, (int, float, np.number)) for value in values):
        return np.asarray(values)
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _json(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def first_difference(made: Path, there: Path) -> str | None:
    """Name of the first metadata or coordinate file that differs, None where all are the same."""
    for file in sorted(made.rglob("*")):
        name = file.relative_to(made)
        other = there / name
        if file.is_file() and (not other.is_file() or other.read_bytes() != file.read_bytes()):
            return str(name)
    return None
