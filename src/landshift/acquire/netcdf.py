"""NetCDF files with a time coordinate: one item per date, one asset per variable (and per band, where it has any).

The pixels are read by GDAL, which counts the planes of a variable over all its dimensions before (y, x); that number
is the asset's ``landshift:index``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.bands import band_fields, common_names, find_band, quantity_of
from landshift.acquire.dates import date_of
from landshift.acquire.making import Group, Layer, make_item
from landshift.acquire.raster import RasterFacts, look
from landshift.errors import SceneError

if TYPE_CHECKING:
    import pystac

    from landshift.acquire.folder import Folder

__all__ = ["SUFFIXES", "groups"]

SUFFIXES: Final = frozenset({".nc", ".nc4", ".cdf"})
"""Files that are opened as NetCDF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variable:
    """One variable: its name and its dimensions before (y, x), with their lengths."""

    name: str
    dims: tuple[str, ...]
    lengths: tuple[int, ...]

    def plane(self, at: Mapping[str, int]) -> int:
        """GDAL's number, from 1, of the plane at these positions."""
        number = 0
        for dim, length in zip(self.dims, self.lengths, strict=True):
            number = number * length + at.get(dim, 0)
        return number + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What a file holds."""

    variables: tuple[_Variable, ...]
    time_dim: str | None
    times: tuple[datetime, ...]
    band_names: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, str]


def groups(files: Iterable[Path], *, folder: Folder, sensor: str | None) -> list[Group]:
    """One group per file.

    Args:
        files: NetCDF files.
        folder: What the user says of them.
        sensor: Sensor the recipe names.
    """
    return [
        Group(name=file.name, make=functools.partial(_items, file, folder, sensor)) for file in sorted(files)
    ]


def _items(file: Path, folder: Folder, sensor: str | None) -> list[pystac.Item]:
    content = _content(file, folder.date)
    mask = next((v for v in content.variables if folder.mask and v.name.lower() == folder.mask.lower()), None)
    if folder.mask and mask is None:
        known = [variable.name for variable in content.variables]
        raise SceneError("no such mask variable", where=file, got=folder.mask, allowed=known)
    own = [band for v in content.variables if v is not mask for band in _bands_of(v, content)]
    if not own:
        raise SceneError("no variable with rows and columns", where=file)
    bands = _wanted(own, folder, file, sensor)
    headers = {
        v.name: look(file, variable=v.name) for v in (*{b.variable.name: b.variable for b in bands}.values(),)
    }
    if mask is not None:
        headers[mask.name] = look(file, variable=mask.name)
    commons = common_names([band.name for band in bands], sensor)
    properties: dict[str, Any] = {"landshift:quantity": folder.quantity or quantity_of(commons)}
    if folder.platform:
        properties["platform"] = folder.platform
    made = []
    for step, time in enumerate(content.times):
        at = {content.time_dim: step} if content.time_dim else {}
        layers = [
            _layer(band, common, headers[band.variable.name], {**at, **band.at}, folder)
            for band, common in zip(bands, commons, strict=True)
        ]
        if mask is not None:
            fields = {"landshift:variable": mask.name, "landshift:index": mask.plane(at)}
            rule = {"landshift:quality_rule": folder.mask_rule}
            layers.append(
                Layer(
                    key="quality",
                    facts=headers[mask.name],
                    roles=("landshift:quality",),
                    fields={**fields, **rule},
                )
            )
        name = f"{file.stem}_{time:%Y%m%dT%H%M%S}" if content.time_dim else file.stem
        made.append(make_item(name, time, layers, properties=properties))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    """One band: a variable, or a variable at one place of its band dimension."""

    name: str
    variable: _Variable
    at: Mapping[str, int]


def _layer(
    band: _Band, common: str | None, facts: RasterFacts, at: Mapping[str, int], folder: Folder
) -> Layer:
    shown = band.name if band.name in folder.bands or common is None else common
    scale = facts.scales[0] if facts.scales[0] != 1.0 else facts.neutral[0]
    offset = facts.offsets[0] if facts.offsets[0] != 0.0 else facts.neutral[1]
    eo, raster = band_fields(
        shown,
        common,
        scale=folder.scale if folder.scale is not None else scale,
        offset=folder.offset if folder.offset is not None else offset,
        nodata=folder.nodata if folder.nodata is not None else facts.nodata,
    )
    fields = {
        "eo:bands": [eo],
        "raster:bands": [raster],
        "landshift:variable": band.variable.name,
        "landshift:index": band.variable.plane(at),
    }
    return Layer(key=shown, facts=facts, fields=fields)


def _wanted(every: Sequence[_Band], folder: Folder, file: Path, sensor: str | None) -> Sequence[_Band]:
    """Bands of the file, in the user's order where they are named."""
    names = [band.name for band in every]
    chosen = []
    for name in folder.bands:
        place = find_band(name, names, sensor)
        if place is None:
            raise SceneError(f"band {name} is missing", where=file, allowed=names)
        chosen.append(_Band(name=name, variable=every[place].variable, at=every[place].at))
    return chosen or every


