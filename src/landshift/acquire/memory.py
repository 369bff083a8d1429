"""Memory for cubes and source windows that is used again: fresh pages cost more than the pixels that are put on them.

Blocks of a run have one shape, and each needs some hundred megabytes. Given back to the system and asked for anew,
every page is cleared first, which on virtual machines takes as long as resampling. A :class:`Recycler` keeps the
memory of arrays that nobody holds any more and hands it out again.
"""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Recycler"]

SMALLEST: Final = 2**18
"""Smaller arrays are left to the allocator."""


class Recycler:
    """Hands out arrays, and takes their memory back when the last view of them is gone.

    Args:
        idle_bytes: Bound of the memory kept while nobody uses it; the oldest pieces go first.
    """

    def __init__(self, *, idle_bytes: int) -> None:
        self.idle_bytes = idle_bytes
        self._idle: dict[int, NDArray[np.uint8]] = {}
        self._lock = threading.RLock()  # the garbage collector may bring memory back while we look for some

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array with arbitrary content, like ``numpy.empty``.

        Args:
            shape: Its shape.
            dtype: Its type.

        >>> memory = Recycler(idle_bytes=2**24)
        >>> first = memory.empty((999, 999), np.float32)
        >>> address = first.ctypes.data
        >>> part = first[1:]
        >>> del first
        >>> memory.empty((999, 999), np.float32).ctypes.data == address
        False
        >>> del part
        >>> memory.empty((999, 999), np.float32).ctypes.data == address
        True
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size < SMALLEST or size > self.idle_bytes:
            return np.empty(shape, dtype)
        with self._lock:
            idle = list(self._idle.values())  # a copy: memory may come back while we look
            piece = next((piece for piece in reversed(idle) if size <= piece.nbytes <= 2 * size), None)
            if piece is not None:
                self._idle.pop(id(piece), None)
        if piece is None:
            piece = np.empty(size, np.uint8)
        loan = _Loan(piece[:size])
        weakref.finalize(loan, self._take_back, piece).atexit = False
        return np.asarray(loan).view(dtype).reshape(shape)

    def clear(self) -> None:
        """Give all unused memory back to the system."""
        with self._lock:
            self._idle.clear()

    def _take_back(self, piece: NDArray[np.uint8]) -> None:
        with self._lock:
            self._idle[id(piece)] = piece
            idle = list(self._idle.values())
            surplus = sum(other.nbytes for other in idle) - self.idle_bytes
            for oldest in idle:
                if surplus <= 0:
                    break
                surplus -= oldest.nbytes
                self._idle.pop(id(oldest), None)


class _Loan:
    """Stands between memory and the arrays made of it: it dies with the last of them."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(self, piece: NDArray[np.uint8]) -> None:
        self.__array_interface__ = piece.__array_interface__
