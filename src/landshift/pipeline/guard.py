"""The guard against Sentinel-2's offset taken off twice, or not at all.

Since processing baseline 04.00 stored numbers carry an offset, and providers differ in whether they have taken it
off. :mod:`landshift.scene` decides from what the items say; this looks at the pixels whether that can be true. The
darkest ground of a place (water, shadow) hardly changes from year to year: where it is clearly negative the offset
was taken off twice, and where it is brighter by the offset's size since January 2022, it was forgotten.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from landshift.errors import DataQualityWarning
from landshift.scene import Pass

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from landshift.acquire.tiles import TileReader

__all__ = ["check_offsets", "suspicions"]

CHANGE: Final = datetime(2022, 1, 25, tzinfo=UTC)
"""When baseline 04.00 came into use."""
QUANTILE: Final = 0.001
"""Share of the pixels that count as darkest ground."""
DOUBLED: Final = -0.05
"""Reflectance of the darkest ground below which an offset was taken off twice."""
FORGOTTEN: Final = 0.07
"""Rise of the darkest ground since the change above which an offset was forgotten."""
LOOKS: Final = 6
"""Dates that are looked at on either side of the change."""


def check_offsets(
    passes: Mapping[str, Sequence[Pass]],
    bands: Mapping[str, Sequence[str]],
    geobox: GeoBox,
    reader: TileReader,
) -> int:
    """Look at a few decimated dates of every Sentinel-2 source and warn where their offset cannot be right.

    Args:
        passes: Dates by source.
        bands: Bands by source.
        geobox: The place's grid.
        reader: Open files and kept tiles.

    Returns:
        How many sources are suspicious.
    """
    found = 0
    for name, groups in passes.items():
        if not groups or not groups[0].scenes[0].sensor.startswith("sentinel-2") or not bands[name]:
            continue
        before = _spread([group for group in groups if group.time < CHANGE])
        after = _spread([group for group in groups if group.time >= CHANGE])
        band = next(
            (band for band in ("swir22", "swir16", "nir", "nir08", "red") if band in bands[name]),
            bands[name][0],
        )
        dark = [_darkest(part, band, geobox, reader) for part in (before, after)]
        for reason in suspicions(*dark):
            found += 1
            warnings.warn(
                f"source {name}: {reason} (darkest 0.1 % of {band}); name the provider's rule with `offset`"
                " in a folder source, or take another collection",
                DataQualityWarning,
                stacklevel=2,
            )
    return found


def suspicions(before: Sequence[float], after: Sequence[float]) -> list[str]:
    """What the darkest ground before and after the change says.

    Args:
        before: Reflectance of the darkest ground of dates before January 2022; NaN where nothing was clear.
        after: The same of later dates.

    >>> suspicions([0.01, 0.02, 0.01], [0.01, 0.02])
    []
    >>> suspicions([0.01, 0.02, 0.01], [-0.09, -0.08])
    ['the offset of baseline 04.00 seems to be taken off twice: darkest ground is at -0.085']
    >>> suspicions([0.01, 0.02, 0.01], [0.11, 0.12])
    ['the offset of baseline 04.00 seems to be forgotten: darkest ground rose by 0.105 in January 2022']
    """
    old, new = (np.asarray(part)[np.isfinite(part)] for part in (before, after))
    if new.size and np.median(new) < DOUBLED:
        level = float(np.median(new))
        return [f"the offset of baseline 04.00 seems to be taken off twice: darkest ground is at {level:.3f}"]
    if old.size and np.median(old) < DOUBLED:
        return [
            f"an offset seems to be taken off that was never put on: darkest ground is at {np.median(old):.3f}"
        ]
    if old.size and new.size and np.median(new) - np.median(old) > FORGOTTEN:
        rise = float(np.median(new) - np.median(old))
        return [
            f"the offset of baseline 04.00 seems to be forgotten: darkest ground rose by {rise:.3f} in January 2022"
        ]
    return []


def _spread(groups: Sequence[Pass]) -> list[Pass]:
    """A few dates, evenly spread."""
    if len(groups) <= LOOKS:
        return list(groups)
    return [groups[int(at)] for at in np.linspace(0, len(groups) - 1, LOOKS)]


def _darkest(groups: Sequence[Pass], band: str, geobox: GeoBox, reader: TileReader) -> list[float]:
    """Reflectance of the darkest clear ground of every date, at about 256 pixels across."""
    from landshift.acquire.read import read
    from landshift.sensor import QUALITY

    if not groups:
        return []
    factor = max(1, max(geobox.shape) // 256)
    coarse = geobox.zoom_out(factor) if factor > 1 else geobox
    cube = read(groups, coarse, bands=(band,), resampling="nearest", on_error="skip", reader=reader)
    values = cube["reflectance"].values[:, 0]
    clear = np.isin(cube["quality"].values, [QUALITY["clear"], QUALITY["water"]]) & np.isfinite(values)
    return [
        float(np.quantile(look[seen], QUANTILE)) if seen.sum() > 100 else float("nan")
        for look, seen in zip(values, clear, strict=True)
    ]
