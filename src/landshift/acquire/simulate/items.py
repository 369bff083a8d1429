"""STAC items and catalogue of simulated scenes, written as the public catalogues write theirs.

Every item says that it is simulated, in its title, in ``landshift:simulated`` and in its collection.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from landshift import sensor as sensors
from landshift.acquire.simulate.granules import Granule, Site
from landshift.acquire.simulate.passes import Overpass
from landshift.plan import write_atomic

__all__ = ["collection_of", "file_of", "item_id", "item_of", "write_catalogue"]

_EXTENSIONS: Final = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
)
_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_COLLECTION: Final = {"sentinel-2-l2a": "sentinel-2-c1-l2a", "landsat-8-9-c2l2": "landsat-c2-l2"}
_TITLE: Final = {
    "sentinel-2-c1-l2a": "Simulated Sentinel-2 Level-2A scenes",
    "landsat-c2-l2": "Simulated Landsat Collection 2 Level-2 scenes",
}
_KEYS: Final = {
    "rededge071": "rededge1",
    "rededge075": "rededge2",
    "rededge078": "rededge3",
}
"""Asset keys that differ from our names of bands."""


def collection_of(sensor: str) -> str:
    """Collection that a sensor's scenes belong to."""
    return _COLLECTION[sensor]


def item_id(granule: Granule, seen: Overpass, site: Site) -> str:
    """Name of a scene, as the public catalogues build it."""
    if granule.sensor == "sentinel-2-l2a":
        platform = "S2" + seen.platform[-1].upper()
        return f"{platform}_T{site.zone}{granule.name}_{seen.moment:%Y%m%dT%H%M%S}_L2A"
    platform = "LC0" + seen.platform[-1]
    path, row = _path_row(granule, seen)
    made = seen.moment + timedelta(days=9)
    return f"{platform}_L2SP_{path:03d}{row:03d}_{seen.moment:%Y%m%d}_{made:%Y%m%d}_02_T1_SR"


def _path_row(granule: Granule, seen: Overpass) -> tuple[int, int]:
    """Path and row of a Landsat scene."""
    return seen.orbit - granule.col, 26 + granule.row


def file_of(identifier: str, sensor: str, native: str) -> str:
    """Name of a band's file."""
    return f"{native}.tif" if sensor == "sentinel-2-l2a" else f"{identifier.removesuffix('_SR')}_{native}.TIF"


def item_of(
    granule: Granule,
    seen: Overpass,
    site: Site,
    *,
    key: str,
    bands: tuple[str, ...],
    shares: dict[str, float],
) -> dict[str, Any]:
    """A scene's item.

    Args:
        granule: Its tile.
        seen: Its pass.
        site: The place.
        key: Names all that its pixels depend on.
        bands: Bands that were written, by common name.
        shares: Percent of pixels by mask code, from ``cloud``, ``shadow``, ``plant``, ``water``, ``nodata`` ...
    """
    from odc.geo.geom import Geometry

    identifier = item_id(granule, seen, site)
    footprint = Geometry(granule.outline(seen, site), site.crs).to_crs("EPSG:4326")
    box = footprint.boundingbox
    place = [round(value, 7) for value in (box.left, box.bottom, box.right, box.top)]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": identifier,
        "collection": collection_of(granule.sensor),
        "bbox": place,
        "geometry": json.loads(json.dumps(footprint.json), parse_float=lambda text: round(float(text), 7)),
        "properties": _properties(granule, seen, site, key=key, shares=shares),
        "links": [
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
        ],
        "assets": _assets(granule, seen, identifier, bands),
    }


def _properties(
    granule: Granule, seen: Overpass, site: Site, *, key: str, shares: dict[str, float]
) -> dict[str, Any]:
    angles = seen.geometry
    told: dict[str, Any] = {
        "datetime": _text(seen.moment),
        "created": _text(seen.moment + timedelta(days=1)),
        "updated": _text(seen.moment + timedelta(days=1)),
        "title": f"Simulated scene of {seen.platform}",
        "landshift:simulated": True,
        "landshift:key": key,
        "platform": seen.platform,
        "eo:cloud_cover": round(shares["cloud"], 4),
        "proj:epsg": int(site.crs.split(":")[1]),
        "proj:code": site.crs,
        "proj:shape": list(granule.shape(granule.pixel_m)),
        "proj:transform": _transform(granule, granule.pixel_m),
        "view:sun_azimuth": round(angles.sun_azimuth, 4),
        "view:sun_elevation": round(90.0 - angles.sun_zenith, 4),
        "view:azimuth": angles.view_azimuth,
        "view:incidence_angle": angles.view_zenith,
        "sat:orbit_state": "descending",
        "sat:relative_orbit": seen.orbit,
        "gsd": granule.pixel_m,
    }
    return told | (
        _sentinel(granule, seen, site, shares) if seen.baseline else _landsat(granule, seen, shares)
    )


