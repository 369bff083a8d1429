"""What a scene is: a pystac Item, resolved into the files, bands and numbers that reading needs.

The Item stays the only metadata model. :func:`scene_from_item` answers, once and in one place, the questions
that go wrong most often: which asset holds a band, how stored numbers become reflectance (Sentinel-2's offset
since baseline 04.00 is neither forgotten nor taken off twice), and how the quality layer is decoded.
A :class:`Pass` is one date of a cube: the granules of one overpass, fused on reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift import sensor as sensors
from landshift.errors import SceneError
from landshift.sensor import Band, QualityRule, Sensor

if TYPE_CHECKING:
    import pystac

__all__ = ["BandFile", "Pass", "QualityFile", "Scene", "passes", "scene_from_item"]

SAME_PASS: Final = timedelta(minutes=10)
"""Granules of one platform that are less than this apart belong to one overpass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFile:
    """Where one band's pixels are and what their numbers mean."""

    href: str
    """Path or address of the file."""
    index: int = 1
    """Band of a raster, or time step of a NetCDF variable; counted from 1."""
    scale: float = 1.0
    """Value = stored number x scale + offset."""
    offset: float = 0.0
    """See ``scale``."""
    nodata: float | None = None
    """Stored number that means no data; NaN always does."""
    variable: str | None = None
    """Variable of a NetCDF or HDF5 file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityFile:
    """Where a scene's quality layer is and how it is decoded."""

    href: str
    """Path or address of the file."""
    rule: QualityRule
    """See :func:`landshift.sensor.quality_table`."""
    index: int = 1
    """Band of a raster, or time step of a NetCDF variable; counted from 1."""
    variable: str | None = None
    """Variable of a NetCDF or HDF5 file."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One scene, ready to be read: what its Item says, resolved for the wanted bands."""

    id: str
    """The Item's id."""
    source: str
    """Name of the recipe's source."""
    sensor: str
    """Name of the sensor, or ``index`` for adopted index layers."""
    quantity: str
    """``reflectance``, ``backscatter`` or ``index``: the variable its pixels go to."""
    time: datetime
    """Acquisition, UTC."""
    bands: Mapping[str, BandFile]
    """Files by band name."""
    quality: QualityFile | None = None
    """Quality layer; without one every pixel that holds data is clear."""
    platform: str = ""
    """Satellite, in lower case with hyphens."""
    cloud_cover: float | None = None
    """Percent, as the provider says."""
    footprint: Mapping[str, Any] | None = None
    """GeoJSON geometry in EPSG:4326."""
    orbit_state: str = ""
    """``ascending``, ``descending`` or empty."""
    relative_orbit: int = -1
    """Relative orbit number, -1 where unknown."""
    angles: Mapping[str, float] = field(default_factory=dict)
    """sun_zenith, sun_azimuth, view_zenith, view_azimuth in degrees, where known."""
    collection: str = ""
    """The Item's collection, within which its id counts; empty where it has none."""
    simulated: bool = False
    """Whether the Item says that it is simulated."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The scenes of one overpass: one date of the cube.

    Where granules overlap, a pixel takes the first clear value, else the first valid one, by item id.
    """

    scenes: tuple[Scene, ...]
    """Scenes, sorted by id."""
    lost: frozenset[str] = frozenset()
    """Ids of scenes that are not to be read, since a file of theirs is damaged; the date keeps its place and name."""

    @property
    def time(self) -> datetime:
        """The earliest acquisition of the group, UTC."""
        return min(scene.time for scene in self.scenes)

    @property
    def stamp(self) -> np.datetime64:
        """The same as NumPy has it, which knows no time zones: UTC, to the nanosecond."""
        return np.datetime64(self.time.replace(tzinfo=None), "ns")

    @property
    def order(self) -> tuple[datetime, str]:
        """Dates are sorted by this."""
        return (self.time, self.item_ids)

    @property
    def item_ids(self) -> str:
        """Ids of the scenes, joined by semicolons: keys into ``scenes.parquet``."""
        return ";".join(scene.id for scene in self.scenes)


def passes(scenes: Iterable[Scene]) -> tuple[Pass, ...]:
    """Group scenes into overpasses, sorted by time.

    Args:
        scenes: Scenes of any source and order; the same id of one collection twice counts once.

    >>> base = dict(source="s2", sensor="sentinel-2-l2a", quantity="reflectance", bands={}, platform="sentinel-2a")
    >>> one = Scene(id="a", time=datetime(2020, 1, 1, 10, 0, tzinfo=UTC), **base)
    >>> two = Scene(id="b", time=datetime(2020, 1, 1, 10, 0, 14, tzinfo=UTC), **base)
    >>> [group.item_ids for group in passes([two, one, one])]
    ['a;b']
    """
    unique = {(scene.source, scene.collection, scene.id): scene for scene in scenes}
    groups: dict[tuple[str, str, str], list[list[Scene]]] = {}
    for scene in sorted(unique.values(), key=lambda scene: (scene.time, scene.id, scene.collection)):
        runs = groups.setdefault((scene.source, scene.sensor, scene.platform), [])
        if runs and scene.time - runs[-1][0].time <= SAME_PASS and not _one_file(scene, runs[-1][-1]):
            runs[-1].append(scene)
        else:
            runs.append([scene])
    every = [run for runs in groups.values() for run in runs]
    made = [Pass(scenes=tuple(sorted(run, key=lambda scene: (scene.id, scene.collection)))) for run in every]
    return tuple(sorted(made, key=lambda group: group.order))


