"""Write arrays as Cloud Optimized GeoTIFFs: whole or not at all, and the same bytes every time."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from landshift.errors import StoreError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["CogWriter", "make_folder", "write_cog"]

_LARGE: Final = 640
"""Pixels along a side from which a file has overviews and tiles of 512 pixels."""
_ROOM: Final = "free some space or choose another folder; a second run goes on where this one stopped"


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


def write_cog(
    path: Path,
    values: NDArray[Any],
    *,
    corner: tuple[float, float],
    pixel_m: float,
    crs: str,
    nodata: float | None = 0,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a raster of one band.

    Args:
        path: The file.
        values: Pixels (y, x).
        corner: Easting and northing of the upper left corner.
        pixel_m: Pixel size.
        crs: Authority code.
        nodata: The number that means no data.
        tags: Tags of the file.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.transform import from_origin

    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            partial,
            "w",
            height=values.shape[0],
            width=values.shape[1],
            count=1,
            dtype=values.dtype,
            crs=crs,
            transform=from_origin(*corner, pixel_m, pixel_m),
            nodata=nodata,
            **_layout(values.shape, average=values.dtype != np.uint8),
        ) as target:
            target.write(values, 1)
            target.update_tags(SIMULATED="yes", **(tags or {}))
        partial.replace(path)
    except (RasterioError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path.name}: {error}", where=path.parent, hint=_ROOM) from error


def _layout(shape: tuple[int, ...], *, average: bool) -> dict[str, Any]:
    """Options of GDAL's COG driver for a raster of this size."""
    large = max(shape) > _LARGE
    return {
        "driver": "COG",
        "compress": "DEFLATE",
        "level": 1,
        "predictor": "YES",
        "blocksize": 512 if large else 256,
        "overviews": "AUTO" if large else "NONE",
        "overview_resampling": "average" if average else "nearest",
    }


class CogWriter:
    """Writes a raster of scaled numbers row by row; use it in a ``with`` block, the file appears at its end.

    Args:
        path: The file.
        geobox: Its grid.
        names: Names of its bands.
        scale: Value = stored number x scale; int16, -32768 for no data.
    """

    def __init__(self, path: Path, geobox: GeoBox, *, names: Sequence[str], scale: float) -> None:
        self.path, self.geobox, self.names, self.scale = path, geobox, tuple(names), scale
        self._raw = path.with_name(f"{path.name}.{os.getpid()}.raw.partial")
        self._lock = threading.Lock()
        self._target: Any = None

    def __enter__(self) -> Self:
        import rasterio

        make_folder(self.path.parent)
        self._target = rasterio.open(
            self._raw,
            "w",
            driver="GTiff",
            height=self.geobox.shape[0],
            width=self.geobox.shape[1],
            count=len(self.names),
            dtype="int16",
            crs=str(self.geobox.crs),
            transform=self.geobox.affine,
            nodata=-32768,
            tiled=True,
            interleave="band",
            BIGTIFF="IF_SAFER",
        )
        self._target.descriptions = self.names
        self._target.scales = (self.scale,) * len(self.names)
        self._target.update_tags(SIMULATED="yes")
        return self

    def write(self, rows: slice, values: NDArray[np.int16]) -> None:
        """Write whole rows of all bands (bands, y, x); threads may call it at the same time."""
        from rasterio.windows import Window

        with self._lock:
            self._target.write(values, window=Window(0, rows.start, values.shape[2], values.shape[1]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from rasterio.errors import RasterioError
        from rasterio.shutil import copy

        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            self._target.close()
            if kind is None:
                copy(self._raw, partial, **_layout(tuple(self.geobox.shape), average=True))
                partial.replace(self.path)
        except (RasterioError, OSError) as problem:
            raise StoreError(
                f"cannot write {self.path.name}: {problem}", where=self.path.parent, hint=_ROOM
            ) from problem
        finally:
            self._raw.unlink(missing_ok=True)
            partial.unlink(missing_ok=True)
