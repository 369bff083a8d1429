"""``scenes.parquet``: every scene of a run, used or left out, as one stac-geoparquet file.

It is the run's record (``item_ids`` of a cube are keys into it), opens in any GeoParquet reader, and can be given as a
source: a frozen inventory, that finds the same scenes whatever the catalogue lists tomorrow. Same scenes, same bytes.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.query import SearchResult, Skipped
from landshift.acquire.static import is_remote, resolve
from landshift.errors import ConfigError, DataQualityWarning, NetworkError, SceneError, StoreError

if TYPE_CHECKING:
    import pystac

__all__ = ["read_inventory", "remembered", "write_inventory"]

_ANY_TIME: Final = ("1972-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
"""Span of a scene whose date is not known, since STAC wants one."""
_NOWHERE: Final = {"type": "Polygon", "coordinates": []}
"""Footprint of a scene whose place is not known; the parquet writer takes no null."""


def write_inventory(
    path: str | Path, items: Mapping[str, Sequence[pystac.Item]], skipped: Iterable[Skipped] = ()
) -> Path:
    """Write the scenes of a run.

    Files below the inventory's own folder are written with relative addresses, so that a run's folder can be moved.

    Args:
        path: The parquet file.
        items: Items used, by source.
        skipped: Scenes left out, those without an item included.

    Raises:
        StoreError: The file cannot be written.
    """
    target = Path(path)
    home = target.absolute().parent
    rows = [_row(item, home, source=source, reason=None) for source, used in items.items() for item in used]
    rows += [
        _row(left.item or _unknown(left), home, source=left.source, reason=left.reason) for left in skipped
    ]
    rows.sort(
        key=lambda row: (
            row["properties"]["landshift:source"],
            row["id"],
            row["properties"]["landshift:reason"],
        )
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=".scenes-") as folder:
            made = Path(folder) / "scenes.parquet"
            _write(_uniform(rows), made)
            os.replace(made, target)  # noqa: PTH105 - one atomic call, over a file that may exist
    except OSError as error:
        hint = "choose another output folder, or free some space"
        raise StoreError(
            "the inventory cannot be written", where=target, got=str(error), hint=hint
        ) from error
    return target


def read_inventory(path: str | Path) -> SearchResult:
    """Read an inventory, ours or any stac-geoparquet file.

    Args:
        path: A local file or an http(s) address.

    Returns:
        Items that were used, and those left out with their reason.

    Raises:
        ConfigError: The file does not exist.
        SceneError: It is no stac-geoparquet.
    """
    import pystac
    import stac_geoparquet.arrow

    table = _table(str(path))
    items, skipped = [], []
    try:
        for fields in stac_geoparquet.arrow.stac_table_to_items(table):
            clean = _restored(fields, str(path))
            said = clean["properties"]
            used, reason = said.pop("landshift:used", True), said.pop("landshift:reason", "")
            source = said.pop("landshift:source", "")
            item = pystac.Item.from_dict(clean)
            if used:
                items.append(item)
            else:
                skipped.append(Skipped(id=item.id, reason=str(reason), source=str(source), item=item))
    except (KeyError, ValueError, TypeError, AttributeError, pystac.STACError) as error:
        raise SceneError("not a stac-geoparquet file", where=path, got=str(error)) from error
    return SearchResult(items=tuple(items), skipped=tuple(skipped))


def remembered(path: Path, ask: Callable[[], SearchResult]) -> SearchResult:
    """Ask a catalogue and keep its answer; without a network, the answer kept last time.

    Args:
        path: Where the answer is kept.
        ask: Asks.

    Raises:
        NetworkError: Nobody answers, and no answer is kept.
    """
    try:
        found = ask()
    except NetworkError as error:
        if not path.exists():
            raise
        found = read_inventory(path)
        day = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
        warnings.warn(
            f"{error.where} does not answer: taking the {len(found.items)} scenes it listed on {day:%Y-%m-%d}",
            DataQualityWarning,
            stacklevel=2,
        )
        return found
    with contextlib.suppress(StoreError):  # a cache that cannot be written stops no search
        write_inventory(path, {"": found.items}, found.skipped)
    return found


def _row(item: pystac.Item, home: Path, *, source: str, reason: str | None) -> dict[str, Any]:
    """An item as JSON, with its fate."""
    fields = copy.deepcopy(item.to_dict(include_self_link=False, transform_hrefs=False))
    own = item.get_self_href()
    fields["links"] = [
        {"rel": rel, "href": _portable(href, home), "type": kind}
        for rel, href, kind in (
            ("self", own if own and is_remote(own) else None, "application/geo+json"),
            ("collection", _collection_of(fields, own), "application/json"),
        )
        if href
    ]
    for asset in fields["assets"].values():
        asset["href"] = _portable(resolve(asset["href"], own) if own else asset["href"], home)
    fields["properties"]["landshift:source"] = source
    fields["properties"]["landshift:used"] = reason is None
    fields["properties"]["landshift:reason"] = reason or ""
    fields["geometry"] = fields.get("geometry") or dict(_NOWHERE)
    fields["bbox"] = fields.get("bbox") or [0.0, 0.0, 0.0, 0.0]
    return fields


def _collection_of(fields: Mapping[str, Any], own: str | None) -> str | None:
    """Address of the item's collection."""
    found = next((str(link["href"]) for link in fields["links"] if link["rel"] == "collection"), None)
    return resolve(found, own) if found and own else found


