"""Decoded tiles of source rasters: open files are kept, tiles are decoded once and shared between blocks.

Source tiles are often larger than a block, and several blocks need the same one. A :class:`TileReader` keeps
open datasets (GDAL allows one thread at a time per dataset, so they are lent out), remembers headers, and holds
decoded tiles, least recently used out first, within a bound of bytes. Two blocks that want a tile at the same
moment decode it once. Reading single windows without neighbours needs none of that: ``held_bytes=0``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, Self, TypeAlias

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from landshift.acquire.recent import Recent
from landshift.errors import NetworkError, SceneError
from landshift.kernel.resample import Warp

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from rasterio.io import DatasetReader

__all__ = ["Header", "Raster", "TileCache", "TileReader"]

REMOTE_OPTIONS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": 5,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_TIMEOUT": 120,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "VSI_CACHE": True,
    "VSI_CACHE_SIZE": 5_000_000,
}
"""How GDAL reads over the network: no directory listings, retries, one larger first request."""

GDAL_CACHE_MB: Final = 64
"""GDAL's own cache of decoded blocks; its default, a twentieth of the memory, would escape our bound."""

WARP_BYTES: Final = 128 * 2**20
"""Bound of the coordinates kept for the bands and dates still to come."""

MIN_ROWS: Final = 256
"""Rasters stored in strips are read in tiles of at least this many rows."""


