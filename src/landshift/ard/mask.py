"""Mask: grow clouds and shadows by metres, and hide what is not clear.

Product masks miss the soft edges of clouds and call bright roofs cloud. So the cloud class is opened first, which
removes specks narrower than a roof, and then every class is grown by its own distance, exactly and in metres,
whatever the size of the pixels. Growth writes into ``quality`` by rank: a cloud's edge beats a shadow, and missing
data stays missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray
from pydantic import Field

from landshift.ard._cube import NAMES, cube_variables, geobox_of, refuse_dask
from landshift.errors import ConfigError, did_you_mean
from landshift.place import pixel_m
from landshift.sensor import QUALITY, QUALITY_RANK
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["Mask", "grow", "opened", "own_class"]

_GROWABLE: Final = ("cloud", "thin_cloud", "shadow", "saturated", "snow")
_BRIGHT: Final = ("cloud", "thin_cloud")


@step(kind="ard", name="mask", version=1)
class Mask:
    """Grow the classes that hide the ground, then hide them.

    Distances default to those of FORCE (Frantz 2019, doi:10.3390/rs11091124): 300 m around clouds, 90 m around
    shadows, 30 m around snow.

    >>> Mask(grow_m={"cloud": 200}).halo_m
    {'quality': 240.0}
    """

    grow_m: Mapping[str, float] = {
        "cloud": 300.0,
        "thin_cloud": 0.0,
        "shadow": 90.0,
        "saturated": 0.0,
        "snow": 30.0,
    }
    """How far each class grows, in metres, from pixel centre to pixel centre; names given replace the defaults."""
    open_m: Annotated[float, Field(ge=0)] = 20.0
    """Radius in metres of the opening of cloud and thin cloud before growth: specks that hold no disc of it become
    clear. 0 leaves it out; so does a radius below the pixel size."""
    hide: tuple[str, ...] = ("nodata", "cloud", "thin_cloud", "shadow", "saturated", "snow")
    """Classes whose pixels are hidden: everything but clear and water."""

    def __post_init__(self) -> None:
        for name in self.grow_m:
            if name not in _GROWABLE:
                raise ConfigError(
                    f"mask.grow_m.{name} is not a class that grows", hint=did_you_mean(name, _GROWABLE)
                )
            if not 0 <= self.grow_m[name] < math.inf:
                raise ConfigError(
                    f"mask.grow_m.{name} must be 0 or more metres",
                    got=self.grow_m[name],
                    hint="0 leaves it as it is",
                )
        for name in self.hide:
            if name not in QUALITY:
                raise ConfigError(
                    f"mask.hide: {name!r} is not a quality class", hint=did_you_mean(name, QUALITY)
                )

    @property
    def halo_m(self) -> dict[str, float]:
        """How far around a block the step has to see, in metres, by variable."""
        return {"quality": 2 * self.open_m + max(self.grow_m.values(), default=0.0)}

    def halo_px(self, geobox: GeoBox) -> tuple[int, int]:
        """The halo in whole rows and columns of a grid.

        Args:
            geobox: The grid, or a block of it.
        """
        metres = self.halo_m["quality"]
        down = math.ceil(metres / pixel_m(geobox)[0])
        _, width = pixel_m(geobox.pad(0, down))  # in degrees, rows nearer to a pole are narrower
        return down, math.ceil(metres / float(width.min()))

    def __call__(self, cube: xr.Dataset) -> xr.Dataset:
        """Grow and hide.

        Args:
            cube: Variables (time, name, y, x) and ``quality`` uint8 (time, y, x).

        Returns:
            A new cube: hidden pixels are NaN in all bands, ``quality`` holds the grown classes.
        """
        cube_variables(cube)
        return self.hide_pixels(self.grow(cube))

    def grow(self, cube: xr.Dataset) -> xr.Dataset:
        """Open and grow the classes in ``quality``; the pixels are left alone.

        Args:
            cube: A dataset with ``quality`` uint8 (time, y, x) on a grid; it needs no bands. Where it has a
                ``quality_layer``, classes grow from that, for a cloud hides its surroundings whether or not the
                pixels below it have all bands; it is used up.
        """
        quality = _quality(cube)
        layer = _quality(cube, "quality_layer") if "quality_layer" in cube.data_vars else quality
        size = pixel_m(geobox_of(cube))
        found = layer if self.open_m == 0 else opened(layer, radius_m=self.open_m, size=size)
        grown = grow(found, metres=self.grow_m, size=size)
        if layer is not quality:
            grown, cube = own_class(quality, layer=layer, grown=grown), cube.drop_vars("quality_layer")
        return cube.assign(quality=(("time", "y", "x"), grown, cube["quality"].attrs))

    def hide_pixels(self, cube: xr.Dataset, *, in_place: bool = False) -> xr.Dataset:
        """Hide the classes of ``hide`` as ``quality`` stands.

        Args:
            cube: Variables (time, name, y, x) and ``quality`` uint8 (time, y, x).
            in_place: Write into the cube's own float32 arrays, where the caller made them and needs them no more.
        """
        quality = _quality(cube)
        hidden = np.zeros(256, np.bool_)
        hidden[[QUALITY[name] for name in self.hide]] = True
        made: dict[str, Any] = {}
        for name in cube_variables(cube):
            array = cube[name].transpose("time", NAMES[name], "y", "x")
            values = np.ascontiguousarray(array.values, np.float32)
            if not (in_place and values.flags.writeable):
                values = np.array(values) if values is array.values else values
            _hide(values, quality, hidden)
            made[name] = (array.dims, values, array.attrs)
        return cube.assign(made)


def own_class(
    quality: NDArray[np.uint8], *, layer: NDArray[np.uint8], grown: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The grown classes, but where a pixel's bands decided its class, and not for the better.

    A pixel that lacks a band is without data whatever the layer says. A granule that lacks one may also have given
    its place to the next one of its overpass, whose class then counts.

    Args:
        quality: Classes of the pixels that are shown, uint8 (time, y, x).
        layer: Classes of the quality layers alone.
        grown: ``layer`` after growth.

    >>> one, two = np.array([[[0, 1, 6]]], np.uint8), np.array([[[6, 1, 1]]], np.uint8)
    >>> own_class(one, layer=two, grown=np.array([[[6, 6, 1]]], np.uint8))
    array([[[0, 6, 6]]], dtype=uint8)
    """
    ground = _table(("clear", "water"))
    return np.where((quality != layer) & ~ground[quality], quality, grown)


