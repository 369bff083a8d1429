"""``stac/``: a STAC 1.1 catalogue of everything a run made, for QGIS, stac-browser and any client of the standard.

It is self-contained: links and assets are relative, so the output folder can be moved or put on any web host as it
is. A collection for each cube (one item, whose asset is the Zarr store), one for the yearly maps (an item a year),
one for the change layers, one for the models, and one whose assets are the tables. Nothing in it depends on the
clock, the host or the path; what is simulated says so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift.cube.classes import as_stac, from_records
from landshift.cube.maps import map_geobox, read_classes
from landshift.cube.provenance import read_run
from landshift.cube.store import layout_of, open_cube
from landshift.cube.tables import read_table
from landshift.errors import StoreError, counted
from landshift.place import footprint
from landshift.show.credits import credit_of

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

    from landshift.cube.layout import Layout

__all__ = ["write_stac"]

_AT: Final = "https://stac-extensions.github.io"
CLASSIFICATION: Final = f"{_AT}/classification/v2.0.0/schema.json"
DATACUBE: Final = f"{_AT}/datacube/v2.2.0/schema.json"
FILE: Final = f"{_AT}/file/v2.1.0/schema.json"
PROJECTION: Final = f"{_AT}/projection/v2.0.0/schema.json"
RASTER: Final = f"{_AT}/raster/v2.0.0/schema.json"
XARRAY: Final = f"{_AT}/xarray-assets/v1.0.0/schema.json"

_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_ZARR: Final = "application/vnd.zarr; version=3"
_MEDIA: Final = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".tif": _COG,
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_ROOM: Final = "free some space, then run again: finished work is kept"
_ON_COLLECTION: Final = 2
"""Folders between the output folder and a collection."""
_ON_ITEM: Final = 3
"""Folders between the output folder and an item."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The output folder, and what its record says of all of it."""

    out: Path
    title: str
    simulated: bool
    credit: str

    @classmethod
    def of(cls, out: Path) -> _Run:
        said = read_run(out) if (out / "run.json").is_file() else {}
        simulated = bool(said.get("simulated", False))
        credit = "" if simulated else credit_of(out / "scenes.parquet")
        return cls(out=out, title=str(said.get("title") or "landshift"), simulated=simulated, credit=credit)

    def text(self, what: str) -> str:
        """A description, with what every reader must know."""
        parts = [what, "The scenes are simulated." if self.simulated else "", self.credit]
        return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)


def write_stac(out: Path) -> Path:
    """Write ``out/stac`` from what lies in the output folder.

    Reads ``cubes/*.zarr``, ``labels.zarr``, ``maps/*.tif``, ``change/*.tif``, ``model*/``, ``tables/*.parquet`` and
    ``run.json``; whatever is not there is left out.

    Args:
        out: The output folder.

    Returns:
        ``out/stac/catalog.json``.

    Raises:
        StoreError: There is no cube to describe, or the folder cannot be written.
    """
    import pystac

    run = _Run.of(out)
    cubes = sorted((out / "cubes").glob("*.zarr"))
    if not cubes:
        raise StoreError("there is no cube to describe", where=out / "cubes", hint="run the recipe first")
    root = pystac.Catalog(
        id="landshift",
        title=run.title,
        description=run.text(f"Cubes, maps, models and tables of “{run.title}”, made by landshift"),
    )
    root.extra_fields["landshift:simulated"] = run.simulated
    stores = [*cubes, *(path for path in [out / "labels.zarr"] if path.is_dir())]
    root.add_children(_store_collection(run, path) for path in stores)
    years = _years(out)
    if years:
        root.add_child(_map_collection(run, years))
    layers = sorted((out / "change").glob("*.tif"))
    if layers:
        root.add_child(_change_collection(run, layers, years))
    models = [*sorted((out / "model").glob("model.json")), *sorted((out / "models").glob("*/model.json"))]
    if models:
        root.add_child(_model_collection(run, models))
    tables = sorted((out / "tables").glob("*.parquet"))
    if tables:
        extent = next(iter(root.get_children())).extent.clone()  # type: ignore[attr-defined] # children are collections
        root.add_child(_table_collection(run, tables, extent))
    return _save(root, out)


