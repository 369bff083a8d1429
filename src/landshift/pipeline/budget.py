"""How the memory limit is shared out: programs, kept source tiles, blocks. It decides the cut, never the bytes written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from landshift.config import bytes_of
from landshift.pipeline.watch import sized
from landshift.plan import cores

if TYPE_CHECKING:
    from landshift.config.tables import Engine

__all__ = ["Budget", "Load", "Room", "memory_of"]

PROGRAM: Final = 600 * 10**6
"""Bytes of a process that builds a block of a few pixels (581 MB measured): the interpreter, libraries, compiled code."""
HELD: Final = 0.25
"""Share of the rest for decoded source tiles that wait for neighbouring blocks."""
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

    block_px: int
    """Side of a block."""
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
        return self.stored * self.block_px**2 + threads * (self.strip + self.tile * (side + MARGIN_PX) ** 2)


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
            rest = room.memory - PROGRAM * (processes + room.parent)
            tight = rest < room.memory // 4
            rest = max(rest, room.memory // 4)
            busy = min(at_once, max(1, round(load.blocks)))
            found = cls(
                memory=room.memory,
                held_bytes=int(HELD * rest) // processes,
                at_once=at_once,
                threads=threads,
                tile_px=side,
                fits=not tight and busy * load.bytes(side, threads) <= (1 - HELD) * rest,
            )
            if found.fits:
                break
        return found

    def __str__(self) -> str:
        blocks = f"{self.at_once} block{'s' * (self.at_once > 1)} at once"
        tiles = f"{self.threads} tile{'s' * (self.threads > 1)} of {self.tile_px} px each"
        kept = f"{sized(self.held_bytes)} of source tiles kept by each process"
        short = "" if self.fits else "; more than that will be taken, for this is the least that works"
        return f"{sized(self.memory)}: {blocks}, {tiles}, {kept}{short}"


def _cuts(room: Room, load: Load) -> Iterator[tuple[int, int, int]]:
    """Blocks at once, tiles of each at once, and their side: the quickest first, the smallest last.

    Rather fewer blocks, and fewer tiles of one, than tiles that are mostly halo.
    """
    for at_once in (room.workers,) if room.fixed else range(room.workers, 0, -1):
        most = max(1, round(room.workers / min(at_once, load.blocks)))
        for threads in range(most, 0, -1):
            side = load.block_px if threads == 1 else load.block_px // 2
            while side >= COARSE_PX:
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


def _free() -> int:
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 4 * 2**30
