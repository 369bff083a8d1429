"""Outlines in degrees that may lie across the 180th meridian or around a pole: cut there, and never stretched around the globe.

A place in the CRS of a map is one piece wherever it lies. Its longitudes jump from 180 to -180 at the date line, and a
ring drawn through them covers the other side of the globe. Here rings are followed turn by turn, then cut at 180.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.projection import projection

if TYPE_CHECKING:
    from odc.geo.geom import Geometry
    from shapely import Polygon
    from shapely.geometry.base import BaseGeometry

__all__ = ["Box", "boxes", "cut_at_180", "folded", "in_degrees"]

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in degrees."""

_EDGES: Final = 64
"""Straight edges of a map bend on the globe: by default an outline's longer side is followed in this many steps."""

_TOUCH: Final = 1e-9
"""Pieces nearer than this, in degrees, touch."""


def in_degrees(outline: Geometry, *, edges: int = _EDGES) -> BaseGeometry:
    """An outline in EPSG:4326, longitudes from -180 to 180: in pieces where it lies across the 180th meridian.

    Args:
        outline: Polygons in any CRS; edges of a map's outline bend as its projection bends them.
        edges: Steps in which the outline's longer side is followed.
    """
    import shapely
    from odc.geo.crs import CRS

    crs = outline.crs
    parts = _polygons(outline.geom)
    if crs is None or not parts:
        return outline.to_crs("EPSG:4326").geom
    if crs.epsg == 4326:
        return folded(parts)
    project = projection(crs, CRS("EPSG:4326"))
    left, bottom, right, top = outline.geom.bounds
    step = max(right - left, top - bottom) / edges

    def ring(points: Any) -> NDArray[np.float64]:
        found = np.stack(project(*shapely.get_coordinates(points).T), axis=-1)
        finite: NDArray[np.float64] = found[np.isfinite(found).all(axis=-1)]
        finite[:, 0] = (finite[:, 0] + 180) % 360 - 180  # 182 and -178, 180 and -180 may take turns
        return finite

    return folded([_followed(part.segmentize(step) if step else part, ring) for part in parts])


def cut_at_180(geometry: Mapping[str, Any]) -> BaseGeometry:
    """A GeoJSON geometry in degrees, cut at 180: also one whose ring jumps there, or goes on beyond.

    No scene is half a globe wide: a step of more than 180 degrees is a jump, unless it is one of exactly 360, as in
    the outline of a raster of the whole globe.

    Args:
        geometry: GeoJSON, in EPSG:4326.
    """
    import shapely
    from shapely.geometry import shape

    made: BaseGeometry = shape(dict(geometry))
    left, _, right, _ = made.bounds if not made.is_empty else (0.0, 0.0, 0.0, 0.0)
    if right - left <= 180 and left >= -180 and right <= 180:
        return made
    parts = _polygons(made)
    return folded([_followed(part, shapely.get_coordinates) for part in parts]) if parts else made


def folded(parts: Sequence[BaseGeometry]) -> BaseGeometry:
    """Geometries of any longitudes, brought to -180 to 180 and joined.

    Args:
        parts: In degrees.

    >>> from shapely import box
    >>> [part.bounds for part in folded([box(178, -18, 181, -16)]).geoms]
    [(-180.0, -18.0, -179.0, -16.0), (178.0, -18.0, 180.0, -16.0)]
    """
    import shapely
    from shapely.affinity import translate

    pieces: list[BaseGeometry] = []
    for part in parts:
        left, _, right, _ = part.bounds
        for turn in (-720, -360, 0, 360, 720):
            if -180 + turn <= left and right <= 180 + turn:
                pieces.append(translate(part, -turn) if turn else part)
                break
            if left < 180 + turn and right > -180 + turn:
                globe = shapely.box(-180 + turn, -90, 180 + turn, 90)
                pieces += _polygons(translate(part.intersection(globe), -turn))
    return pieces[0] if len(pieces) == 1 else shapely.union_all(pieces)


def boxes(outline: BaseGeometry) -> tuple[Box, ...]:
    """Bounding boxes of an outline: one, or one on each side of the widest gap where that is not at 180 degrees.

    Args:
        outline: In degrees, cut at 180.

    Returns:
        From west to east; none of an empty outline.

    >>> from shapely import box
    >>> boxes(folded([box(178, -18, 181, -16)]))
    ((178.0, -18.0, 180.0, -16.0), (-180.0, -18.0, -179.0, -16.0))
    >>> boxes(box(15, 50, 16, 51))
    ((15.0, 50.0, 16.0, 51.0),)
    """
    parts = sorted(part.bounds for part in getattr(outline, "geoms", [outline]) if not part.is_empty)
    if not parts:
        return ()
    reach = parts[0][2]
    gap, cut = 360.0 + parts[0][0] - max(part[2] for part in parts), -np.inf
    for left, _, right, _ in parts:
        if left - reach > gap + _TOUCH:
            gap, cut = left - reach, left
        reach = max(reach, right)
    sides = [[part for part in parts if (part[0] >= cut) == east] for east in (True, False)]
    return tuple(_around(side) for side in sides if side)


def _around(parts: Sequence[Box]) -> Box:
    left, bottom, right, top = zip(*parts, strict=True)
    return float(min(left)), float(min(bottom)), float(max(right)), float(max(top))


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    """The polygons of any geometry."""
    from shapely import Polygon

    if isinstance(geometry, Polygon):
        return [] if geometry.is_empty else [geometry]
    return [part for inner in getattr(geometry, "geoms", ()) for part in _polygons(inner)]


def _followed(polygon: Polygon, ring: Any) -> BaseGeometry:
    """A polygon whose rings are followed across the date line, to longitudes beyond 180 if need be."""
    import shapely

    outer = _unwound(ring(polygon.exterior))
    if len(outer) < 3:
        return shapely.Polygon()
    holes = []
    for inner in polygon.interiors:
        hole = _unwound(ring(inner))
        if len(hole) >= 3:
            turns = np.round((outer[:, 0].mean() - hole[:, 0].mean()) / 360)
            holes.append(hole + np.array([360 * turns, 0]))
    made = shapely.Polygon(outer, holes)
    return made if made.is_valid else shapely.make_valid(made)


def _unwound(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A closed ring without jumps of more than half a turn; one that goes around a pole is closed through it."""
    if not len(points):
        return points
    steps = np.diff(points[:, 0])
    steps -= 360 * np.round(steps / 360) * (np.abs(steps) < 360)
    lon = points[0, 0] + np.concatenate([[0.0], np.cumsum(steps)])
    made = np.stack([lon, points[:, 1]], axis=-1)
    if abs(lon[-1] - lon[0]) < 180:
        return made
    pole = np.copysign(90.0, points[:, 1].mean())
    return np.concatenate([made, [[lon[-1], pole], [lon[0], pole]]])
