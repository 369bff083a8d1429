"""STAC as a source: a search API, a static catalogue, single items, or a stac-geoparquet file.

Which of them an address is, it says itself. An API is asked for place and time only; cloud and months are sieved
here, so that every scene left out can be counted with its reason.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.catalogue import AccessWarning, Catalogue, catalogue
from landshift.acquire.inventory import read_inventory, remembered
from landshift.acquire.making import ground
from landshift.acquire.query import Query, SearchResult, Skipped
from landshift.acquire.static import Walk, is_remote, take, walk
from landshift.acquire.web import explain_failure, read_json, session
from landshift.errors import ConfigError, SceneError
from landshift.step import key, step

if TYPE_CHECKING:
    import pystac
    from pystac_client.stac_api_io import StacApiIO

    from landshift.dateline import Box

__all__ = ["Stac"]

PAGE: Final = 100
"""Items asked for at once."""


@step(kind="source")
class Stac:
    """Scenes that a STAC catalogue lists."""

    catalogue: str | None = None
    """Name of a known public catalogue; see ``_data/catalogues.toml``."""
    url: str | None = None
    """Address or path: an API, a catalog.json, collection.json, item or item collection, or a .parquet file."""
    collection: str | None = None
    """Collection to search; by default the one that holds the recipe's sensor. Static catalogues are sieved by it."""
    offset: float | None = None
    """Offset in reflectance still to be added to Sentinel-2 numbers (0 or -0.1), where the items do not tell the truth."""

    def __post_init__(self) -> None:
        if (self.catalogue is None) == (self.url is None):
            raise ConfigError("stac wants the name of a catalogue or a url, one of them", where="[[source]]")
        if self.catalogue is not None:
            catalogue(self.catalogue)

    def find(self, query: Query) -> SearchResult:
        """Search.

        Args:
            query: Place and time.

        Raises:
            ConfigError: The address holds no STAC, or an API is asked without a place.
            NetworkError: A server does not answer.
        """
        address = self._address(query.base)
        if query.remember is None or not is_remote(address):
            found = self._find(address, query)
        else:
            kept = query.remember / "searches" / f"{_key(self, query)}.parquet"
            found = remembered(kept, lambda: self._find(address, query))
        for item in found.items if self.offset is not None else ():
            item.properties["landshift:offset"] = self.offset
        return found

    def _find(self, address: str, query: Query) -> SearchResult:
        if address.endswith((".parquet", ".geoparquet")):
            found = read_inventory(address)
            return SearchResult(items=self._of_collection(found.items), skipped=found.skipped)
        io = session()
        root = read_json(address, io)
        if _is_api(root):
            return self._ask(address, query, io)
        walked = walk(address, root, lambda at: read_json(at, io), skip=query.on_error == "skip")
        items = [
            item
            for item in self._of_collection(walked.items)
            if query.refuse(item) or _locate(item, walked, query)
        ]
        return SearchResult(items=tuple(items), skipped=tuple(walked.skipped))

    def facts(self) -> Catalogue | None:
        """What is known of the named catalogue."""
        return None if self.catalogue is None else catalogue(self.catalogue)

    def note(self, sensor: str | None) -> str:
        """What reading the files needs (an account, a paying reader), for ``explain``; empty where they are open.

        Args:
            sensor: Sensor the recipe names.
        """
        facts = self.facts()
        return "" if facts is None else facts.note(self.collection or facts.collection(sensor))

    def _address(self, base: Path) -> str:
        facts = self.facts()
        if facts is not None:
            return facts.url
        url = self.url or ""
        return (
            url if is_remote(url) else str((base / Path(url.removeprefix("file://")).expanduser()).absolute())
        )

    def _of_collection(self, items: Any) -> tuple[Any, ...]:
        return tuple(item for item in items if self.collection in {None, item.collection_id})

    def _ask(self, address: str, query: Query, io: StacApiIO) -> SearchResult:
        """Search an API page by page."""
        if not query.boxes:
            hint = "give [place] a bbox or a geometry"
            raise ConfigError("a search of a catalogue needs a place", where=address, hint=hint)
        facts = self.facts()
        wanted = self.collection
        if wanted is None and facts is not None:
            wanted = facts.collection(query.sensor)
        if wanted is None:
            hint = "`landshift search --collections` lists them, or look at its web page"
            raise ConfigError(
                "which collection is not said", where=address, hint=f"name `collection`; {hint}"
            )
        found = Walk()
        seen: set[str] = set()
        for box in query.boxes:
            listed = list(_pages(address, wanted, (query, box), io))
            for fields in listed:
                if str(fields.get("id")) not in seen:  # a scene across 180 degrees lies in both boxes
                    take(found, address, fields, skip=query.on_error == "skip")
            seen.update(str(fields.get("id")) for fields in listed)
        note = facts.note(wanted) if facts is not None else ""
        if found.items and (note or _reader_pays(found)):
            note = note or "the bucket is requester-pays: set AWS keys and AWS_REQUEST_PAYER=requester"
            warnings.warn(f"{wanted}: {note}", AccessWarning, stacklevel=3)
        return SearchResult(items=tuple(found.items), skipped=tuple(found.skipped))


def _locate(item: pystac.Item, walked: Walk, query: Query) -> bool:
    """Give a local item that does not say where its pixels lie what its files say; False if they are unusable."""
    unplaced = {
        key: Path(asset.href)
        for key, asset in item.assets.items()
        if "://" not in asset.href
        and asset.href.lower().endswith((".tif", ".tiff"))
        and Path(asset.href).exists()
        and not {*asset.extra_fields, *item.properties} >= {"proj:shape", "proj:transform"}
    }
    try:
        if unplaced:
            ground(item, unplaced)
    except SceneError as error:
        if query.on_error == "raise":
            raise
        walked.skipped.append(Skipped(id=item.id, reason=error.message, item=item))
        return False
    return True


def _key(source: Stac, query: Query) -> str:
    """Name of a search: what the server was asked."""
    asked = [query.boxes, query.start.isoformat(), query.end.isoformat(), query.sensor]
    return key(source, json.dumps(asked))


def _is_api(root: Any) -> bool:
    """A catalogue that can be searched says so in its conformance or its links."""
    if not isinstance(root, Mapping) or root.get("type") == "Feature":
        return False
    searchable = any("item-search" in str(uri) for uri in root.get("conformsTo") or [])
    return searchable or any(link.get("rel") == "search" for link in root.get("links") or [])


def _pages(
    address: str, collection: str, asked: tuple[Query, Box], io: StacApiIO
) -> Iterator[Mapping[str, Any]]:
    """Items of all pages for one box, as JSON."""
    from pystac_client import Client
    from pystac_client.exceptions import APIError

    query, box = asked
    try:
        client = Client.open(address, stac_io=io)
        advertised = {str(link.extra_fields.get("method") or "GET") for link in client.get_links("search")}
        search = client.search(
            method="POST" if "POST" in advertised else "GET",
            collections=[collection],
            bbox=list(box),
            datetime=(query.start, query.end),
            limit=PAGE,
        )
        yield from search.items_as_dicts()
    except APIError as error:
        raise explain_failure(error, address) from error


def _reader_pays(found: Walk) -> bool:
    return any(
        item.properties.get("storage:requester_pays") or asset.href.startswith("s3://usgs-landsat/")
        for item in found.items[:1]
        for asset in item.assets.values()
    )
