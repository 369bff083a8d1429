"""``run.json``: what was done, with what, and what was counted on the way.

Stores, maps and tables carry hashes and item ids alone, so that the same input gives the same bytes anywhere.
All that differs between two equal runs (times) stands here, under ``timings``, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from landshift.errors import StoreError
from landshift.plan import write_atomic

__all__ = ["read_run", "write_run"]

_FILE = "run.json"


def write_run(  # noqa: PLR0913 - a record of a run has these parts
    out: Path,
    *,
    title: str,
    simulated: bool,
    recipe_hash: str,
    versions: Mapping[str, str],
    keys: Mapping[str, str],
    counts: Mapping[str, Any],
    warnings: Iterable[str],
    timings: Mapping[str, float],
) -> Path:
    """Write ``out/run.json``, whole or not at all.

    Args:
        out: The output folder.
        title: The run's title.
        simulated: Whether its scenes are simulated.
        recipe_hash: Hash of the resolved recipe.
        versions: Versions of the packages that the bytes depend on.
        keys: Key of every stage.
        counts: What every stage counted: scenes, blocks, clipped values, skipped files.
        warnings: What was skipped or filled, as sentences.
        timings: Seconds per stage; the only part that differs between two equal runs.

    Returns:
        The file.

    Raises:
        StoreError: The folder cannot be written.
    """
    record = {
        "title": title,
        "simulated": simulated,
        "recipe_hash": recipe_hash,
        "versions": dict(sorted(versions.items())),
        "keys": dict(keys),
        "counts": dict(counts),
        "warnings": list(warnings),
        "timings": dict(timings),
    }
    path = Path(out) / _FILE
    write_atomic(path, (json.dumps(record, indent=1, ensure_ascii=False, default=str) + "\n").encode())
    return path


def read_run(out: Path) -> dict[str, Any]:
    """Read ``out/run.json``.

    Raises:
        StoreError: There is none, or it cannot be read.
    """
    path = Path(out) / _FILE
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            "the record of the run cannot be read", where=path, got=str(error), hint="run again"
        ) from error
    return record
