"""How much of each class lies in each zone: districts, catchments, fields.

Zones have borders that cut pixels. Counting a pixel where its centre falls is off by a few per cent for
zones of some hundred pixels and leaves thin zones empty; here every pixel counts with the share of it that
the zone covers, computed exactly by exactextract (Baston, 2025). The work goes by windows of the map: for
each window the cover of each zone is computed once and used for all years and pairs of years, so memory
does not grow with zones, map or years.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from landshift.errors import ConfigError, DataQualityWarning, GridError, SceneError, did_you_mean
from landshift.measure.ground import geometry_area_ha, pixel_area_ha
from landshift.measure.series import NODATA, MapSeries, Window
from landshift.measure.transitions import year_pairs
from landshift.step import step

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

__all__ = [
    "ZONAL_CHANGE_COLUMNS",
    "ZONAL_COLUMNS",
    "Zonal",
    "ZonalTables",
    "check_zones",
    "read_zones",
    "zonal",
    "zonal_tables",
]

ZONAL_COLUMNS = {
    "zone": "identifier of the zone",
    "year": "year of the map",
    "class": "land class; nodata = ground of the zone without a class, or outside the map",
    "area_ha": "area in hectares, every pixel weighted with the share of it that the zone covers",
    "share": "share of the zone's mapped area (0-1); empty for nodata",
}
"""The columns of the table ``zonal``."""

ZONAL_CHANGE_COLUMNS = {
    "zone": "identifier of the zone",
    "year_from": "the earlier year",
    "year_to": "the later year",
    "class": "land class",
    "gain_ha": "area that became this class, hectares",
    "loss_ha": "area that left this class, hectares",
    "net_ha": "gain minus loss, hectares",
    "changed_share": "net change as a share of the zone's area mapped in both years",
}
"""The columns of the table ``zonal_change``."""


class ZonalTables(NamedTuple):
    """What was measured in zones."""

    area: pd.DataFrame
    """Class areas per zone and year; columns as in :data:`ZONAL_COLUMNS`."""

    change: pd.DataFrame
    """Gains and losses per zone and pair of years; empty when there is one map only."""

    outside: tuple[str, ...]
    """Zones that do not touch the map: they are in no table."""


@step(kind="measure")
class Zonal:
    """Polygons to sum classes over."""

    zones: str | Path
    """Any vector file that OGR reads, in any CRS."""

    id: str | None = None
    """The column that names a zone; polygons of one name are one zone. By default the only one that can."""

    layer: str | None = None
    """The layer of the file; by default its first."""

    pairs: str = "both"
    """Which years are compared, as for ``change.pairs``."""

    def __post_init__(self) -> None:
        year_pairs((0, 1), self.pairs)

    def __call__(self, maps: Mapping[int, Path]) -> ZonalTables:
        """Measure maps in the zones."""
        return zonal_tables(maps, self)


def zonal(
    maps: Mapping[int, Path],
    zones: str | Path,
    *,
    id: str | None = None,  # noqa: A002 - the recipe's word
    layer: str | None = None,
) -> pd.DataFrame:
    """The area of every class in every zone and year, exact to the share of each pixel.

    Args:
        maps: The map of each year: band 1 holds classes, 0 is nodata.
        zones: Polygons, in any CRS.
        id: The column that names a zone.
        layer: The layer of the file.

    Returns:
        One row per zone, year and class; columns as in :data:`ZONAL_COLUMNS`. The areas of a zone, nodata
        included, add up to the zone.

    Raises:
        ConfigError: The column or layer is not there.
        GridError: No zone touches the map.
        SceneError: The file cannot be read or has no CRS.
    """
    return zonal_tables(maps, Zonal(zones=zones, id=id, layer=layer)).area


def zonal_tables(maps: Mapping[int, Path], spec: Zonal) -> ZonalTables:
    """Class areas and changes per zone in one pass; see :func:`zonal`."""
    series = MapSeries.of(maps)
    source = Path(spec.zones)
    polygons = read_zones(source, crs=series.crs, id=spec.id, layer=spec.layer)
    pairs = year_pairs(series.years, spec.pairs) if len(series.years) > 1 else ()
    sums = _sum(series, polygons, pairs)
    touched = sums.cover > 0
    names = [str(name) for name in polygons["zone"]]
    outside = tuple(name for name, inside in zip(names, touched, strict=True) if not inside)
    if outside:
        _report_outside(outside, len(names), source)
    chosen = [number for number, inside in enumerate(touched) if inside]
    areas = [row for number in chosen for row in _area_rows(series, sums, number, polygons)]
    changes = [row for number in chosen for row in _change_rows(series, sums, number, names[number])]
    return ZonalTables(
        pd.DataFrame(areas, columns=[*ZONAL_COLUMNS]),
        pd.DataFrame(changes, columns=[*ZONAL_CHANGE_COLUMNS]),
        outside,
    )


def check_zones(spec: Zonal, geobox: GeoBox) -> None:
    """Refuse, before there are maps, zones that cannot be read or lie elsewhere.

    Args:
        spec: The zones.
        geobox: The grid that the maps will have.

    Raises:
        ConfigError: The column or layer is not there.
        GridError: No zone touches the grid.
        SceneError: The file cannot be read or has no CRS.
    """
    from odc.geo.crs import CRS

    polygons = read_zones(Path(spec.zones), crs=CRS(str(geobox.crs)), id=spec.id, layer=spec.layer)
    if not polygons.intersects(geobox.extent.geom).any():
        _report_outside(tuple(polygons["zone"]), len(polygons), Path(spec.zones))


def read_zones(path: Path, *, crs: CRS, id: str | None = None, layer: str | None = None) -> gpd.GeoDataFrame:  # noqa: A002 - the recipe's word
    """Read polygons onto a map's CRS, one row per zone, sorted by name.

    Args:
        path: Any vector file that OGR reads.
        crs: The CRS of the map.
        id: The column that names a zone; a file without columns gets ``zone 1``, ``zone 2``, ... in file order.
        layer: The layer of the file.

    Returns:
        A frame with ``zone`` (str) and valid, non-empty polygons.

    Raises:
        ConfigError: The column or layer is not there.
        SceneError: The file cannot be read, has no CRS or no polygon.
    """
    frame = _read_polygons(path, layer)
    if id is None and list(frame.columns) == [frame.geometry.name]:
        width = len(str(len(frame)))
        frame["zone"] = [f"zone {number:0{width}d}" for number in range(1, len(frame) + 1)]
    column = _id_column(frame, id, path)
    geometry = frame.geometry.make_valid().to_crs(crs.proj)
    # exactextract wants polygons alone: what make_valid left as lines or points covers no ground
    parts = frame.assign(zone=frame[column].astype(str)).set_geometry(geometry)[["zone", "geometry"]]
    parts = parts.explode(index_parts=False)
    parts = parts[parts.geom_type.isin(["Polygon", "MultiPolygon"]) & ~parts.geometry.is_empty]
    if parts.empty:
        raise SceneError("the zones hold no polygon", where=path)
    return parts.dissolve(by="zone", sort=True).reset_index()


def _read_polygons(path: Path, layer: str | None) -> gpd.GeoDataFrame:
    import geopandas as gpd
    import pyogrio

    if not Path(path).exists():
        raise ConfigError("the zones are not there", where="zonal.zones", got=path)
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if layer is not None and layer not in layers:
            raise ConfigError(f"no layer {layer!r}", where=path, hint=did_you_mean(layer, layers))
        frame = gpd.read_file(path, layer=layer or layers[0])
    except pyogrio.errors.DataSourceError as error:
        raise SceneError("the zones cannot be read", where=path, got=error) from error
    if frame.crs is None:
        raise SceneError("the zones have no CRS", where=path, hint="write the file with its CRS")
    return frame[frame.geometry.notna()].reset_index(drop=True)


def _id_column(frame: gpd.GeoDataFrame, wanted: str | None, path: Path) -> str:
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if wanted is not None:
        if wanted not in columns:
            raise ConfigError(
                f"no column {wanted!r} in the zones", where=path, hint=did_you_mean(wanted, columns)
            )
        return wanted
    naming = [name for name in columns if frame[name].is_unique and not frame[name].isna().any()]
    texts = [name for name in naming if not pd.api.types.is_numeric_dtype(frame[name])]
    for candidates in (texts, naming):
        if len(candidates) == 1:
            return candidates[0]
    raise ConfigError("say which column names a zone", where="zonal.id", allowed=naming or columns)


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Running sums over windows, in hectares."""

    years: dict[int, NDArray[np.float64]]
    """(zone, class) of each year; nodata is class 0, the first class 1."""

    pairs: dict[tuple[int, int], NDArray[np.float64]]
    """(zone, class before, class after) of each pair."""

    cover: NDArray[np.float64]
    """(zone,): covered ground of the map, classes or not."""


