"""Where and when: the tables ``[place]`` and ``[time]``, and the grid they make.

A grid of one's own starts at whole multiples of six pixels and its size is a multiple of six, so that 20 m and 60 m
bands of Sentinel-2, or 30 m of Landsat, fall on whole pixels of it. Where the place names no CRS or resolution, the
scenes' own are taken. A place with their CRS and resolution, named or not, keeps the corners of their pixels, which are
then copied, never resampled; it starts and ends at any of them, whatever multiple that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.dateline import boxes, in_degrees
from landshift.errors import ConfigError, GridError
from landshift.step import step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

__all__ = ["NativeGrid", "Place", "Time", "footprint", "grid_of", "pixel_at_centre_m", "pixel_m"]

SNAP_PX: Final = 6
"""Origin and size of a grid of one's own are multiples of this many pixels; a grid of the scenes' keeps theirs."""

OUTLINE_EDGES: Final = 16
"""Steps in which a footprint follows the longer side of a grid."""

_DEGREE_M: Final = 111_320.0
"""Length of a degree of latitude, and of longitude at the equator, on a sphere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeGrid:
    """The grid that the scenes themselves are on."""

    crs: str
    """Authority code or WKT."""
    resolution: float
    """Pixel size in units of the CRS."""
    anchor: tuple[float, float]
    """Coordinates (x, y) of any pixel corner."""
    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top of all scenes together, in the CRS."""


@step(kind="table")
class Place:
    """The area of interest and its grid."""

    geometry: str | None = None
    """Vector file whose outline is the place; statistics are clipped to it."""
    layer: str | None = None
    """Layer of the file, where it has several."""
    where: str | None = None
    """Selects features, as an OGR attribute filter: ``"NUTS_ID = 'CZ080'"``."""
    bbox: tuple[float, float, float, float] | None = None
    """Left, bottom, right, top; degrees of longitude and latitude unless ``bbox_crs`` says otherwise."""
    bbox_crs: str = "EPSG:4326"
    """CRS of ``bbox``."""
    crs: str | None = None
    """CRS of the grid; by default that of the scenes. ``"utm"`` takes the zone of the centre."""
    resolution: float | None = None
    """Pixel size in units of the CRS; by default the finest of the scenes."""

    def __post_init__(self) -> None:
        if self.geometry is not None and self.bbox is not None:
            raise ConfigError("place takes a geometry or a bbox, not both", hint="remove one of them")
        if self.resolution is not None and self.resolution <= 0:
            raise ConfigError("place.resolution must be more than 0", got=self.resolution)
        if self.crs is not None and self.crs.lower() != "utm":
            _refuse_unknown(self.crs, "place.crs")
        if self.bbox is None:
            return
        _refuse_unknown(self.bbox_crs, "place.bbox_crs")
        left, bottom, right, top = self.bbox
        if left >= right or bottom >= top:
            swapped = (
                "left edge is not left of its right" if left >= right else "bottom edge is not below its top"
            )
            order = "[left, bottom, right, top]"
            raise ConfigError(f"place.bbox is empty: its {swapped}", got=list(self.bbox), allowed=order)
        if self.bbox_crs == "EPSG:4326" and (abs(left) > 360 or abs(bottom) > 90 or abs(top) > 90):
            raise ConfigError(
                "place.bbox is not in degrees",
                got=list(self.bbox),
                hint="give longitudes and latitudes, or name its CRS with `bbox_crs`",
            )

    def outline(self, base: Path) -> Geometry | None:
        """The place's outline in its own CRS; None where the scenes decide.

        Args:
            base: Folder that relative paths start from.

        Raises:
            ConfigError: The file is missing, empty or without a CRS.
        """
        from odc.geo.geom import Geometry, box

        if self.bbox is not None:
            return box(*self.bbox, crs=self.bbox_crs)
        if self.geometry is None:
            return None
        import pyogrio

        path = base / self.geometry
        if not path.exists():
            raise ConfigError("the place's geometry does not exist", where="place.geometry", got=str(path))
        frame = pyogrio.read_dataframe(path, layer=self.layer, where=self.where)
        if frame.empty:
            raise ConfigError("the place's geometry selects no feature", where=str(path), got=self.where)
        if frame.crs is None:
            raise ConfigError(
                "the place's geometry has no CRS", where=str(path), hint="write one into the file"
            )
        whole = frame.geometry.make_valid().union_all()  # real borders cross themselves
        if whole.is_empty:
            raise ConfigError("the place's geometry is empty", where=str(path), hint="look at it in a GIS")
        return Geometry(whole, frame.crs)


def grid_of(place: Place, *, base: Path, native: NativeGrid | None = None) -> GeoBox:
    """Make the grid of a place.

    Args:
        place: The table.
        base: Folder that relative paths start from.
        native: Grid of the scenes, where it is known: fills what the place leaves open.

    Raises:
        ConfigError: Nothing says where the place is, or what its pixel size should be.

    >>> grid = grid_of(Place(bbox=(14.0, 50.0, 14.01, 50.01), crs="EPSG:3035", resolution=10), base=Path())
    >>> grid.shape.yx, [corner % 60 for corner in (grid.affine.c, grid.affine.f)]
    ((120, 84), [0.0, 0.0])
    """
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import box

    outline = place.outline(base)
    if outline is None:
        if native is None:
            raise ConfigError(
                "nothing says where the place is", where="[place]", hint="give a bbox or a geometry"
            )
        outline = box(*native.bounds, crs=native.crs)
    crs = _crs(place, outline, native)
    resolution = place.resolution or (native.resolution if native and _same(crs, native.crs) else None)
    if resolution is None:
        raise ConfigError(
            "place.resolution is needed where the grid's CRS is not the scenes' own",
            where="[place]",
            hint="give the pixel size in units of the CRS, such as `resolution = 10`",
        )
    left, bottom, right, top = outline.to_crs(crs).boundingbox
    anchor, snap = (0.0, 0.0), resolution * SNAP_PX
    if native is not None and _same(crs, native.crs) and math.isclose(resolution, native.resolution):
        anchor, snap = native.anchor, resolution
    west, south = (
        _snap(value, at, snap, math.floor) for value, at in zip((left, bottom), anchor, strict=True)
    )
    east, north = (_snap(value, at, snap, math.ceil) for value, at in zip((right, top), anchor, strict=True))
    return GeoBox.from_bbox((west, south, east, north), crs, resolution=resolution, tight=True)


def pixel_m(geobox: GeoBox) -> tuple[float, NDArray[np.float64]]:
    """Size of the pixels in metres.

    Degrees are taken on a sphere: a row's pixels are as wide as at its latitude.

    Args:
        geobox: A grid along the axes of its CRS.

    Returns:
        Height of all pixels, and their width by row (y,).

    >>> from odc.geo.geobox import GeoBox
    >>> height, width = pixel_m(GeoBox.from_bbox((14, 60, 14.2, 60.1), "EPSG:4326", resolution=0.05))
    >>> round(height), width.round().tolist()
    (5566, [2777.0, 2781.0])
    """
    import numpy as np

    rows = geobox.shape.y
    crs = geobox.crs
    high, wide = abs(float(geobox.resolution.y)), abs(float(geobox.resolution.x))
    if crs is None:
        raise GridError("the grid has no CRS, so lengths in metres mean nothing on it")
    if crs.geographic:
        top, step = float(geobox.affine.f), float(geobox.affine.e)
        latitude = top + (np.arange(rows) + 0.5) * step
        narrow = np.cos(np.radians(np.clip(latitude, -89.9, 89.9)))
        return high * _DEGREE_M, wide * _DEGREE_M * narrow
    metres = float(crs.proj.axis_info[0].unit_conversion_factor)
    return high * metres, np.full(rows, wide * metres)


def pixel_at_centre_m(geobox: GeoBox) -> tuple[float, float]:
    """Height and width of the pixels in the middle of a grid, in metres to three digits; see :func:`pixel_m`.

    Args:
        geobox: A grid along the axes of its CRS.

    >>> from odc.geo.geobox import GeoBox
    >>> pixel_at_centre_m(GeoBox.from_bbox((14, 60, 14.2, 60.1), "EPSG:4326", resolution=0.05))
    (5566.0, 2780.896)
    """
    height, width = pixel_m(geobox)
    return round(height, 3), round(float(width[len(width) // 2]), 3)


def footprint(geobox: GeoBox) -> tuple[dict[str, Any], list[float]]:
    """Where a grid lies, as GeoJSON has it: longitudes and latitudes to seven digits, a centimetre.

    Edges are curved as the projection curves them. A grid across the antimeridian is cut there, and its bounds
    then have a west that is larger than the east. One over a pole reaches around the globe, and up to the pole.

    Args:
        geobox: The grid.

    Returns:
        The outline, and left, bottom, right, top.

    Raises:
        GridError: The grid has no CRS, or no place on the globe.

    >>> from odc.geo.geobox import GeoBox
    >>> footprint(GeoBox.from_bbox((14, 60, 14.2, 60.1), "EPSG:4326", resolution=0.05))[1]
    [14.0, 60.0, 14.2, 60.1]
    """
    import shapely

    if geobox.crs is None:
        raise GridError("the grid has no CRS, so nothing says where it lies")
    outline = in_degrees(geobox.extent, edges=OUTLINE_EDGES)
    found = boxes(outline)
    if not found:
        raise GridError("the grid has no place on the globe", where=str(geobox.crs), got=geobox.boundingbox)
    low, high = min(box[1] for box in found), max(box[3] for box in found)
    shape = shapely.geometry.mapping(shapely.orient_polygons(outline))
    made = {"type": shape["type"], "coordinates": _rounded(shape["coordinates"])}
    return made, _rounded((found[0][0], low, found[-1][2], high))


def _rounded(part: Any) -> Any:
    """Numbers, in lists of any depth, to 1e-7."""
    return round(float(part), 7) if isinstance(part, (int, float)) else [_rounded(inner) for inner in part]


@step(kind="table")
class Time:
    """The span of time: dates, or whole years."""

    start: date | datetime | None = None
    """First day."""
    end: date | datetime | None = None
    """Last day, included; with a clock time the first moment that is left out."""
    years: str | None = None
    """Whole years, such as ``"2017..2024"`` or ``"2020"``."""
    months: tuple[int, ...] = ()
    """``[4, 10]`` is April to October, ``[11, 2]`` November to February; three and more are listed months."""

    def __post_init__(self) -> None:
        if self.years is not None and (self.start is not None or self.end is not None):
            raise ConfigError("time takes years, or start and end, not both", where="[time]")
        if any(not 1 <= month <= 12 for month in self.months):
            raise ConfigError("time.months are numbers from 1 to 12", got=list(self.months))
        begin, end = self.span
        if begin >= end:
            raise ConfigError("time ends before it starts", got=f"{self.start or begin} .. {self.end or end}")

    @property
    def span(self) -> tuple[datetime, datetime]:
        """First moment, and the first moment after; UTC.

        >>> Time(start=date(2020, 1, 1), end=date(2020, 1, 31)).span[1].isoformat()
        '2020-02-01T00:00:00+00:00'
        """
        if self.years is not None:
            first, last = _year_range(self.years)
            return datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
        begin = _moment(self.start) if self.start is not None else datetime(1972, 1, 1, tzinfo=UTC)
        if self.end is None:
            return begin, datetime(2100, 1, 1, tzinfo=UTC)
        whole_day = not isinstance(self.end, datetime)
        return begin, _moment(self.end) + (timedelta(days=1) if whole_day else timedelta(0))

    @property
    def month_list(self) -> tuple[int, ...]:
        """The months that are wanted; empty for all.

        >>> Time(years="2020", months=[11, 2]).month_list
        (11, 12, 1, 2)
        """
        if len(self.months) != 2:
            return self.months
        first, last = self.months
        count = (last - first) % 12 + 1
        return tuple((first - 1 + step) % 12 + 1 for step in range(count))

    @property
    def year_list(self) -> tuple[int, ...]:
        """Calendar years that lie wholly inside."""
        begin, end = self.span
        first = begin.year if (begin.month, begin.day) == (1, 1) else begin.year + 1
        return tuple(range(first, end.year)) if end.year < 2100 else ()


def _crs(place: Place, outline: Any, native: NativeGrid | None) -> str:
    if place.crs is None and native is not None:
        return native.crs
    if place.crs is None or place.crs.lower() == "utm":
        from odc.geo.crs import CRS

        centre = outline.to_crs("EPSG:4326").centroid.coords[0]
        return str(CRS.utm(*centre))
    return place.crs


def _refuse_unknown(crs: str, name: str) -> None:
    """Refuse what no database of CRS knows, or what has no map in it."""
    from odc.geo.crs import CRS
    from pyproj.exceptions import CRSError

    try:
        known = CRS(crs)
        fits = known.geographic or known.projected
    except CRSError:
        fits = False
    if not fits:
        raise ConfigError(
            f"{name} is not a CRS that a map can have",
            got=crs,
            allowed='such as "EPSG:32633" or "EPSG:3035", or WKT',
            hint="look its code up at epsg.io",
        )


def _same(one: str, other: str) -> bool:
    from odc.geo.crs import CRS

    return CRS(one) == CRS(other)


def _snap(value: float, anchor: float, snap: float, whole: Any) -> float:
    steps = (value - anchor) / snap
    near = round(steps)
    return float(anchor + (near if abs(steps - near) < 1e-6 else whole(steps)) * snap)


def _moment(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), tzinfo=UTC)


def _year_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("..")
    try:
        years = int(first), int(last or first)
    except ValueError:
        raise ConfigError(
            "time.years are written as a range", got=text, allowed='"2017..2024" or "2020"'
        ) from None
    if years[0] > years[1] or not 1972 <= years[0] <= 2100:
        raise ConfigError("time.years is not a range of years", got=text, allowed='"2017..2024" or "2020"')
    return years
