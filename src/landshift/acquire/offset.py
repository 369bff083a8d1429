"""The guard against Sentinel-2's offset being taken off twice, or not at all.

Since processing baseline 04.00 (25 January 2022) stored numbers are 1000 higher. What an item says of it decides how
a scene is read; whether that is so, its darkest pixels tell: water, shadow and dense forest reflect next to nothing
in some band. A scene whose darkest thousandth lies below -0.05 in reflectance has lost the offset twice; one whose
darkest thousandth lies above 0.09 in every band has probably kept it. The second is only a doubt: a bright desert
looks the same, so it is asked of scenes since that day alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from landshift import sensor as sensors
from landshift.acquire.datasets import Raster
from landshift.errors import DataQualityWarning, NetworkError, SceneError

if TYPE_CHECKING:
    from landshift.acquire.tiles import TileReader
    from landshift.scene import BandFile, Pass, Scene

__all__ = ["offset_doubts", "warn_of_offsets"]

_SINCE: Final = datetime(2022, 1, 25, tzinfo=UTC)
_TWICE: Final = -0.05
"""Reflectance below which no surface is."""
_KEPT: Final = 0.09
"""Reflectance above which a scene's darkest pixels seldom are, in all bands at once."""
_SAMPLE: Final = 3
"""Scenes looked at of each kind: the same offset, before or since that day."""
_BANDS: Final = ("blue", "green", "red", "nir", "nir08", "swir16", "swir22")
_WINDOW: Final = 1024
"""Side of the window read where a file has no overviews, in pixels."""


def offset_doubts(scenes: Iterable[Scene], reader: TileReader) -> list[str]:
    """Look at the darkest pixels of a few scenes, through their coarsest overviews.

    Args:
        scenes: Scenes of one source.
        reader: Reads them.

    Returns:
        A sentence for each scene whose offset is in doubt; empty for sensors without such an offset.
    """
    doubts = []
    for scene in _sample(scenes):
        try:
            dark = [_darkest(scene.bands[band], reader) for band in _BANDS if band in scene.bands]
        except (SceneError, NetworkError):
            continue  # what cannot be read is reported where it is read
        known = [value for value in dark if value is not None]
        if not known:
            continue
        if min(known) < _TWICE:
            doubts.append(
                f"{scene.id}: reflectance down to {min(known):.2f}: the offset of baseline 04.00 seems to be taken off "
                "twice; give `offset = 0` to the source, or an item that says boa_offset_applied"
            )
        elif min(known) > _KEPT and scene.time >= _SINCE and not any(_offset(scene)):
            doubts.append(
                f"{scene.id}: nothing is darker than {min(known):.2f}: the offset of baseline 04.00 may still be in "
                "these numbers; if so, give `offset = -0.1` to the source"
            )
    return doubts


def warn_of_offsets(groups: Iterable[Pass], reader: TileReader) -> None:
    """Warn of scenes of one source whose offset is in doubt; see :func:`offset_doubts`.

    Args:
        groups: Dates of the source.
        reader: Reads a few of their scenes.
    """
    for doubt in offset_doubts((scene for group in groups for scene in group.scenes), reader):
        warnings.warn(doubt, DataQualityWarning, stacklevel=2)


def _sample(scenes: Iterable[Scene]) -> list[Scene]:
    """A few scenes of each kind, spread over the series."""
    kinds: dict[tuple[tuple[float, ...], bool], list[Scene]] = {}
    for scene in scenes:
        if scene.sensor in sensors.names() and sensors.get(scene.sensor).baseline is not None:
            kinds.setdefault((_offset(scene), scene.time >= _SINCE), []).append(scene)
    return [scene for kind in kinds.values() for scene in kind[:: max(1, -(-len(kind) // _SAMPLE))]]


def _offset(scene: Scene) -> tuple[float, ...]:
    return tuple(sorted({band.offset for band in scene.bands.values()}))


def _darkest(file: BandFile, reader: TileReader) -> float | None:
    """Reflectance of the darkest thousandth of valid pixels; None where there are next to none."""
    raster = Raster(href=file.href, variable=file.variable)
    level = len(reader.header(raster).overviews)
    rows, cols = reader.header(raster, level).shape
    window = [_middle(length) for length in (rows, cols)]
    stored = reader.read(raster, [file.index], window[0], window[1], level=level)[0]
    valid = stored[np.isfinite(stored) & (stored != file.nodata)] if file.nodata is not None else stored
    if valid.size < 1000:
        return None
    return float(np.quantile(valid, 0.001)) * file.scale + file.offset


def _middle(length: int) -> slice:
    start = max(0, (length - _WINDOW) // 2)
    return slice(start, min(length, start + _WINDOW))
