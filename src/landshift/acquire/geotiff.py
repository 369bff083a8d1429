"""Plain rasters with a date in their name or tags: one item per date and tile.

Files that hold all bands become an item each. Files that hold one band each, told apart by the band's name in theirs
(``field_20200101_B04.tif``, ``LC08_L1TP_014031_20180106_B5.TIF``), become one item together. Tiles of one date stay items of
their own: they are fused as one pass when they are read.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift import sensor as sensors
from landshift.acquire.bands import band_fields, common_names, contradict, find_band, quantity_of
from landshift.acquire.dates import date_of
from landshift.acquire.making import Group, Layer, make_item
from landshift.acquire.raster import RasterFacts, look
from landshift.errors import SceneError

if TYPE_CHECKING:
    import pystac

    from landshift.acquire.folder import Folder

__all__ = ["groups"]

_NUMBERED: Final = re.compile(r"B\d{1,2}|BQA|band\d{1,2}")
"""Bands as files of many sensors number them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What all files of the folder share."""

    folder: Folder
    root: Path
    sensor: str | None
    masks: tuple[Path, ...]


def groups(files: Iterable[Path], *, folder: Folder, root: Path, sensor: str | None) -> list[Group]:
    """Group plain rasters into items.

    Args:
        files: The rasters.
        folder: What the user says of them.
        root: The folder they are below.
        sensor: Sensor the recipe names.
    """
    listed = sorted(files)
    masks = tuple(file for file in listed if _is_mask(file, folder))
    plan = _Plan(folder=folder, root=root, sensor=sensor, masks=masks)
    together: dict[tuple[Path, str], list[tuple[str, Path]]] = {}
    for file in listed:
        if file not in masks:
            band, rest = _split_band(file.stem, folder.bands, sensor)
            together.setdefault((file.parent, rest), []).append((band, file))
    stems = [rest.lower() for _, rest in together]
    made = []
    for (parent, rest), members in sorted(together.items()):
        alone = stems.count(rest.lower()) == 1
        prefix = "" if alone else "".join(f"{part}_" for part in parent.relative_to(root).parts)
        make = functools.partial(_items, rest, members, plan, prefix=prefix)
        made.append(Group(name=prefix + rest, make=make))
    return made


def _is_mask(file: Path, folder: Folder) -> bool:
    """Whether a file is a mask beside the data: its name fits the pattern that ``mask`` gives."""
    return (
        folder.mask is not None
        and "*" in folder.mask
        and fnmatch.fnmatch(file.name.lower(), folder.mask.lower())
    )


def _split_band(stem: str, given: Sequence[str], sensor: str | None) -> tuple[str, str]:
    """The band a file's name ends or speaks of, and the name without it.

    >>> _split_band("field_20200101_B04", (), None), _split_band("S2_T37MEM_20160312", (), None)
    (('B04', 'field_20200101'), ('', 'S2_T37MEM_20160312'))
    """
    parts = re.split(r"([_\-.])", stem)
    for at in range(len(parts) - 1, -1, -2):
        if len(parts) > 1 and _is_band(parts[at], given, sensor):
            rest = [*parts[: max(0, at - 1)], *parts[at + 1 + (at == 0) :]]
            return parts[at], "".join(rest)
    return "", stem


@functools.lru_cache(maxsize=4096)
def _is_band(text: str, given: tuple[str, ...], sensor: str | None) -> bool:
    if _NUMBERED.fullmatch(text) or text.lower() in {name.lower() for name in given}:
        return True
    known = [sensor] if sensor is not None and sensor in sensors.names() else sensors.names()
    return any(text in {band.name, band.native} for each in known for band in sensors.get(each).bands)


def _items(name: str, members: Sequence[tuple[str, Path]], plan: _Plan, *, prefix: str) -> list[pystac.Item]:
    """Items of files that share a name; ``prefix`` tells those of folders apart that use it more than once."""
    among = tuple(band for band, _ in members)
    members = _wanted(members, plan) if len(members) > 1 else members
    headers = [look(file) for _, file in members]
    if len(members) > 1 and any(facts.count > 1 for facts in headers):  # what looked like a band was a number
        return [item for _, file in members for item in _items(file.stem, [("", file)], plan, prefix=prefix)]
    first = headers[0]
    time = date_of(first.path, {**first.tags, **_band_tags(first)}, plan.folder.date)
    if time is None:
        wanted = plan.folder.date
        what = "no date" if wanted is None else f"the date {wanted!r} does not match this file's name or tags"
        hint = 'give `date`: a format found in the name ("%Y%m%d"), the name of a tag, or a date'
        raise SceneError(what, where=first.path, got=first.path.name, hint=hint)
    layers: list[Layer] = []
    commons: list[str | None] = []
    for (band, _), facts in zip(members, headers, strict=True):
        layer, known = _layer(band, facts, plan, among)
        layers += layer
        commons += known
    mask = _mask_for(first.path, time, plan)
    if mask is not None:
        said = {"landshift:quality_rule": plan.folder.mask_rule}
        layers.append(Layer(key="quality", facts=look(mask), roles=("landshift:quality",), fields=said))
    properties: dict[str, Any] = {"landshift:quantity": plan.folder.quantity or quantity_of(commons)}
    if plan.folder.platform:
        properties["platform"] = plan.folder.platform
    return [make_item(prefix + name, time, layers, properties=properties)]


def _wanted(members: Sequence[tuple[str, Path]], plan: _Plan) -> Sequence[tuple[str, Path]]:
    """The files of the bands that the user names, and of the mask; all where none is named."""
    asked = {name.lower() for name in (*plan.folder.bands, plan.folder.mask or "")}
    commons = common_names([band for band, _ in members], plan.sensor)
    found = [
        member
        for member, common in zip(members, commons, strict=True)
        if member[0].lower() in asked or common in asked
    ]
    return found if plan.folder.bands and len(found) > (plan.folder.mask is not None) else members


def _band_tags(facts: RasterFacts) -> dict[str, str]:
    """Tags of some writers carry a namespace, as in ``NC_GLOBAL#date``."""
    return {key.rsplit("#", maxsplit=1)[-1]: value for key, value in facts.tags.items() if "#" in key}


