"""Numbers to bytes and back: rounding to int16, Blosc chunks with checksums, and shards as single files.

A shard is what Zarr's ``sharding_indexed`` codec defines (https://zarr-specs.readthedocs.io, v3): the encoded
chunks one after another in C order, then an index of offsets and lengths with its CRC-32C. It is written here
and not through zarr-python because a whole shard is in hand: each chunk is rounded, compressed and summed in
one go by one thread while its pixels are still in the cache, and the file appears at once or not at all.
Blosc runs with one thread per chunk: with several it gives other bytes on each run.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import google_crc32c
import numpy as np
from numba import njit
from numcodecs import blosc
from numpy.typing import NDArray

from landshift.cube.layout import MISSING, Array
from landshift.errors import StoreError

__all__ = [
    "LEVEL",
    "decode_chunk",
    "empty_chunk",
    "encode_chunk",
    "index_bytes",
    "join_shard",
    "quantise",
    "read_index",
    "restore",
    "split_shard",
    "take_chunk",
]

LEVEL: Final = 3
"""Zstandard level: 5 takes twice the time for 5 % less."""
LOW: Final = -32767
HIGH: Final = 32767
_ABSENT: Final = 2**64 - 1


@njit(cache=True, nogil=True, fastmath=False)
def _round_chunk(
    values: NDArray[np.float32],
    name: int,
    start: tuple[int, int, int],
    out: NDArray[np.int16],
    per_unit: float,
) -> tuple[int, int]:
    """Round one chunk half to even; NaN and what lies outside the values become the fill number.

    Args:
        values: (time, band, y, x), NaN = missing.
        name: Which band.
        start: First date, row and column.
        out: (time, y, x), overwritten.
        per_unit: Steps per unit, 1 / scale.

    Returns:
        How many values were clipped to the range, and how many are there at all.
    """
    times, _, height, width = values.shape
    rows, cols = min(out.shape[1], height - start[1]), min(out.shape[2], width - start[2])
    clipped, present = 0, 0
    for t in range(out.shape[0]):
        if t + start[0] >= times:
            out[t] = MISSING
            continue
        plane = values[t + start[0], name]
        for r in range(out.shape[1]):
            if r >= rows:
                out[t, r] = MISSING
                continue
            line = plane[r + start[1], start[2] : start[2] + cols]
            target = out[t, r]
            high, low, missing = 0, 0, 0
            for c in range(cols):
                step = np.rint(line[c] * per_unit)
                high += step > HIGH
                low += step < LOW
                kept = min(max(step, np.float64(LOW)), np.float64(HIGH))
                gone = step != step  # noqa: PLR0124 - NaN, in a form that vectorises
                missing += gone
                target[c] = np.int16(np.float64(MISSING) if gone else kept)
            target[cols:] = MISSING
            clipped += high + low
            present += cols - missing
    return clipped, present


def quantise(values: NDArray[np.float32], scale: float) -> tuple[NDArray[np.int16], int]:
    """Round values to stored numbers, half to even.

    Args:
        values: Any shape, NaN = missing.
        scale: Size of a step.

    Returns:
        Stored numbers, -32768 where missing, and how many values were clipped to -32767..32767.

    >>> stored, clipped = quantise(np.float32([0.25, np.nan, 9.9]), 1e-4)
    >>> stored.tolist(), clipped
    ([2500, -32768, 32767], 1)
    """
    flat = np.ascontiguousarray(values, dtype=np.float32)
    side = flat.shape[-1] if flat.ndim else 1
    out = np.empty((1, flat.size // max(side, 1), side), np.int16)
    clipped, _ = _round_chunk(flat.reshape(1, 1, *out.shape[1:]), 0, (0, 0, 0), out, 1 / scale)
    return out.reshape(flat.shape), int(clipped)


def restore(stored: NDArray[np.int16], scale: float) -> NDArray[np.float32]:
    """The inverse of :func:`quantise`: stored numbers to values, NaN where missing.

    >>> restore(np.int16([2500, -32768]), 1e-4).tolist()
    [0.25, nan]
    """
    out = np.empty(stored.shape, np.float32)
    _restore(np.ascontiguousarray(stored).reshape(-1), scale, out.reshape(-1))
    return out


@njit(cache=True, nogil=True, fastmath=False)
def _restore(stored: NDArray[np.int16], scale: float, out: NDArray[np.float32]) -> None:
    """Multiply in double precision, so that a value is the float32 nearest to number x scale."""
    for i in range(stored.size):
        out[i] = np.float32(np.nan) if stored[i] == MISSING else np.float32(stored[i] * scale)


def empty_chunk(array: Array) -> NDArray[Any]:
    """Memory for one chunk of a variable, as (time, y, x) in the stored type; its content is arbitrary."""
    return np.empty(array.plain_chunk, array.kind.dtype)


def take_chunk(
    array: Array, planes: NDArray[Any], name: int, start: tuple[int, int, int], *, chunk: NDArray[Any]
) -> tuple[NDArray[Any] | None, int]:
    """Cut one chunk out of a block, rounded to the stored type and padded with the fill number.

    Args:
        array: The variable.
        planes: The block as (time, band, y, x): values as float32, or stored numbers.
        name: Which band.
        start: First date, row and column in the block.
        chunk: Memory for it, of the shape and type that :func:`empty_chunk` gives; used again for the next one.

    Returns:
        ``chunk`` as (time, y, x), or None where it holds the fill number alone; and the clipped values.
    """
    kind = array.kind
    if kind.scale is not None and planes.dtype == np.float32:
        clipped, present = _round_chunk(planes, name, start, chunk, 1 / kind.scale)
        return (chunk if present else None), int(clipped)
    times, rows, cols = (slice(first, first + n) for first, n in zip(start, chunk.shape, strict=True))
    found = planes[times, name, rows, cols]
    if found.shape != chunk.shape:
        chunk[...] = kind.fill
    chunk[tuple(slice(n) for n in found.shape)] = found
    return (None if _empty(chunk, kind.fill) else chunk), 0


def _empty(chunk: NDArray[Any], fill: float) -> bool:
    """Whether a chunk holds the fill number alone; its first number mostly tells."""
    if math.isnan(fill):
        return bool(np.isnan(chunk.flat[0]) and np.isnan(chunk).all())
    return bool(chunk.flat[0] == fill and (chunk == fill).all())


def encode_chunk(chunk: NDArray[Any]) -> bytes:
    """Compress a chunk (Blosc, Zstandard, bit shuffle) and add its CRC-32C.

    Call it from a thread that is not the main one: there, Blosc keeps to one thread.
    """
    packed: bytes = blosc.compress(chunk, b"zstd", LEVEL, blosc.BITSHUFFLE, 0, chunk.itemsize)
    return packed + struct.pack("<I", google_crc32c.value(packed))


def decode_chunk(encoded: bytes, array: Array) -> NDArray[Any]:
    """The inverse of :func:`encode_chunk`, as (time, y, x).

    Raises:
        StoreError: The checksum does not fit, or Blosc cannot decode it.
    """
    (said,) = struct.unpack("<I", encoded[-4:])
    if google_crc32c.value(encoded[:-4]) != said:
        raise StoreError("a chunk is damaged: its checksum does not fit")
    try:
        raw = blosc.decompress(encoded[:-4])
        return np.frombuffer(raw, array.kind.dtype).reshape(array.plain_chunk)
    except (RuntimeError, ValueError) as error:
        raise StoreError("a chunk is damaged: it cannot be decoded", got=str(error)) from error


def join_shard(chunks: list[bytes | None]) -> list[bytes]:
    """Parts of a shard file, in order: the chunks there are, then the index with its CRC-32C.

    >>> [len(part) for part in join_shard([b"abc", None])]
    [3, 32, 4]
    """
    index = np.full((len(chunks), 2), _ABSENT, "<u8")
    parts, offset = [], 0
    for number, chunk in enumerate(chunks):
        if chunk is not None:
            index[number] = offset, len(chunk)
            offset += len(chunk)
            parts.append(chunk)
    table = index.tobytes()
    return [*parts, table, struct.pack("<I", google_crc32c.value(table))]


def split_shard(content: bytes, count: int) -> list[bytes | None]:
    """Encoded chunks of a shard file, None where a chunk is not stored.

    Raises:
        StoreError: The file is cut short, or its index is damaged.
    """
    return [
        content[offset : offset + length] if length else None
        for offset, length in read_index(content[-index_bytes(count) :], len(content), count)
    ]


def index_bytes(count: int) -> int:
    """Size of the index at the end of a shard of so many chunks."""
    return count * 16 + 4


def read_index(tail: bytes, size: int, count: int) -> list[tuple[int, int]]:
    """Offset and length of each chunk of a shard, length 0 where a chunk is not stored.

    Args:
        tail: The last bytes of the file.
        size: Size of the file.
        count: Number of chunks in a shard.

    Raises:
        StoreError: The file is cut short, or its index is damaged.
    """
    if len(tail) < index_bytes(count):
        raise StoreError("a shard is cut short", got=f"{size} bytes", allowed=f"{index_bytes(count)} or more")
    table = tail[:-4]
    if struct.unpack("<I", tail[-4:])[0] != google_crc32c.value(table):
        raise StoreError("a shard is cut short or its index is damaged")
    found = [
        (0, 0) if offset == _ABSENT else (offset, length)
        for offset, length in np.frombuffer(table, "<u8").reshape(count, 2).tolist()
    ]
    if any(offset + length > size - len(tail) for offset, length in found):
        raise StoreError("a shard is damaged: its index points outside the file")
    return found