def _one_file(one: Scene, other: Scene) -> bool:
    """Whether two scenes are planes of one file: then they are dates of their own, however near."""
    return bool({band.href for band in one.bands.values()} & {band.href for band in other.bands.values()})


def scene_from_item(
    item: pystac.Item, *, source: str, bands: Sequence[str] | None = None, sensor: str | None = None
) -> Scene:
    """Resolve a pystac Item into a scene that can be read.

    Args:
        item: Any Sentinel-2, Landsat or Sentinel-1 item of the public catalogues, or one that ``adopt`` made.
        source: Name of the recipe's source.
        bands: Wanted bands by common name; None takes all that the item has.
        sensor: Name of the sensor; None guesses it from collection and platform.

    Raises:
        SceneError: The sensor cannot be told, or a wanted band is missing.
    """
    properties = item.properties
    platform = str(properties.get("platform") or properties.get("eo:platform") or "")
    platform = platform.lower().replace("_", "-").replace(" ", "-")
    known = sensors.get(sensor) if sensor and sensor != "index" else None
    if known is None and sensor is None:
        known = sensors.guess(collection=item.collection_id, platform=platform)
    files = _band_files(item, known)
    wanted = list(files) if bands is None else list(bands)
    missing = [band for band in wanted if band not in files]
    if missing or not files:
        raise SceneError(
            f"scene {item.id} lacks {'band ' + ', '.join(missing) if missing else 'any band that is known'}",
            where=item.get_self_href() or item.id,
            allowed=sorted(files) or None,
            hint="choose among its bands with `bands = [...]`, or name the sensor of the source",
        )
    return Scene(
        id=item.id,
        source=source,
        sensor=known.name if known else "index",
        quantity=known.quantity if known else str(properties.get("landshift:quantity", "index")),
        time=_time(item),
        bands={band: files[band] for band in wanted},
        quality=_quality_file(item, known),
        platform=platform,
        cloud_cover=properties.get("eo:cloud_cover"),
        footprint=item.geometry,
        orbit_state=str(properties.get("sat:orbit_state") or ""),
        relative_orbit=int(properties.get("sat:relative_orbit") or -1),
        angles=_angles(properties),
        collection=item.collection_id or "",
        simulated=properties.get("landshift:simulated") is True,
    )


def _band_files(item: pystac.Item, sensor: Sensor | None) -> dict[str, BandFile]:
    """Files by common name; a name that fits exactly beats an alias, an alias beats a common name."""
    places = [place for name, asset in item.assets.items() for place in _places(name, asset)]
    places.sort(key=lambda place: (place.href.endswith(".jp2"), place.pixel))  # JPEG 2000 last, fine first
    if sensor is None:
        named: dict[str, _Place] = {}
        for place in places:
            if place.is_data:
                named.setdefault(place.names[0], place)
        return {
            name: place.file(1.0, float(place.raster.get("offset", 0.0)), None)
            for name, place in named.items()
        }
    found: dict[str, BandFile] = {}
    for band in sensor.bands:
        best = _best(places, band)
        if best is not None:
            offset = _offset(item, sensor, band, best)
            found[band.name] = best.file(band.scale, offset, sensor.nodata)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One band inside one asset, with all the names it goes by."""

    href: str
    index: int
    key: str
    names: tuple[str, ...]
    common: str | None
    raster: Mapping[str, Any]
    variable: str | None
    is_data: bool
    pixel: float

    def file(self, scale: float, offset: float, nodata: float | None) -> BandFile:
        """The band's file; what the asset itself says of scale and nodata comes first."""
        return BandFile(
            href=self.href,
            index=self.index,
            scale=float(self.raster.get("scale", scale)),
            offset=offset,
            nodata=_number(self.raster.get("nodata", nodata)),
            variable=self.variable,
        )


def _places(key: str, asset: pystac.Asset) -> list[_Place]:
    extra = asset.extra_fields
    bands = extra.get("bands") or extra.get("eo:bands") or [{}]
    rasters = extra.get("raster:bands") or []
    roles = set(asset.roles or [])
    href = asset.get_absolute_href() or asset.href
    suffix = href.split("?")[0].rsplit(".", maxsplit=1)[-1].lower()
    if suffix in _NO_RASTER or {key, *roles} & _PICTURES:
        return []
    made = []
    for number, band in enumerate(bands, start=1):
        raster = rasters[number - 1] if number <= len(rasters) else _raster_11({**extra, **band})
        step = extra.get("landshift:index")
        made.append(
            _Place(
                href=href,
                index=int(step) if step else number,
                key=_bare(key) if len(bands) == 1 else "",
                names=tuple(str(name) for name in (band.get("name"), _bare(key)) if name),
                common=band.get("common_name") or band.get("eo:common_name"),
                raster=raster,
                variable=extra.get("landshift:variable"),
                is_data="data" in roles or not roles & _NO_DATA,
                pixel=abs(float((extra.get("proj:transform") or [extra.get("gsd") or 0.0])[0])),
            )
        )
    return made


