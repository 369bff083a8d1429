"""The site: a static page with map, years, change and district charts that needs no server of ours.

Everything it shows is read from the output folder; nothing is computed here. It is written beside the old
one and then renamed, so that a visitor never meets half a site, and holds no clock, host or path: the same
output folder gives the same bytes.
"""

from __future__ import annotations

import base64
import json
import math
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.cube.classes import LandClass, as_records
from landshift.cube.maps import map_geobox, read_classes
from landshift.cube.tables import read_table
from landshift.errors import StoreError
from landshift.place import footprint, pixel_at_centre_m
from landshift.plan import cores, write_atomic
from landshift.show.credits import credit_of
from landshift.show.images import year_images
from landshift.show.tiles import (
    TILE_PX,
    Pyramid,
    Span,
    build_pyramid,
    mercator_bounds,
    tile_span,
    zoom_levels,
)
from landshift.show.tilesets import (
    Frame,
    SiteLayer,
    certainty_layer,
    change_layer,
    cover_layer,
    first_year_layer,
    image_layer,
)
from landshift.show.zones import read_districts

if TYPE_CHECKING:
    import pandas as pd
    from odc.geo.geobox import GeoBox

__all__ = ["write_site"]

Progress = Callable[[int, int, str], None]

_FORMAT: Final = 1
_TABLES: Final = ("area", "gains", "transitions", "zonal", "zonal_change")
_SMALL_PX: Final = 400
"""Maps up to this size get one zoom more than they need."""
_ROOM: Final = "free some space or choose another output folder, then run again: finished work is kept"


def write_site(
    out: Path,
    *,
    zones: Path | None = None,
    zone_id: str | None = None,
    basemap: Mapping[str, Any] | None = None,
    attribution: str = "",
    offline_mb: float = 64,
    progress: Progress | None = None,
) -> Path:
    """Write ``out/site``: tiles, data and page; any web host will do, and a double click too.

    Reads ``maps/<year>.tif`` and, where they are there, ``change/*.tif``, ``cubes/*.zarr``, the tables
    ``area``, ``gains``, ``zonal`` and ``zonal_change``, and ``run.json``.

    Args:
        out: The output folder.
        zones: Polygons of the zonal tables, in any CRS.
        zone_id: The column that names a zone.
        basemap: A raster background: ``tiles`` (a list of URLs with {z}, {x}, {y}) and ``attribution``. None
            leaves the background plain, so that the page asks nobody for anything.
        attribution: Who is to be credited, in plain text; by default what the scenes' missions ask for.
        offline_mb: Up to this many megabytes of tiles are also written as scripts, which is what lets the
            page work when it is opened from disk without any server.
        progress: Called with pictures done, pictures in all and what is being done.

    Returns:
        ``out/site/index.html``.

    Raises:
        StoreError: There is no map, or the site cannot be written.
        GridError: The maps lie where web mercator does not reach.
    """
    maps = {int(path.stem): path for path in sorted((out / "maps").glob("[0-9][0-9][0-9][0-9].tif"))}
    if not maps:
        hint = "let the recipe train a model and predict maps, then publish"
        raise StoreError("there are no maps to show", where=out / "maps", hint=hint)
    made = out / "site.partial"
    tables = _read_tables(out / "tables")
    try:
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        layers = _layers(out, maps, tables, made / "work")
        data = _facts(out, maps, tables)
        credit = attribution or ("" if data["simulated"] else credit_of(out / "scenes.parquet"))
        data |= {"basemap": dict(basemap) if basemap else None, "attribution": credit}
        data |= _draw(layers, map_geobox(next(iter(maps.values()))), made, offline_mb, progress)
        data["districts"] = _districts(zones, zone_id, tables, maps)
        shutil.rmtree(made / "work", ignore_errors=True)
        _copy_tables(out / "tables", made / "tables")
        data["report"] = _copy_report(out / "report.html", made / "report.html")
        _write_page(made, data)
        _replace(made, out / "site")
    except OSError as error:
        raise StoreError("the site cannot be written", where=made, got=error.strerror, hint=_ROOM) from error
    return out / "site" / "index.html"


def _layers(
    out: Path, maps: Mapping[int, Path], tables: Mapping[str, pd.DataFrame], work: Path
) -> list[SiteLayer]:
    """All layers that the output folder can give, in the order of the page's switch."""
    classes = read_classes(next(iter(maps.values())))
    weights: dict[str, float] = {}
    if "gains" in tables:
        moved = tables["gains"].assign(moved=tables["gains"]["gain_ha"] + tables["gains"]["loss_ha"])
        weights = {str(name): float(area) for name, area in moved.groupby("class")["moved"].sum().items()}
    images = year_images(sorted((out / "cubes").glob("*.zarr")), list(maps), work)
    found = [
        cover_layer(maps, classes),
        change_layer(out / "change", classes, weights),
        first_year_layer(out / "change", classes),
        image_layer(images.files, images.dates),
        certainty_layer(maps),
    ]
    return [layer for layer in found if layer is not None]