def _bands_of(variable: _Variable, content: _Content) -> list[_Band]:
    extra = [dim for dim in variable.dims if dim != content.time_dim]
    if not extra:
        return [_Band(name=variable.name, variable=variable, at={})]
    dim = extra[0]
    return [
        _Band(name=name, variable=variable, at={dim: place})
        for place, name in enumerate(content.band_names.get(dim, ()))
    ]


def _content(file: Path, rule: str | None) -> _Content:
    """Variables, times and band names of a file, from its header and coordinates alone."""
    import xarray as xr

    try:
        with xr.open_dataset(file, decode_coords="all") as data:
            return _described(data, file, rule)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = 'copy or download it again, or leave such files out with on_error = "skip"'
        raise SceneError("corrupt or not NetCDF", where=file, got=first, hint=hint) from error


def _described(data: Any, file: Path, rule: str | None) -> _Content:
    shaped = [name for name in data.data_vars if data[name].ndim >= 2 and data[name].dtype.kind in "iuf"]
    spatial = {tuple(data[name].dims[-2:]) for name in shaped}
    time_dim = _time_dim(data, rule)
    variables = []
    for name in sorted(shaped, key=list(data.data_vars).index):
        dims = data[name].dims[:-2]
        others = [dim for dim in dims if dim != time_dim]
        if data[name].dims[-2:] in spatial and len(others) <= 1:
            variables.append(
                _Variable(name=str(name), dims=tuple(dims), lengths=tuple(data.sizes[dim] for dim in dims))
            )
    attributes = {str(key): str(value) for key, value in data.attrs.items()}
    return _Content(
        variables=tuple(variables),
        time_dim=time_dim,
        times=_times(data, time_dim, file, attributes, rule),
        band_names={
            str(dim): tuple(str(value) for value in data[dim].values)
            for variable in variables
            for dim in variable.dims
            if dim != time_dim
        },
        attributes=attributes,
    )


def _time_dim(data: Any, rule: str | None) -> str | None:
    """The dimension whose coordinate holds dates."""
    for dim in data.dims:
        named = rule is not None and rule == dim
        if dim in data.coords and (data[dim].dtype.kind == "M" or named):
            return str(dim)
    return None


def _times(
    data: Any, dim: str | None, file: Path, attributes: Mapping[str, str], rule: str | None
) -> tuple[datetime, ...]:
    if dim is None:
        time = date_of(file, attributes, rule)
        if time is None:
            hint = 'give `date`: a format found in the name ("%Y%m%d"), the name of an attribute, or a date'
            raise SceneError("no time coordinate and no date", where=file, hint=hint)
        return (time,)
    values = data[dim].values.astype("datetime64[us]").tolist()
    return tuple(value.replace(tzinfo=UTC) for value in values)
