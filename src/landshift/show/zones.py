"""Districts for a web page: simplified together, so that neighbours keep their common border."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landshift.errors import ConfigError, SceneError, did_you_mean

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["read_districts"]

_DIGITS = 6
"""Decimals of a degree: 0.1 m."""


def read_districts(
    path: Path, *, zone_id: str | None, known: Collection[str], tolerance_m: float
) -> dict[str, Any]:
    """Read zones as GeoJSON in longitude and latitude.

    Args:
        path: Any vector file that OGR reads.
        zone_id: The column that names a zone; by default the one whose values are in the tables.
        known: Names of zones in the tables; others are left out. None at all keeps every zone.
        tolerance_m: How far a border may move, metres on the ground.

    Returns:
        A FeatureCollection with ``noun``, what its features are called; each feature has ``id`` and the properties ``zone``, ``bounds`` (west, south,
        east, north) and ``label`` (longitude, latitude of a point inside).

    Raises:
        ConfigError: The column is not there.
        SceneError: The file cannot be read or has no CRS.
    """
    import geopandas as gpd
    import pyogrio

    try:
        frame = gpd.read_file(path)
    except pyogrio.errors.DataSourceError as error:
        raise SceneError("the zones cannot be read", where=path, got=error) from error
    if frame.crs is None:
        raise SceneError("the zones have no CRS", where=path, hint="write the file with its CRS")
    if zone_id is None and list(frame.columns) == [frame.geometry.name]:
        frame = frame[frame.geometry.notna()].reset_index(drop=True)
        width = len(str(len(frame)))
        frame["zone"] = [f"zone {number:0{width}d}" for number in range(1, len(frame) + 1)]
    column = _column(frame, zone_id, known, path)
    named = frame.assign(zone=frame[column].astype(str))[["zone", frame.geometry.name]]
    if known:
        named = named[named["zone"].isin(list(known))]
    named = named[named.geometry.notna() & ~named.geometry.is_empty]
    whole = named.set_geometry(named.geometry.make_valid()).dissolve(by="zone", sort=True).reset_index()
    noun = "district" if "district" in column.lower() else "zone"
    return {"noun": noun, **_as_geojson(_simplified(whole, tolerance_m))}


def _column(frame: gpd.GeoDataFrame, wanted: str | None, known: Collection[str], path: Path) -> str:
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if wanted is not None:
        if wanted not in columns:
            raise ConfigError(
                f"no column {wanted!r} in the zones", where=path, hint=did_you_mean(wanted, columns)
            )
        return wanted
    for name in columns:
        if known and set(known) <= set(frame[name].astype(str)):
            return name
    raise ConfigError("say which column names a zone", where=path, allowed=columns)


def _simplified(frame: gpd.GeoDataFrame, tolerance_m: float) -> gpd.GeoDataFrame:
    """Fewer points; shared borders stay shared where the zones fit together, else each is simplified alone."""
    import shapely

    local = frame.to_crs(frame.estimate_utm_crs()) if len(frame) else frame
    shapes = local.geometry.to_numpy()
    if len(shapes) and shapely.coverage_is_valid(shapes):
        # the function bounds the area between old and new border, the square of a length
        simple = shapely.coverage_simplify(shapes, tolerance_m)
    else:
        simple = shapely.simplify(shapes, tolerance_m, preserve_topology=True)
    return local.set_geometry(simple, crs=local.crs).to_crs(4326)


def _as_geojson(frame: gpd.GeoDataFrame) -> dict[str, Any]:
    import shapely
    from shapely.geometry import mapping

    features = []
    for number, (zone, shape) in enumerate(zip(frame["zone"], frame.geometry, strict=True)):
        rounded = shapely.set_precision(shape, 10**-_DIGITS, mode="pointwise")
        inside = shape.representative_point()
        features.append(
            {
                "type": "Feature",
                "id": number,
                "properties": {
                    "zone": str(zone),
                    "bounds": [round(float(part), _DIGITS) for part in shape.bounds],
                    "label": [round(inside.x, _DIGITS), round(inside.y, _DIGITS)],
                },
                "geometry": _rounded(mapping(rounded)),
            }
        )
    return {"type": "FeatureCollection", "features": features}


def _rounded(value: Any) -> Any:
    """Coordinates with as many decimals as they carry; tuples as lists."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(part) for part in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
