"""Decoded tiles of source rasters, decoded once and shared between blocks.

Source tiles are often larger than a block, and several blocks need the same one. A :class:`TileReader` holds
decoded tiles, least recently used out first, within a bound of bytes. Two blocks that want a tile at the same
moment decode it once. Reading single windows without neighbours needs none of that: ``held_bytes=0``.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar

from numpy.typing import NDArray

from landshift.acquire.datasets import Datasets, Header, Raster
from landshift.acquire.memory import Recycler
from landshift.acquire.recent import Recent
from landshift.errors import SceneError
from landshift.kernel.resample import Warp

__all__ = ["WARP_BYTES", "TileCache", "TileReader"]

WARP_BYTES: Final = 128 * 2**20
"""Bound of the coordinates kept for the bands and dates still to come."""
VIEWED: Final = 9
"""Tiles decoded together are kept as views of one array, up to this many; more are copied apart."""


class TileCache(Protocol):
    """A cache of decoded tiles that outlives the run; see ``acquire.cache``."""

    def get(self, key: str) -> NDArray[Any] | None:
        """The tile, or None."""
        ...

    def put(self, key: str, tile: NDArray[Any]) -> None:
        """Keep a tile."""
        ...

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was noted of a file, or None."""
        ...

    def note(self, key: str, facts: dict[str, Any]) -> None:
        """Note plain values of a file."""
        ...


class TileReader:
    """Reads windows of rasters; share one between the blocks of a run.

    Args:
        threads: Threads that read bands and dates of one block side by side.
        held_bytes: Bound of decoded tiles kept for neighbouring blocks; 0 keeps none. Half as much again is kept of
            the memory of cubes and windows, for the next block.
        max_open: Bound of idle open datasets; by default half of the files that the process may open.
        cache: A cache of decoded tiles on disk.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        held_bytes: int = 256 * 2**20,
        max_open: int | None = None,
        cache: TileCache | None = None,
    ) -> None:
        self.threads, self.held_bytes, self.cache = threads, held_bytes, cache
        self.max_open = _may_open() if max_open is None else max_open
        self._name = uuid.uuid4().hex
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._calls = itertools.count()
        self._datasets = Datasets(max_open=self.max_open, notes=cache)
        self._tiles: Recent[_Key, NDArray[Any]] = Recent(weight=lambda tile: tile.nbytes, bound=held_bytes)
        self.memory = Recycler(idle_bytes=held_bytes // 2)
        """Memory of cubes, windows and tiles that nobody holds any more."""
        self.warps: Recent[object, Warp] = Recent(weight=lambda warp: warp.rows.nbytes * 2, bound=WARP_BYTES)
        """Coordinates of blocks on source grids; see :mod:`landshift.acquire.placement`."""
        self.placements: Recent[object, Any] = Recent(weight=lambda _: 1, bound=64)
        """Where the latest blocks lie on source grids."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        """A copy in another process has the same settings and its own files, one for all blocks of that process."""
        return (_rebuild, (self._name, self.threads, self.held_bytes, self.max_open, self.cache))

    def close(self) -> None:
        """Close idle files and threads; the reader stays usable."""
        self._datasets.close()
        self.memory.clear()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def environment(self) -> AbstractContextManager[object]:
        """GDAL's settings of one thread; see :meth:`Datasets.environment`."""
        return self._datasets.environment()

    def helpers(self, work: Callable[[], None], *, number: int) -> list[Future[None]]:
        """Let up to ``threads - 1`` helpers do the same as the calling thread.

        They are kept between calls.

        Args:
            work: Takes what there is to do from a shared list, until nothing is left.
            number: How many helpers would find something to do.
        """
        count = min(self.threads - 1, number)
        if count < 1:
            return []
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="read")
            return [self._pool.submit(work) for _ in range(count)]

    def ordered(self, tasks: Sequence[Task]) -> list[Task]:
        """Bring what one window needs into an order of its own; the first window's is as given, as a single one's is.

        Neighbouring blocks that are read side by side in one order meet at every tile, and wait for each other.

        Args:
            tasks: What is to be read.
        """
        number = next(self._calls)
        return random.Random(number).sample(tasks, len(tasks)) if number else list(tasks)  # noqa: S311 - no secret

    def header(self, raster: Raster, level: int = 0) -> Header:
        """Grid, types and tiles of a raster; see :meth:`Datasets.header`."""
        return self._datasets.header(raster, level)

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
            SceneError: The file is damaged, lacks a band, or holds numbers that are not real, or of several types.
            NetworkError: Its server does not answer.
        """
        header = self.header(raster, level)
        lacking = [index for index in indexes if index > len(header.dtypes)]
        if lacking:
            raise SceneError(
                f"no band {lacking[0]} in the file",
                where=raster.shown,
                got=f"{len(header.dtypes)} bands",
                hint="name the bands in the order of the file: `bands = [...]`",
            )
        kinds = sorted({header.dtypes[index - 1] for index in indexes})
        if len(kinds) > 1 or kinds[0].startswith("complex"):
            raise SceneError(
                "bands of one file must be of one real type",
                where=raster.shown,
                got=kinds,
                hint="write them with one type; of complex numbers take amplitude or intensity first",
            )
        job = _Job(raster, tuple(indexes), level, kinds[0])
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
                every = not whole or (self.cache is not None and job.raster.remote)
                used_up = extent == (rows, cols)  # as where blocks and tiles coincide
                keep = [tile for tile in run if every or (_outer(tile, run) and not used_up)]
                for tile in keep:  # a view keeps the whole patch alive: only where all of it is kept
                    part = _cut(patch, extent, _extent(tile, tile, header))
                    found[tile] = part if len(keep) == len(run) <= VIEWED else part.copy()
                    self._keep(job, tile, found[tile])
                if whole:
                    return _cut(patch, extent, (rows, cols))
        finally:
            self._tiles.release(ours)
        for key in theirs:
            held = self._tiles.wait(key)
            found[key[1]] = self._decode(job, *_extent(key[1], key[1], header)) if held is None else held
        first = next(iter(found.values()))
        out = self.memory.empty((first.shape[0], rows.stop - rows.start, cols.stop - cols.start), first.dtype)
        _join(found, header, (rows, cols), out)
        return out

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
        where = f"{job.raster.shown}, band {_listed(job.indexes)}, rows {rows.start}-{rows.stop}, columns {cols.start}-{cols.stop}"
        shape = (len(job.indexes), rows.stop - rows.start, cols.stop - cols.start)
        with self._datasets.lend(job.raster, job.level, where) as dataset:
            pixels: NDArray[Any] = dataset.read(
                list(job.indexes), window=window, out=self.memory.empty(shape, job.dtype)
            )
        return pixels


@dataclass(frozen=True, slots=True)
class _Job:
    """Some bands of a raster at one level."""

    raster: Raster
    indexes: tuple[int, ...]
    level: int
    dtype: str

    def key(self, tile: _Tile) -> str:
        """The tile's name in a cache on disk."""
        return "|".join(map(str, (self.raster.href, self.raster.variable, self.indexes, self.level, *tile)))


