"""From files to pystac items: the part that every kind of folder shares. Nothing is copied."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.acquire.catalogue import catalogue
from landshift.acquire.dateline import boxes, in_degrees
from landshift.acquire.raster import RasterFacts, look, projection, same_crs

if TYPE_CHECKING:
    import pystac

__all__ = ["EXTENSIONS", "Group", "Layer", "asset", "finish", "footprint", "ground", "make_item"]

EXTENSIONS: Final = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
)
"""STAC extensions whose fields our items carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files that belong together, and how their items are made; nothing is opened before it is called."""

    name: str
    """Name for messages and counts."""
    make: Callable[[], Sequence[pystac.Item]]
    """Makes the items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One asset to be: a file, its header, and what of it is used."""

    key: str
    """Name of the asset."""
    facts: RasterFacts
    """Header of the file."""
    roles: tuple[str, ...] = ("data",)
    """STAC roles."""
    fields: Mapping[str, Any] | None = None
    """Further fields: bands, variable, quality rule."""


def asset(layer: Layer) -> pystac.Asset:
    """An asset whose address is the file itself.

    Args:
        layer: The file and its use.
    """
    import pystac

    netcdf = layer.facts.path.suffix.lower() in {".nc", ".nc4", ".cdf", ".h5", ".hdf5"}
    return pystac.Asset(
        href=layer.facts.path.as_posix(),
        media_type=pystac.MediaType.HDF5 if netcdf else pystac.MediaType.GEOTIFF,
        roles=list(layer.roles),
        extra_fields={**projection(layer.facts), **(layer.fields or {})},
    )


def make_item(
    name: str,
    time: datetime,
    layers: Sequence[Layer],
    *,
    properties: Mapping[str, Any],
    collection: str | None = None,
) -> pystac.Item:
    """An item over files of one moment.

    Args:
        name: Its id.
        time: Acquisition, UTC.
        layers: Its files; the first one's extent is the footprint.
        properties: Platform, cloud cover, angles and what else is known.
        collection: Collection that names the sensor, where it is known.

    Raises:
        SceneError: The files are in different CRS.
    """
    import pystac

    same_crs([layer.facts for layer in layers], item=name)
    geometry, bbox = footprint(layers[0].facts)
    made = pystac.Item(
        id=name,
        geometry=geometry,
        bbox=bbox,
        datetime=time,
        properties=dict(properties),
        collection=collection,
    )
    if collection is not None:
        about = f"{catalogue('earth-search').url}/collections/{collection}"
        made.add_link(pystac.Link("collection", about, media_type="application/json"))
    return finish(made, layers)


def finish(item: pystac.Item, layers: Sequence[Layer]) -> pystac.Item:
    """Give an item its files as assets.

    Args:
        item: The item; it is changed.
        layers: Files to add, in order.
    """
    for layer in layers:
        item.add_asset(layer.key, asset(layer))
    item.stac_extensions = sorted({*item.stac_extensions, *EXTENSIONS})
    return item


def ground(item: pystac.Item, files: Mapping[str, Path]) -> pystac.Item:
    """Let an item's files say where they lie and what their nodata is, over what the item says.

    Args:
        item: The item; it is changed.
        files: Local files by the name of their asset.

    Raises:
        SceneError: A file cannot be used, or they are in different CRS.
    """
    headers = {file: look(file) for file in dict.fromkeys(files.values())}
    same_crs(list(headers.values()), item=item.id)
    for name in [name for name in item.properties if name.startswith("proj:")]:
        del item.properties[name]
    for key, file in files.items():
        facts, fields = headers[file], item.assets[key].extra_fields
        fields.update(projection(facts))
        if facts.nodata is not None and not {"raster:bands", "bands"} & set(fields):
            nodata = "nan" if math.isnan(facts.nodata) else facts.nodata
            fields["raster:bands"] = [{"nodata": nodata}] * facts.count
    kept = {extension for extension in item.stac_extensions if "/projection/" not in extension}
    item.stac_extensions = sorted(kept | {*EXTENSIONS})
    return item


def footprint(facts: RasterFacts) -> tuple[dict[str, Any], list[float]]:
    """Outline and bounding box of a file in degrees, edges bent as the projection bends them.

    Across 180 degrees the outline is cut there, and the box runs from its west to its smaller east, as GeoJSON has it.

    Args:
        facts: The file's header.
    """
    text, bounds = _outline(facts.shape, facts.transform, facts.crs.to_wkt())
    return json.loads(text), list(bounds)


@functools.lru_cache(maxsize=4096)
def _outline(shape: tuple[int, int], transform: tuple[float, ...], wkt: str) -> tuple[str, tuple[float, ...]]:
    """The footprint of a grid, as text; dates of one series share theirs."""
    from affine import Affine
    from odc.geo.geobox import GeoBox
    from shapely.geometry import mapping

    grid = GeoBox(shape, Affine(*transform), wkt)
    outline = grid.footprint("EPSG:4326", npoints=16).geom
    if outline.bounds[2] - outline.bounds[0] > 180:
        outline = in_degrees(grid.extent)
    found = boxes(outline)
    low, high = (pick(box[side] for box in found) for pick, side in ((min, 1), (max, 3)))
    bounds = tuple(round(float(value), 7) for value in (found[0][0], low, found[-1][2], high))
    return json.dumps(_rounded(mapping(outline))), bounds


def _rounded(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """GeoJSON with coordinates to 1e-7 degrees, a centimetre."""

    def walk(part: Any) -> Any:
        return round(float(part), 7) if isinstance(part, (int, float)) else [walk(inner) for inner in part]

    return {"type": geometry["type"], "coordinates": walk(geometry["coordinates"])}
