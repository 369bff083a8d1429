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
from landshift.acquire.raster import RasterFacts, look, projection, same_crs
from landshift.errors import GridError, SceneError
from landshift.place import footprint

if TYPE_CHECKING:
    import pystac

__all__ = ["EXTENSIONS", "Group", "Layer", "asset", "finish", "ground", "make_item"]

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
        SceneError: The files are in different CRS, or have no place on the globe.
    """
    import pystac

    same_crs([layer.facts for layer in layers], item=name)
    geometry, bbox = _where(layers[0].facts)
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


def _where(facts: RasterFacts) -> tuple[dict[str, Any], list[float]]:
    """Footprint and bounding box of a file; dates of one series share theirs."""
    try:
        shape, bounds = json.loads(_footprint(facts.shape, facts.transform, facts.crs.to_wkt()))
    except GridError as error:
        raise SceneError(error.message, where=facts.path, got=error.got, hint="mend its grid") from error
    return shape, bounds


@functools.lru_cache(maxsize=4096)
def _footprint(shape: tuple[int, int], transform: tuple[float, ...], wkt: str) -> str:
    """See :func:`landshift.place.footprint`, as text, which no item can change for another."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    return json.dumps(footprint(GeoBox(shape, Affine(*transform), wkt)))
