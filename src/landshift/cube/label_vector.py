"""Polygons, lines and points as labels: read near the place, cut by blocks, burnt class by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.cube.reclass import Reclass, as_it_comes, text_of
from landshift.errors import LabelError, did_you_mean

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from odc.geo.geobox import GeoBox
    from shapely.geometry.base import BaseGeometry

    from landshift.cube.classes import LandClass
    from landshift.cube.labels import Labels

__all__ = ["VectorLabels", "burn", "overlap_error", "vector_files"]

SUB: Final = 8
"""Sub-pixels along a pixel's side by which coverage is measured."""
_ENDINGS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet", ".kml", ".gml")


class VectorLabels:
    """Labels of one or several OGR files.

    Args:
        source: What the recipe says.
        geobox: The whole grid.
        table: Its mapping, or None to take the values as they come.

    Raises:
        LabelError: A file has no CRS or no such field, or nothing lies on the place.
    """

    def __init__(self, source: Labels, geobox: GeoBox, table: Reclass | None) -> None:
        from shapely import STRtree

        self.rule = source.rule
        parts = _parts(source, geobox)
        rows, self._repaired = _joined(source, parts, geobox)
        self.table = table or as_it_comes(rows["value"], source.colours or {})
        self._total = sum(part.features for part in parts)
        self._outside = self._total - len(rows)
        known = {one.name for one in self.table.classes}
        self._elsewhere = () if table else sorted({name for part in parts for name in part.names} - known)
        numbers = rows["value"].map(self.table.number)
        self._unmapped = sorted({text_of(value) or "(empty)" for value in rows["value"][numbers.isna()]})
        rows = rows.assign(number=numbers.fillna(0).astype(int))
        rows = rows[rows["number"] > 0].reset_index(drop=True)
        spans = rows[["year", "until"]].drop_duplicates().itertuples(index=False)
        years = {year for first, last in spans for year in range(int(first), int(last) + 1)}
        self.years: tuple[int, ...] = tuple(sorted(years)) or (source.year or 1970,)
        self._rows, self._tree = rows, STRtree(rows.geometry.values)
        self._conflicts = 0

    @property
    def known(self) -> tuple[LandClass, ...]:
        """Their classes."""
        return self.table.classes

    def block(self, year: int, geobox: GeoBox) -> NDArray[np.uint8]:
        """Labels of a year over a block; pixels that two classes claim stay unlabelled and are counted."""
        from shapely import box

        near = np.sort(self._tree.query(box(*geobox.boundingbox.bbox), predicate="intersects"))
        rows = self._rows.iloc[near]
        rows = rows[(rows["year"] <= year) & (rows["until"] >= year)]
        found = np.zeros(geobox.shape, np.uint8)
        claims = np.zeros(geobox.shape, np.uint8)
        for number, part in rows.groupby("number", sort=True):
            covered = burn(list(part.geometry), geobox, rule=self.rule)
            found[covered] = number
            claims += covered
        self._conflicts += int((claims > 1).sum())
        found[claims > 1] = 0
        return found

    def counts(self) -> dict[str, Any]:
        """What was used and left out so far."""
        return {
            "features": len(self._rows),
            "total": self._total,
            "outside": self._outside,
            "elsewhere": list(self._elsewhere),
            "repaired": self._repaired,
            "conflicts": self._conflicts,
            "unmapped": self._unmapped,
        }


def burn(geometries: Sequence[BaseGeometry], geobox: GeoBox, *, rule: str) -> NDArray[np.bool_]:
    """Which pixels some geometries label.

    Points and lines label the pixels they lie in, whatever the rule. Coverage (``majority``) is measured on
    8 x 8 sub-pixels.

    Args:
        geometries: In the grid's CRS.
        geobox: The block.
        rule: ``centre``, ``all_touched`` or ``majority``.

    Returns:
        Pixels, (y, x).
    """
    areas = [one for one in geometries if one.geom_type.endswith("Polygon")]
    rest = [one for one in geometries if not one.geom_type.endswith("Polygon")]
    found = _rasterised(rest, geobox, touched=True)
    if rule == "majority" and areas:
        height, width = geobox.shape
        fine = _rasterised(areas, geobox.zoom_out(1 / SUB), touched=False)
        share = fine.reshape(height, SUB, width, SUB).sum(axis=(1, 3))
        covered: NDArray[np.bool_] = share * 2 > SUB * SUB
        return found | covered
    return found | _rasterised(areas, geobox, touched=rule == "all_touched")


