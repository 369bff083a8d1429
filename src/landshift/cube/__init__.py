"""Stage 3, keep the pixels: the Zarr store, labels beside the bands, maps, tables, provenance, check and export."""

from __future__ import annotations

__all__: list[str] = []
