"""Looking ahead: what a recipe would read, write and take. Nothing is run; only headers are read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.query import Query, Skipped
from landshift.config import Recipe
from landshift.errors import NoScenesError, counted
from landshift.pipeline.budget import memory_of
from landshift.pipeline.build import Build
from landshift.pipeline.output import Output
from landshift.pipeline.preflight import preflight
from landshift.pipeline.stages import Context
from landshift.pipeline.survey import Survey, survey
from landshift.pipeline.watch import Quiet, Watch, duration, sized
from landshift.plan import plan_blocks

if TYPE_CHECKING:
    import pystac

__all__ = ["adopted", "explain", "fetch", "scenes"]

RATE: Final = 25e6
"""Values per second and core that the whole build does, for the estimate of time; see docs/performance.md."""
PACKED: Final = 0.6
"""Bytes on disk per byte of int16 in a store, a usual figure for reflectance."""


def explain(recipe: Recipe | str | Path) -> dict[str, Any]:
    """What a recipe would do: scenes, bytes, disk, memory and time.

    Args:
        recipe: A recipe, or the path of one.

    Returns:
        Facts by name, ready to print.

    Raises:
        LandshiftError: As ``run`` would raise it before it starts.
    """
    made = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    with tempfile.TemporaryDirectory() as folder:
        simulated = [source.name for source in made.sources if source.simulated]
        if simulated:
            return _before_simulation(made, simulated)
        found = survey(made, out=Path(folder))
        context = Context(recipe=made, out=Output(path=Path(folder)), survey=found, watch=Quiet())
        preflight(context, stages=("build", "labels", "train", "change", "zonal"))
        said = [*found.warnings, *_misfits(made, found)]
        heard = {"warnings": "; ".join(said)} if said else {}
        return {**_what(found), **heard, **_reading(context), **_writing(context), **_accounts(made)}


def scenes(recipe: Recipe) -> list[dict[str, Any]]:
    """The scenes a recipe finds and those it leaves out, one row each.

    Args:
        recipe: The recipe.
    """
    tolerant = replace(recipe, engine=replace(recipe.engine, on_error="skip"))  # damaged files are listed too
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = survey(tolerant, out=Path(folder))
        except NoScenesError as error:
            if not error.skipped:
                raise
            return [_left_out(left) for left in error.skipped]
    rows = [
        {
            "time": f"{scene.time:%Y-%m-%d %H:%M}",
            "source": name,
            "id": scene.id,
            "cloud": "" if scene.cloud_cover is None else f"{scene.cloud_cover:.0f} %",
            "used": "yes",
        }
        for name, groups in found.passes.items()
        for group in groups
        for scene in group.scenes
    ]
    return rows + [_left_out(left) for left in found.skipped]


def adopted(
    path: Path, *, pattern: str | None, date: str | None, bands: tuple[str, ...] | None
) -> list[dict[str, Any]]:
    """What a folder's files would be as scenes, one row each.

    Args:
        path: Folder or file.
        pattern: Which files.
        date: How names hold the date.
        bands: Band names in file order.
    """
    from landshift.acquire.folder import Folder
    from landshift.acquire.source import search

    folder = Folder(path=str(path), pattern=pattern, date=date, bands=bands or ())
    result = search(folder, Query(base=Path.cwd(), on_error="skip"))
    return [_item_row(item) for item in result.items] + [_left_out(left) for left in result.skipped]


def fetch(recipe: Recipe, *, watch: Watch | None = None) -> dict[str, Any]:
    """Fill the cache with the tiles that a recipe needs; what is there is not fetched again.

    Args:
        recipe: The recipe.
        watch: Who is told how it goes.
    """
    from landshift.acquire.fetch import Fetched
    from landshift.acquire.fetch import fetch as work
    from landshift.pipeline.cache import cache_of

    heard = watch or Quiet()
    with tempfile.TemporaryDirectory() as folder:
        found = survey(recipe, out=Path(folder))
    plan = plan_blocks(found.geobox, geometry=found.outline)
    total = Fetched()
    for name, groups in found.passes.items():
        total += work(
            groups,
            plan,
            bands=found.bands[name],
            cache=cache_of(recipe),
            on_error=recipe.engine.on_error,
            progress=heard.progress,
        )
    told = {**asdict(total), "skipped": len(total.skipped), "cache": recipe.cache.dir}
    return told | ({"left out": dict(total.skipped)} if total.skipped else {})


def _what(found: Survey) -> dict[str, Any]:
    rows, cols = found.geobox.shape
    moments = sorted(group.time for groups in found.passes.values() for group in groups)
    return {
        "place": f"{rows} x {cols} px of {abs(found.geobox.resolution.x):g}, {found.geobox.crs}",
        "blocks": len(plan_blocks(found.geobox, geometry=found.outline).blocks),
        "scenes": found.scenes,
        "dates": f"{len(moments)}, {moments[0]:%Y-%m-%d} to {moments[-1]:%Y-%m-%d}",
        "bands": "; ".join(f"{name}: {', '.join(bands)}" for name, bands in found.bands.items()),
        "left out": ", ".join(f"{count} {reason}" for reason, count in found.reasons().items()) or "none",
    }


def _misfits(recipe: Recipe, found: Survey) -> list[str]:
    """What hardly can be meant: pixels that are larger than the place."""
    outline = recipe.place.outline(recipe.base)
    if outline is None or found.geobox.crs is None:
        return []
    left, bottom, right, top = outline.to_crs(str(found.geobox.crs)).boundingbox
    side = abs(float(found.geobox.resolution.x))
    if min(right - left, top - bottom) >= side:
        return []
    return [
        f"a pixel of {side:g} is larger than the place, {right - left:.4g} x {top - bottom:.4g} in the grid's units"
    ]


def _reading(context: Context) -> dict[str, Any]:
    """Bytes to decode and bytes needed, from headers of at most twelve dates a source."""
    from landshift.acquire.read import needed

    decoded = used = tiles = 0.0
    for name, groups in context.survey.passes.items():
        if not groups:
            continue
        step = max(1, len(groups) // 12)
        sample = groups[::step]
        cost = needed(sample, context.survey.geobox, bands=context.survey.bands[name])
        share = len(groups) / len(sample)
        decoded += cost.bytes_decoded * share
        used += cost.bytes_needed * share
        tiles += cost.tiles * share
    return {
        "to decode": f"{sized(decoded)} in {tiles:.0f} tiles",
        "of it needed": f"{sized(used)}, which lie in the place; files are decoded in whole tiles",
    }


def _writing(context: Context) -> dict[str, Any]:
    grid, values, stored, products = context.survey.geobox, 0.0, 0.0, {}
    build = Build(context)
    for job in build.jobs:
        looks = sum(len(context.survey.passes[name]) for name in job.sources)
        layers = len(job.bands) + len(job.indices)
        raw = job.dates * layers * grid.shape[0] * grid.shape[1]
        stored += 2 * raw * PACKED
        extent = f"{counted(job.dates, 'date')} x {counted(layers, 'layer')}"
        products[job.name] = f"{extent}, about {sized(2 * raw * PACKED)}"
        values += raw + looks * layers * grid.shape[0] * grid.shape[1]
    budget = build.budget
    free = shutil.disk_usage(Path.cwd()).free
    spent = duration(max(1, values / RATE / budget.busy))
    return {
        "products": products,
        "disk free": sized(free)
        if stored < free
        else f"needs {sized(stored)}, {sized(free)} are free: too little",
        "memory limit": str(budget),
        "build time": f"about {spent} with {counted(budget.busy, 'thread')}, training not counted",
    }


def _accounts(recipe: Recipe) -> dict[str, Any]:
    asked = [getattr(source.origin, "note", None) for source in recipe.sources]
    notes = [note(source.sensor) for note, source in zip(asked, recipe.sources, strict=True) if note]
    return {"accounts": "; ".join(dict.fromkeys(filter(None, notes))) or "none needed"}


def _before_simulation(recipe: Recipe, names: Sequence[str]) -> dict[str, Any]:
    from landshift.place import grid_of

    grid = grid_of(recipe.place, base=recipe.base)
    begin, end = recipe.time.span
    return {
        "place": f"{grid.shape[0]} x {grid.shape[1]} px of {abs(grid.resolution.x):g}, {grid.crs}",
        "scenes": f"simulated by {', '.join(names)} when the recipe is run, {begin:%Y-%m-%d} to before {end:%Y-%m-%d}",
        "products": ", ".join(product.name for product in recipe.products),
        "disk free": sized(shutil.disk_usage(Path.cwd()).free),
        "memory limit": sized(memory_of(recipe.engine.memory)),
    }


def _left_out(left: Skipped) -> dict[str, Any]:
    return {"time": "", "source": left.source, "id": left.id, "cloud": "", "used": f"no: {left.reason}"}


def _item_row(item: pystac.Item) -> dict[str, Any]:
    said = item.properties
    return {
        "time": "" if item.datetime is None else f"{item.datetime:%Y-%m-%d %H:%M}",
        "source": "folder",
        "id": item.id,
        "cloud": said.get("eo:cloud_cover", ""),
        "used": ", ".join(_layers(item)),
    }


def _layers(item: pystac.Item) -> list[str]:
    """Bands of an item by name, and its other files by their own."""
    named = [
        [str(band.get("common_name") or band.get("name")) for band in asset.extra_fields.get("eo:bands", ())]
        or [name]
        for name, asset in item.assets.items()
    ]
    return list(dict.fromkeys(name for names in named for name in names))
