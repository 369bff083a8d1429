"""``landshift.load``: items to a cube in memory, for notebooks and small places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from landshift.acquire.read import OnError, read
from landshift.acquire.tiles import TileReader
from landshift.errors import ConfigError, NoScenesError
from landshift.kernel.resample import Method
from landshift.scene import passes, scene_from_item

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
        NoScenesError: There are no items.
        SceneError: An item or a file cannot be used.
    """
    scenes = [scene_from_item(item, source="", bands=bands, sensor=sensor) for item in items]
    if not scenes:
        raise NoScenesError("there are no items to load", hint="look at what `search` or `adopt` returned")
    if not bands:
        raise ConfigError("load needs bands", hint='such as bands=["red", "nir"]')
    groups = passes(scenes)
    with TileReader(threads=2) as reader:
        cube = read(groups, geobox, bands=bands, resampling=resampling, on_error=on_error, reader=reader)
        layer = read(groups, geobox, bands=(), on_error=on_error, reader=reader)["quality"]
    return cube.assign(quality_layer=layer)
