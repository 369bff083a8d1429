"""Folders of files as a source: adopted into pystac items, never copied.

Tried in this order, each file used once: Landsat Collection 2 products; rasters with their STAC item beside them;
Sentinel-2 directories of one file per band; NetCDF files with a time coordinate; any other raster with a date.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from landshift.acquire import geotiff, landsat, netcdf, sentinel2, sidecar
from landshift.acquire.making import Group
from landshift.acquire.query import Query, SearchResult, Skipped
from landshift.errors import ConfigError, DataQualityWarning, NoScenesError, SceneError
from landshift.sensor import QualityRule
from landshift.step import step

if TYPE_CHECKING:
    import pystac

__all__ = ["Folder", "adopt"]

_SUFFIXES = (".tif", ".tiff", *sorted(netcdf.SUFFIXES))


@step(kind="source")
class Folder:
    """Files of a folder, whatever their layout."""

    path: str
    """The folder, or one file."""
    pattern: str | None = None
    """Which files, such as ``"*.tif"`` (anywhere below) or ``"2020/*.nc"``; by default all GeoTIFF and NetCDF files."""
    date: str | None = None
    """Format found in the name (``"%Y%m%d"``), name of a tag or coordinate, or one date for all files."""
    bands: tuple[str, ...] = ()
    """Bands wanted, by name where the files describe their bands, else in file order; for NetCDF the variables."""
    scale: float | None = None
    """Value = stored number x scale + offset; by default what the files say."""
    offset: float | None = None
    """See ``scale``."""
    nodata: float | None = None
    """Stored number that means no data; by default what the files say."""
    mask: str | None = None
    """Quality layer: a band or variable (``"CLM"``), or a pattern of file names (``"*_mask.tif"``)."""
    mask_rule: QualityRule = "mask"
    """How the mask is read: ``mask`` (non-zero is cloud), ``valid`` (non-zero is clear), ``scl`` or ``qa_pixel``."""
    quantity: Literal["reflectance", "backscatter", "index"] | None = None
    """What the bands hold; by default told from their names."""
    platform: str = ""
    """Satellite, where the files do not say it."""

    def find(self, query: Query) -> SearchResult:
        """Adopt the files.

        Args:
            query: Of it the base folder, the sensor and the policy for errors.

        Raises:
            ConfigError: The folder does not exist.
            NoScenesError: No file fits the pattern.
            SceneError: A file is unusable and such files are not to be skipped.
        """
        root = query.base / Path(self.path).expanduser()
        items: list[pystac.Item] = []
        skipped: list[Skipped] = []
        for group in _groups(self, root, query.sensor):
            try:
                items += group.make()
            except SceneError as error:
                if query.on_error == "raise":
                    raise
                skipped.append(Skipped(id=group.name, reason=error.message))
        return SearchResult(items=tuple(self._say(item) for item in items), skipped=tuple(skipped))

    def _say(self, item: pystac.Item) -> pystac.Item:
        """Lay what the user says of the numbers over what the files say, in every layout."""
        if self.offset is not None:
            item.properties["landshift:offset"] = self.offset
        said = {"scale": self.scale, "offset": self.offset, "nodata": self.nodata}
        given = {key: value for key, value in said.items() if value is not None}
        for asset in item.assets.values() if given else ():
            if "data" in (asset.roles or []):
                rasters = asset.extra_fields.get("raster:bands") or [{}]
                asset.extra_fields["raster:bands"] = [{**raster, **given} for raster in rasters]
        return item


def adopt(folder: Folder | str | Path, *, on_error: Literal["raise", "skip"] = "raise") -> list[pystac.Item]:
    """Make pystac items over local files, without copying them.

    Args:
        folder: A folder or file that says enough about itself, or a :class:`Folder` that adds what it does not say.
        on_error: Whether a file that cannot be used stops, or is left out with a warning.

    Returns:
        Items by time and id; their assets point at the files.

    Raises:
        SceneError: A file cannot be used: no CRS, no date, corrupt, cut off, bands that do not fit.
    """
    origin = folder if isinstance(folder, Folder) else Folder(path=str(folder))
    found = origin.find(Query(on_error=on_error))
    if found.skipped:
        listed = "; ".join(f"{skipped.id}: {skipped.reason}" for skipped in found.skipped[:5])
        warnings.warn(f"{len(found.skipped)} files left out: {listed}", DataQualityWarning, stacklevel=2)
    return sorted(found.items, key=lambda item: (str(item.datetime), item.id))


def _groups(folder: Folder, root: Path, sensor: str | None) -> list[Group]:
    files = _files(root, folder.pattern)
    if not files:
        allowed = folder.pattern or " ".join(f"*{suffix}" for suffix in _SUFFIXES)
        raise NoScenesError(
            "no file fits", where=root, allowed=allowed, hint='give `pattern`, such as "*.tif"'
        )
    made, used = landsat.groups(files)
    files = _without(files, used)
    for finder in (sidecar.groups, lambda rest: sentinel2.groups(rest, date=folder.date)):
        more, used = finder(files)
        made += more
        files = _without(files, used)
    cubes = [file for file in files if file.suffix.lower() in netcdf.SUFFIXES]
    made += netcdf.groups(cubes, folder=folder, sensor=sensor)
    made += geotiff.groups(_without(files, set(cubes)), folder=folder, root=_folder_of(root), sensor=sensor)
    return made


def _files(root: Path, pattern: str | None) -> list[Path]:
    """Files below a folder; a pattern without a folder in it is looked for at any depth."""
    if not root.exists():
        raise ConfigError(
            "the folder does not exist",
            where="path",
            got=str(root),
            hint="paths are relative to the recipe's folder",
        )
    if root.is_file():
        return [root]
    if pattern is None:
        found: Iterable[Path] = (file for file in root.rglob("*") if file.suffix.lower() in _SUFFIXES)
    else:
        found = root.glob(pattern) if "/" in pattern else root.rglob(pattern)
    return sorted(file for file in found if file.is_file() and not file.name.startswith("."))


def _folder_of(root: Path) -> Path:
    return root if root.is_dir() else root.parent


def _without(files: Sequence[Path], used: set[Path]) -> list[Path]:
    return [file for file in files if file not in used]
