"""The survey: which scenes there are, on which grid, and why the others are left out.

It is cheap and reads no pixels. Its result, with the recipe's steps, decides everything that follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.query import Query, Skipped
from landshift.config import Recipe, Source
from landshift.dateline import cut_at_180, in_degrees
from landshift.errors import LandshiftError, NoScenesError, SceneError, counted
from landshift.pipeline.mark import file_mark
from landshift.pipeline.output import hash_of
from landshift.place import NativeGrid, grid_of, pixel_m
from landshift.scene import BandFile, Pass, QualityFile, Scene, passes, scene_from_item
from landshift.sensor import get as get_sensor
from landshift.sensor import guess

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

__all__ = ["Survey", "plain_grid", "survey"]

SPARSE: Final = 0.2
"""Scenes that cover less than this share of the grid around all of them lie far apart."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the survey found."""

    geobox: GeoBox
    """The place's grid."""
    outline: Geometry | None
    """Outline that selects blocks and clips statistics; None for the whole grid."""
    passes: Mapping[str, tuple[Pass, ...]]
    """Dates by source."""
    bands: Mapping[str, tuple[str, ...]]
    """Bands by source."""
    skipped: tuple[Skipped, ...]
    """Scenes left out."""
    items: Mapping[str, tuple[pystac.Item, ...]]
    """Items used, by source."""
    warnings: tuple[str, ...] = ()
    """What a user should know of the choice of scenes, in words."""

    @property
    def simulated(self) -> bool:
        """Whether any scene says that it is simulated."""
        groups = (group for found in self.passes.values() for group in found)
        return any(scene.simulated for group in groups for scene in group.scenes)

    @property
    def scenes(self) -> int:
        """How many scenes are used."""
        return sum(len(group.scenes) for groups in self.passes.values() for group in groups)

    @property
    def place(self) -> dict[str, Any]:
        """The grid as plain values, and a hash of the outline where there is one."""
        grid = plain_grid(self.geobox)
        return grid if self.outline is None else grid | {"outline": hash_of(self.outline.wkt)}

    def fingerprint(self, source: str) -> str:
        """A key of the scenes of one source: their ids, files, numbers, masks and dates, not the place they lie at."""
        return hash_of(
            [
                [
                    scene.id,
                    scene.collection,
                    scene.time.isoformat(),
                    {name: _file(band) for name, band in scene.bands.items()},
                    None if scene.quality is None else _mask(scene.quality),
                ]
                for group in self.passes[source]
                for scene in group.scenes
            ]
        )

    def reasons(self) -> dict[str, int]:
        """How many scenes were left out for which reason."""
        return dict(sorted(Counter(scene.reason for scene in self.skipped).items()))


def survey(
    recipe: Recipe, *, out: Path, crop_m: float | None = None, progress: Progress | None = None
) -> Survey:
    """Find the scenes of a recipe and make its grid.

    Args:
        recipe: The recipe.
        out: Output folder, where a simulated source writes its scenes.
        crop_m: Side of a window around the centre to which the place is cut, in metres, for a trial.
        progress: Told how far the simulator is.

    Raises:
        NoScenesError: Nothing fits; the message counts the reasons.
        SceneError: A scene is unusable and the recipe does not skip such scenes.
    """
    outline = recipe.place.outline(recipe.base)
    found = {source.name: _search(source, recipe, outline, (out, progress)) for source in recipe.sources}
    skipped = [entry for _, left in found.values() for entry in left]
    items = {name: used for name, (used, _) in found.items()}
    if not any(items.values()):
        raise _nothing(recipe, skipped)
    native = _native([item for used in items.values() for item in used], recipe)
    geobox = grid_of(recipe.place, base=recipe.base, native=native)
    if crop_m is not None:
        geobox = _crop(geobox, crop_m)
    grouped: dict[str, tuple[Pass, ...]] = {}
    kept: dict[str, tuple[pystac.Item, ...]] = {}
    bands: dict[str, tuple[str, ...]] = {}
    for source in recipe.sources:
        scenes, left = _resolve(source, items[source.name], geobox, skip=recipe.engine.on_error == "skip")
        skipped += left
        grouped[source.name] = passes(scenes)
        bands[source.name] = _bands(source, scenes)
        used = {(scene.collection, scene.id) for scene in scenes}
        chosen = (i for i in items[source.name] if (i.collection_id or "", i.id) in used)
        kept[source.name] = tuple(sorted(chosen, key=lambda item: (item.id, item.collection_id or "")))
    if not any(grouped.values()):
        raise _nothing(recipe, skipped)
    return Survey(
        geobox=geobox,
        outline=outline if crop_m is None and recipe.place.geometry else None,
        passes=grouped,
        bands=bands,
        skipped=tuple(skipped),
        items=kept,
        warnings=tuple(
            filter(None, (_apart(recipe, geobox, items, kept), *_idle(grouped, skipped), _damaged(skipped)))
        ),
    )


