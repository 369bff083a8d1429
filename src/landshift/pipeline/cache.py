"""The cache that a recipe asks for."""

from __future__ import annotations

from landshift.acquire.cache import DiskCache
from landshift.config import Recipe, bytes_of

__all__ = ["cache_of"]


def cache_of(recipe: Recipe) -> DiskCache:
    """The folder of decoded tiles of remote scenes; local files are never cached.

    Args:
        recipe: The recipe.
    """
    return DiskCache(recipe.cache.dir, max_bytes=bytes_of(recipe.cache.max, where="cache.max"))
