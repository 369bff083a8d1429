"""``landshift.load``: items to a cube in memory, for notebooks and small places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from landshift.acquire.read import OnError, read
from landshift.acquire.tiles import TileReader
from landshift.errors import ConfigError, NoScenesError, counted
from landshift.kernel.resample import Method
from landshift.scene import Scene, passes, scene_from_item

if TYPE_CHECKING:
    import pystac
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["load"]


def load(
    items: Iterable[pystac.Item],
    geobox: GeoBox,
    *,
    bands: Sequence[str],
    sensor: str | None = None,
    resampling: Method = "bilinear",
    on_error: OnError = "raise",
) -> xr.Dataset:
    """Read items onto a grid, as a cube in memory; what is larger than memory is a job for ``landshift.run``.

    Args:
        items: pystac items, as ``search`` and ``adopt`` give them.
        geobox: The grid.
        bands: Bands by common name.
        sensor: Name of the sensor; None lets each item tell.
        resampling: ``bilinear``, ``nearest``, ``cubic`` or ``average``; quality is always nearest.
        on_error: ``raise``, or ``skip``: what is damaged is left out and listed in ``attrs["read_errors"]``.

    Returns:
        The cube: ``reflectance`` (time, band, y, x) float32, NaN for missing; ``quality`` (time, y, x) uint8; and
        ``quality_layer``, the same where no band is missing, and what the quality layer says where one is: a cloud
        grows from there too. ``Mask`` takes it up.

    Raises:
        NoScenesError: There are no items, or all of them lie beside the grid.
        SceneError: An item or a file cannot be used.
    """
    scenes = [scene_from_item(item, source="", bands=bands, sensor=sensor) for item in items]
    if not scenes:
        raise NoScenesError("there are no items to load", hint="look at what `search` or `adopt` returned")
    if not bands:
        raise ConfigError("load needs bands", hint='such as bands=["red", "nir"]')
    _refuse_beside(scenes, geobox)
    groups = passes(scenes)
    with TileReader(threads=2) as reader:
        cube = read(groups, geobox, bands=bands, resampling=resampling, on_error=on_error, reader=reader)
        layer = read(groups, geobox, bands=(), on_error=on_error, reader=reader)["quality"]
    return cube.assign(quality_layer=layer)


def _refuse_beside(scenes: Sequence[Scene], geobox: GeoBox) -> None:
    """Refuse a grid that no scene touches; a scene that does not say where it lies is taken at its word."""
    import shapely

    from landshift.dateline import cut_at_180, in_degrees

    place = in_degrees(geobox.extent)
    shapes = [None if scene.footprint is None else cut_at_180(scene.footprint) for scene in scenes]
    lying = [shape for shape in shapes if shape is not None]
    if len(lying) < len(scenes) or any(shape.intersects(place) for shape in lying):
        return
    raise NoScenesError(
        "all scenes lie beside the grid",
        got=f"the grid at {_edges(place.bounds)}; {counted(len(scenes), 'scene')} at {_edges(shapely.union_all(lying).bounds)}",
        hint="look at the grid's CRS and bounds, or search with its outline",
    )


def _edges(bounds: tuple[float, float, float, float]) -> str:
    left, bottom, right, top = bounds
    return f"longitude {left:.3f} to {right:.3f}, latitude {bottom:.3f} to {top:.3f}"
