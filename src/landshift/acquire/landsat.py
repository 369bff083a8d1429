"""Landsat Collection 2 Level-2 directories, as USGS hands them out.

The file names carry product, satellite, path, row and date; the MTL file (or the ``*_stac.json``) adds the clock
time, cloud cover and sun angles. Only files that are there become assets.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.making import Group, Layer, make_item
from landshift.acquire.raster import look
from landshift.errors import SceneError

if TYPE_CHECKING:
    import pystac

__all__ = ["groups"]

_NAME: Final = re.compile(
    r"(?P<product>L[A-Z](?P<satellite>0[4-9])_L2S[PR]_(?P<path>\d{3})(?P<row>\d{3})_(?P<date>\d{8})_\d{8}_\d{2}_(?:T1|T2|RT))"
    r"_(?P<band>[A-Z0-9_]+)\.TIF",
    re.IGNORECASE,
)
_QUALITY: Final = (
    "QA_",
    "SR_QA",
    "ST_QA",
    "SR_CLOUD",
    "SR_ATMOS",
    "ST_TRAD",
    "ST_URAD",
    "ST_DRAD",
    "ST_ATRAN",
    "ST_EM",
    "ST_CDIST",
)
"""Layers that are no bands, by the start of their name."""


def groups(files: Iterable[Path]) -> tuple[list[Group], set[Path]]:
    """Find the Landsat products among files.

    Args:
        files: Candidates.

    Returns:
        One group per product, and the files that belong to them.
    """
    products: dict[tuple[Path, str], dict[str, Path]] = {}
    claimed: set[Path] = set()
    for file in files:
        match = _NAME.fullmatch(file.name)
        if match:
            products.setdefault((file.parent, match["product"].upper()), {})[match["band"].upper()] = file
            claimed.add(file)
    made = [
        Group(name=product, make=functools.partial(_items, folder, product, bands))
        for (folder, product), bands in sorted(products.items())
    ]
    return made, claimed


def _items(folder: Path, product: str, bands: Mapping[str, Path]) -> list[pystac.Item]:
    if not any(re.fullmatch(r"S[RT]_B\d+", band) for band in bands):
        raise SceneError(
            "no band, quality layers only", where=folder / product, hint="download its SR_B*.TIF files"
        )
    match = _NAME.fullmatch(f"{product}_X.TIF")
    if match is None:
        raise SceneError("not a Landsat product name", where=folder, got=product)
    said = {**_stac(folder, product), **_mtl(folder, product)}
    layers = [
        Layer(key=band, facts=look(file), roles=_roles(band))
        for band, file in sorted(bands.items(), key=lambda pair: (pair[0].startswith(_QUALITY), pair[0]))
    ]
    properties: dict[str, Any] = {
        "platform": f"landsat-{int(match['satellite'])}",
        "landsat:wrs_path": match["path"],
        "landsat:wrs_row": match["row"],
        **_number("eo:cloud_cover", said, "CLOUD_COVER", "eo:cloud_cover"),
        **_number("view:sun_elevation", said, "SUN_ELEVATION", "eo:sun_elevation"),
        **_number("view:sun_azimuth", said, "SUN_AZIMUTH", "eo:sun_azimuth"),
        **_number("view:off_nadir", said, "ROLL_ANGLE", "eo:off_nadir"),
    }
    if "view:off_nadir" in properties:
        properties["view:off_nadir"] = abs(properties["view:off_nadir"])
    return [
        make_item(
            product, _time(said, match["date"]), layers, properties=properties, collection="landsat-c2-l2"
        )
    ]


def _roles(band: str) -> tuple[str, ...]:
    return ("quality",) if band.startswith(_QUALITY) else ("data",)


def _number(name: str, said: Mapping[str, Any], *keys: str) -> dict[str, float]:
    for key in keys:
        try:
            return {name: float(said[key])}
        except (KeyError, TypeError, ValueError):
            continue
    return {}


def _time(said: Mapping[str, Any], date: str) -> datetime:
    """Scene centre time where the MTL is there, else midnight of the date in the name."""
    clock = str(said.get("SCENE_CENTER_TIME", "")).strip('"').rstrip("Z")[:15]
    day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
    try:
        return datetime.fromisoformat(f"{day:%Y-%m-%d}T{clock}").replace(tzinfo=UTC) if clock else day
    except ValueError:
        return day


def _stac(folder: Path, product: str) -> dict[str, Any]:
    for file in sorted(folder.glob(f"{product}*_stac.json")):
        try:
            return dict(json.loads(file.read_text(encoding="utf-8"))["properties"])
        except (ValueError, KeyError, TypeError):
            continue
    return {}


def _mtl(folder: Path, product: str) -> dict[str, Any]:
    """Keys of the MTL file, flat; of a key that stands twice the first counts, which is that of Level 2."""
    as_json, as_text = folder / f"{product}_MTL.json", folder / f"{product}_MTL.txt"
    if as_json.exists():
        try:
            return _flat(json.loads(as_json.read_text(encoding="utf-8")))
        except ValueError:
            pass
    if not as_text.exists():
        return {}
    found: dict[str, Any] = {}
    for line in as_text.read_text(encoding="utf-8", errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found.setdefault(key.strip(), value.strip().strip('"'))
    return found


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        parts = _flat(value) if isinstance(value, Mapping) else {key: value}
        found = {**parts, **found}
    return found