def _layer(
    band: str, facts: RasterFacts, plan: _Plan, among: tuple[str, ...]
) -> tuple[list[Layer], list[str | None]]:
    """One asset for all bands of a file, itself one ``among`` others; where one of its bands is the mask, one for each."""
    names = _names(band, facts, plan, alone=len(among) == 1)
    together = tuple(dict.fromkeys((*names, *(among if len(among) > 1 else ()))))
    commons = common_names(together, plan.sensor)[: len(names)]
    shown = [_shown(name, common, plan.folder.bands) for name, common in zip(names, commons, strict=True)]
    neutral = facts.neutral
    fields = [
        band_fields(
            name,
            common,
            scale=_first(
                plan.folder.scale, _written(facts.scales, number, 1.0), _tag(facts, "SCALE"), neutral[0]
            ),
            offset=_first(
                plan.folder.offset, _written(facts.offsets, number, 0.0), _tag(facts, "OFFSET"), neutral[1]
            ),
            nodata=_first(plan.folder.nodata, facts.nodata),
        )
        for number, (name, common) in enumerate(zip(shown, commons, strict=True))
    ]
    mask = plan.folder.mask
    if mask is None or mask.lower() not in {name.lower() for name in names}:
        key = shown[0] if len(shown) == 1 else "data"
        listed = {"eo:bands": [eo for eo, _ in fields], "raster:bands": [raster for _, raster in fields]}
        return [Layer(key=key, facts=facts, fields=listed)], list(commons)
    layers, kept = [], []
    for number, (eo, raster) in enumerate(fields, start=1):
        if names[number - 1].lower() == mask.lower():
            quality = {"landshift:quality_rule": plan.folder.mask_rule, "landshift:index": number}
            layers.append(Layer(key="quality", facts=facts, roles=("landshift:quality",), fields=quality))
        else:
            one = {"eo:bands": [eo], "raster:bands": [raster], "landshift:index": number}
            layers.append(Layer(key=eo["name"], facts=facts, fields=one))
            kept.append(commons[number - 1])
    return layers, kept


def _names(band: str, facts: RasterFacts, plan: _Plan, *, alone: bool) -> tuple[str, ...]:
    """Names of a file's bands: by its own descriptions where it has them, else the user's in file order, else numbers."""
    asked = plan.folder.bands
    described = all(facts.names)
    if band and facts.count == 1:
        if described and contradict(facts.names[0], band, plan.sensor):
            raise _other_bands((band,), facts)
        return (band,)
    if not asked:
        return facts.names if described else tuple(f"band{n}" for n in range(1, facts.count + 1))
    by_name = _by_name(asked, facts.names, plan.sensor) if described else None
    if by_name is not None:
        return by_name
    if len(asked) != facts.count or not alone:
        raise SceneError(
            f"{facts.count} bands, but {len(asked)} names are given",
            where=facts.path,
            got=list(asked),
            allowed=list(facts.names) if described else f"{facts.count} names in file order",
            hint="name every band of the files, or leave `bands` out",
        )
    if any(contradict(own, name, plan.sensor) for own, name in zip(facts.names, asked, strict=True)):
        raise _other_bands(asked, facts)
    return asked


def _by_name(asked: Sequence[str], names: Sequence[str], sensor: str | None) -> tuple[str, ...] | None:
    """The file's names with those the user gave in their places; None where bands of both sides stay without partner."""
    found = {name: find_band(name, names, sensor) for name in asked}
    placed = {at: name for name, at in found.items() if at is not None}
    all_asked = len(placed) == len(asked)
    if not all_asked and len(placed) < len(names):
        return None
    return tuple(placed.get(at, name) for at, name in enumerate(names))


def _other_bands(asked: Sequence[str], facts: RasterFacts) -> SceneError:
    return SceneError(
        "its bands are described as others than they are taken for",
        where=facts.path,
        got=list(asked),
        allowed=list(facts.names),
        hint="ask for bands that the file has, or mend or remove its descriptions",
    )


def _shown(name: str, common: str | None, given: Sequence[str]) -> str:
    """A name the user gave stays; else the common name, which recipes use."""
    return name if name in given or common is None else common


def _mask_for(file: Path, time: datetime, plan: _Plan) -> Path | None:
    """The mask file of an item: in its folder, of its date, with the longest common start of the name."""
    if not plan.masks:
        return None
    near = [
        mask
        for mask in plan.masks
        if mask.parent == file.parent and date_of(mask, {}, plan.folder.date) in {time, None}
    ]
    if not near:
        raise SceneError(
            "its mask file is missing", where=file, got=plan.folder.mask, hint="or leave `mask` out"
        )
    return max(near, key=lambda mask: (_shared_start(mask.name, file.name), mask.name))


def _shared_start(one: str, other: str) -> int:
    """How many characters two names begin with together."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _written(values: Sequence[float], number: int, neutral: float) -> float | None:
    return values[number] if values[number] != neutral else None


def _tag(facts: RasterFacts, name: str) -> float | None:
    try:
        return float(facts.tags[name])
    except (KeyError, ValueError):
        return None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
