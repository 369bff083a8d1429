"""Rasters that have their STAC item beside them, such as Sentinel-2 COGs in the layout of Earth Search.

The item's addresses point into a cloud bucket; the files lie here. Each asset whose file name is found beside the
item is adopted, the others are left out; size and grid are taken from the files, not from what the item says of them
(a copy may have been cut or reduced).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from landshift.acquire.making import Group, ground

if TYPE_CHECKING:
    import pystac

__all__ = ["groups"]


def groups(files: Iterable[Path]) -> tuple[list[Group], set[Path]]:
    """Find items that describe some of the files.

    Args:
        files: Candidates.

    Returns:
        One group per item, and the files that belong to them.
    """
    candidates = {file.resolve(): file for file in files}
    made: list[Group] = []
    claimed: set[Path] = set()
    for folder in sorted({file.parent for file in candidates.values()}):
        for path in sorted(folder.glob("*.json")):
            fields = _item_json(path)
            if fields is None:
                continue
            local = _local_assets(fields, folder)
            mine = {
                candidates[file.resolve()] for file in local.values() if file.resolve() in candidates
            } - claimed
            if mine:
                claimed |= mine
                made.append(
                    Group(name=str(fields["id"]), make=functools.partial(_items, path, fields, local))
                )
    return made, claimed


def _item_json(path: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    is_item = (
        isinstance(fields, dict)
        and fields.get("type") == "Feature"
        and isinstance(fields.get("assets"), dict)
    )
    return fields if is_item and "id" in fields else None


def _local_assets(fields: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Files of the assets that lie in or below the item's folder."""
    found: dict[str, Path] = {}
    for key, asset in fields["assets"].items():
        href = str(asset.get("href", ""))
        plain = unquote(urlsplit(href).path)
        relative = folder / plain
        beside = folder / PurePosixPath(plain).name
        for candidate in (relative, beside):
            if plain and candidate.is_file() and _is_raster(candidate):
                found[key] = candidate
                break
    return found


def _is_raster(path: Path) -> bool:
    return path.suffix.lower() in {".tif", ".tiff", ".jp2", ".nc", ".vrt"}


def _items(path: Path, said: Mapping[str, Any], local: Mapping[str, Path]) -> list[pystac.Item]:
    import pystac

    item = pystac.Item.from_dict(json.loads(json.dumps(said)))
    for key in list(item.assets):
        if key in local:
            item.assets[key].href = local[key].as_posix()
        else:
            del item.assets[key]
    ground(item, local)
    item.links = [link for link in item.links if link.rel == "collection"]
    item.set_self_href(path.as_posix())
    return [item]