def plain_grid(geobox: GeoBox) -> dict[str, Any]:
    """A grid as plain values."""
    transform = [float(value) for value in geobox.affine[:6]]
    return {"crs": str(geobox.crs), "transform": transform, "shape": list(geobox.shape)}


def _apart(
    recipe: Recipe,
    geobox: GeoBox,
    items: Mapping[str, Sequence[pystac.Item]],
    kept: Mapping[str, Sequence[pystac.Item]],
) -> str:
    """Say so where no place is given, and the scenes lie in several or leave most of the grid empty."""
    import shapely

    if recipe.place.bbox is not None or recipe.place.geometry is not None:
        return ""
    taken = in_degrees(geobox.extent)
    shapes = [
        cut_at_180(item.geometry) for found in items.values() for item in found if item.geometry is not None
    ]
    outside = shapely.union_all([shape for shape in shapes if not shape.intersects(taken)])
    if not outside.is_empty:
        places = 1 + len(getattr(outside, "geoms", [outside]))
        count = sum(len(found) for found in kept.values())
        return (
            f"the scenes lie in {places} places; taken: {counted(count, 'scene')} around longitude {taken.centroid.x:.2f},"
            f" latitude {taken.centroid.y:.2f}; give [place] a bbox or geometry for another"
        )
    share = shapely.union_all(shapes).intersection(taken).area / taken.area if shapes else 1.0
    if share >= SPARSE:
        return ""
    rows, cols = geobox.shape
    return (
        f"the scenes lie far apart: they cover {share:.0%} of the {rows} x {cols} px that hold them all; give [place] a"
        " bbox or geometry for one part"
    )


def _idle(found: Mapping[str, Sequence[Pass]], skipped: Sequence[Skipped]) -> list[str]:
    """Say which sources have no scene at all, and why."""
    said = []
    for name in (name for name, groups in found.items() if not groups):
        reasons = _counted(left for left in skipped if left.source == name)
        said.append(f"source {name} has no scene: {reasons or 'none was found'}")
    return said


def _counted(skipped: Iterable[Skipped]) -> str:
    reasons = Counter(scene.reason for scene in skipped)
    return "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())


def _damaged(skipped: Sequence[Skipped]) -> str:
    """Say how many scenes could not be used at all; those that were not wanted do not count."""
    count = sum(left.item is None for left in skipped)
    if not count:
        return ""
    return f"{counted(count, 'scene')} could not be used and {'were' if count > 1 else 'was'} left out: scenes.parquet names them with the reason"


def _search(
    source: Source, recipe: Recipe, outline: Geometry | None, simulated: tuple[Path, Progress | None]
) -> tuple[list[pystac.Item], list[Skipped]]:
    """Items of one source, and what it left out itself."""
    from landshift.acquire.source import search

    begin, end = recipe.time.span
    origin = _simulated(source.origin, recipe, *simulated) if source.simulated else source.origin
    query = Query(
        outline=outline,
        start=begin,
        end=end,
        months=recipe.time.month_list,
        max_cloud=source.max_cloud,
        base=recipe.base,
        on_error=recipe.engine.on_error,
        sensor=source.sensor,
        remember=Path(recipe.cache.dir).expanduser(),
    )
    result = search(origin, query)
    return list(result.items), [replace(left, source=source.name) for left in result.skipped]


def _simulated(origin: Any, recipe: Recipe, out: Path, progress: Progress | None) -> Any:
    """Write the simulated scenes, once, and give the catalogue to read them from."""
    from landshift.acquire.simulate import write_scenes
    from landshift.acquire.stac import Stac

    folder = out / ".landshift" / "simulated"
    begin, end = recipe.time.span
    timed = replace(origin, start=begin.date(), end=(end - timedelta(days=1)).date())
    catalogue = write_scenes(timed, grid_of(recipe.place, base=recipe.base), folder, progress=progress)
    return Stac(url=str(catalogue))


def _resolve(
    source: Source, items: Sequence[pystac.Item], geobox: GeoBox, *, skip: bool
) -> tuple[list[Scene], list[Skipped]]:
    """Scenes of the items that have the wanted bands and touch the grid."""
    corner = in_degrees(geobox.extent)
    scenes, skipped = [], []
    for item in items:
        if item.geometry is not None and not cut_at_180(item.geometry).intersects(corner):
            skipped.append(Skipped(source=source.name, id=item.id, reason="outside the place", item=item))
            continue
        try:
            scenes.append(scene_from_item(item, source=source.name, bands=source.bands, sensor=source.sensor))
        except SceneError as error:
            if not skip:
                raise
            skipped.append(
                Skipped(source=source.name, id=item.id, reason=error.message.split(item.id)[-1].strip())
            )
    return scenes, skipped


