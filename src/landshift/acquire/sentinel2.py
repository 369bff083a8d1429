"""Sentinel-2 Level-2A directories of one file per band (``B02.tif`` ... ``SCL.tif``) without an item beside them.

The directory's name gives tile, satellite and date. Which processing baseline the files are of, and whether its
offset is still in the numbers, nothing says here: files since 25 January 2022 are warned about.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.dates import date_of
from landshift.acquire.making import Group, Layer, make_item
from landshift.acquire.raster import look
from landshift.errors import DataQualityWarning, SceneError

if TYPE_CHECKING:
    import pystac

__all__ = ["groups"]

_BAND: Final = re.compile(r"(B0[1-9]|B1[0-2]|B8A|SCL|AOT|WVP|TCI)\.tiff?", re.IGNORECASE)
_TILE: Final = re.compile(r"(?:^|_)T?(\d{1,2}[C-X][A-Z]{2})(?:_|$)")
_BASELINE: Final = re.compile(r"_N(\d{2})(\d{2})_")
_OFFSET_SINCE: Final = datetime(2022, 1, 25, tzinfo=UTC)


def groups(files: Iterable[Path], *, date: str | None) -> tuple[list[Group], set[Path]]:
    """Find directories of Sentinel-2 bands among files.

    Args:
        files: Candidates.
        date: Rule for the date, see :mod:`landshift.acquire.dates`.

    Returns:
        One group per directory, and the files that belong to them.
    """
    folders: dict[Path, dict[str, Path]] = {}
    for file in files:
        match = _BAND.fullmatch(file.name)
        if match:
            folders.setdefault(file.parent, {})[match[1].upper()] = file
    found = {folder: bands for folder, bands in folders.items() if len(bands) > 1}
    made = [
        Group(name=folder.name, make=functools.partial(_items, folder, bands, date))
        for folder, bands in sorted(found.items())
    ]
    return made, {file for bands in found.values() for file in bands.values()}


def _items(folder: Path, bands: Mapping[str, Path], date: str | None) -> list[pystac.Item]:
    layers = [
        Layer(key=band, facts=look(file), roles=("data",) if band[0] == "B" else ("quality",))
        for band, file in sorted(bands.items(), key=lambda pair: (pair[0][0] != "B", pair[0]))
        if band != "TCI"
    ]
    first = layers[0].facts
    time = date_of(first.path, first.tags, date)
    if time is None:
        hint = 'name the folder after its product, or give `date = "2021-05-27"` or a format such as "%Y%m%d"'
        raise SceneError("no date", where=folder, hint=hint)
    properties: dict[str, Any] = {"platform": _platform(folder.name)}
    tile, baseline = _TILE.search(folder.name), _BASELINE.search(folder.name)
    if tile:
        properties["grid:code"] = f"MGRS-{tile[1]}"
    if baseline:
        properties["s2:processing_baseline"] = f"{baseline[1]}.{baseline[2]}"
    elif time >= _OFFSET_SINCE:
        warnings.warn(
            f"{folder.name}: nothing says whether the offset of Sentinel-2 baseline 04.00 is still in these files; "
            "it is taken as removed. If it is not, put the item JSON beside them or give offset = -0.1",
            DataQualityWarning,
            stacklevel=2,
        )
    return [make_item(folder.name, time, layers, properties=properties, collection="sentinel-2-l2a")]


def _platform(name: str) -> str:
    match = re.search(r"S2([A-D])", name)
    return f"sentinel-2{match[1].lower()}" if match else ""
