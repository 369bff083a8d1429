"""Palette images whose indices are the values, written byte by byte so that a page can change their colours."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["palette_png"]


def palette_png(indices: NDArray[np.uint8], palette: Mapping[int, str]) -> bytes:
    r"""A palette image whose indices are the values themselves, the same bytes each time.

    Header, palette, transparency and data follow each other as the format asks, with 0 transparent and
    nothing else inside, so that a page finds the palette at a fixed place.

    Args:
        indices: (y, x); 0 is transparent.
        palette: ``#rrggbb`` by index.

    >>> palette_png(np.zeros((256, 256), np.uint8), {1: "#ff0000"})[:4]
    b'\x89PNG'
    """
    count = max(palette, default=0) + 1
    bits = next(bits for bits in (1, 2, 4, 8) if count <= 1 << bits)
    colours, opaque = bytearray(3 * count), bytearray(count)
    for index, colour in palette.items():
        colours[3 * index : 3 * index + 3] = bytes.fromhex(colour.removeprefix("#"))
        opaque[index] = 255
    opaque[0] = 0
    height, width = indices.shape
    per = 8 // bits
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    packed = np.bitwise_or.reduce(indices.reshape(height, width // per, per) << shifts, axis=2)
    rows = np.hstack([np.zeros((height, 1), np.uint8), packed])  # each row starts with its filter: none
    header = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", bytes(colours)), (b"tRNS", bytes(opaque)))
    data = (b"IDAT", zlib.compress(rows.tobytes(), 6))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in (*parts, data, (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