def _draw(
    layers: Sequence[SiteLayer], geobox: GeoBox, made: Path, offline_mb: float, progress: Progress | None
) -> dict[str, Any]:
    """Write the tiles of all layers, a few pictures at once; give what the page must know of them."""
    min_zoom, max_zoom = zoom_levels(geobox)
    if max(geobox.shape) <= _SMALL_PX:
        max_zoom += 1  # squares stay square where few of them fill the screen
    span = tile_span(mercator_bounds(geobox), max_zoom)
    frames = [frame for layer in layers for frame in layer.frames]
    room = _Room(int(offline_mb * 1e6))
    done = 0

    def draw(frame: Frame) -> Pyramid:
        nonlocal done
        sink = _Sink(made, frame, max(max_zoom - 3, min_zoom), room)
        pyramid = build_pyramid(frame.tiles, span=span, min_zoom=min_zoom, store=sink.take)
        sink.close()
        done += 1
        if progress is not None:
            progress(done, len(frames), "tiles")
        return pyramid

    with ThreadPoolExecutor(min(cores(), 4), thread_name_prefix="tiles") as pool:
        pyramids = iter(list(pool.map(draw, frames)))
    if room.left < 0:
        shutil.rmtree(made / "packs", ignore_errors=True)
    coverages: list[dict[str, list[list[int]]]] = []
    listed = []
    for layer in layers:
        pictures = [_picture(frame, next(pyramids), coverages) for frame in layer.frames]
        listed.append({"id": layer.id, **layer.facts, "frames": pictures})
    return {
        "grid": {"min_zoom": min_zoom, "max_zoom": max_zoom, "tile_px": TILE_PX, **_place(geobox, span)},
        "layers": listed,
        "coverage": coverages,
        "offline": room.left >= 0,
    }


def _picture(frame: Frame, pyramid: Pyramid, coverages: list[dict[str, list[list[int]]]]) -> dict[str, Any]:
    """One picture of a layer for data.json; tile lists that are the same are kept once."""
    rows = pyramid.rows()
    if rows not in coverages:
        coverages.append(rows)
    said = {"tiles": frame.tiles.name, "suffix": frame.tiles.suffix, "coverage": coverages.index(rows)}
    return {**frame.keys, **said}


def _place(geobox: GeoBox, span: Span) -> dict[str, Any]:
    """Where the map lies: bounds in degrees, pixel size, and the zoom that packs are cut at."""
    return {
        "bounds": [round(float(value), 6) for value in geobox.geographic_extent.boundingbox.bbox],
        "pixel_m": round(math.sqrt(math.prod(pixel_at_centre_m(geobox))), 3),
        "footprint": footprint(geobox)[0],
        "crs": str(geobox.crs),
        "tiles": {"zoom": span.zoom, "x": list(span.x), "y": list(span.y)},
    }


class _Room:
    """How many bytes of packs may still be written; shared by threads."""

    def __init__(self, left: int) -> None:
        self.left, self._lock = left, threading.Lock()

    def take(self, count: int) -> bool:
        with self._lock:
            self.left -= count
            return self.left >= 0


class _Sink:
    """Writes the tiles of one picture, as files and, while there is room, as scripts for use without a server.

    Fine tiles go to the pack of their ancestor at ``pack_zoom``, coarser ones to one pack.
    """

    def __init__(self, made: Path, frame: Frame, pack_zoom: int, room: _Room) -> None:
        self._folder, self._packs = made / "tiles" / frame.tiles.name, made / "packs" / frame.tiles.name
        self._name, self._suffix = frame.tiles.name, frame.tiles.suffix
        self._zoom, self._room = pack_zoom, room
        self._held: dict[str, dict[str, str]] = {}

    def take(self, zoom: int, x: int, y: int, content: bytes) -> None:
        """Write one tile."""
        path = self._folder / str(zoom) / str(x) / f"{y}.{self._suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if not self._room.take(len(content)):
            self._held.clear()
            return
        up = zoom - self._zoom
        pack = f"{self._zoom}_{x >> up}_{y >> up}" if up >= 0 else "top"
        self._held.setdefault(pack, {})[f"{zoom}/{x}/{y}"] = base64.b64encode(content).decode()
        if up == 0:  # an ancestor comes after all that lies below it
            self._flush(pack)

    def close(self) -> None:
        """Write what is left."""
        for pack in sorted(self._held):
            self._flush(pack)

    def _flush(self, pack: str) -> None:
        tiles = self._held.pop(pack, None)
        if tiles:
            said = f"landshiftPack({json.dumps(self._name)},{_json(tiles)});\n"
            write_atomic(self._packs / f"{pack}.js", said.encode())


