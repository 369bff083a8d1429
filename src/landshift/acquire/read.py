"""Read one window of many scenes onto one grid: the only place where files become a cube.

Every pixel is resampled at most once, from stored numbers to values in one pass; where grids coincide pixels
are copied. Bands are gathered as asked for (bilinear), quality always from the nearest pixel of the full
resolution, decoded into our classes. Granules of one overpass are fused: per pixel the first clear look, else
the first valid one, by item id. A pixel that lacks one wanted band, or is ``nodata`` in the quality layer,
is NaN in all bands and ``nodata`` in quality.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landshift.acquire.datasets import Header, Raster
from landshift.acquire.frame import assemble, quantity_of
from landshift.acquire.fuse import merge, settle
from landshift.acquire.placement import Placement, placement_of, surroundings, touches, window_of
from landshift.acquire.tiles import TileReader
from landshift.errors import ConfigError, SceneError, did_you_mean
from landshift.kernel.resample import Method, Patch, Stored, copy, copy_codes, gather, gather_codes
from landshift.scene import BandFile, Pass, QualityFile, Scene
from landshift.sensor import QUALITY, quality_table

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Needed", "needed", "read"]

OnError = Literal["raise", "skip"]
METHODS: Final = get_args(Method)
ON_ERROR: Final = get_args(OnError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What reading will cost."""

    bytes_decoded: int = 0
    """Bytes of all tiles that are touched, decoded."""
    bytes_needed: int = 0
    """Bytes of the pixels that are used."""
    tiles: int = 0
    """Tiles that are touched."""

    def __add__(self, other: Needed) -> Needed:
        """The cost of both, nothing shared."""
        return Needed(
            bytes_decoded=self.bytes_decoded + other.bytes_decoded,
            bytes_needed=self.bytes_needed + other.bytes_needed,
            tiles=self.tiles + other.tiles,
        )


def read(
    passes: Sequence[Pass],
    geobox: GeoBox,
    *,
    bands: Sequence[str],
    whole: GeoBox | None = None,
    resampling: Method = "bilinear",
    on_error: OnError = "raise",
    reader: TileReader | None = None,
) -> xr.Dataset:
    """Read scenes onto a grid, as a cube in memory.

    Args:
        passes: Dates, as :func:`landshift.scene.passes` groups them; all of one quantity.
        geobox: The grid.
        bands: Bands by common name, in the order of the cube; may be empty.
        whole: The place's grid that ``geobox`` is a block of: it decides which overviews are read, so that a place
            gives the same pixels however it is cut. None where ``geobox`` is the place.
        resampling: ``bilinear``, ``nearest``, ``cubic`` or ``average``.
        on_error: ``raise``, or ``skip``: a scene with a damaged file is left out and listed in the attribute
            ``read_errors`` (item, where, error). A server that does not answer always raises.
        reader: Open files, kept tiles and threads; share one between blocks.

    Returns:
        The cube: ``reflectance`` (time, band, y, x), or ``backscatter`` (time, pol, y, x) or ``index``
        (time, index, y, x), float32 with NaN for missing; ``quality`` uint8 (time, y, x), codes of
        ``sensor.QUALITY``; where a scene has no quality layer, valid pixels are clear.

    Raises:
        ConfigError: An argument is wrong, or the passes differ in quantity.
        SceneError: A file cannot be used, and ``on_error`` is ``raise``.
        NetworkError: A server does not answer.
    """
    for name, value, allowed in (("resampling", resampling, METHODS), ("on_error", on_error, ON_ERROR)):
        if value not in allowed:
            raise ConfigError(f"unknown {name} {value!r}", hint=did_you_mean(str(value), allowed))
    quantity_of(passes)
    job = _Reading(
        geobox=geobox,
        whole=whole or geobox,
        bands=tuple(bands),
        resampling=resampling,
        skip=on_error == "skip",
        reader=reader or TileReader(held_bytes=0),
    )
    memory = job.reader.memory  # not cleared here: each look is filled by the thread that reads it
    values = memory.empty((len(passes), len(bands), *geobox.shape), np.float32)
    codes = memory.empty((len(passes), *geobox.shape), np.uint8)
    try:
        job.run(passes, values, codes)
    finally:
        if reader is None:
            job.reader.close()
    cube = assemble(passes, geobox, bands=bands, values=values, quality=codes)
    if job.errors:
        cube.attrs["read_errors"] = job.errors
    return cube


