"""What is asked of a source, and what it answers.

A source says what it found *and* what it left out: every scene that is not used carries its reason, in words that
can be counted, so that a thin cube is never a riddle.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from landshift import sensor as sensors

if TYPE_CHECKING:
    import pystac
    from odc.geo.geom import Geometry

    from landshift.dateline import Box

__all__ = ["Query", "SearchResult", "Skipped", "Source", "moment", "narrow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A scene that is not used, and why."""

    id: str
    """Id of the item, or name of the file."""
    reason: str
    """Why, as a short phrase that can be counted."""
    source: str = ""
    """Name of the recipe's source, where it is known."""
    item: pystac.Item | None = field(default=None, compare=False, repr=False)
    """The item, where the scene got that far."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which scenes are wanted."""

    outline: Geometry | None = None
    """The place, in any CRS; None for everywhere."""
    start: datetime = datetime(1972, 1, 1, tzinfo=UTC)
    """First moment, UTC."""
    end: datetime = datetime(2100, 1, 1, tzinfo=UTC)
    """First moment after, UTC."""
    months: tuple[int, ...] = ()
    """Wanted months, 1 to 12; empty for all."""
    max_cloud: float | None = None
    """Percent of cloud by the provider above which a scene is left out; scenes that do not say are kept."""
    base: Path = field(default_factory=Path)
    """Folder that relative paths start from."""
    on_error: Literal["raise", "skip"] = "raise"
    """What a file that cannot be used does: stop the search, or be left out and counted."""
    sensor: str | None = None
    """Sensor the recipe names, which picks a catalogue's collection and the meaning of band names."""
    remember: Path | None = None
    """Folder where answers of remote catalogues are kept, for when there is no network; None keeps none."""

    def refuse(self, item: pystac.Item) -> str | None:
        """Why an item does not fit, or None where it does.

        Args:
            item: Any item.
        """
        time = moment(item)
        if time is not None and not self.start <= time < self.end:
            return "outside the time"
        if time is not None and self.months and time.month not in self.months:
            return "outside the months"
        cloud = item.properties.get("eo:cloud_cover")
        if self.max_cloud is not None and cloud is not None and float(cloud) > self.max_cloud:
            return f"more than {self.max_cloud:g} % cloud"
        if self.sensor is not None and _other_satellite(item, self.sensor):
            return f"not of {self.sensor}"
        if self._shape is not None and item.geometry is not None:
            from landshift.dateline import cut_at_180

            if not self._shape.intersects(cut_at_180(item.geometry)):
                return "outside the place"
        return None

    @functools.cached_property
    def boxes(self) -> tuple[Box, ...]:
        """Left, bottom, right, top in degrees; two where the place lies across 180 degrees, none for everywhere."""
        from landshift.dateline import boxes

        return () if self._shape is None else boxes(self._shape)

    @functools.cached_property
    def _shape(self) -> Any:
        """The outline in EPSG:4326, prepared for many tests."""
        if self.outline is None:
            return None
        import shapely

        from landshift.dateline import in_degrees

        made = in_degrees(self.outline)
        shapely.prepare(made)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a source answers."""

    items: tuple[pystac.Item, ...] = ()
    """Items that fit, by time and id."""
    skipped: tuple[Skipped, ...] = ()
    """Scenes left out."""


@runtime_checkable
class Source(Protocol):
    """Where scenes come from: anything that answers a query with pystac items.

    It may return more than fits; :func:`landshift.acquire.source.search` narrows. It never returns less in silence.
    """

    def find(self, query: Query) -> SearchResult:
        """The items at hand, and those that cannot be used.

        Args:
            query: What is wanted; a source may use of it what makes its own search cheaper.
        """
        ...


def moment(item: pystac.Item) -> datetime | None:
    """When an item was acquired, UTC; None where it does not say."""
    time = item.datetime or item.common_metadata.start_datetime
    if time is None:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _other_satellite(item: pystac.Item, sensor: str) -> bool:
    """Whether an item names a satellite that the sensor is not on, as where one collection holds Landsat 4 to 9."""
    if sensor not in sensors.names():
        return False
    said = str(item.properties.get("platform") or item.properties.get("eo:platform") or "")
    platform = said.lower().replace("_", "-").replace(" ", "-")
    every = {name for each in map(sensors.get, sensors.names()) for name in each.platforms}
    mine = sensors.get(sensor).platforms
    return bool(mine) and platform in every and platform not in mine


def narrow(found: SearchResult, query: Query) -> SearchResult:
    """Keep the items that fit, once each, and give the others their reason.

    Args:
        found: What a source returned.
        query: What is wanted.

    Returns:
        Items by time and id, and all that was left out, by id.
    """
    kept: dict[tuple[str, str], pystac.Item] = {}
    skipped = list(found.skipped)
    for item in found.items:
        reason = "listed twice" if _identity(item) in kept else query.refuse(item)
        if reason is None:
            kept[_identity(item)] = item
        else:
            skipped.append(Skipped(id=item.id, reason=reason, item=item))
    newest, older = _newest(list(kept.values()))
    skipped += [Skipped(id=i.id, reason="older processing of the same scene", item=i) for i in older]
    order = sorted(newest, key=lambda item: (moment(item) or query.start, item.id, item.collection_id or ""))
    return SearchResult(items=tuple(order), skipped=tuple(sorted(skipped, key=lambda s: (s.id, s.reason))))


def _newest(items: Sequence[pystac.Item]) -> tuple[list[pystac.Item], list[pystac.Item]]:
    """Where a provider lists a scene in several processings, only the newest counts."""
    groups: dict[Any, list[pystac.Item]] = {}
    for item in items:
        groups.setdefault(_granule(item) or _identity(item), []).append(item)
    newest = [max(group, key=_processing) for group in groups.values()]
    chosen = {_identity(item) for item in newest}
    return newest, [item for item in items if _identity(item) not in chosen]


def _identity(item: pystac.Item) -> tuple[str, str]:
    """What tells an item from all others: an id counts within its collection."""
    return item.collection_id or "", item.id


def _granule(item: pystac.Item) -> tuple[object, ...] | None:
    """What two processings of one granule share: satellite, tile or path and row, and the moment to the second."""
    said = item.properties
    tile = said.get("grid:code") or said.get("s2:mgrs_tile")
    if tile is None and said.get("landsat:wrs_path") is not None:
        tile = (said["landsat:wrs_path"], said.get("landsat:wrs_row"))
    time = moment(item)
    if tile is None or time is None or time == time.replace(hour=0, minute=0, second=0, microsecond=0):
        return None
    return item.collection_id, str(said.get("platform", "")).lower(), tile, time.replace(microsecond=0)


def _processing(item: pystac.Item) -> tuple[str, str, str]:
    said = item.properties
    baseline = said.get("s2:processing_baseline") or said.get("processing:version") or ""
    return str(baseline), str(said.get("s2:sequence") or said.get("created") or ""), item.id


def count_reasons(skipped: Iterable[Skipped]) -> dict[str, int]:
    """How many scenes were left out for which reason, the most frequent first.

    >>> count_reasons([Skipped(id="a", reason="x"), Skipped(id="b", reason="y"), Skipped(id="c", reason="y")])
    {'y': 2, 'x': 1}
    """
    counts: dict[str, int] = {}
    for scene in skipped:
        counts[scene.reason] = counts.get(scene.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
