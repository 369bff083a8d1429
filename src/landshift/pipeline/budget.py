"""How the memory limit is shared out: programs, kept source tiles, blocks. It decides the cut, never the bytes written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from landshift.acquire.tiles import WARP_BYTES
from landshift.config import bytes_of
from landshift.errors import counted
from landshift.pipeline.watch import sized
from landshift.plan import BLOCK_PX, cores

if TYPE_CHECKING:
    from landshift.config.tables import Engine

__all__ = ["Budget", "Load", "Room", "memory_of"]

PROGRAM: Final = 600 * 10**6
"""Bytes of a process that builds a block of a few pixels (581 MB measured): the interpreter, libraries, compiled code."""
SLACK: Final = 0.08
"""Share of the limit for what the allocator keeps and what is just being decoded and encoded (6 % measured)."""
HELD: Final = 0.25
"""Share of the rest for decoded source tiles that wait for neighbouring blocks, and for memory that waits for cubes."""
IDLE: Final = 0.5
"""Memory that waits for cubes, as a share of the tiles that wait; see :class:`landshift.acquire.tiles.TileReader`."""
MARGIN_PX: Final = 60
"""Halo of a tile and its coordinates, on both sides together."""
SMALLEST_PX: Final = 32
"""Side of the smallest tile."""
COARSE_PX: Final = 128
"""Side below which a tile is mostly halo: rather fewer blocks at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A machine, or one worker of a cluster, as far as memory goes."""

    memory: int
    """Limit in bytes, all its processes together."""
    workers: int
    """Blocks in flight at most."""
    processes: int = 1
    """Processes that workers are spread over; each has its own decoded tiles."""
    parent: bool = False
    """Whether a further process hands the blocks out."""
    fixed: bool = False
    """Whether somebody else decides that all workers are busy, as the scheduler of a cluster does."""

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """The room that a recipe's table ``[engine]`` gives: of this machine, or of each worker of its cluster."""
        if engine.cluster is not None:
            from landshift.cluster import DaskExecutor

            threads, limit = DaskExecutor(address=engine.cluster).smallest
            return cls(memory=min(memory_of(engine.memory, limit), limit), workers=threads, fixed=True)
        memory, workers = memory_of(engine.memory), engine.workers or cores()
        if engine.executor == "processes":
            return cls(memory=memory, workers=workers, processes=workers, parent=True)
        return cls(memory=memory, workers=1 if engine.executor == "serial" else workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a block takes."""

    block: tuple[int, int]
    """Rows and columns of the largest block."""
    blocks: float
    """Area of the place in whole blocks: narrow ones at the edge keep nobody busy."""
    tile: int
    """Bytes in flight per pixel of a tile."""
    strip: int
    """Bytes in flight of the strip that products are made in."""
    stored: int
    """Bytes per pixel of finished products, as they are written."""

    def bytes(self, side: int, threads: int) -> int:
        """Bytes of a block in flight that is cut into tiles of a side, some at once.

        Args:
            side: Side of a tile in pixels.
            threads: Tiles at once.
        """
        rows, cols = self.block
        tile = (min(side, rows) + MARGIN_PX) * (min(side, cols) + MARGIN_PX)
        return self.stored * rows * cols + threads * (self.strip + self.tile * tile)

    def tiles(self, side: int) -> int:
        """How many tiles of a side a block is cut into."""
        return math.prod(math.ceil(length / side) for length in self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The memory limit, shared out."""

    memory: int
    """The limit in bytes."""
    held_bytes: int
    """Decoded source tiles that each process keeps."""
    at_once: int
    """Blocks in flight."""
    threads: int
    """Tiles of a block at once."""
    tile_px: int
    """Side of a tile."""
    busy: int
    """Workers that have something to do."""
    fits: bool = True
    """False where the limit is below the least that works."""

    @classmethod
    def of(cls, room: Room, load: Load) -> Self:
        """The most blocks at once, in the largest tiles, that stay below the limit; else the least that works.

        Args:
            room: Where it is done.
            load: What is done.
        """
        for at_once, threads, side in _cuts(room, load):
            processes = min(room.processes, at_once)
            rest = (
                int((1 - SLACK) * room.memory) - PROGRAM * (processes + room.parent) - WARP_BYTES * processes
            )
            tight = rest < room.memory // 4
            rest = max(rest, room.memory // 4)
            flying = min(at_once, math.ceil(load.blocks))
            found = cls(
                memory=room.memory,
                held_bytes=int(HELD * rest / (1 + IDLE)) // processes,
                at_once=at_once,
                threads=threads,
                tile_px=side,
                busy=min(room.workers, flying * threads),
                fits=not tight and flying * load.bytes(side, threads) <= (1 - HELD) * rest,
            )
            if found.fits:
                break
        return found

    def __str__(self) -> str:
        blocks = f"{counted(self.at_once, 'block')} at once"
        tiles = f"{counted(self.threads, 'tile')} of {self.tile_px} px each"
        kept = f"{sized(self.held_bytes)} of source tiles kept by each process"
        short = "" if self.fits else "; more than that will be taken, for this is the least that works"
        return f"{sized(self.memory)}: {blocks}, {tiles}, {kept}{short}"


def _cuts(room: Room, load: Load) -> Iterator[tuple[int, int, int]]:
    """Blocks at once, tiles of each at once, and their side: the quickest first, the smallest last.

    Rather fewer blocks, and fewer tiles of one, than tiles that are mostly halo.
    """
    most = min(room.workers, math.ceil(load.blocks))
    for at_once in (room.workers,) if room.fixed else range(most, 0, -1):
        for threads in range(max(1, round(room.workers / min(at_once, load.blocks))), 0, -1):
            side = BLOCK_PX if threads == 1 else BLOCK_PX // 2
            while side >= COARSE_PX:
                if load.tiles(side) >= threads:
                    yield at_once, threads, side
                side //= 2
    while side >= SMALLEST_PX:
        yield at_once, 1, side
        side //= 2


def memory_of(text: str, whole: int | None = None) -> int:
    """The memory limit in bytes.

    Args:
        text: ``"8GB"``, or a share of the whole.
        whole: Bytes that there are; by default what this machine has free now.
    """
    return bytes_of(text, where="engine.memory", whole=whole or _free())


def _free(root: Path = Path("/")) -> int:
    """What the machine has free, or the group of processes that a container or a scheduler has put this one into."""
    info = root / "proc/meminfo"
    free = 4 * 2**30
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    return max(0, min([free, *_left_to_groups(root)]))


def _left_to_groups(root: Path) -> Iterator[int]:
    """Limit less usage of every control group above this process; cached files do not count as used, they give way."""
    file = root / "proc/self/cgroup"
    for line in file.read_text().splitlines() if file.is_file() else ():
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if kinds else "")
        own = top / path.lstrip("/")
        for group in (own, *own.parents):
            if group.is_relative_to(top):
                yield from _left(group, *(_V1 if kinds else _V2))


_V1: Final = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2: Final = ("memory.max", "memory.current", "inactive_file")
"""Files of a control group that tell its limit and usage, and the line of ``memory.stat`` that tells of cached files."""


def _left(group: Path, limit: str, usage: str, cached: str) -> Iterator[int]:
    try:
        most, used = (group / limit).read_text().strip(), int((group / usage).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:  # no such group is seen from here
        return
    if most != "max":
        yield int(most) - used + int(stat.get(cached, 0))