def _sum(series: MapSeries, polygons: gpd.GeoDataFrame, pairs: tuple[tuple[int, int], ...]) -> _Sums:
    zones, classes = len(polygons), len(series.classes) + 1
    sums = _Sums(
        years={year: np.zeros((zones, classes)) for year in series.years},
        pairs={pair: np.zeros((zones, classes, classes)) for pair in pairs},
        cover=np.zeros(zones),
    )
    ground, positions = pixel_area_ha(series.geobox), series.positions()
    index = polygons.sindex
    for window in series.windows():
        near = np.sort(index.query(_extent(series, window), predicate="intersects"))
        if not near.size:
            continue
        maps = {year: positions[series.read(year, window).ravel()] for year in series.years}
        for number, cells, hectares in _covers(series, window, polygons.iloc[near], ground):
            sums.cover[number] += hectares.sum()
            here = {year: values[cells] for year, values in maps.items()}
            for year, at in here.items():
                sums.years[year][number] += np.bincount(at, weights=hectares, minlength=classes)
            for (first, last), total in sums.pairs.items():
                code = here[first] * classes + here[last]
                counted = np.bincount(code, weights=hectares, minlength=classes**2)
                total[number] += counted.reshape(classes, classes)
    return sums


def _extent(series: MapSeries, window: Window) -> Any:
    import shapely

    return shapely.box(*series.geobox[window].boundingbox.bbox)