def opened(
    quality: NDArray[np.uint8], *, radius_m: float, size: tuple[float, NDArray[np.float64]]
) -> NDArray[np.uint8]:
    """Turn cloud that is narrower than a disc into clear: erosion by the disc, then dilation by it.

    Cloud and thin cloud are opened together. Pixels without data, and those beyond the edge, do not erode.

    Args:
        quality: uint8 (time, y, x).
        radius_m: Radius of the disc in metres.
        size: Height of the pixels in metres, and their width by row.

    Returns:
        uint8 (time, y, x), a new array.

    >>> speck = np.ones((1, 3, 3), np.uint8)
    >>> speck[0, 1, 1] = QUALITY["cloud"]
    >>> opened(speck, radius_m=10, size=(10.0, np.full(3, 10.0))).max()
    np.uint8(1)
    """
    spans = _spans(radius_m, size)
    found = quality.copy()
    if spans[0].max(initial=0) == 0 and spans[1] == 0:
        return found
    bright = _table(_BRIGHT)
    ground = ~bright
    ground[QUALITY["nodata"]] = False
    for plane in found:
        cloud = np.take(bright, plane)
        if not cloud.any():
            continue
        core = cloud & ~_near(np.take(ground, plane), *spans)
        speck = cloud & ~_near(core, *spans)
        plane[speck] = QUALITY["clear"]
    return found


def grow(
    quality: NDArray[np.uint8], *, metres: Mapping[str, float], size: tuple[float, NDArray[np.float64]]
) -> NDArray[np.uint8]:
    """Grow classes by exact Euclidean distance between pixel centres; the first of the rank wins.

    Args:
        quality: uint8 (time, y, x).
        metres: Distance by class name.
        size: Height of the pixels in metres, and their width by row.

    Returns:
        uint8 (time, y, x), a new array; pixels without data stay so.

    >>> line = np.array([[[6, 1, 1, 1, 4]]], np.uint8)
    >>> grow(line, metres={"cloud": 25, "shadow": 30}, size=(10.0, np.array([10.0])))
    array([[[6, 6, 6, 4, 4]]], dtype=uint8)
    """
    found = quality.copy()
    order = [name for name in reversed(QUALITY_RANK) if metres.get(name, 0) > 0]
    spans = {name: _spans(metres[name], size) for name in order}
    rank = np.zeros(256, np.uint8)
    for place, name in enumerate(reversed(QUALITY_RANK)):
        rank[QUALITY[name]] = place
    for plane, before in zip(found, quality, strict=True):
        present = _present(before)
        for name in order:
            code = QUALITY[name]
            if present[code] and (spans[name][1] or spans[name][0].max(initial=0)):
                _write(plane, _near(before == code, *spans[name]), np.uint8(code), rank)
    return found