def _sentinel(granule: Granule, seen: Overpass, site: Site, shares: dict[str, float]) -> dict[str, Any]:
    version = "N" + seen.baseline.replace(".", "")
    tile = f"{site.zone}{granule.name}"
    stamp = f"{seen.moment:%Y%m%dT%H%M%S}"
    platform = "S2" + seen.platform[-1].upper()
    product = f"{platform}_MSIL2A_{stamp}_{version}_R{seen.orbit:03d}_T{tile}_{stamp}.SAFE"
    return {
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "grid:code": f"MGRS-{tile}",
        "mgrs:utm_zone": int(site.zone[:2]),
        "mgrs:latitude_band": site.zone[2],
        "mgrs:grid_square": granule.name,
        "s2:processing_baseline": seen.baseline,
        "s2:product_type": "S2MSI2A",
        "s2:product_uri": product,
        "s2:tile_id": f"{platform}_SIM_MSI_L2A_TL_{stamp}_T{tile}_{version}",
        "s2:nodata_pixel_percentage": round(shares["nodata"], 4),
        "s2:cloud_shadow_percentage": round(shares["shadow"], 4),
        "s2:vegetation_percentage": round(shares["plant"], 4),
        "s2:water_percentage": round(shares["water"], 4),
        "s2:thin_cirrus_percentage": round(shares["thin"], 4),
        "s2:sequence": "0",
        "earthsearch:boa_offset_applied": False,
    }


def _landsat(granule: Granule, seen: Overpass, shares: dict[str, float]) -> dict[str, Any]:
    path, row = _path_row(granule, seen)
    return {
        "constellation": "landsat",
        "instruments": ["oli", "tirs"],
        "landsat:cloud_cover_land": round(shares["cloud"], 4),
        "landsat:wrs_type": "2",
        "landsat:wrs_path": f"{path:03d}",
        "landsat:wrs_row": f"{row:03d}",
        "landsat:collection_category": "T1",
        "landsat:collection_number": "02",
        "landsat:correction": "L2SP",
    }


def _assets(granule: Granule, seen: Overpass, identifier: str, bands: tuple[str, ...]) -> dict[str, Any]:
    sensor = sensors.get(granule.sensor)
    made: dict[str, Any] = {}
    for name in bands:
        band = sensor.band(name)
        offset = seen.offset * 1e-4 if seen.baseline else band.offset
        made[_KEYS.get(name, name)] = {
            "href": f"./{file_of(identifier, granule.sensor, band.native)}",
            "type": _COG,
            "title": f"{band.native}, simulated",
            "roles": ["data", "reflectance"],
            "gsd": band.gsd_m,
            "proj:shape": list(granule.shape(band.gsd_m)),
            "proj:transform": _transform(granule, band.gsd_m),
            "eo:bands": [
                {
                    "name": band.native,
                    "center_wavelength": band.centre_um,
                    "full_width_half_max": band.width_um,
                }
            ],
            "raster:bands": [
                {
                    "nodata": 0,
                    "data_type": "uint16",
                    "spatial_resolution": band.gsd_m,
                    "scale": band.scale,
                    "offset": round(offset, 6),
                }
            ],
        }
    sentinel = granule.sensor == "sentinel-2-l2a"
    quality, size = ("SCL", 20.0) if sentinel else ("QA_PIXEL", 30.0)
    made[quality.lower()] = {
        "href": f"./{file_of(identifier, granule.sensor, quality)}",
        "type": _COG,
        "title": f"{quality}, simulated",
        "roles": ["data"],
        "gsd": size,
        "proj:shape": list(granule.shape(size)),
        "proj:transform": _transform(granule, size),
        "raster:bands": [{"nodata": 0 if sentinel else 1, "data_type": "uint8" if sentinel else "uint16"}],
    }
    return made


def write_catalogue(out: Path, items: dict[str, list[dict[str, Any]]]) -> Path:
    """Write the collections and the catalogue that link to all items.

    Args:
        out: Folder of the catalogue.
        items: Items by collection.

    Returns:
        Path of ``catalog.json``.
    """
    for name, members in items.items():
        ids = sorted(item["id"] for item in members)
        boxes = [item["bbox"] for item in members]
        times = sorted(item["properties"]["datetime"] for item in members)
        whole = [
            min(b[0] for b in boxes),
            min(b[1] for b in boxes),
            max(b[2] for b in boxes),
            max(b[3] for b in boxes),
        ]
        collection = {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "title": _TITLE[name],
            "description": "Simulated by landshift: no satellite has measured these pixels.",
            "license": "other",
            "keywords": ["simulated"],
            "extent": {
                "spatial": {"bbox": [whole]},
                "temporal": {"interval": [[times[0], times[-1]]]},
            },
            "links": [
                {"rel": "root", "href": "../catalog.json", "type": "application/json"},
                {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
                *(
                    {"rel": "item", "href": f"./{one}/{one}.json", "type": "application/geo+json"}
                    for one in ids
                ),
            ],
        }
        _write(out / name / "collection.json", collection)
    catalogue = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "landshift-simulated",
        "title": "Simulated scenes",
        "description": "Simulated by landshift, with the truth in the folder `truth`.",
        "links": [
            {"rel": "root", "href": "./catalog.json", "type": "application/json"},
            *(
                {"rel": "child", "href": f"./{name}/collection.json", "type": "application/json"}
                for name in sorted(items)
            ),
        ],
    }
    _write(out / "catalog.json", catalogue)
    return out / "catalog.json"


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomic(path, (json.dumps(document, indent=1) + "\n").encode())


def _transform(granule: Granule, pixel_m: float) -> list[float]:
    return [pixel_m, 0.0, granule.left, 0.0, -pixel_m, granule.top]


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"