def _save(root: pystac.Catalog, out: Path) -> Path:
    """Write the catalogue under another name, then put it in the place of the old one."""
    import pystac

    made = out / "stac.partial"
    try:
        shutil.rmtree(made, ignore_errors=True)
        root.normalize_hrefs(f"{made.as_posix()}/")  # the slash tells that it is a folder
        root.save(catalog_type=pystac.CatalogType.SELF_CONTAINED)
        shutil.rmtree(out / "stac", ignore_errors=True)
        made.rename(out / "stac")
    except OSError as error:
        hint = _ROOM
        raise StoreError(
            "the catalogue cannot be written", where=made, got=error.strerror, hint=hint
        ) from error
    return out / "stac" / "catalog.json"


def _collection(
    run: _Run, name: str, title: str, what: str, items: Sequence[pystac.Item]
) -> pystac.Collection:
    """A collection of items, as large and as long as they are together."""
    import pystac

    made = pystac.Collection(
        id=name,
        title=title,
        description=run.text(what),
        license="other",
        keywords=["landshift", *(["simulated"] if run.simulated else [])],
        extent=_extent(items),
    )
    made.extra_fields["landshift:simulated"] = run.simulated
    made.add_items(items)
    return made


def _extent(items: Sequence[pystac.Item]) -> pystac.Extent:
    """Bounds and years of items; all of a run lie on one grid, so that the first one's bounds are all of them."""
    import pystac

    spans = [(one.common_metadata.start_datetime, one.common_metadata.end_datetime) for one in items]
    interval = [min(first for first, _ in spans if first), max(last for _, last in spans if last)]
    return pystac.Extent(pystac.SpatialExtent([list(items[0].bbox or [])]), pystac.TemporalExtent([interval]))


def _item(run: _Run, name: str, geobox: GeoBox, span: Span, extensions: Sequence[str]) -> pystac.Item:
    """An item on a grid, without assets yet."""
    import pystac

    shape, bounds = footprint(geobox)
    made = pystac.Item(
        id=name,
        geometry=shape,
        bbox=bounds,
        datetime=None,
        start_datetime=span[0],
        end_datetime=span[1],
        properties={**_projection(geobox), "landshift:simulated": run.simulated},
    )
    made.stac_extensions = sorted([PROJECTION, *extensions])
    return made


def _projection(geobox: GeoBox) -> dict[str, Any]:
    """The grid, as the extension *projection* 2.0.0 has it."""
    crs, where = geobox.crs, geobox.affine
    code = None if crs is None or crs.epsg is None else f"EPSG:{crs.epsg}"
    named: dict[str, Any] = {"proj:code": code} if code or crs is None else {"proj:wkt2": crs.to_wkt()}
    return {
        **named,
        "proj:shape": [int(side) for side in geobox.shape],
        "proj:transform": [float(part) for part in (*where[:6],)],
        "proj:bbox": [float(edge) for edge in geobox.boundingbox.bbox],
    }


def _asset(run: _Run, path: Path, depth: int, *, title: str, roles: Sequence[str]) -> pystac.Asset:
    """A file or store of the output folder, seen from ``depth`` folders below it."""
    import pystac

    href = "../" * depth + path.relative_to(run.out).as_posix()
    kind = _ZARR if path.suffix == ".zarr" else _MEDIA.get(path.suffix, "application/octet-stream")
    made = pystac.Asset(href=href, title=title, media_type=kind, roles=list(roles))
    if path.is_file():
        made.extra_fields["file:size"] = path.stat().st_size
    return made


