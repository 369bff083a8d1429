"""Small GeoTIFFs and NetCDFs for tests, each a few kilobytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin


@dataclass(frozen=True, kw_only=True)
class Tiff:
    """What a small GeoTIFF is like."""

    crs: str | None = "EPSG:32633"
    origin: tuple[float, float] = (500_000.0, 5_600_000.0)
    pixel: float = 10.0
    size: int = 32
    bands: int = 1
    dtype: str = "uint16"
    nodata: float | None = 0
    names: Sequence[str] = ()
    tags: Mapping[str, str] | None = None
    driver: str = "GTiff"
    block: int = 16


def write(path: Path, tiff: Tiff | None = None, pixels: NDArray[np.generic] | None = None) -> Path:
    """Write a small GeoTIFF; by default its pixels count upwards from 1."""
    kind = tiff or Tiff()
    shape = (kind.bands, kind.size, kind.size)
    if pixels is None:
        pixels = (np.arange(np.prod(shape)) % 9000 + 1).reshape(shape).astype(kind.dtype)
    tiles = (
        {"blocksize": kind.block}
        if kind.driver == "COG"
        else {"tiled": True, "blockxsize": kind.block, "blockysize": kind.block}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver=kind.driver,
        width=pixels.shape[-1],
        height=pixels.shape[-2],
        count=pixels.shape[0],
        dtype=pixels.dtype,
        crs=kind.crs,
        transform=from_origin(*kind.origin, kind.pixel, kind.pixel),
        nodata=kind.nodata,
        compress="deflate",
        **tiles,
    ) as file:
        file.write(pixels)
        for number, name in enumerate(kind.names, start=1):
            file.set_band_description(number, name)
        if kind.tags:
            file.update_tags(**kind.tags)
    return path
