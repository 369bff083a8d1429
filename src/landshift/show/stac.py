"""``stac/``: a STAC 1.1 catalogue of everything a run made, for QGIS, stac-browser and any client of the standard.

It is self-contained: links and assets are relative, so the output folder can be moved or put on any web host as it
is. A collection for each cube (one item, whose asset is the Zarr store), one for the yearly maps (an item a year),
one for the change layers, one for the models, and one whose assets are the tables. Nothing in it depends on the
clock, the host or the path; what is simulated says so.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift.cube.classes import as_stac, from_records
from landshift.cube.maps import map_geobox, read_classes
from landshift.cube.store import layout_of, open_cube
from landshift.errors import StoreError, counted
from landshift.show.stac_models import model_collection, table_collection
from landshift.show.stac_parts import (
    CLASSIFICATION,
    DATACUBE,
    FILE,
    ON_ITEM,
    RASTER,
    XARRAY,
    Run,
    collection,
    new_asset,
    new_item,
)

if TYPE_CHECKING:
    import pystac

    from landshift.cube.layout import Layout

__all__ = ["write_stac"]

_ROOM: Final = "free some space, then run again: finished work is kept"


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

    run = Run.of(out)
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
        root.add_child(model_collection(run, models))
    tables = sorted((out / "tables").glob("*.parquet"))
    if tables:
        extent = next(iter(root.get_children())).extent.clone()  # type: ignore[attr-defined] # children are collections
        root.add_child(table_collection(run, tables, extent))
    return _save(root, out)


def _save(root: pystac.Catalog, out: Path) -> Path:
    """Write the catalogue under another name, then put it in the place of the old one."""
    import pystac

    made = (out / "stac.partial").absolute()  # pystac takes a relative folder for a web address
    try:
        shutil.rmtree(made, ignore_errors=True)
        root.normalize_hrefs(f"{made.as_posix()}/")  # the slash tells that it is a folder
        root.save(catalog_type=pystac.CatalogType.SELF_CONTAINED)
        shutil.rmtree(out / "stac", ignore_errors=True)
        made.rename(out / "stac")
    except OSError as error:
        raise StoreError(
            "the catalogue cannot be written", where=made, got=error.strerror, hint=_ROOM
        ) from error
    return out / "stac" / "catalog.json"


def _store_collection(run: Run, path: Path) -> pystac.Collection:
    """A cube, or the labels: one item with the Zarr store; the collection says its dimensions too."""
    layout, name = layout_of(path), path.stem
    cube = open_cube(path)
    times = [_moment(one) for one in cube["time"].to_numpy()]
    item = new_item(run, name, layout.geobox, (times[0], times[-1]), [DATACUBE, FILE, RASTER, XARRAY])
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
    store = new_asset(run, path, ON_ITEM, title=f"{name}, Zarr v3", roles=["data"])
    store.extra_fields |= {
        "bands": _cube_bands(layout, cube.attrs),
        "xarray:open_kwargs": {"engine": "zarr", "consolidated": True},
    }
    item.add_asset("data", store)
    picture = run.out / "figures" / f"preview_{name}.png"
    if picture.is_file():
        item.add_asset("overview", new_asset(run, picture, ON_ITEM, title="Preview", roles=["overview"]))
    if layout.variable == "labels":
        item.stac_extensions = sorted([*item.stac_extensions, CLASSIFICATION])
        made = collection(run, "labels", "Labels", "Labels on the grid of the cubes, by year", [item])
    else:
        what = f"The cube “{name}”: {counted(len(times), 'date')} of {', '.join(layout.names) or layout.variable}"
        made = collection(run, f"cube-{name}", f"Cube {name}", what, [item])
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


def _map_collection(run: Run, years: Mapping[int, Path]) -> pystac.Collection:
    """The yearly maps, an item a year."""
    items = [_raster_item(run, path, (year, year), f"Land cover {year}") for year, path in years.items()]
    made = collection(run, "maps", "Land cover by year", "Land cover, one map a year", items)
    made.summaries.add("classification:classes", as_stac(read_classes(next(iter(years.values())))))
    made.stac_extensions = [CLASSIFICATION]
    return made


def _change_collection(run: Run, layers: Sequence[Path], years: Mapping[int, Path]) -> pystac.Collection:
    """The change layers: of two years by their names, else of all."""
    items = []
    for path in layers:
        named = re.match(r"(\d{4})_(\d{4})_", path.name)
        pair = (int(named[1]), int(named[2])) if named else (min(years), max(years))
        items.append(_raster_item(run, path, pair, path.stem.replace("_", " ")))
    return collection(run, "change", "Change", "Change between the yearly maps", items)


def _raster_item(run: Run, path: Path, years: tuple[int, int], title: str) -> pystac.Item:
    """A map or layer as an item with its GeoTIFF."""
    import rasterio

    span = (datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[1], 12, 31, 23, 59, 59, tzinfo=UTC))
    item = new_item(run, path.stem, map_geobox(path), span, [CLASSIFICATION, FILE])
    item.properties["title"] = title
    with rasterio.open(path) as source:
        bands: list[dict[str, Any]] = [
            {"name": name, "data_type": kind, **({} if nodata is None else {"nodata": nodata})}
            for name, kind, nodata in zip(source.descriptions, source.dtypes, source.nodatavals, strict=True)
        ]
    bands[0]["classification:classes"] = as_stac(read_classes(path))
    asset = new_asset(run, path, ON_ITEM, title=title, roles=["data"])
    asset.extra_fields["bands"] = bands
    item.add_asset("data", asset)
    return item


def _moment(value: np.datetime64) -> datetime:
    """A time of a cube as a moment in UTC, to the second."""
    return value.astype("datetime64[s]").item().replace(tzinfo=UTC)  # type: ignore[no-any-return] # a datetime