class TileCache(Protocol):
    """A cache of decoded tiles that outlives the run; see ``acquire.cache``."""

    def get(self, key: str) -> NDArray[Any] | None:
        """The tile, or None."""
        ...

    def put(self, key: str, tile: NDArray[Any]) -> None:
        """Keep a tile."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """The address of a raster: a file, or a variable of one."""

    href: str
    """Path or address; https:// and s3:// are read by range requests."""
    variable: str | None = None
    """Variable of a NetCDF or HDF5 file."""

    @property
    def name(self) -> str:
        """What GDAL calls it.

        >>> Raster(href="s3://bucket/a.tif").name, Raster(href="file:///d/a.nc", variable="NDVI").name
        ('/vsis3/bucket/a.tif', 'netcdf:"/d/a.nc":NDVI')
        """
        scheme, _, rest = self.href.partition("://")
        prefix = {"http": "/vsicurl/http://", "https": "/vsicurl/https://", "s3": "/vsis3/", "gs": "/vsigs/"}
        path = self.href if not rest else prefix.get(scheme, "") + rest
        return f'netcdf:"{path}":{self.variable}' if self.variable else path

    @property
    def remote(self) -> bool:
        """Whether it is read over the network."""
        return self.name.startswith(("/vsicurl/", "/vsis3/", "/vsigs/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of a raster without reading pixels."""

    crs: CRS
    """Its reference system."""
    affine: Affine
    """From pixels (column, row) to its CRS."""
    shape: tuple[int, int]
    """Rows and columns."""
    tile: tuple[int, int]
    """Rows and columns that are decoded together."""
    dtypes: tuple[str, ...]
    """Type of every band."""
    nodata: tuple[float | None, ...]
    """The file's own nodata of every band."""
    overviews: tuple[int, ...]
    """Factors of its overviews, ascending."""


class TileReader:
    """Reads windows of rasters; share one between the blocks of a run.

    Args:
        threads: Threads that read bands and dates of one block side by side.
        held_bytes: Bound of decoded tiles kept for neighbouring blocks; 0 keeps none.
        max_open: Bound of idle open datasets.
        cache: A cache of decoded tiles on disk.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        held_bytes: int = 256 * 2**20,
        max_open: int = 256,
        cache: TileCache | None = None,
    ) -> None:
        self.threads, self.held_bytes, self.max_open, self.cache = threads, held_bytes, max_open, cache
        self._idle: OrderedDict[tuple[str, int], list[DatasetReader]] = OrderedDict()
        self._lock = threading.Lock()
        self._headers: Recent[tuple[Raster, int], Header] = Recent(weight=lambda _: 1, bound=1_000_000)
        self._tiles: Recent[_Key, NDArray[Any]] = Recent(weight=lambda tile: tile.nbytes, bound=held_bytes)
        self.warps: Recent[object, Warp] = Recent(weight=lambda warp: warp.rows.nbytes * 2, bound=WARP_BYTES)
        """Coordinates of blocks on source grids; see :mod:`landshift.acquire.place`."""
        self.placements: Recent[object, Any] = Recent(weight=lambda _: 1, bound=64)
        """Where the latest blocks lie on source grids."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        """A copy in another process has the same settings and its own files."""
        return (_rebuild, (self.threads, self.held_bytes, self.max_open, self.cache))

    def close(self) -> None:
        """Close idle files; the reader stays usable."""
        with self._lock:
            idle = [dataset for datasets in self._idle.values() for dataset in datasets]
            self._idle.clear()
        for dataset in idle:
            dataset.close()

    def header(self, raster: Raster, level: int = 0) -> Header:
        """Grid, types and tiles of a raster.

        Args:
            raster: Its address.
            level: 0 is full resolution, 1 the first overview.

        Raises:
            SceneError: It cannot be opened or has no CRS.
            NetworkError: Its server does not answer.
        """

        def make() -> Header:
            with self._lent(raster, level) as dataset:
                return _header(dataset, raster)

        return self._headers.get((raster, level), make)

    def read(
        self, raster: Raster, indexes: Sequence[int], rows: slice, cols: slice, *, level: int = 0
    ) -> NDArray[Any]:
        """Decode a window of some bands of a raster.

        Args:
            raster: Its address.
            indexes: Bands, counted from 1.
            rows: Rows, inside the raster.
            cols: Columns, inside the raster.
            level: 0 is full resolution, 1 the first overview.

        Returns:
            (band, y, x) stored numbers.

        Raises:
            SceneError: The file is damaged or lacks a band.
            NetworkError: Its server does not answer.
        """
        header = self.header(raster, level)
        lacking = [index for index in indexes if index > len(header.dtypes)]
        if lacking:
            raise SceneError(
                f"no band {lacking[0]} in the file",
                where=raster.href,
                got=f"{len(header.dtypes)} bands",
                hint="name the bands in the order of the file: `bands = [...]`",
            )
        job = _Job(raster, tuple(indexes), level)
        if self.held_bytes == 0 and self.cache is None:
            return self._decode(job, rows, cols)
        return self._assemble(job, header, rows, cols)

    def _assemble(self, job: _Job, header: Header, rows: slice, cols: slice) -> NDArray[Any]:
        """Put a window together from tiles: kept ones, ours to decode, and those another thread decodes."""
        tiles = _tiles(header, rows, cols)
        kept, ours, theirs = self._tiles.claim([(job, tile) for tile in tiles])
        try:
            found = {key[1]: tile for key, tile in kept.items()} | self._from_disk(job, ours)
            missing = [key[1] for key in ours if key[1] not in found]
            for run in _runs(missing):
                extent = _extent(run[0], run[-1], header)
                patch = self._decode(job, *extent)
                whole = len(run) == len(tiles)
                for tile in run:
                    if not whole or _outer(tile, run):
                        found[tile] = _cut(patch, extent, _extent(tile, tile, header)).copy()
                        self._keep(job, tile, found[tile])
                if whole:
                    return _cut(patch, extent, (rows, cols))
        finally:
            self._tiles.release(ours)
        for key in theirs:
            held = self._tiles.wait(key)
            found[key[1]] = self._decode(job, *_extent(key[1], key[1], header)) if held is None else held
        return _join(found, header, rows, cols)

    def _from_disk(self, job: _Job, keys: Sequence[_Key]) -> dict[_Tile, NDArray[Any]]:
        """Tiles that the cache on disk has."""
        if self.cache is None:
            return {}
        found = {}
        for key in keys:
            tile = self.cache.get(job.key(key[1]))
            if tile is not None:
                found[key[1]] = tile
                self._tiles.keep(key, tile)
        return found

    def _keep(self, job: _Job, tile: _Tile, pixels: NDArray[Any]) -> None:
        self._tiles.keep((job, tile), pixels)
        if self.cache is not None:
            self.cache.put(job.key(tile), pixels)

    def _decode(self, job: _Job, rows: slice, cols: slice) -> NDArray[Any]:
        """Read pixels from the file."""
        from rasterio.windows import Window

        window = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
        where = f"{job.raster.href}, band {_listed(job.indexes)}, rows {rows.start}-{rows.stop}, columns {cols.start}-{cols.stop}"
        with self._lent(job.raster, job.level, where) as dataset:
            pixels: NDArray[Any] = dataset.read(list(job.indexes), window=window)
        return pixels

    @contextmanager
    def _lent(self, raster: Raster, level: int, where: str | None = None) -> Iterator[DatasetReader]:
        """Lend an open dataset to one thread; one that failed is closed, since GDAL remembers failures."""
        import rasterio

        key = (raster.name, level)
        with self._lock:
            waiting = self._idle.get(key)
            dataset = waiting.pop() if waiting else None
        options = {"GDAL_CACHEMAX": GDAL_CACHE_MB} | (REMOTE_OPTIONS if raster.remote else {})
        with rasterio.Env(**options):
            try:
                if dataset is None:
                    dataset = rasterio.open(raster.name, **({"overview_level": level - 1} if level else {}))
                yield dataset
            except (rasterio.errors.RasterioError, rasterio.errors.NotGeoreferencedWarning, OSError) as error:
                if dataset is not None:
                    dataset.close()
                _refuse(error, raster, where)
        self._give_back(key, dataset)

    def _give_back(self, key: tuple[str, int], dataset: DatasetReader) -> None:
        surplus = []
        with self._lock:
            self._idle.setdefault(key, []).append(dataset)
            self._idle.move_to_end(key)
            while sum(map(len, self._idle.values())) > self.max_open:
                oldest = next(iter(self._idle))
                surplus += self._idle.pop(oldest)
        for old in surplus:
            old.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """Some bands of a raster at one level."""

    raster: Raster
    indexes: tuple[int, ...]
    level: int

    def key(self, tile: _Tile) -> str:
        """The tile's name in a cache on disk."""
        return "|".join(map(str, (self.raster.href, self.raster.variable, self.indexes, self.level, *tile)))


_Tile: TypeAlias = tuple[int, int]
_Key: TypeAlias = tuple[_Job, _Tile]
_Extent: TypeAlias = tuple[slice, slice]


def _rebuild(threads: int, held_bytes: int, max_open: int, cache: TileCache | None) -> TileReader:
    return TileReader(threads=threads, held_bytes=held_bytes, max_open=max_open, cache=cache)


def _header(dataset: DatasetReader, raster: Raster) -> Header:
    from odc.geo.crs import CRS

    if not dataset.crs:
        gcps = bool(dataset.gcps[0])
        raise SceneError(
            "the file has no coordinate reference system" + (", only ground control points" if gcps else ""),
            where=raster.href,
            hint="warp it to a map projection first (gdalwarp)"
            if gcps
            else "write it into the file: `gdal_edit.py -a_srs EPSG:... FILE`, or name the variable of a NetCDF file",
        )
    height, width = dataset.block_shapes[0]
    return Header(
        crs=CRS(dataset.crs.to_wkt()),
        affine=Affine(*dataset.transform[:6]),
        shape=(dataset.height, dataset.width),
        tile=(height * -(-MIN_ROWS // height) if width >= dataset.width else height, width),
        dtypes=tuple(dataset.dtypes),
        nodata=tuple(dataset.nodatavals),
        overviews=tuple(dataset.overviews(1)),
    )


def _refuse(error: Exception, raster: Raster, where: str | None) -> NoReturn:
    """Say in our words why a file cannot be read."""
    cause = str(error.__cause__ or error).splitlines()[0]
    if raster.remote and "404" not in cause and "not recognized" not in cause:
        raise NetworkError(
            f"cannot read over the network: {cause}",
            where=where or raster.href,
            hint="check the connection and try again: what is done is kept; `landshift fetch` downloads first",
        ) from error
    raise SceneError(
        f"cannot read pixels: {cause}" if where else f"cannot open the file: {cause}",
        where=where or raster.href,
        hint='fetch the file again, or leave it out; `on_error = "skip"` leaves holes and counts them',
    ) from error


def _tiles(header: Header, rows: slice, cols: slice) -> list[_Tile]:
    """Tiles that a window touches, row by row."""
    height, width = header.tile
    return [
        (row, col)
        for row in range(rows.start // height, -(-rows.stop // height))
        for col in range(cols.start // width, -(-cols.stop // width))
    ]


def _extent(first: _Tile, last: _Tile, header: Header) -> _Extent:
    """Rows and columns from one tile to another."""
    sizes = zip(first, last, header.tile, header.shape, strict=True)
    rows, cols = (slice(low * side, min((high + 1) * side, size)) for low, high, side, size in sizes)
    return rows, cols


def _runs(tiles: Sequence[_Tile]) -> list[list[_Tile]]:
    """Cut tiles into rectangles that are decoded in one go: all of them, or runs within a row of tiles."""
    if not tiles:
        return []
    (top, left), (bottom, right) = (
        tuple(pick(tile[k] for tile in tiles) for k in (0, 1)) for pick in (min, max)
    )
    if len(tiles) == (bottom - top + 1) * (right - left + 1):
        return [sorted(tiles)]
    runs: list[list[_Tile]] = []
    for tile in sorted(tiles):
        if runs and runs[-1][-1] == (tile[0], tile[1] - 1):
            runs[-1].append(tile)
        else:
            runs.append([tile])
    return runs


def _outer(tile: _Tile, run: Sequence[_Tile]) -> bool:
    """Whether a tile is at the edge of a rectangle of tiles, where a neighbouring block may need it too."""
    return any(tile[k] in {run[0][k], run[-1][k]} for k in (0, 1))


def _cut(pixels: NDArray[Any], extent: _Extent, part: _Extent) -> NDArray[Any]:
    """The part of a window that another window inside it covers."""
    rows, cols = (
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(part, extent, strict=True)
    )
    return pixels[:, rows, cols]


def _join(found: Mapping[_Tile, NDArray[Any]], header: Header, rows: slice, cols: slice) -> NDArray[Any]:
    """Put a window together from tiles."""
    first = next(iter(found.values()))
    out = np.empty((first.shape[0], rows.stop - rows.start, cols.stop - cols.start), first.dtype)
    for tile, pixels in found.items():
        extent = _extent(tile, tile, header)
        part = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(extent, (rows, cols), strict=True)
        )
        _cut(out, (rows, cols), (part[0], part[1]))[...] = _cut(pixels, extent, (part[0], part[1]))
    return out


def _listed(indexes: Sequence[int]) -> str:
    return ", ".join(map(str, indexes))