def needed(
    passes: Sequence[Pass],
    geobox: GeoBox,
    *,
    bands: Sequence[str],
    resampling: Method = "bilinear",
    reader: TileReader | None = None,
) -> Needed:
    """Say what reading will cost, from headers alone; tiles that blocks share count once.

    Args:
        passes: Dates.
        geobox: The grid.
        bands: Bands by common name.
        resampling: As in :func:`read`.
        reader: Open files and headers.

    Raises:
        SceneError: A file cannot be opened.
        NetworkError: A server does not answer.
    """
    reader = reader or TileReader()
    total = Needed()
    around = surroundings(geobox)
    for scene in (scene for group in passes for scene in group.scenes if touches(scene, around)):
        files = [
            (Raster(href=file.href, variable=file.variable), file.index, resampling)
            for file in (_file(scene, band) for band in bands)
        ]
        if scene.quality:
            layer = scene.quality
            files.append((Raster(href=layer.href, variable=layer.variable), layer.index, "nearest"))
        for raster, index, method in files:
            found = window_of(reader, raster, geobox, method)
            if found:
                total += _cost(found, reader.header(raster, found.level), index)
    return total


_Work: TypeAlias = tuple[str, Callable[[], object]]
"""What to do, and the address of the file that is read."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One call of :func:`read`."""

    geobox: GeoBox
    whole: GeoBox
    bands: tuple[str, ...]
    resampling: Method
    skip: bool
    reader: TileReader
    errors: list[dict[str, str]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def run(self, passes: Sequence[Pass], values: NDArray[np.float32], codes: NDArray[np.uint8]) -> None:
        """Read the first scene of every date straight into the cube, bands side by side; then fuse the others."""
        around = surroundings(self.geobox)
        chosen = [
            [s for s in group.scenes if s.id not in group.lost and touches(s, around)] for group in passes
        ]
        looks = []
        for number, scenes in enumerate(chosen):
            if scenes:
                looks.append(_Look(scene=scenes[0], values=values[number], codes=codes[number]))
            else:
                values[number], codes[number] = np.nan, QUALITY["nodata"]
        self.map(self.reader.ordered([task for look in looks for task in self.tasks(look)]))
        rest = [(values[k], codes[k], scenes[1:]) for k, scenes in enumerate(chosen) if scenes[1:]]
        self.map([partial(self.fuse, *later) for later in rest])
        self.errors.sort(key=lambda record: (record["item"], record["where"]))

    def map(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Do all tasks, on the reader's threads; the first failure is raised."""
        waiting = deque(tasks)

        def work() -> None:
            with self.reader.environment():
                while True:
                    try:
                        task = waiting.popleft()
                    except IndexError:  # nothing left
                        return
                    try:
                        task()
                    except BaseException:
                        waiting.clear()
                        raise

        helpers = self.reader.helpers(work, number=len(waiting) - 1)
        try:
            work()
        finally:
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def fuse(self, values: NDArray[np.float32], codes: NDArray[np.uint8], scenes: Sequence[Scene]) -> None:
        """Add the later scenes of a date."""
        for scene in scenes:
            look = _Look(scene=scene, values=np.empty_like(values), codes=np.empty_like(codes))
            for task in self.tasks(look):
                task()
            merge(values, codes, look.values, look.codes)

    def tasks(self, look: _Look) -> list[Callable[[], None]]:
        """What has to be read of a scene: its quality, and its bands file by file."""
        groups: dict[Raster, list[tuple[int, BandFile]]] = {}
        for number, band in enumerate(self.bands):
            if band not in look.scene.bands:
                return self.guard(look, [(look.scene.id, partial(_file, look.scene, band))])
            file = look.scene.bands[band]
            groups.setdefault(Raster(href=file.href, variable=file.variable), []).append((number, file))
        works: list[_Work] = [
            (raster.shown, partial(self.read_bands, look, raster, files)) for raster, files in groups.items()
        ]
        layer = look.scene.quality
        if layer:
            shown = Raster(href=layer.href, variable=layer.variable).shown
            works.append((shown, partial(self.read_quality, look, layer)))
        return self.guard(look, works)

    def guard(self, look: _Look, works: Sequence[_Work]) -> list[Callable[[], None]]:
        """Make tasks: damage becomes a record, where it is to be skipped; the last one finishes the look."""
        if not works:
            self.finish(look)
        pending = [len(works)]

        def guarded(work: _Work) -> None:
            self.attempt(look, *work)
            with self.lock:
                pending[0] -= 1
                last = not pending[0]
            if last:
                self.finish(look)

        return [partial(guarded, work) for work in works]

    def attempt(self, look: _Look, where: str, work: Callable[[], object]) -> None:
        """Do a part of a look; damage becomes a record, where it is to be skipped."""
        try:
            work()
        except SceneError as error:  # a network error passes: it must not leave a hole that stays
            if not self.skip:
                raise
            with self.lock:
                look.failed.append(error.message)
                self.errors.append({"item": look.scene.id, "where": where, "error": error.message})

    def read_bands(self, look: _Look, raster: Raster, files: Sequence[tuple[int, BandFile]]) -> None:
        """Read the bands that one file holds."""
        header = look.grids[raster] = self.reader.header(raster)
        found = placement_of(self.reader, raster, self.geobox, self.resampling, whole=self.whole)
        if found is None or (found.warp is None and found.at != _all_of(self.geobox)):
            look.values[[number for number, _ in files]] = np.nan
        if found is None:
            return
        indexes = [file.index for _, file in files]
        pixels = self.reader.read(raster, indexes, found.rows, found.cols, level=found.level)
        for (number, file), layer in zip(files, pixels, strict=True):
            nodata = header.nodata[file.index - 1] if file.nodata is None else file.nodata
            stored = Stored(nodata=nodata, scale=file.scale, offset=file.offset)
            out = look.values[number][found.at]
            if found.warp is None:
                copy(layer, stored=stored, out=out)
            else:
                patch = Patch(pixels=layer, origin=(found.rows.start, found.cols.start))
                gather(patch, found.warp, method=self.resampling, stored=stored, out=out)

    def read_quality(self, look: _Look, layer: QualityFile) -> None:
        """Read a quality layer and decode it."""
        raster = Raster(href=layer.href, variable=layer.variable)
        look.grids[raster] = self.reader.header(raster)
        found = placement_of(self.reader, raster, self.geobox, "nearest")
        look.codes[...] = QUALITY["nodata"]
        if found is None:
            return
        codes = _codes(self.reader.read(raster, [layer.index], found.rows, found.cols)[0])
        table = quality_table(layer.rule)
        if found.warp is None:
            copy_codes(codes, table=table, out=look.codes[found.at])
        else:
            patch = Patch(pixels=codes, origin=(found.rows.start, found.cols.start))
            gather_codes(patch, found.warp, table=table, out=look.codes)

    def finish(self, look: _Look) -> None:
        """Make bands and quality of a scene agree; a scene that failed is gone."""
        if odd := look.odd_one():
            self.attempt(look, odd.shown, partial(look.refuse, odd))
        if look.failed:
            look.values[...] = np.nan
            look.codes[...] = QUALITY["nodata"]
            return
        if not look.scene.quality:
            look.codes[...] = QUALITY["clear"]
        if self.bands:
            settle(look.values, look.codes)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """One scene of one date, while it is read."""

    scene: Scene
    values: NDArray[np.float32]
    codes: NDArray[np.uint8]
    failed: list[str] = field(default_factory=list)
    grids: dict[Raster, Header] = field(default_factory=dict)
    """Headers of its files, in the order in which they happened to be read."""

    @property
    def files(self) -> list[Raster]:
        """Its files by address: what is said of them must not depend on the order in which they were read."""
        return sorted(self.grids, key=lambda raster: (raster.href, raster.variable or ""))

    def odd_one(self) -> Raster | None:
        """The first file in another reference system than the very first."""
        files = self.files
        return next((file for file in files[1:] if self.grids[file].crs != self.grids[files[0]].crs), None)

    def refuse(self, odd: Raster) -> NoReturn:
        """Refuse a scene whose files are in different reference systems."""
        first = self.files[0]
        raise SceneError(
            f"files of scene {self.scene.id} are in different coordinate reference systems",
            where=odd.shown,
            got=f"{_short(self.grids[odd])} here, {_short(self.grids[first])} in {first.shown}",
            hint="one of them is mislabelled or of another scene: warp it to the others' system, or leave it out",
        )


def _all_of(geobox: GeoBox) -> tuple[slice, slice]:
    """Rows and columns of a whole grid."""
    return slice(0, geobox.shape[0]), slice(0, geobox.shape[1])


def _codes(pixels: NDArray[Any]) -> NDArray[Any]:
    """Codes as unsigned numbers of at most 16 bits; what a file holds beyond them is clipped, NaN is 0."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        return pixels
    codes: NDArray[np.uint16] = np.clip(np.nan_to_num(pixels), 0, 65535).astype(np.uint16)
    return codes


def _short(header: Header) -> str:
    return f"EPSG:{header.crs.epsg}" if header.crs.epsg else str(header.crs)[:60]


def _file(scene: Scene, band: str) -> BandFile:
    if band not in scene.bands:
        raise SceneError(f"scene {scene.id} has no band {band!r}", hint=did_you_mean(band, scene.bands))
    return scene.bands[band]


def _cost(found: Placement, header: Header, index: int) -> Needed:
    size = np.dtype(header.dtypes[index - 1]).itemsize
    counts, spans, used = [], [], []
    for part, side, length in zip((found.rows, found.cols), header.tile, header.shape, strict=True):
        first, last = part.start // side, -(-part.stop // side)
        counts.append(last - first)
        spans.append(min(last * side, length) - first * side)
        used.append(part.stop - part.start)
    return Needed(
        bytes_decoded=spans[0] * spans[1] * size,
        bytes_needed=used[0] * used[1] * size,
        tiles=counts[0] * counts[1],
    )
