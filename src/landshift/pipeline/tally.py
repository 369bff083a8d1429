"""What the blocks counted, as tables: clear share by date, hold-out error by band and method, files left out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from landshift.cube.tables import write_table
from landshift.errors import DataQualityWarning, NoScenesError
from landshift.kernel.holdout import mean_errors
from landshift.pipeline.block import Job
from landshift.plan import Journal
from landshift.scene import Pass

__all__ = ["empty_dates", "holes", "write_clear", "write_holdout", "write_read_errors"]

Records = Mapping[str, Sequence[Mapping[str, Any]]]


def empty_dates(records: Records, jobs: Sequence[Job]) -> dict[str, int]:
    """How many dates of every product hold no value at all; each product with one is warned about.

    Args:
        records: What every finished block noted, by product.
        jobs: Products.

    Raises:
        NoScenesError: No product has a single clear look: there is nothing to go on with.
    """
    looks = {job.name: sum(sum(record["clear"]) for record in records[job.name]) for job in jobs}
    if not any(looks.values()):
        dates = max(len(record["clear"]) for found in records.values() for record in found)
        seen = sum(sum(record["seen"]) for found in records.values() for record in found)
        raise NoScenesError(
            "there is no clear look at the place: every pixel of every date is missing or masked",
            where=", ".join(dict.fromkeys(name for job in jobs for name in job.sources)),
            got=f"{dates} dates, " + ("all masked" if seen else "all without data"),
            hint="look at tables/clear.csv; widen [time], choose other scenes, or hide less with [mask]",
        )
    found = {}
    for job in jobs:
        filled = [sum(parts) for parts in zip(*(one["filled"] for one in records[job.name]), strict=True)]
        found[job.name] = sum(not count for count in filled)
        if found[job.name]:
            text = f"product {job.name}: {found[job.name]} of {len(filled)} dates hold no value at all"
            if hasattr(job.step, "start"):
                text += _at_the_ends(filled)
            warnings.warn(text, DataQualityWarning, stacklevel=2)
    return found


def _at_the_ends(filled: Sequence[int]) -> str:
    """How many of the empty dates lie before the first value and after the last one, and why there are such.

    >>> _at_the_ends([0, 5, 0, 7, 0, 0])
    '; 1 before the first value, 2 after the last: dates span [time] unless the product has start and end'
    >>> _at_the_ends([5, 0, 7]), _at_the_ends([0, 0])
    ('', '')
    """
    held = [place for place, count in enumerate(filled) if count]
    if not held or (held[0] == 0 and held[-1] == len(filled) - 1):
        return ""
    after = len(filled) - 1 - held[-1]
    return (
        f"; {held[0]} before the first value, {after} after the last: dates span [time] unless the product has "
        "start and end"
    )


def holes(journal: Journal) -> dict[str, list[dict[str, str]]]:
    """Blocks of a product in which files were left out, with those files.

    Args:
        journal: The product's journal.
    """
    return {name: record["unread"] for name, record in journal.records().items() if record["unread"]}


def write_read_errors(out: Path, records: Records) -> dict[str, int]:
    """Write the table ``read_errors``: files that were left out since they are damaged; nothing where none were.

    One warning says how many they are.

    Args:
        out: Output folder.
        records: What every finished block noted, by product.

    Returns:
        Number of files left out, by product.
    """
    rows = []
    for name, found in records.items():
        lost = [(one["item"], one["where"], one["error"]) for record in found for one in record["unread"]]
        for item, where in sorted({(item, where) for item, where, _ in lost}):
            errors = sorted(error for *file, error in lost if file == [item, where])
            rows.append(
                {"product": name, "item": item, "where": where, "error": errors[0], "blocks": len(errors)}
            )
    columns = {
        "product": "Product",
        "item": "Scene, a key into scenes.parquet; it is left out in the blocks concerned, with all its bands",
        "where": "File that cannot be read",
        "error": "Why; of several reasons the first by alphabet",
        "blocks": "Blocks of the product in which the scene was left out because of this file",
    }
    frame = pd.DataFrame(rows, columns=list(columns))
    if rows:
        write_table(out, "read_errors", frame, title="Files that were left out", columns=columns)
        items = sorted(set(frame["item"]))
        named = ", ".join(items[:3]) + (", ..." if len(items) > 3 else "")
        count = len(frame[["item", "where"]].drop_duplicates())
        warnings.warn(
            f"damaged files were left out: {count}, of scenes: {len(items)} ({named});"
            " tables/read_errors.csv lists them",
            DataQualityWarning,
            stacklevel=2,
        )
    return {name: int((frame["product"] == name).sum()) for name in records}


def write_clear(
    out: Path, records: Records, jobs: Sequence[Job], passes: Mapping[str, tuple[Pass, ...]]
) -> None:
    """Write the table ``clear``: how much of the place every date saw, and saw clearly.

    Args:
        out: Output folder.
        records: What every finished block noted, by product.
        jobs: Products.
        passes: Dates by source.
    """
    rows = []
    told: set[str] = set()
    for job in jobs:
        found = records[job.name]
        groups = sorted((group for name in job.sources for group in passes[name]), key=lambda one: one.order)
        pixels = sum(record["pixels"] for record in found)
        fresh = {name for name in job.sources if name not in told}
        told |= fresh
        for number, group in enumerate(groups):
            if group.scenes[0].source not in fresh:
                continue
            rows.append(
                {
                    "product": job.name,
                    "source": group.scenes[0].source,
                    "time": pd.Timestamp(group.time).tz_convert(None),
                    "seen_share": sum(record["seen"][number] for record in found) / pixels,
                    "clear_share": sum(record["clear"][number] for record in found) / pixels,
                    "item_ids": group.item_ids,
                }
            )
    columns = {
        "product": "First product that was made from the date",
        "source": "Source of the scenes",
        "time": "Acquisition, UTC",
        "seen_share": "Share of the place's pixels that hold data, 0 to 1",
        "clear_share": "Share of the place's pixels that are used after masking, 0 to 1",
        "item_ids": "Scenes of the date, keys into scenes.parquet",
    }
    frame = pd.DataFrame(rows, columns=list(columns))
    write_table(out, "clear", frame, title="Clear looks by date", columns=columns)


def write_holdout(out: Path, records: Records, jobs: Sequence[Job]) -> None:
    """Write the table ``holdout``: error at hidden clear looks, by band and method; nothing where none were hidden.

    Args:
        out: Output folder.
        records: What every finished block noted, by product.
        jobs: Products.
    """
    rows = []
    for job in jobs:
        sums: dict[str, list[int]] = {}
        for record in records[job.name]:
            for name, part in sorted(record["errors"].items()):
                sums[name] = [a + b for a, b in zip(sums.get(name, [0, 0, 0]), part, strict=True)]
        for name, (count, squares, magnitudes) in sums.items():
            band, method = name.split("/")
            rmse, mae = mean_errors(count, squares, magnitudes)
            rows.append(
                {
                    "product": job.name,
                    "band": band,
                    "method": method,
                    "rmse": round(rmse, 6),
                    "mae": round(mae, 6),
                    "n": count,
                }
            )
    if not rows:
        return
    columns = {
        "product": "Product",
        "band": "Band",
        "method": "interpolate: the product's own; nearest: the nearest clear look; mean: the mean of all clear looks",
        "rmse": "Root mean square error at hidden clear looks, in units of the band",
        "mae": "Mean absolute error at hidden clear looks, in units of the band",
        "n": "Hidden looks that every method could predict",
    }
    title = "Error at clear looks that were hidden and predicted"
    write_table(out, "holdout", pd.DataFrame(rows, columns=list(columns)), title=title, columns=columns)