def _store_collection(run: _Run, path: Path) -> pystac.Collection:
    """A cube, or the labels: one item with the Zarr store; the collection says its dimensions too."""
    layout, name = layout_of(path), path.stem
    cube = open_cube(path)
    times = [_moment(one) for one in cube["time"].to_numpy()]
    item = _item(run, name, layout.geobox, (times[0], times[-1]), [DATACUBE, FILE, RASTER, XARRAY])
    described = {
        "cube:dimensions": _dimensions(layout, times),
        "cube:variables": {
            array.name: {
                "type": "data" if array.name == layout.variable else "auxiliary",
                "dimensions": list(array.dims),
                "description": str(array.kind.attrs.get("long_name", array.name)),
                **({"unit": array.kind.attrs["units"]} if "units" in array.kind.attrs else {}),
            }
            for array in layout.arrays
        },
    }
    item.properties |= described
    store = _asset(run, path, _ON_ITEM, title=f"{name}, Zarr v3", roles=["data"])
    store.extra_fields |= {
        "bands": _cube_bands(layout, cube.attrs),
        "xarray:open_kwargs": {"engine": "zarr", "consolidated": True},
    }
    item.add_asset("data", store)
    picture = run.out / "figures" / f"preview_{name}.png"
    if picture.is_file():
        item.add_asset("overview", _asset(run, picture, _ON_ITEM, title="Preview", roles=["overview"]))
    if layout.variable == "labels":
        item.stac_extensions = sorted([*item.stac_extensions, CLASSIFICATION])
        made = _collection(run, "labels", "Labels", "Labels on the grid of the cubes, by year", [item])
    else:
        what = f"The cube “{name}”: {counted(len(times), 'date')} of {', '.join(layout.names) or layout.variable}"
        made = _collection(run, f"cube-{name}", f"Cube {name}", what, [item])
    made.extra_fields |= described
    made.stac_extensions = [DATACUBE]
    return made


def _dimensions(layout: Layout, times: Sequence[datetime]) -> dict[str, Any]:
    """The store's dimensions, as the extension *datacube* 2.2.0 has them; x and y are of pixel centres."""
    crs, affine = layout.geobox.crs, layout.geobox.affine
    system: Any = None if crs is None else crs.epsg or crs.to_wkt()
    found: dict[str, Any] = {}
    for axis, start, step, size in (
        ("x", affine.c, affine.a, layout.geobox.shape.x),
        ("y", affine.f, affine.e, layout.geobox.shape.y),
    ):
        ends = sorted([start + step / 2, start + step * (size - 0.5)])
        found[axis] = {"type": "spatial", "axis": axis, "extent": ends, "step": step}
        found[axis] |= {} if system is None else {"reference_system": system}
    stamps = [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in times]
    found["time"] = {"type": "temporal", "extent": [stamps[0], stamps[-1]], "values": stamps}
    for array in layout.arrays:
        if array.axis:
            found[array.axis] = {"type": "bands", "values": list(layout.names_of(array.name))}
    return found