def _bands(source: Source, scenes: Sequence[Scene]) -> tuple[str, ...]:
    """The wanted bands, or those that every scene has, in the sensor's order."""
    if source.bands is not None or not scenes:
        return source.bands or ()
    shared = set.intersection(*(set(scene.bands) for scene in scenes))
    if not shared:
        raise SceneError(
            "the scenes have no band in common", where=f"source {source.name}", hint="name `bands`"
        )
    order = scenes[0].bands
    return tuple(band for band in order if band in shared)


def _native(items: Sequence[pystac.Item], recipe: Recipe) -> NativeGrid | None:
    """The grid most scenes are on, at their finest resolution, from what their items say."""
    grids: list[tuple[str, float, tuple[float, float], tuple[float, float, float, float]]] = []
    for item in items:
        grid = _grid_of_item(item, recipe)
        if grid is not None:
            grids.append(grid)
    if not grids:
        return None
    crs = Counter(grid[0] for grid in grids).most_common(1)[0][0]
    same = [grid for grid in grids if grid[0] == crs]
    finest = min(grid[1] for grid in same)
    left, bottom, right, top = zip(*(grid[3] for grid in same), strict=True)
    anchor = next(grid[2] for grid in same if grid[1] == finest)
    return NativeGrid(
        crs=crs, resolution=finest, anchor=anchor, bounds=(min(left), min(bottom), max(right), max(top))
    )


def _grid_of_item(
    item: pystac.Item, recipe: Recipe
) -> tuple[str, float, tuple[float, float], tuple[float, float, float, float]] | None:
    """CRS, resolution, a pixel corner and bounds of one item, from its projection fields."""
    properties = item.properties
    wanted = {band for source in recipe.sources for band in source.bands or ()}
    best = None
    for name, asset in item.assets.items():
        fields = {**properties, **asset.extra_fields}
        code = fields.get("proj:code") or (fields.get("proj:epsg") and f"EPSG:{fields['proj:epsg']}")
        crs = code or fields.get("proj:wkt2")
        transform, shape = fields.get("proj:transform"), fields.get("proj:shape")
        if not crs or not transform or not shape or not _is_band(name, asset, item, wanted):
            continue
        res, left, top = abs(float(transform[0])), float(transform[2]), float(transform[5])
        other = top + float(transform[4]) * shape[0]
        bounds = (left, min(top, other), left + res * shape[1], max(top, other))
        if best is None or res < best[1]:
            best = (str(crs), res, (left, top), bounds)
    return best


def _is_band(name: str, asset: pystac.Asset, item: pystac.Item, wanted: set[str]) -> bool:
    """Whether an asset holds one of the wanted bands; previews and true-colour images do not count."""
    if {"thumbnail", "overview", "visual"} & {*(asset.roles or []), name}:
        return False
    sensor = guess(collection=item.collection_id, platform=str(item.properties.get("platform", "")))
    if sensor is None or not wanted:
        return True
    known = [band for band in get_sensor(sensor.name).bands if band.name in wanted]
    return any(name in {band.name, band.native, *band.aliases} for band in known)


def _crop(geobox: GeoBox, side_m: float) -> GeoBox:
    """A window of ``side_m`` metres around the centre, in whole multiples of six pixels."""
    height, widths = pixel_m(geobox)
    parts = []
    for metres, size in zip((height, float(widths[len(widths) // 2])), geobox.shape, strict=True):
        side = max(6, round(side_m / metres / 6) * 6)
        first = max(0, (size - side) // 12 * 6)
        parts.append(slice(first, min(size, first + side)))
    return geobox[parts[0], parts[1]]


def _file(band: BandFile) -> list[Any]:
    """What tells that a band's file is the same: its mark where it is local, else its name, and what its numbers mean."""
    return [*_named(band.href), band.index, band.scale, band.offset, band.nodata, band.variable]


def _mask(layer: QualityFile) -> list[Any]:
    """The same of a quality layer, with the rule it is read by."""
    return [*_named(layer.href), layer.index, layer.variable, layer.rule]


def _named(href: str) -> list[Any]:
    """Mark of a local file, name of a remote one; where it lies does not count."""
    if "://" not in href and Path(href).is_file():
        return file_mark(Path(href))
    return [Path(href.partition("?")[0]).name]


def _nothing(recipe: Recipe, skipped: Sequence[Skipped]) -> LandshiftError:
    begin, end = recipe.time.span
    damaged = bool(skipped) and all(left.item is None for left in skipped)
    error = NoScenesError(
        "no scene fits the recipe",
        where=", ".join(source.name for source in recipe.sources),
        got=_counted(skipped) or "no scenes at all",
        allowed=f"{begin:%Y-%m-%d} to before {end:%Y-%m-%d}" if end.year < 2100 else None,
        hint="copy or download these files again; `landshift search` lists them"
        if damaged
        else "widen [time] or [place], raise max_cloud, or look with `landshift search`",
    )
    error.skipped = tuple(skipped)
    return error