def _covers(
    series: MapSeries, window: Window, polygons: gpd.GeoDataFrame, ground: NDArray[np.float64]
) -> list[tuple[int, NDArray[np.intp], NDArray[np.float64]]]:
    """Zone number, covered cells of the window and the hectares of each that the zone covers."""
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    part = series.geobox[window]
    west, south, east, north = part.boundingbox.bbox
    rows, cols = (int(size) for size in part.shape)
    crs = series.crs.proj.to_wkt()
    raster = NumPyRasterSource(
        np.zeros((rows, cols), dtype=np.uint8), xmin=west, ymin=south, xmax=east, ymax=north, srs_wkt=crs
    )
    chosen = polygons.assign(number=polygons.index.to_numpy())
    found = exact_extract(raster, chosen, ["cell_id", "coverage"], include_cols=["number"], output="pandas")
    south_up = part.affine.e > 0
    result = []
    for number, cells, share in zip(found["number"], found["cell_id"], found["coverage"], strict=True):
        row, col = np.divmod(np.asarray(cells, dtype=np.intp), cols)
        row = rows - 1 - row if south_up else row
        if row.size:
            result.append((int(number), row * cols + col, np.asarray(share) * ground[window[0]][row]))
    return result


def _area_rows(
    series: MapSeries, sums: _Sums, number: int, polygons: gpd.GeoDataFrame
) -> list[tuple[str, int, str, float, float]]:
    zone, polygon = str(polygons["zone"].iloc[number]), polygons.geometry.iloc[number]
    beyond = polygon.difference(_extent(series, (slice(None), slice(None))))
    missing = geometry_area_ha(beyond, series.crs)
    rows = []
    for year, totals in sums.years.items():
        areas = totals[number]
        mapped = float(areas[1:].sum())
        for item, area in zip(series.classes, areas[1:], strict=True):
            rows.append((zone, year, item.name, float(area), float(area) / mapped if mapped else math.nan))
        rows.append((zone, year, NODATA, float(areas[0] + missing), math.nan))
    return rows


def _change_rows(
    series: MapSeries, sums: _Sums, number: int, zone: str
) -> list[tuple[str, int, int, str, float, float, float, float]]:
    rows = []
    for pair, totals in sums.pairs.items():
        matrix = totals[number][1:, 1:]
        mapped = float(matrix.sum())
        for at, item in enumerate(series.classes):
            gain = float(matrix[:, at].sum() - matrix[at, at])
            loss = float(matrix[at].sum() - matrix[at, at])
            share = (gain - loss) / mapped if mapped else math.nan
            rows.append((zone, *pair, item.name, gain, loss, gain - loss, share))
    return rows


def _report_outside(outside: tuple[str, ...], zones: int, path: Path) -> None:
    shown = ", ".join(outside[:5]) + (", ..." if len(outside) > 5 else "")
    if len(outside) == zones:
        raise GridError("no zone touches the map", where=path, got=shown, hint="check place and zones")
    warnings.warn(
        f"{len(outside)} of {zones} zones lie outside the map: {shown}", DataQualityWarning, stacklevel=3
    )