def _facts(out: Path, maps: Mapping[int, Path], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Title, classes and tables as the page reads them."""
    file = out / "run.json"
    run = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    classes = read_classes(next(iter(maps.values())))
    return {
        "format": _FORMAT,
        "title": run.get("title") or "landshift",
        "simulated": bool(run.get("simulated", False)),
        "provenance": {
            "recipe": run.get("recipe_hash", ""),
            "landshift": run.get("versions", {}).get("landshift", ""),
        },
        "years": list(maps),
        "classes": as_records(classes),
        "area": _area(tables.get("area"), list(maps), classes),
        "gains": _gains(tables.get("gains")),
        "transitions": _transitions(tables.get("transitions")),
        "zonal": _zonal(tables, list(maps), classes),
    }


def _area(frame: pd.DataFrame | None, years: Sequence[int], classes: Sequence[LandClass]) -> Any:
    """Hectares by class name, one number per year; None where no table says it."""
    if frame is None:
        return None
    table = frame.pivot_table(index="class", columns="year", values="area_ha", aggfunc="sum")
    return {one.name: _series(table, one.name, years) for one in classes}


def _series(table: pd.DataFrame, name: str, years: Sequence[int]) -> list[float | None]:
    if name not in table.index:
        return [0.0 for _ in years]
    row = table.loc[name].reindex(list(years)).to_numpy(float)
    return [None if math.isnan(value) else round(float(value), 3) for value in row]


def _gains(frame: pd.DataFrame | None) -> list[list[Any]]:
    """Rows of year before, year after, class, gain and loss in hectares."""
    if frame is None:
        return []
    columns = ["year_from", "year_to", "class", "gain_ha", "loss_ha"]
    return [_gain_row(row) for row in frame[columns].itertuples(index=False, name=None)]


def _gain_row(row: tuple[Any, ...]) -> list[Any]:
    first, last, name, gain, loss = row
    return [int(first), int(last), str(name), round(float(gain), 3), round(float(loss), 3)]


def _transitions(frame: pd.DataFrame | None) -> list[list[Any]]:
    """Rows of year before, year after, class before, class after and hectares, patches set aside left out."""
    if frame is None:
        return []
    moved = frame[(frame["class_from"] != "nodata") & (frame["class_to"] != "nodata")]
    moved = moved[moved["class_from"] != moved["class_to"]]
    area = (moved["area_ha"] - moved["small_area_ha"]).round(3)
    columns = [moved[name] for name in ("year_from", "year_to", "class_from", "class_to")]
    return [
        [int(first), int(last), str(was), str(now), float(hectares)]
        for first, last, was, now, hectares in zip(*columns, area, strict=True)
        if hectares > 0
    ]


def _zonal(tables: Mapping[str, pd.DataFrame], years: Sequence[int], classes: Sequence[LandClass]) -> Any:
    """Class areas and changes by zone; None where there are no zones."""
    frame = tables.get("zonal")
    if frame is None:
        return None
    change = tables.get("zonal_change")
    found: dict[str, Any] = {}
    for zone, part in frame.groupby("zone", sort=True):
        moved = None if change is None else change[change["zone"] == zone]
        found[str(zone)] = {"area": _area(part, years, classes), "gains": _gains(moved)}
    return found


def _districts(
    zones: Path | None, zone_id: str | None, tables: Mapping[str, pd.DataFrame], maps: Mapping[int, Path]
) -> Any:
    """Borders of the zones, no finer than a third of a map pixel; None where there are none."""
    if zones is None:
        return None
    geobox = map_geobox(next(iter(maps.values())))
    known = sorted(set(tables["zonal"]["zone"].astype(str))) if "zonal" in tables else []
    pixel = pixel_at_centre_m(geobox)
    extent = max(side * metres for side, metres in zip(geobox.shape, pixel, strict=True))
    tolerance = max(min(pixel) / 3, extent / 8000)
    return read_districts(zones, zone_id=zone_id, known=known, tolerance_m=tolerance)


def _read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    there = {name: folder / f"{name}.parquet" for name in _TABLES}
    return {name: read_table(path).frame for name, path in there.items() if path.is_file()}


def _copy_tables(folder: Path, target: Path) -> None:
    """The CSV files and their descriptions, for download from the page."""
    for name in _TABLES:
        for path in (folder / f"{name}.csv", folder / f"{name}.csv-metadata.json"):
            if path.is_file():
                target.mkdir(exist_ok=True)
                shutil.copyfile(path, target / path.name)


def _copy_report(report: Path, target: Path) -> bool:
    """The report is one file and travels with the site."""
    there = report.is_file()
    if there:
        shutil.copyfile(report, target)
    return there


def _write_page(made: Path, data: dict[str, Any]) -> None:
    """Copy the page, and write its data as JSON and, for use without a server, as a script."""
    data["tables"] = sorted(path.stem for path in (made / "tables").glob("*.csv"))
    text = _json(data)
    write_atomic(made / "data.json", f"{text}\n".encode())
    write_atomic(made / "data.js", f"window.LANDSHIFT = {text};\n".encode())
    with resources.as_file(resources.files("landshift") / "_data" / "site") as page:
        for path in sorted(page.rglob("*")):
            if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts:
                target = made / path.relative_to(page)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def _json(value: Any) -> str:
    """Compact JSON that may stand in a script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _replace(made: Path, target: Path) -> None:
    """Put the new site where the old one was."""
    old = target.with_name(f"{target.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)
