"""Where scenes come from: the registry of sources, and the one search over all of them.

A source is any step of kind ``source`` with a method ``find(query)``; see
:class:`landshift.acquire.query.Source`. What it brings is narrowed here, in one place, to what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from landshift.acquire.catalogue import catalogues
from landshift.acquire.folder import Folder
from landshift.acquire.query import Query, SearchResult, Skipped, Source, narrow
from landshift.acquire.stac import Stac
from landshift.errors import ConfigError, did_you_mean
from landshift.step import from_table, registry

__all__ = ["Folder", "Query", "SearchResult", "Skipped", "Source", "Stac", "origin_of", "search"]


def search(source: Source, query: Query) -> SearchResult:
    """Find the scenes of a source that fit.

    Args:
        source: Where to look.
        query: What is wanted.

    Returns:
        Items by time and id, each once; and every scene left out, with its reason.

    Raises:
        ConfigError: The source's settings do not fit what is there.
        NetworkError: A server does not answer.
        SceneError: A scene cannot be used, and such scenes are not to be skipped.
    """
    return narrow(source.find(query), query)


def origin_of(values: Mapping[str, Any], *, where: str) -> Source:
    """The source that a ``[[source]]`` table speaks of.

    Args:
        values: Its keys, less those that all sources share (name, sensor, max_cloud).
        where: Name of the table, for messages.

    Raises:
        ConfigError: ``from`` is missing or unknown, or a key does not belong to that source.

    >>> origin_of({"from": "earth-search", "bands": ["red"]}, where="source.s2")
    Stac(catalogue='earth-search', url=None, collection=None, offset=None)
    """
    kind = values.get("from")
    steps = registry("source")
    known = [*catalogues(), *steps]
    if kind not in known:
        message = f"{where}.from is missing" if kind is None else f"{where}.from is unknown"
        raise ConfigError(message, got=kind, hint=did_you_mean(str(kind), known))
    fields = {key: value for key, value in values.items() if key != "from"}
    if kind in catalogues():
        fields["catalogue"], kind = kind, "stac"
    if kind != "folder":
        fields.pop("bands", None)
    return cast("Source", from_table(steps[kind], fields, where=where))
