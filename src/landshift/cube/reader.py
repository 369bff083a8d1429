"""Reading a store: slices decode just the chunks they touch, in threads, straight to float32.

zarr-python reads the same files (plain ``xarray.open_zarr`` works on every store), but its many small tasks
per chunk and the way through float64 cost ten times as long for whole blocks.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from landshift.cube.codec import decode_chunk, index_bytes, read_index, restore
from landshift.cube.layout import Array
from landshift.errors import StoreError
from landshift.plan import cores

__all__ = ["StoredArray"]

Pick = slice | NDArray[np.intp]
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Part:
    """What one chunk gives along one dimension: its number, where from, and where to."""

    number: int
    take: Pick
    put: Pick


@dataclass(frozen=True, slots=True)
class _Job:
    """Some chunks of one file: the row and column of its block, their number in it, and what they give."""

    file: Path
    block: tuple[int, int]
    chunks: list[tuple[int, tuple[_Part, ...]]]


class StoredArray(BackendArray):
    """One variable of a store as xarray's lazy arrays want it.

    Args:
        path: The store.
        array: The variable.
        blocks: Rows and columns of the blocks that the store was made for; outside of them nothing is expected.
        stored: Whether the stored numbers are given as they are, without scale.
    """

    def __init__(
        self, path: Path | str, array: Array, *, blocks: Collection[tuple[int, int]], stored: bool = False
    ) -> None:
        self.path, self.array, self.blocks = Path(path), array, blocks
        self.shape = array.shape
        self.scale = None if stored else array.kind.scale
        self.dtype = np.dtype(array.kind.dtype if self.scale is None else np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Values of a selection, as xarray asks for it: along each dimension alone, or pointwise."""
        if isinstance(key, (indexing.BasicIndexer, indexing.OuterIndexer)):
            return self.read(key.tuple)
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.read)

    def read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Read an outer selection.

        Args:
            key: A number, a slice or an array of positions per dimension.

        Returns:
            Values, float32 with NaN for missing where the variable has a scale, else as stored; dimensions
            selected by a number are dropped.

        Raises:
            StoreError: A file is damaged, or not there.
        """
        picked = [np.arange(n)[part] for n, part in zip(self.shape, key, strict=True)]
        flat = [np.atleast_1d(part) for part in picked]
        out = np.full([len(part) for part in flat], self._missing, self.dtype)
        if out.size:
            self._fill(out, flat)
        return out.reshape([n for n, part in zip(out.shape, picked, strict=True) if part.ndim])

    @property
    def _missing(self) -> float:
        return self.array.kind.fill if self.scale is None else math.nan

    def _fill(self, out: NDArray[Any], picked: list[NDArray[np.intp]]) -> None:
        """Decode all touched chunks into place; threads of a pool, where Blosc keeps to one thread each."""
        jobs = list(self._jobs([_parts(where, n) for where, n in zip(picked, self.array.chunk, strict=True)]))
        workers = min(cores(), len(jobs))
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            for _ in pool.map(functools.partial(self._place, out), jobs):
                pass

    @property
    def _per_shard(self) -> tuple[int, ...]:
        """Chunks in a shard, along each dimension."""
        return tuple(whole // part for whole, part in zip(self.array.shard, self.array.chunk, strict=True))

    def _jobs(self, parts: list[list[_Part]]) -> Iterator[_Job]:
        """The touched files, each with a few of the touched chunks in it."""
        per = self._per_shard
        files: dict[tuple[int, ...], list[tuple[int, tuple[_Part, ...]]]] = {}
        for combined in itertools.product(*parts):
            shard = tuple(part.number // n for part, n in zip(combined, per, strict=True))
            inside = [part.number % n for part, n in zip(combined, per, strict=True)]
            files.setdefault(shard, []).append((int(np.ravel_multi_index(inside, per)), combined))
        for shard, chunks in files.items():
            file = self.path.joinpath(self.array.name, "c", *map(str, shard))
            at = dict(zip(self.array.dims, shard, strict=True))
            for first in range(0, len(chunks), _AT_ONCE):
                yield _Job(file, (at["y"], at["x"]), chunks[first : first + _AT_ONCE])

    def _place(self, out: NDArray[Any], job: _Job) -> None:
        """Decode some chunks of one file into place; what is not stored stays missing."""
        count = math.prod(self._per_shard)
        try:
            with job.file.open("rb") as source:
                size = source.seek(0, os.SEEK_END)
                source.seek(max(size - index_bytes(count), 0))
                index = read_index(source.read(), size, count)
                for number, parts in job.chunks:
                    offset, length = index[number]
                    if length:
                        source.seek(offset)
                        self._put(out, decode_chunk(source.read(length), self.array), parts)
        except FileNotFoundError as error:
            if job.block in self.blocks:
                raise StoreError(
                    "a part of the cube is not there",
                    where=job.file,
                    hint="it is not built yet, or was removed: run again, which makes it",
                ) from error
        except StoreError as error:
            hint = "`landshift check` lists what is damaged; remove the file and run again to write it anew"
            raise StoreError(error.message, where=job.file, got=error.got, hint=hint) from error

    def _put(self, out: NDArray[Any], chunk: NDArray[Any], parts: tuple[_Part, ...]) -> None:
        """Lay what is wanted of a chunk where it belongs."""
        taken = chunk.reshape(self.array.chunk)[_outer([part.take for part in parts])]
        out[_outer([part.put for part in parts])] = (
            taken if self.scale is None else restore(taken, self.scale)
        )


def _parts(wanted: NDArray[np.intp], length: int) -> list[_Part]:
    """Which chunks hold the wanted positions of a dimension, and where in them and in the result."""
    numbers = wanted // length
    found = []
    for number in np.unique(numbers):
        put = np.flatnonzero(numbers == number)
        found.append(_Part(int(number), _as_slice(wanted[put] - number * length), _as_slice(put)))
    return found


def _as_slice(positions: NDArray[np.intp]) -> Pick:
    if len(positions) == 1 or (np.diff(positions) == 1).all():
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _outer(picks: list[Pick]) -> tuple[Any, ...]:
    """An index that picks along each dimension alone, as a view where it can be one."""
    if all(isinstance(pick, slice) for pick in picks):
        return tuple(picks)
    return np.ix_(*(np.arange(pick.start, pick.stop) if isinstance(pick, slice) else pick for pick in picks))
