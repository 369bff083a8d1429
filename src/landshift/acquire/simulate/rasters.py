"""Write arrays as Cloud Optimized GeoTIFFs: whole or not at all, and the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import StoreError

__all__ = ["make_folder", "write_cog"]

_LARGE: Final = 640


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        StoreError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the folder {path.name}: {error.strerror}",
            where=path.parent,
            hint="choose a folder that can be written",
        ) from error


def write_cog(  # noqa: PLR0913 - what a raster file is made of
    path: Path,
    values: NDArray[Any],
    *,
    corner: tuple[float, float],
    pixel_m: float,
    crs: str,
    nodata: float | None = 0,
    names: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a raster.

    Args:
        path: The file.
        values: Pixels as (y, x) or (bands, y, x).
        corner: Easting and northing of the upper left corner.
        pixel_m: Pixel size.
        crs: Authority code.
        nodata: The number that means no data.
        names: Descriptions of the bands.
        tags: Tags of the file.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.transform import from_origin

    layers = values[np.newaxis] if values.ndim == 2 else values
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    side = 512 if max(layers.shape[1:]) > _LARGE else 256
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            partial,
            "w",
            driver="COG",
            height=layers.shape[1],
            width=layers.shape[2],
            count=layers.shape[0],
            dtype=layers.dtype,
            crs=crs,
            transform=from_origin(*corner, pixel_m, pixel_m),
            nodata=nodata,
            compress="DEFLATE",
            level=6,
            predictor="YES",
            blocksize=side,
            overviews="AUTO",
            overview_resampling="average" if nodata == 0 and layers.dtype != np.uint8 else "nearest",
        ) as target:
            target.write(layers)
            if names:
                target.descriptions = tuple(names)
            target.update_tags(SIMULATED="yes", **(tags or {}))
        partial.replace(path)
    except (RasterioError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path.name}: {error}",
            where=path.parent,
            hint="free some space or choose another folder; a second run goes on where this one stopped",
        ) from error