def overlap_error(path: str, extent: tuple[float, ...], geobox: GeoBox, crs: object) -> LabelError:
    """The error for labels elsewhere; it names both extents in longitude and latitude where it can."""
    from odc.geo.geom import BoundingBox

    def said(box: BoundingBox) -> str:
        try:
            west, south, east, north = box.to_crs("EPSG:4326").bbox
        except Exception:  # noqa: BLE001 - coordinates outside the projection's domain fail in many ways
            return f"{', '.join(f'{value:.6g}' for value in box.bbox)} ({box.crs})"
        return f"{west:.4f} to {east:.4f} E, {south:.4f} to {north:.4f} N"

    left, bottom, right, top = extent
    return LabelError(
        "the labels do not overlap the place",
        where=path,
        got=f"labels at {said(BoundingBox(left, bottom, right, top, str(crs)))}",
        allowed=f"the place at {said(geobox.boundingbox)}",
        hint="check the place's geometry and the CRS that the labels' file declares",
    )


def _rasterised(geometries: Sequence[BaseGeometry], geobox: GeoBox, *, touched: bool) -> NDArray[np.bool_]:
    from rasterio.features import rasterize

    if not geometries:
        return np.zeros(geobox.shape, bool)
    plane: NDArray[np.uint8] = rasterize(
        geometries, out_shape=geobox.shape, transform=geobox.affine, all_touched=touched, dtype="uint8"
    )
    return plane.astype(bool)


