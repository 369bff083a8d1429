"""Random fields that are functions of place: the same coordinate gives the same value whoever asks.

Everything is made from one integer hash (splitmix64, Steele et al. 2014), so no state travels between
calls, and a block computed alone equals the same block cut from a whole country.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["draw", "fractal", "hashed", "key_of", "scramble", "smooth", "uniform", "white"]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_ROW: Final = np.uint64(0xD6E8FEB86659FD93)
_COLUMN: Final = np.uint64(0xA0761D6478BD642F)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_HALF: Final = np.uint64(0xFFFFFFFF)
_S16, _S32, _S48, _LOW = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(0xFFFF)


@njit(cache=True, nogil=True)
def scramble(value: np.uint64) -> np.uint64:
    """Mix the bits of a 64-bit number: the finaliser of splitmix64."""
    value = value + _GOLDEN
    value = (value ^ (value >> _S30)) * _FIRST
    value = (value ^ (value >> _S27)) * _SECOND
    return value ^ (value >> _S31)


@njit(cache=True, nogil=True)
def hashed(seed: np.uint64, i: Any, j: Any) -> np.uint64:
    """Hash a cell of an integer lattice."""
    value = scramble(seed ^ (np.uint64(i) * _ROW))
    return scramble(value ^ (np.uint64(j) * _COLUMN))


@njit(cache=True, nogil=True)
def uniform(value: np.uint64) -> Any:
    """A hash as a number in [0, 1)."""
    return np.float64(value >> _S11) * 1.1102230246251565e-16


@njit(cache=True, nogil=True)
def white(seed: np.uint64, i: Any, j: Any) -> Any:
    """White noise of unit variance at a lattice cell: four uniform parts of one hash, nearly Gaussian."""
    value = hashed(seed, i, j)
    total = (
        np.float64(value & _LOW)
        + np.float64((value >> _S16) & _LOW)
        + np.float64((value >> _S32) & _LOW)
        + np.float64(value >> _S48)
    )
    return (total / 65535.0 - 2.0) * 1.7320508075688772


@njit(cache=True, nogil=True)
def smooth(seed: np.uint64, x: Any, y: Any) -> Any:
    """Value noise in [-1, 1] on a lattice of unit spacing, blended by the quintic of Perlin (2002)."""
    fx, fy = np.floor(x), np.floor(y)
    i, j = np.int64(fx), np.int64(fy)
    u, v = x - fx, y - fy
    u = u * u * u * (u * (u * 6.0 - 15.0) + 10.0)
    v = v * v * v * (v * (v * 6.0 - 15.0) + 10.0)
    a, b = uniform(hashed(seed, i, j)), uniform(hashed(seed, i + 1, j))
    c, d = uniform(hashed(seed, i, j + 1)), uniform(hashed(seed, i + 1, j + 1))
    upper = a + (b - a) * u
    lower = c + (d - c) * u
    return 2.0 * (upper + (lower - upper) * v) - 1.0


@njit(cache=True, nogil=True)
def fractal(seed: np.uint64, x: Any, y: Any, octaves: int) -> Any:
    """Sum of octaves of value noise, each half as wide and half as strong; roughly in [-1, 1]."""
    total, weight, norm = 0.0, 1.0, 0.0
    for octave in range(octaves):
        total += weight * smooth(seed + np.uint64(octave), x, y)
        norm += weight
        weight *= 0.5
        x, y = x * 2.0 + 17.3, y * 2.0 - 9.1
    return total / norm


def key_of(seed: int, *names: object) -> np.uint64:
    """A 64-bit key from a seed and names: the root of an independent random stream.

    >>> bool(key_of(1, "cloud") == key_of(1, "cloud")), bool(key_of(1, "cloud") == key_of(2, "cloud"))
    (True, False)
    """
    import hashlib

    text = "\x1f".join([str(seed), *map(str, names)])
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def draw(keys: NDArray[np.uint64], name: str) -> NDArray[Any]:
    """A uniform number in [0, 1) for each key and a name: the attributes of parcels.

    >>> keys = np.array([1, 2], np.uint64)
    >>> bool((draw(keys, "crop") == draw(keys, "crop")).all()), bool((draw(keys, "a") == draw(keys, "b")).any())
    (True, False)
    """
    with np.errstate(over="ignore"):
        value = np.asarray(keys, np.uint64) ^ key_of(0, name)
        value = value + _GOLDEN
        value = (value ^ (value >> _S30)) * _FIRST
        value = (value ^ (value >> _S27)) * _SECOND
        value = value ^ (value >> _S31)
    return (value >> _S11).astype(np.float64) * 1.1102230246251565e-16
