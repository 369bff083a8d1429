"""A plan: the independent blocks of space that a stage has to do, who does them, and what is already done.

The place's grid is cut into square blocks, whole shards of the store. Each block is read once, computed in
memory and written once; nothing one block does depends on another, so any executor in any order gives the
same bytes. The journal keeps one small file per finished block: a killed run loses the blocks in flight.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures import (
    Executor as PoolExecutor,
)
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from landshift.errors import StoreError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

__all__ = [
    "BLOCK_PX",
    "Block",
    "Executor",
    "Journal",
    "Plan",
    "ProcessExecutor",
    "SerialExecutor",
    "ThreadExecutor",
    "cores",
    "partial_name",
    "plan_blocks",
    "strips_of",
    "tiles_of",
    "write_atomic",
]

BLOCK_PX: Final = 512
"""Side of a block, and of a shard, in pixels."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Block:
    """A rectangle of the grid: pixels ``y[0]:y[1]``, ``x[0]:x[1]``."""

    row: int
    """Row of blocks, from the top."""
    col: int
    """Column of blocks, from the left."""
    y: tuple[int, int]
    """First row of pixels and the one past the last."""
    x: tuple[int, int]
    """First column of pixels and the one past the last."""

    @property
    def name(self) -> str:
        """Its name in the journal, such as ``r0002c0011``."""
        return f"r{self.row:04d}c{self.col:04d}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        return (self.y[1] - self.y[0], self.x[1] - self.x[0])

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns as slices of the whole grid."""
        return (slice(*self.y), slice(*self.x))

    def geobox(self, whole: GeoBox, *, halo: int = 0) -> GeoBox:
        """The block's own grid, grown by ``halo`` pixels on every side (beyond the place's edge too)."""
        part = whole[self.slices]
        return part.pad(halo, halo) if halo else part


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The blocks of a grid that have to be done, in reading order."""

    geobox: GeoBox
    """The whole grid."""
    block_px: int
    """Side of a block in pixels."""
    blocks: tuple[Block, ...]
    """Blocks to do, row by row."""


def plan_blocks(geobox: GeoBox, *, block_px: int = BLOCK_PX, geometry: Geometry | None = None) -> Plan:
    """Cut a grid into blocks, in reading order.

    Args:
        geobox: The grid.
        block_px: Side of a block in pixels; those at the right and bottom edge may be smaller.
        geometry: Keeps only blocks that touch it (any CRS).

    >>> from odc.geo.geobox import GeoBox
    >>> grid = GeoBox.from_bbox((0, 0, 13000, 6000), "EPSG:3035", resolution=10)
    >>> [(block.name, block.shape) for block in plan_blocks(grid).blocks][::5]
    [('r0000c0000', (512, 512)), ('r0001c0002', (88, 276))]
    """
    height, width = geobox.shape
    blocks = [
        Block(row=row, col=col, y=(y, min(y + block_px, height)), x=(x, min(x + block_px, width)))
        for row, y in enumerate(range(0, height, block_px))
        for col, x in enumerate(range(0, width, block_px))
    ]
    if geometry is not None:
        outline = geometry if geobox.crs is None else geometry.to_crs(geobox.crs)
        blocks = [block for block in blocks if block.geobox(geobox).extent.intersects(outline)]
    return Plan(geobox=geobox, block_px=block_px, blocks=tuple(blocks))


def tiles_of(block: Block, *, side: int) -> tuple[Block, ...]:
    """Cut a block into tiles of at most ``side`` pixels, for a computation that must stay in a memory limit.

    >>> block = Block(row=0, col=1, y=(0, 512), x=(512, 900))
    >>> [(tile.y, tile.x) for tile in tiles_of(block, side=300)][:2]
    [((0, 300), (512, 812)), ((0, 300), (812, 900))]
    """
    return tuple(
        Block(
            row=block.row, col=block.col, y=(y, min(y + side, block.y[1])), x=(x, min(x + side, block.x[1]))
        )
        for y in range(block.y[0], block.y[1], side)
        for x in range(block.x[0], block.x[1], side)
    )