def _cube_bands(layout: Layout, attrs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the main variable holds: its bands in stored numbers, with their scale."""
    kind = next(array.kind for array in layout.arrays if array.name == layout.variable)
    facts: dict[str, Any] = {
        "data_type": kind.dtype,
        "nodata": "nan" if np.isnan(kind.fill) else int(kind.fill),
    }
    if kind.scale is not None:
        facts |= {"raster:scale": kind.scale, "raster:offset": 0.0}
    if "units" in kind.attrs:
        facts["unit"] = kind.attrs["units"]
    if layout.variable == "labels":
        facts["classification:classes"] = as_stac(from_records(attrs["classes"]))
    return [{"name": name, **facts} for name in layout.names or (layout.variable,)]


def _years(out: Path) -> dict[int, Path]:
    return {int(path.stem): path for path in sorted((out / "maps").glob("[0-9][0-9][0-9][0-9].tif"))}


def _map_collection(run: _Run, years: Mapping[int, Path]) -> pystac.Collection:
    """The yearly maps, an item a year."""
    items = [_raster_item(run, path, (year, year), f"Land cover {year}") for year, path in years.items()]
    made = _collection(run, "maps", "Land cover by year", "Land cover, one map a year", items)
    made.summaries.add("classification:classes", as_stac(read_classes(next(iter(years.values())))))
    made.stac_extensions = [CLASSIFICATION]
    return made


def _change_collection(run: _Run, layers: Sequence[Path], years: Mapping[int, Path]) -> pystac.Collection:
    """The change layers: of two years by their names, else of all."""
    items = []
    for path in layers:
        named = re.match(r"(\d{4})_(\d{4})_", path.name)
        pair = (int(named[1]), int(named[2])) if named else (min(years), max(years))
        items.append(_raster_item(run, path, pair, path.stem.replace("_", " ")))
    return _collection(run, "change", "Change", "Change between the yearly maps", items)


def _raster_item(run: _Run, path: Path, years: tuple[int, int], title: str) -> pystac.Item:
    """A map or layer as an item with its GeoTIFF."""
    import rasterio

    span = (datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[1], 12, 31, 23, 59, 59, tzinfo=UTC))
    item = _item(run, path.stem, map_geobox(path), span, [CLASSIFICATION, FILE])
    item.properties["title"] = title
    with rasterio.open(path) as source:
        bands: list[dict[str, Any]] = [
            {"name": name, "data_type": kind, **({} if nodata is None else {"nodata": nodata})}
            for name, kind, nodata in zip(source.descriptions, source.dtypes, source.nodatavals, strict=True)
        ]
    bands[0]["classification:classes"] = as_stac(read_classes(path))
    asset = _asset(run, path, _ON_ITEM, title=title, roles=["data"])
    asset.extra_fields["bands"] = bands
    item.add_asset("data", asset)
    return item


def _model_collection(run: _Run, files: Sequence[Path]) -> pystac.Collection:
    """The models: their own items (Machine Learning Model extension), with links of this catalogue."""
    import pystac

    items = []
    for file in files:
        said = json.loads(file.read_text(encoding="utf-8"))
        item = pystac.Item.from_dict(said, preserve_dict=False)
        item.properties["landshift:simulated"] = run.simulated
        for asset in item.assets.values():
            path = file.parent / asset.href
            asset.href = "../" * _ON_ITEM + os.path.relpath(path, run.out).replace(os.sep, "/")
        beside = {
            "metrics": ("metrics.json", "Scores on validation ground"),
            "samples": ("samples.parquet", "Samples it has learned from"),
            "folds": ("folds.tif", "Ground of training, validation and test"),
        }
        for name, (part, title) in beside.items():
            if (file.parent / part).is_file():
                item.add_asset(
                    name, _asset(run, file.parent / part, _ON_ITEM, title=title, roles=["metadata"])
                )
        item.stac_extensions = sorted({*item.stac_extensions, FILE})
        items.append(item)
    return _collection(run, "models", "Models", "Models that made the maps, or were compared", items)


def _table_collection(run: _Run, tables: Sequence[Path], extent: pystac.Extent) -> pystac.Collection:
    """The tables, the report and the list of scenes, as assets of one collection without items."""
    import pystac

    made = pystac.Collection(
        id="tables",
        title="Tables",
        description=run.text("Every figure of the report as a table, its columns documented inside"),
        license="other",
        extent=extent,
    )
    made.extra_fields["landshift:simulated"] = run.simulated
    made.stac_extensions = [FILE]
    for path in tables:
        title = read_table(path).title or path.stem
        for file in (path, path.with_suffix(".csv"), path.with_suffix(".xlsx")):
            if file.is_file():
                asset = _asset(run, file, _ON_COLLECTION, title=title, roles=["data"])
                made.add_asset(f"{path.stem}_{file.suffix[1:]}", asset)
    others = {
        "scenes": (run.out / "scenes.parquet", "Scenes used and left out, stac-geoparquet", "metadata"),
        "report": (run.out / "report.html", "Report", "overview"),
    }
    for name, (file, title, role) in others.items():
        if file.is_file():
            made.add_asset(name, _asset(run, file, _ON_COLLECTION, title=title, roles=[role]))
    return made


def _moment(value: np.datetime64) -> datetime:
    """A time of a cube as a moment in UTC, to the second."""
    return value.astype("datetime64[s]").item().replace(tzinfo=UTC)  # type: ignore[no-any-return] # a datetime
