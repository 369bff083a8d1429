"""Who is to be credited for the scenes: what the providers' terms ask for wherever their data is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["credit_of"]

_COLUMNS: Final = ("id", "platform", "constellation", "collection", "datetime", "landshift:used")
_COPERNICUS: Final = re.compile(r"sentinel-?[1-6]|^S[1-3][A-D]_", re.IGNORECASE)
_LANDSAT: Final = re.compile(r"landsat|^L[COTEM]\d\d_", re.IGNORECASE)


def credit_of(scenes: Path) -> str:
    """The credit line of an inventory, empty where it names no mission that asks for one.

    Copernicus: "Contains modified Copernicus Sentinel data [year]" (legal notice on the use of Sentinel data);
    Landsat: "Landsat data courtesy of the U.S. Geological Survey".

    Args:
        scenes: ``scenes.parquet``.
    """
    if not scenes.is_file():
        return ""
    found: dict[str, set[int]] = {"copernicus": set(), "landsat": set()}
    for text, year in _used(scenes):
        for name, pattern in (("copernicus", _COPERNICUS), ("landsat", _LANDSAT)):
            if any(pattern.search(part) for part in text):
                found[name].add(year)
    said = []
    if found["copernicus"]:
        said.append(f"Contains modified Copernicus Sentinel data {_span(found['copernicus'])}")
    if found["landsat"]:
        said.append("Landsat data courtesy of the U.S. Geological Survey")
    return "; ".join(said)


def _used(scenes: Path) -> Iterator[tuple[list[str], int]]:
    """What every used scene says of its mission, and its year."""
    from pyarrow import parquet

    there = set(parquet.read_schema(scenes).names)
    rows = parquet.read_table(scenes, columns=[name for name in _COLUMNS if name in there]).to_pylist()
    for row in rows:
        if row.get("landshift:used", True) and row.get("datetime") is not None:
            yield [str(row.get(name) or "") for name in _COLUMNS[:4]], row["datetime"].year


def _span(years: set[int]) -> str:
    """Years as they are written in a credit.

    >>> _span({2019}), _span({2017, 2024})
    ('2019', '2017–2024')
    """
    first, last = min(years), max(years)
    return str(first) if first == last else f"{first}–{last}"
