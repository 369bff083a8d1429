"""What a raster file says about itself, read once from its header; and whether it can be read at all.

A file that lies about its size is found here, before hours of work: a TIFF whose blocks point past its end was cut
off while it was copied.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from landshift.errors import SceneError

__all__ = ["RasterFacts", "look", "projection", "same_crs"]

_BLOCKS_TRIED: Final = 4096
"""Blocks per file whose place is checked; more are sampled evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterFacts:
    """Header of a raster file, or of one variable of a NetCDF file."""

    path: Path
    """The file."""
    crs: Any
    """rasterio CRS."""
    transform: tuple[float, float, float, float, float, float]
    """Affine transform, row by row: x = a col + b row + c, y = d col + e row + f."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """Type of the first band."""
    nodata: float | None
    """Stored number that means no data."""
    scales: tuple[float, ...]
    """Value = stored number x scale + offset, by band."""
    offsets: tuple[float, ...]
    """See ``scales``."""
    names: tuple[str, ...]
    """Descriptions of the bands; empty strings where there is none, or one that says nothing."""
    tags: Mapping[str, str]
    """Metadata of the file."""

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.names)

    @property
    def neutral(self) -> tuple[float, float] | tuple[None, None]:
        """Scale and offset where the file says none: floats are values already, integers are the sensor's numbers."""
        return (1.0, 0.0) if self.dtype.startswith("float") else (None, None)


def look(path: Path, *, variable: str | None = None) -> RasterFacts:
    """Read a file's header and check that its pixels are there.

    Args:
        path: A raster that GDAL reads.
        variable: Variable of a NetCDF or HDF5 file.

    Raises:
        SceneError: The file is corrupt, cut off, not a raster, or has no CRS.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    name = str(path) if variable is None else f'netcdf:"{path}":{variable}'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(name) as file:
                facts = _facts(path, file)
                torn = file.driver in {"GTiff", "COG"} and _is_torn(path, file)
    except RasterioError as error:
        raise SceneError(
            "corrupt or not a raster", where=path, got=_first_line(error), hint=_REPLACE
        ) from error
    if torn:
        raise SceneError(
            "cut off: pixels are missing at its end",
            where=path,
            got=f"{path.stat().st_size} bytes",
            hint=_REPLACE,
        )
    if facts.transform == _IDENTITY:
        hint = "write its grid into it (for NetCDF: x and y with their CF standard names, and a grid mapping)"
        raise SceneError("no georeferencing", where=path, hint=hint)
    if facts.crs is None:
        hint = (
            'write one into it: `gdal_edit.py -a_srs EPSG:... FILE`, or leave it out with on_error = "skip"'
        )
        raise SceneError("no CRS", where=path, hint=hint)
    return facts


_IDENTITY: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""What GDAL gives for a file that does not say where it lies."""
_REPLACE: Final = 'copy or download it again, or leave such files out with on_error = "skip"'


def projection(facts: RasterFacts) -> dict[str, Any]:
    """The STAC projection fields of a file.

    Args:
        facts: Its header.
    """
    epsg = facts.crs.to_epsg()
    fields: dict[str, Any] = {"proj:code": f"EPSG:{epsg}" if epsg else None}
    if not epsg:
        fields["proj:wkt2"] = facts.crs.to_wkt()
    else:
        fields["proj:epsg"] = epsg
    return {**fields, "proj:shape": list(facts.shape), "proj:transform": list(facts.transform)}


def same_crs(files: Sequence[RasterFacts], *, item: str) -> None:
    """Refuse files of one item that are in different CRS.

    Args:
        files: Headers of all files of the item.
        item: The item's id, for the message.

    Raises:
        SceneError: They are.
    """
    for first, other in itertools.pairwise(files):
        if other.crs != first.crs:
            raise SceneError(
                "its bands are in different CRS",
                where=item,
                got=[f"{file.path.name}: {file.crs.to_string()}" for file in (first, other)],
                hint="give bands of one grid zone, or keep the scenes in separate folders",
            )


def _facts(path: Path, file: Any) -> RasterFacts:
    return RasterFacts(
        path=path,
        crs=file.crs,
        transform=tuple(float(value) for value in file.transform[:6]),  # type: ignore[arg-type]  # six by construction
        shape=(file.height, file.width),
        dtype=file.dtypes[0],
        nodata=None if file.nodata is None else float(file.nodata),
        scales=tuple(float(value) for value in file.scales),
        offsets=tuple(float(value) for value in file.offsets),
        names=tuple(_telling(text) for text in file.descriptions),
        tags=dict(file.tags()),
    )


def _telling(description: str | None) -> str:
    """A band's description, unless it only repeats its number."""
    text = (description or "").strip()
    bare = text.lower().replace("_", " ").removeprefix("band").removeprefix("b").strip()
    return "" if bare.isdigit() and "band" in text.lower() else text


def _is_torn(path: Path, file: Any) -> bool:
    """Whether any of a TIFF's blocks, sampled evenly, lies beyond the end of the file."""
    size = os.path.getsize(path)  # noqa: PTH202 - one call for any path-like
    rows, cols = file.block_shapes[0]
    places = [(y, x) for y in range(-(-file.height // rows)) for x in range(-(-file.width // cols))]
    bands = (
        [file.count] if file.interleaving and file.interleaving.name == "pixel" else range(1, file.count + 1)
    )
    stride = max(1, len(places) * len(bands) // _BLOCKS_TRIED)
    for band in bands:
        for y, x in {*places[::stride], places[-1]}:
            start = file.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", band)
            length = file.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", band)
            if start and length and int(start) + int(length) > size:
                return True
    return False


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
