"""Static catalogues: files of JSON that link to each other, read from disk or from any web server.

A catalogue, a collection, one item, an item collection and a bare list of items are all taken for what they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.query import Skipped
from landshift.errors import ConfigError, LandshiftError, NetworkError, SceneError

if TYPE_CHECKING:
    import pystac

__all__ = ["NOTHING_THERE", "Walk", "is_remote", "resolve", "take", "walk"]

_AT_ONCE: Final = 8
"""Documents of a remote catalogue that are read at once."""

NOTHING_THERE: Final = "there is nothing at this address"
"""Message of the one network error that another try does not mend."""

Fetch = Callable[[str], Any]
"""Reads the JSON document at an address."""


class Walk:
    """What a walk through a catalogue brings home."""

    def __init__(self) -> None:
        self.items: list[pystac.Item] = []
        self.skipped: list[Skipped] = []


def walk(address: str, document: Any, fetch: Fetch, *, skip: bool) -> Walk:
    """Collect the items of a document and of all that it links to.

    Args:
        address: Where the document was read, an address or a path.
        document: Its JSON.
        fetch: Reads further documents.
        skip: Whether a document that cannot be read is left out, rather than raised.

    Raises:
        ConfigError: The document is no STAC.
        SceneError: An item is damaged, or a linked file is missing.
    """
    found, seen = Walk(), {address}
    front = [(address, document)]
    while front:
        links: list[str] = []
        for at, content in front:
            for part_at, part in _parts(at, content):
                if part.get("type") == "Feature":
                    take(found, part_at, part, skip=skip)
                else:
                    links += [link for link in _links(part_at, part) if link not in seen]
        links = list(dict.fromkeys(links))
        seen.update(links)
        front = list(_read(links, fetch, found, skip=skip))
    return found


def is_remote(address: str) -> bool:
    """Whether an address is on a web server rather than in a file.

    >>> is_remote("https://example.org/catalog.json"), is_remote("C:/data/catalog.json"), is_remote("data")
    (True, False, False)
    """
    return address.startswith(("http://", "https://"))


def resolve(href: str, base: str) -> str:
    """An address as seen from the document it stands in.

    >>> resolve("./a/item.json", "https://example.org/c/catalog.json")
    'https://example.org/c/a/item.json'
    >>> resolve("../item.json", "/data/c/catalog.json")
    '/data/item.json'
    """
    import pystac.utils

    return str(pystac.utils.make_absolute_href(href, base, start_is_dir=False))


def _parts(at: str, content: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The STAC objects in one document."""
    if isinstance(content, list):
        for part in content:
            yield from _parts(at, part)
    elif isinstance(content, Mapping) and content.get("type") == "FeatureCollection":
        yield from _parts(at, content.get("features") or [])
    elif isinstance(content, Mapping) and content.get("type") in {"Feature", "Catalog", "Collection"}:
        yield at, content
    elif isinstance(content, Mapping) and "links" in content and "stac_version" in content:
        yield at, content  # catalogues before STAC 1.0 say no type
    else:
        raise ConfigError(
            "not a STAC document",
            where=at,
            allowed="a catalogue, a collection, an item or an item collection",
            hint="give the address of catalog.json, collection.json, an item or an API",
        )


def _links(at: str, part: Mapping[str, Any]) -> list[str]:
    wanted = {"child", "item", "items"}
    listed = [
        link for link in part.get("links") or [] if isinstance(link, Mapping) and link.get("rel") in wanted
    ]
    return [resolve(str(link["href"]), at) for link in listed if link.get("href")]


def take(found: Walk, at: str, part: Mapping[str, Any], *, skip: bool) -> None:
    """Make an item of its JSON, with absolute addresses and no links to climb.

    Args:
        found: Where the item goes, or its reason if it is damaged.
        at: Address of the document it stood in.
        part: Its JSON.
        skip: Whether a damaged item is left out.

    Raises:
        SceneError: It is damaged, and not to be skipped.
    """
    import pystac

    name = str(part.get("id", at))
    try:
        fields = json.loads(json.dumps(part))
        own = next((link["href"] for link in fields.get("links") or [] if link.get("rel") == "self"), at)
        for asset in fields["assets"].values():
            asset["href"] = resolve(str(asset["href"]), at)
        fields["links"] = [
            {**link, "href": resolve(str(link["href"]), at)}
            for link in fields.get("links") or []
            if link.get("rel") == "collection"
        ]
        if not fields.get("collection") and "odc:product" in fields["properties"]:
            fields["collection"] = fields["properties"]["odc:product"]  # datacube items name it so
        item = pystac.Item.from_dict(fields)
        item.set_self_href(own if is_remote(own) else at)
    except (pystac.STACError, KeyError, TypeError, ValueError, AttributeError) as error:
        if not skip:
            hint = 'mend it, or leave such items out with on_error = "skip"'
            raise SceneError("damaged item", where=f"{at}: {name}", got=str(error), hint=hint) from error
        found.skipped.append(Skipped(id=name, reason="damaged item"))
    else:
        found.items.append(item)


def _passing(error: LandshiftError) -> bool:
    """Whether an error may be gone tomorrow: then the document it hides is not left out."""
    return isinstance(error, NetworkError) and error.message != NOTHING_THERE


def _read(links: list[str], fetch: Fetch, found: Walk, *, skip: bool) -> Iterator[tuple[str, Any]]:
    """Read linked documents, several at once, in the order of the links."""

    def one(link: str) -> Any:
        try:
            return fetch(link)
        except LandshiftError as error:
            return error

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for link, content in zip(links, pool.map(one, links), strict=True):
            if not isinstance(content, LandshiftError):
                yield link, content
            elif skip and not _passing(content):
                found.skipped.append(Skipped(id=Path(link).name, reason=content.message))
            else:
                raise content