Task = TypeVar("Task")
_Tile: TypeAlias = tuple[int, int]
_Key: TypeAlias = tuple[_Job, _Tile]
_Extent: TypeAlias = tuple[slice, slice]


_COPIES: Final[Recent[str, TileReader]] = Recent(weight=lambda _: 1, bound=1)
"""The latest reader that came from another process: every block brings it along anew."""


def _may_open() -> int:
    """A block needs every file of a place, and opening one is dear: as many as are wise, 2048 at most."""
    if sys.platform == "win32":
        return 256
    import resource

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2048 if allowed == resource.RLIM_INFINITY else max(32, min(4096, allowed) // 2)


def _rebuild(name: str, threads: int, held_bytes: int, max_open: int, cache: TileCache | None) -> TileReader:
    def make() -> TileReader:
        return TileReader(threads=threads, held_bytes=held_bytes, max_open=max_open, cache=cache)

    return _COPIES.get(name, make)


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


def _join(found: Mapping[_Tile, NDArray[Any]], header: Header, window: _Extent, out: NDArray[Any]) -> None:
    """Put a window together from tiles."""
    for tile, pixels in found.items():
        extent = _extent(tile, tile, header)
        rows, cols = (
            slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(extent, window, strict=True)
        )
        _cut(out, window, (rows, cols))[...] = _cut(pixels, extent, (rows, cols))


def _listed(indexes: Sequence[int]) -> str:
    return ", ".join(map(str, indexes))
