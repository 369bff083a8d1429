"""The shape of a cube that is being read: its grid, its coordinates, what is known of every date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landshift.errors import ConfigError
from landshift.sensor import BAND_DIM, QUALITY

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from landshift.scene import Pass

__all__ = ["assemble", "quantity_of"]

ANGLES: Final = ("sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth")


def quantity_of(passes: Sequence[Pass]) -> str:
    """The quantity that all passes share.

    Raises:
        ConfigError: They differ.
    """
    found = sorted({scene.quantity for group in passes for scene in group.scenes})
    if len(found) > 1:
        raise ConfigError(
            "scenes of different quantities cannot share a cube",
            got=found,
            hint='make one product per source, or a `kind = "stack"` of both',
        )
    return found[0] if found else "reflectance"


def assemble(
    passes: Sequence[Pass],
    geobox: GeoBox,
    *,
    bands: Sequence[str],
    values: NDArray[np.float32],
    quality: NDArray[np.uint8],
) -> xr.Dataset:
    """Put arrays and what is known of every date together.

    Args:
        passes: Dates.
        geobox: The cube's grid.
        bands: Names of the bands.
        values: float32 (time, band, y, x).
        quality: uint8 (time, y, x).
    """
    from odc.geo.xr import xr_coords

    def strings(items: Sequence[str]) -> NDArray[Any]:
        return np.array(list(items), dtype=object)

    firsts = [group.scenes[0] for group in passes]
    per_time: dict[str, NDArray[Any]] = {
        "sensor": strings([scene.sensor for scene in firsts]),
        "platform": strings([scene.platform for scene in firsts]),
        "orbit_state": strings([scene.orbit_state for scene in firsts]),
        "relative_orbit": np.array([scene.relative_orbit for scene in firsts], np.int32),
        "item_ids": strings([group.item_ids for group in passes]),
    }
    for angle in ANGLES:
        known = [[s.angles[angle] for s in group.scenes if angle in s.angles] for group in passes]
        if any(known):
            per_time[angle] = np.array([found[0] if found else np.nan for found in known], np.float32)
    quantity = quantity_of(passes)
    band_dim = BAND_DIM[quantity]
    mapped = {"grid_mapping": "spatial_ref"}
    flags = {"flag_values": list(QUALITY.values()), "flag_meanings": " ".join(QUALITY)}
    data: dict[str, Any] = {
        quantity: (("time", band_dim, "y", "x"), values, mapped),
        "quality": (("time", "y", "x"), quality, {**flags, **mapped}),
    }
    coords: dict[Any, Any] = {
        "time": np.array([group.stamp for group in passes], "datetime64[ns]"),
        band_dim: strings(bands),
        **xr_coords(geobox, always_yx=True),
        **{name: ("time", column) for name, column in per_time.items()},
    }
    return xr.Dataset(data, coords=coords)