def _quality(cube: xr.Dataset, name: str = "quality") -> NDArray[np.uint8]:
    """Quality codes (time, y, x) in C order.

    Raises:
        ConfigError: The cube has none.
    """
    refuse_dask(cube)
    if "quality" not in cube.data_vars:
        raise ConfigError(
            "the cube has no `quality`, so there is nothing to mask by",
            got=sorted(map(str, cube.data_vars)),
            hint="name the quality layer of the source, or leave the mask out with `mask = false`",
        )
    codes = cube[name].transpose("time", "y", "x").values
    if codes.dtype != np.uint8:
        raise ConfigError(f"`{name}` holds other numbers than codes", got=str(codes.dtype), allowed="uint8")
    return np.ascontiguousarray(codes)


def _table(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of the 256 codes belong to some classes."""
    table = np.zeros(256, np.bool_)
    table[[QUALITY[name] for name in names]] = True
    return table


def _spans(radius_m: float, size: tuple[float, NDArray[np.float64]]) -> tuple[NDArray[np.int32], int]:
    """The disc as half-widths in columns, by row of its centre and by rows away from it.

    Args:
        radius_m: Radius in metres.
        size: Height of the pixels in metres, and their width by row.

    Returns:
        int32 (y, reach + 1), and the reach in rows. A distance equal to the radius counts as inside, whatever the
        rounding of the metres.
    """
    height, width = size
    radius = radius_m * (1 + 1e-9)
    reach = int(radius / height)
    away = np.arange(reach + 1) * height
    half = np.sqrt(np.maximum(radius**2 - away**2, 0.0))
    return np.floor(half[None, :] / width[:, None] * (1 + 1e-9)).astype(np.int32), reach


def _near(source: NDArray[np.bool_], spans: NDArray[np.int32], reach: int) -> NDArray[np.bool_]:
    """Pixels of a plane within the disc around any source pixel."""
    widest = int(spans.max(initial=0))
    near = np.zeros(source.shape, np.bool_)
    if widest < 255:
        _dilate(source, spans, reach, np.empty(source.shape, np.uint8), near)
    else:
        _dilate(source, spans, reach, np.empty(source.shape, np.uint16), near)
    return near


@njit(cache=True, nogil=True)
def _present(codes: Any) -> Any:
    """Which of the 256 codes a plane holds."""
    found = np.zeros(256, np.bool_)
    for code in codes.flat:
        found[code] = True
    return found


@njit(cache=True, nogil=True, fastmath=False)
def _dilate(source: Any, spans: Any, reach: Any, away: Any, near: Any) -> None:
    """Exact dilation: columns to the nearest source in each row, then a comparison with the disc's half-widths.

    A pixel is inside where, in some row, the nearest source is no more columns away than the disc is wide there.
    Rows without a source cost nothing.
    """
    rows, cols = source.shape
    top = away.dtype.type(255) if away.itemsize == 1 else away.dtype.type(65535)
    for y in range(rows):
        if _along(source[y], away[y], top):
            for k in range(-min(reach, y), min(reach, rows - 1 - y) + 1):
                half = spans[y, abs(k)]
                distance, target = away[y], near[y + k]
                limit = away.dtype.type(half)
                for x in range(cols):
                    target[x] |= distance[x] <= limit


@njit(cache=True, nogil=True, fastmath=False)
def _along(source: Any, away: Any, top: Any) -> bool:
    """Columns to the nearest source pixel of a row, no more than ``top``; whether there is any."""
    cols = source.size
    found = False
    last = top
    for x in range(cols):
        last = away.dtype.type(0) if source[x] else min(away.dtype.type(last + 1), top) if last < top else top
        away[x] = last
        found |= source[x]
    if found:
        for x in range(cols - 2, -1, -1):
            other = away[x + 1]
            if other < away[x]:
                away[x] = min(away[x], other + 1)
    return found


@njit(cache=True, nogil=True, fastmath=False)
def _write(plane: Any, near: Any, code: Any, rank: Any) -> None:
    """Write a class where it is near and nothing of higher rank stands."""
    rows, cols = plane.shape
    own = rank[code]
    for y in range(rows):
        for x in range(cols):
            if near[y, x] and rank[plane[y, x]] < own:
                plane[y, x] = code


@njit(cache=True, nogil=True, fastmath=False)
def _hide(values: Any, quality: Any, hidden: Any) -> None:
    """Put NaN into all bands where the class is hidden."""
    times, bands, rows, cols = values.shape
    veil = np.empty(cols, np.float32)
    for t in range(times):
        for y in range(rows):
            codes = quality[t, y]
            any_hidden = False
            for x in range(cols):
                veil[x] = np.nan if hidden[codes[x]] else np.float32(0.0)
                any_hidden |= hidden[codes[x]]
            if any_hidden:
                for b in range(bands):
                    line = values[t, b, y]
                    for x in range(cols):
                        line[x] += veil[x]