_NO_RASTER: Final = frozenset({"jpg", "jpeg", "json", "xml", "txt", "html"})
"""Suffixes of files that hold no pixels to read."""
_PICTURES: Final = frozenset(
    {"visual", "overview", "thumbnail", "preview", "rendered_preview", "tilejson", "tiles"}
)
"""Assets, by key or role, that are for looking at; some name the bands they were drawn from."""
_NO_DATA: Final = frozenset({"metadata", "quality", "landshift:quality"})
"""Roles of layers that are no bands, where they are not data as well."""


def _best(places: Sequence[_Place], band: Band) -> _Place | None:
    """The place that names the band most exactly."""
    tests: tuple[Callable[[_Place], bool], ...] = (
        lambda place: place.key == band.native or band.native in place.names[:1],
        lambda place: place.key == band.name or band.name in place.names[:1],
        lambda place: place.key in band.aliases or bool(set(place.names[:1]) & set(band.aliases)),
        lambda place: place.common == band.name and _unique(places, band.name),
    )
    for test in tests:
        found = [place for place in places if test(place)]
        if found:
            return found[0]
    return None


def _unique(places: Sequence[_Place], common: str) -> bool:
    return len({(place.href, place.index) for place in places if place.common == common}) == 1


def _offset(item: pystac.Item, sensor: Sensor, band: Band, place: _Place) -> float:
    """The offset that is still to be added to this asset's numbers.

    Sentinel-2, in this order: what the user said; before baseline 04.00 none; a provider that says it has applied the offset, none;
    an offset written at the asset; else the specification's.
    """
    rule = sensor.baseline
    written = place.raster.get("offset")
    if rule is None:
        return float(band.offset if written is None else written)
    if "landshift:offset" in item.properties:
        return float(item.properties["landshift:offset"])
    baseline = next((str(item.properties[name]) for name in rule.properties if name in item.properties), "")
    if any(item.properties.get(name) is True for name in rule.applied_properties):
        return 0.0
    if baseline and _version(baseline) < _version(rule.since):
        return 0.0
    if written is not None:
        return float(written)
    return rule.offset if baseline else float(band.offset)


def _version(text: str) -> tuple[int, int]:
    """``04.00``, ``4.0``, ``N0400`` and ``N04.00`` are the same baseline.

    >>> [_version(text) for text in ("04.00", "4.0", "N0400", "2.14")]
    [(4, 0), (4, 0), (4, 0), (2, 14)]
    """
    first, dot, last = text.upper().removeprefix("N").partition(".")
    parts = (first, last) if dot else (first[:2], first[2:])
    return (
        (int(parts[0]), int(parts[1] or 0)) if parts[0].isdigit() and (parts[1] or "0").isdigit() else (0, 0)
    )


def _quality_file(item: pystac.Item, sensor: Sensor | None) -> QualityFile | None:
    for name, asset in item.assets.items():
        extra = asset.extra_fields
        rule = extra.get("landshift:quality_rule")
        listed = sensor is not None and name in sensor.quality_assets
        if rule is None and listed and sensor is not None:
            rule = sensor.quality_rule
        if rule:
            return QualityFile(
                href=asset.get_absolute_href() or asset.href,
                rule=rule,
                index=int(extra.get("landshift:index", 1)),
                variable=extra.get("landshift:variable"),
            )
    return None


def _angles(properties: Mapping[str, Any]) -> dict[str, float]:
    elevation = properties.get("view:sun_elevation", properties.get("eo:sun_elevation"))
    azimuth = properties.get("view:sun_azimuth", properties.get("eo:sun_azimuth"))
    zenith = properties.get("s2:mean_solar_zenith", None if elevation is None else 90.0 - float(elevation))
    found = {
        "sun_zenith": zenith,
        "sun_azimuth": properties.get("s2:mean_solar_azimuth", azimuth),
        "view_zenith": properties.get("view:incidence_angle", properties.get("view:off_nadir")),
        "view_azimuth": properties.get("view:azimuth"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _time(item: pystac.Item) -> datetime:
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        raise SceneError(f"scene {item.id} has no date", hint="give its date: `date = ...` in the source")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bare(key: str) -> str:
    return key.removesuffix(".TIF").removesuffix(".tif")


def _raster_11(band: Mapping[str, Any]) -> dict[str, Any]:
    """STAC 1.1 writes raster facts into ``bands``."""
    names = {"raster:scale": "scale", "raster:offset": "offset", "nodata": "nodata"}
    return {ours: band[theirs] for theirs, ours in names.items() if theirs in band}


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]  # "nan" and numbers alike