def _portable(href: str, home: Path) -> str:
    if "://" in href:
        return href
    try:
        return "./" + Path(href).relative_to(home).as_posix()
    except ValueError:
        return Path(href).as_posix()


def _unknown(left: Skipped) -> pystac.Item:
    """A stand-in for a file that never became an item."""
    import pystac

    start, end = (datetime.fromisoformat(text).astimezone(UTC) for text in _ANY_TIME)
    return pystac.Item(
        id=left.id,
        geometry=None,
        bbox=None,
        datetime=None,
        properties={},
        start_datetime=start,
        end_datetime=end,
    )


def _write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import stac_geoparquet.arrow

    if not rows:
        columns = {"id": pa.string(), "geometry": pa.binary(), "landshift:used": pa.bool_()}
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.table({n: pa.array([], t) for n, t in columns.items()}), path)
        return
    table = stac_geoparquet.arrow.parse_stac_items_to_arrow(rows).read_all()
    stac_geoparquet.arrow.to_parquet(table, path, compression="zstd")


def _table(path: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        if not is_remote(path):
            return pyarrow.parquet.read_table(path)
        from landshift.acquire.web import read_bytes

        return pyarrow.parquet.read_table(pa.BufferReader(read_bytes(path)))
    except FileNotFoundError:
        raise ConfigError("the inventory does not exist", where="url", got=path) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise SceneError("not a parquet file", where=path, got=str(error).splitlines()[0]) from error


def _restored(fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """An item's JSON without the empty columns that other items brought in; addresses absolute again."""
    clean: dict[str, Any] = _without_none(fields)
    if not (clean.get("geometry") or {}).get("coordinates"):
        clean["geometry"] = clean["bbox"] = None
    clean.setdefault("links", [])
    clean.setdefault("stac_extensions", [])
    clean["properties"].setdefault("datetime", None)
    clean["assets"] = {
        name: {
            **asset,
            "href": resolve(asset["href"], path if is_remote(path) else str(Path(path).absolute())),
        }
        for name, asset in (clean.get("assets") or {}).items()
        if asset.get("href")
    }
    return clean


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: _without_none(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, (list, tuple)) else value


def _uniform(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose fields have one type each, as columns must.

    Providers disagree (a path is ``"028"`` here and ``28`` there). Whole and broken numbers become floats, other
    scalars text; a field that is a scalar in one item and a structure in another keeps the structures.
    """
    kinds: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        _note(row, (), kinds)
    return [_cast(row, (), kinds) for row in rows]


def _note(value: Any, at: tuple[str, ...], kinds: dict[tuple[str, ...], set[str]]) -> None:
    kinds.setdefault(at, set()).add(_kind(value))
    if isinstance(value, Mapping):
        for name, part in value.items():
            _note(part, (*at, str(name)), kinds)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _note(part, (*at, "[]"), kinds)


def _cast(value: Any, at: tuple[str, ...], kinds: Mapping[tuple[str, ...], set[str]]) -> Any:
    if at == ("geometry",):
        return value
    seen = kinds[at] - {"null"}
    if isinstance(value, Mapping):
        parts = {str(name): _cast(part, (*at, str(name)), kinds) for name, part in value.items()}
        kept = {name: part for name, part in parts.items() if part is not None or at in {(), ("properties",)}}
        return kept or (None if len(at) > 1 else kept)
    if isinstance(value, (list, tuple)):
        if "struct" in seen or (not value and len(at) > 1):
            return None
        return [_cast(part, (*at, "[]"), kinds) for part in value]
    if seen & {"struct", "list"}:
        return None
    return _AS[frozenset(seen)](value) if value is not None and frozenset(seen) in _AS else _text(value, seen)


_AS: Final[Mapping[frozenset[str], Callable[[Any], Any]]] = {
    frozenset({"int"}): int,
    frozenset({"float"}): float,
    frozenset({"int", "float"}): float,
    frozenset({"bool"}): bool,
    frozenset({"str"}): str,
}
"""How a scalar is written, by the kinds its field has in all items."""


def _text(value: Any, seen: set[str]) -> Any:
    return str(value) if value is not None and len(seen) > 1 else value


def _kind(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}
    if isinstance(value, Mapping):
        return "struct"
    return "list" if isinstance(value, (list, tuple)) else names.get(type(value), "str")