def vector_files(path: str) -> list[Path]:
    """The files of a folder or pattern, sorted; a single file as it is."""
    given = Path(path)
    if "*" in given.name:
        found = sorted(given.parent.glob(given.name))
    elif given.is_dir() and given.suffix != ".gdb":
        found = sorted(file for file in given.iterdir() if file.suffix.lower() in _ENDINGS)
    else:
        found = [given]
    if not found or not found[0].exists():
        raise LabelError("there is no labels' file", where=path, hint="check labels.path")
    return found


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one file holds."""

    rows: gpd.GeoDataFrame
    """Its features on the place: columns value, year, until, geometry (in the grid's CRS)."""
    extent: tuple[float, ...] | None
    """Bounds of all its features in its own CRS; None where none has a shape."""
    crs: str
    """Its own CRS."""
    features: int
    """How many features it has, wherever they lie."""
    names: frozenset[str]
    """Its class values, wherever they lie."""


def _joined(source: Labels, parts: Sequence[_Part], geobox: GeoBox) -> tuple[gpd.GeoDataFrame, int]:
    """The features of all files on the place, valid, and how many had to be repaired for that."""
    import geopandas as gpd
    import pandas as pd

    kept = [part.rows for part in parts if len(part.rows)]
    boxes = np.array([part.extent for part in parts if part.extent is not None])
    if not len(boxes):
        raise LabelError(
            "the labels hold no feature with a shape",
            where=source.path,
            hint="check labels.path and labels.layer, or write the layer anew",
        )
    if not kept:
        extent = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
        raise overlap_error(source.path, extent, geobox, parts[0].crs)
    rows = gpd.GeoDataFrame(pd.concat(kept, ignore_index=True), crs=kept[0].crs)
    broken = int((~rows.geometry.is_valid).sum())
    return rows.assign(geometry=rows.geometry.make_valid()), broken


def _parts(source: Labels, geobox: GeoBox) -> tuple[_Part, ...]:
    """What each file holds; only features near the place are read whole."""
    import pyogrio

    files = vector_files(source.path)
    made = []
    for file in files:
        try:
            facts = pyogrio.read_info(
                file, layer=source.layer, force_total_bounds=True, force_feature_count=True
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise LabelError("the labels cannot be read", where=file, got=str(error)) from error
        if not facts["crs"]:
            hint = "declare its CRS, for example with `ogr2ogr -a_srs`"
            raise LabelError("the labels have no coordinate reference system", where=file, hint=hint)
        made.append(_part(source, file, facts, alone=len(files) == 1, geobox=geobox))
    return tuple(made)


def _part(source: Labels, file: Path, facts: dict[str, Any], *, alone: bool, geobox: GeoBox) -> _Part:
    """What one file holds, by its header and the features near the place."""
    import geopandas as gpd

    crs = str(geobox.crs)
    rows = gpd.read_file(file, layer=source.layer, bbox=geobox.boundingbox.to_crs(facts["crs"]).bbox)
    rows = rows[~rows.geometry.isna() & ~rows.geometry.is_empty].to_crs(crs)
    west, south, east, north = geobox.boundingbox.bbox
    rows = rows.cx[west:east, south:north]
    picked = {"value": _values(source, rows, file, alone=alone), **_span(source, rows, file)}
    bounds, features = facts["total_bounds"], int(facts["features"])
    return _Part(
        rows=gpd.GeoDataFrame(picked, geometry=rows.geometry, crs=crs),
        extent=None if bounds is None or not np.isfinite(bounds).all() else tuple(bounds),
        crs=str(facts["crs"]),
        features=features,
        names=_names(source, file, picked["value"], all_read=len(rows) == features),
    )


def _names(source: Labels, file: Path, near: pd.Series[Any], *, all_read: bool) -> frozenset[str]:
    """Class values of a whole file; where a mapping knows the classes, those near the place are enough."""
    import pyogrio

    values: Iterable[object] = near
    if not all_read and source.classes is None and source.reclass is None:
        table = pyogrio.read_dataframe(file, layer=source.layer, columns=[source.field], read_geometry=False)
        values = table[source.field].unique() if source.field in table else [file.stem]
    return frozenset(text_of(value) for value in values) - {"", "0"}


def _values(source: Labels, rows: gpd.GeoDataFrame, file: Path, *, alone: bool) -> pd.Series[Any]:
    """Class values; the file's name where several files have no such field."""
    import pandas as pd

    if source.field in rows:
        found: pd.Series[Any] = rows[source.field]
        return found
    if not alone:
        return pd.Series(file.stem, index=rows.index, dtype=object)
    names = [name for name in rows.columns if name != "geometry"]
    raise LabelError(
        f"the labels have no field {source.field!r}",
        where=file,
        hint=f"labels.field: {did_you_mean(source.field, names)}",
    )


def _span(source: Labels, rows: gpd.GeoDataFrame, file: Path) -> dict[str, pd.Series[Any]]:
    """First and last year for which each label is true."""
    import pandas as pd

    def fixed(year: int | None) -> pd.Series[Any]:
        return pd.Series(year, index=rows.index, dtype="int64")

    first = fixed(source.year) if source.year_field is None else _years(source.year_field, rows, file)
    if source.until_field is not None:
        last = _years(source.until_field, rows, file)
    else:
        last = first if source.until is None else fixed(source.until)
    if (last < first).any():
        raise LabelError(
            "some labels end before they begin", where=file, got=f"{int((last < first).sum())} of them"
        )
    return {"year": first, "until": last}


def _years(field: str, rows: gpd.GeoDataFrame, file: Path) -> pd.Series[Any]:
    """Years as whole numbers, out of numbers, dates or text that begins with a year."""
    import pandas as pd

    if field not in rows:
        hint = f"{did_you_mean(field, [str(name) for name in rows.columns])}"
        raise LabelError(f"the labels have no field {field!r}", where=file, hint=hint)
    given = rows[field]
    texts = given.map(lambda value: text_of(value)[:4])
    found: pd.Series[Any] = pd.to_numeric(texts, errors="coerce")
    if found.isna().any():
        odd = sorted({str(value) for value in given[found.isna()]})[:5]
        raise LabelError("some labels have no year", where=f"{file}, field {field}", got=odd)
    return found.astype("int64")