def strips_of(tile: Block, *, pixels: int) -> tuple[Block, ...]:
    """Cut a tile into strips of whole rows with about so many pixels, one row at least.

    >>> tile = Block(row=0, col=0, y=(0, 100), x=(0, 512))
    >>> [strip.y for strip in strips_of(tile, pixels=20_000)]
    [(0, 39), (39, 78), (78, 100)]
    """
    rows = max(1, pixels // tile.shape[1])
    return tuple(
        Block(row=tile.row, col=tile.col, y=(y, min(y + rows, tile.y[1])), x=tile.x)
        for y in range(*tile.y, rows)
    )


@dataclass(frozen=True, kw_only=True)
class Journal:
    """What is done: one small file per finished block, in ``out/.landshift/``, never in the store."""

    folder: Path
    """Folder of this stage's journal."""
    key: str
    """Key of the stage; records of another key do not count."""

    def path(self, name: str) -> Path:
        """File of one record."""
        return self.folder / self.key / f"{name}.json"

    def done(self, name: str) -> bool:
        """Whether a block, or another named piece of work, is finished."""
        return self.path(name).is_file()

    def names(self) -> frozenset[str]:
        """All that is finished."""
        return frozenset(file.stem for file in (self.folder / self.key).glob("*.json"))

    def finish(self, name: str, record: Mapping[str, Any]) -> None:
        """Note that a piece of work is finished, with what is to be counted of it."""
        write_atomic(self.path(name), json.dumps(dict(record), sort_keys=True).encode())

    def records(self) -> dict[str, dict[str, Any]]:
        """All records of this key by name, sorted."""
        files = sorted((self.folder / self.key).glob("*.json"))
        return {file.stem: json.loads(file.read_text()) for file in files}


def cores() -> int:
    """Cores that this process may use: fewer than the machine has, where a scheduler or container says so."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def partial_name(path: Path) -> Path:
    """A name to write a file or folder under before it is renamed: no two calls share one, on any machine.

    Args:
        path: The name it will have. What a kill leaves ends in ``.partial`` and is removed by the next run.
    """
    return path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.partial")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under a name of its own first, then renamed.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    partial = partial_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path.name}: {error.strerror}",
            where=path.parent,
            hint="free some space or choose another output folder; a second run goes on where this one stopped",
        ) from error


class Executor(Protocol):
    """Who does the work: anything that takes blocks and gives results, in any order."""

    @property
    def workers(self) -> int:
        """How many blocks are in flight at once."""
        ...

    def run(self, work: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[tuple[Block, Result]]:
        """Do all blocks; yield each with its result as soon as it is done.

        The first exception stops the run: blocks in flight end, no further one starts, and it is raised.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SerialExecutor:
    """One block after another, in this thread."""

    workers: int = 1
    """Always 1."""

    def run(self, work: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[tuple[Block, Result]]:
        """See :class:`Executor`."""
        for block in blocks:
            yield block, work(block)


@dataclass(frozen=True, kw_only=True)
class ThreadExecutor:
    """Threads of this process: decoding, kernels and encoding all release the GIL."""

    workers: int
    """How many blocks are in flight at once."""

    def run(self, work: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[tuple[Block, Result]]:
        """See :class:`Executor`."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="block") as pool:
            yield from _as_completed(pool, work, blocks, self.workers)


@dataclass(frozen=True, kw_only=True)
class ProcessExecutor:
    """Processes of this machine; work and blocks must pickle."""

    workers: int
    """How many blocks are in flight at once."""
    start_method: str = field(default="forkserver")
    """How processes start; never ``fork``, which copies held locks."""

    def run(self, work: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[tuple[Block, Result]]:
        """See :class:`Executor`."""
        with ProcessPoolExecutor(self.workers, mp_context=get_context(self.start_method)) as pool:
            yield from _as_completed(pool, work, blocks, self.workers)


def _as_completed(
    pool: PoolExecutor, work: Callable[[Block], Result], blocks: Iterable[Block], workers: int
) -> Iterator[tuple[Block, Result]]:
    """Keep ``workers`` blocks in flight, no more: results do not pile up and a failure stops the rest."""
    waiting = iter(blocks)
    flying: dict[Future[Result], Block] = {}
    try:
        while True:
            while len(flying) < workers and (block := next(waiting, None)) is not None:
                flying[pool.submit(work, block)] = block
            if not flying:
                return
            ready, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in sorted(ready, key=lambda future: flying[future]):
                yield flying.pop(future), future.result()
    finally:
        for future in flying:
            future.cancel()
