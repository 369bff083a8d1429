"""What the collections of the STAC catalogue share: the run they speak of, empty items and collections, and assets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.cube.provenance import read_run
from landshift.place import footprint
from landshift.show.credits import credit_of

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox

__all__ = [
    "CLASSIFICATION",
    "DATACUBE",
    "FILE",
    "ON_COLLECTION",
    "ON_ITEM",
    "RASTER",
    "XARRAY",
    "Run",
    "Span",
    "collection",
    "new_asset",
    "new_item",
]

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
ON_COLLECTION: Final = 2
"""Folders between the output folder and a collection."""
ON_ITEM: Final = 3
"""Folders between the output folder and an item."""

Span = tuple[datetime, datetime]
"""First and last moment of an item, UTC."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The output folder, and what its record says of all of it."""

    out: Path
    """The output folder."""
    title: str
    """Title of the run."""
    simulated: bool
    """Whether its scenes are simulated."""
    credit: str
    """Whose data they are, as their licences ask; empty where nobody's."""

    @classmethod
    def of(cls, out: Path) -> Run:
        """Of an output folder."""
        said = read_run(out) if (out / "run.json").is_file() else {}
        simulated = bool(said.get("simulated", False))
        credit = "" if simulated else credit_of(out / "scenes.parquet")
        return cls(out=out, title=str(said.get("title") or "landshift"), simulated=simulated, credit=credit)

    def text(self, what: str) -> str:
        """A description, with what every reader must know."""
        parts = [what, "The scenes are simulated." if self.simulated else "", self.credit]
        return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)


def collection(run: Run, name: str, title: str, what: str, items: Sequence[pystac.Item]) -> pystac.Collection:
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


def new_item(run: Run, name: str, geobox: GeoBox, span: Span, extensions: Sequence[str]) -> pystac.Item:
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


def new_asset(run: Run, path: Path, depth: int, *, title: str, roles: Sequence[str]) -> pystac.Asset:
    """A file or store of the output folder, seen from ``depth`` folders below it."""
    import pystac

    href = "../" * depth + path.relative_to(run.out).as_posix()
    kind = _ZARR if path.suffix == ".zarr" else _MEDIA.get(path.suffix, "application/octet-stream")
    made = pystac.Asset(href=href, title=title, media_type=kind, roles=list(roles))
    if path.is_file():
        made.extra_fields["file:size"] = path.stat().st_size
    return made
