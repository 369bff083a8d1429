"""Is a cube whole? Every file is read, every checksum compared, every block and date looked for.

What can be found: metadata or coordinates that do not agree, blocks that were never written, files that are
missing, cut short or changed by as little as one bit, dates without a single value, and what a killed run
left behind. Shards carry a checksum of their index, chunks one of their own, so nothing is decoded on trust.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from landshift.cube.codec import decode_chunk, split_shard
from landshift.cube.layout import Array, Layout, Shard
from landshift.cube.store import layout_of, planned
from landshift.errors import StoreError
from landshift.plan import cores

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Problem", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it should be.

    >>> print(Problem(kind="damaged", where="reflectance/c/0/0/0/0", text="a shard is cut short"))
    reflectance/c/0/0/0/0: a shard is cut short
    """

    kind: Literal["metadata", "grid", "missing", "damaged", "empty", "leftover"]
    """What sort of problem it is."""
    where: str
    """The file in the store, the block or the date."""
    text: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def check(path: Path, *, geobox: GeoBox | None = None) -> list[Problem]:
    """Read a whole store and list what is wrong with it.

    Args:
        path: A store made by landshift.
        geobox: The grid it should have, where that is known.

    Returns:
        Problems, metadata first; empty where all is well.

    Raises:
        StoreError: There is no store at all.
    """
    path = Path(path)
    if not path.is_dir():
        raise StoreError("there is no cube", where=path, hint="run first")
    try:
        layout = layout_of(path)
        blocks = planned(path)
    except (StoreError, ValueError, KeyError) as error:
        text = f"the metadata cannot be read ({str(error).splitlines()[0]}): remove the store and run again"
        return [Problem(kind="metadata", where="zarr.json", text=text)]
    found = [*_metadata(path), *_coordinates(path, layout)]
    if geobox is not None and geobox != layout.geobox:
        text = f"the cube lies on {_grid(layout.geobox)}, expected is {_grid(geobox)}"
        found.append(Problem(kind="grid", where="zarr.json", text=text))
    for array in layout.arrays:
        found += _array(path, array, layout, blocks)
    for part in sorted(path.rglob("*.partial")):
        text = "left half-written by a killed run: run again, which removes it"
        found.append(Problem(kind="leftover", where=str(part.relative_to(path)), text=text))
    return found


def _metadata(path: Path) -> Iterator[Problem]:
    """Arrays whose own metadata are missing or differ from the group's copy."""
    root = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    for name, said in root["consolidated_metadata"]["metadata"].items():
        file = path / name / "zarr.json"
        try:
            own = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            yield Problem(kind="metadata", where=f"{name}/zarr.json", text=f"cannot be read: {error}")
            continue
        if own.get("attributes") != said.get("attributes") or own.get("shape") != said.get("shape"):
            text = "differs from the copy in the group's metadata"
            yield Problem(kind="metadata", where=f"{name}/zarr.json", text=text)


def _coordinates(path: Path, layout: Layout) -> Iterator[Problem]:
    """Coordinates that do not agree with the grid, the bands or the order of time."""
    import xarray as xr

    try:
        cube = xr.open_zarr(path, chunks=None, mask_and_scale=False)
        held = {str(name): coord.values for name, coord in cube.coords.items()}
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        yield Problem(kind="metadata", where="coordinates", text=f"cannot be read: {error}")
        return
    coords = layout.geobox.coordinates
    for name, (_, coord) in zip(("y", "x"), coords.items(), strict=True):
        if held[name].shape != coord.values.shape or not np.allclose(
            held[name], coord.values, rtol=0, atol=1e-6
        ):
            text = f"pixel centres are not those of the grid {_grid(layout.geobox)}"
            yield Problem(kind="grid", where=name, text=text)
    times = held["time"]
    if len(times) != layout.times or (np.diff(times) <= np.timedelta64(0)).any():
        yield Problem(
            kind="metadata", where="time", text="dates are not ascending, or not as many as the arrays have"
        )
    for array in layout.arrays:
        if array.axis and tuple(map(str, held[array.axis])) != layout.names_of(array.name):
            text = (
                f"names differ from those the store was made with: {', '.join(layout.names_of(array.name))}"
            )
            yield Problem(kind="metadata", where=array.axis, text=text)


def _array(path: Path, array: Array, layout: Layout, blocks: Sequence[tuple[int, int]]) -> list[Problem]:
    """Missing and damaged files of one variable, and dates of it without any value."""
    found: list[Problem] = []
    valued: dict[int, bool] = {}
    jobs: list[Shard] = []
    never: list[str] = []
    for row, col in blocks:
        shards = list(array.shards(row, col))
        absent = [shard for shard in shards if not (path / shard.file).is_file()]
        if len(absent) == len(shards):
            never.append(layout.block(row, col).name)
            continue
        found += _absent(path, array, layout, (row, col), absent)
        jobs += [shard for shard in shards if shard not in absent]
    found += _never(array, never, of=len(blocks))
    with ThreadPoolExecutor(cores(), thread_name_prefix="check") as pool:
        for problems, dates in pool.map(lambda shard: _shard(path, array, shard), jobs):
            found += problems
            for date in dates:
                valued[date] = True
    if array.kind.masked and "time" in array.dims and jobs:
        stamps = _stamps(path)
        for date in range(array.times):
            if date not in valued:
                text = f"{array.name} has no value on this date"
                found.append(Problem(kind="empty", where=stamps[date], text=text))
    return found


def _never(array: Array, names: list[str], *, of: int) -> Iterator[Problem]:
    """Words for blocks that were never written; many are one line."""
    if len(names) == 1:
        text = f"block {names[0]} of {array.name} was never written: run again"
        yield Problem(kind="missing", where=f"{array.name} {names[0]}", text=text)
    elif names:
        text = (
            f"{len(names)} of {of} blocks of {array.name} were never written, {names[0]} the first: run again"
        )
        yield Problem(kind="missing", where=array.name, text=text)


def _absent(
    path: Path, array: Array, layout: Layout, place: tuple[int, int], absent: list[Shard]
) -> Iterator[Problem]:
    """Words for files of a block that are not there: single dates and bands of it."""
    name = layout.block(*place).name
    stamps = _stamps(path) if absent else []
    for shard in absent:
        last = (
            min(shard.start + dict(zip(array.dims, array.shard, strict=True)).get("time", 1), array.times) - 1
        )
        bands = layout.names_of(array.name)
        of = f" of {bands[shard.name]}" if bands else ""
        text = f"missing: dates {stamps[shard.start]} to {stamps[last]}{of} in block {name}: run again to make it anew"
        yield Problem(kind="missing", where=shard.file, text=text)


def _shard(path: Path, array: Array, shard: Shard) -> tuple[list[Problem], set[int]]:
    """Read one file: what is wrong with it, and which dates have a value in it."""
    found: list[Problem] = []
    dates: set[int] = set()
    per = [whole // part for whole, part in zip(array.shard, array.chunk, strict=True)]
    length = array.chunk[0] if "time" in array.dims else 1
    try:
        chunks = split_shard((path / shard.file).read_bytes(), int(np.prod(per)))
    except (StoreError, OSError) as error:
        return [_damaged(shard, str(error).splitlines()[0])], dates
    for number, chunk in enumerate(chunks):
        if chunk is None:
            continue
        try:
            values = decode_chunk(chunk, array)
        except StoreError as error:
            found.append(_damaged(shard, f"chunk {number}: {error.message}"))
            continue
        first = shard.start + int(np.unravel_index(number, per)[0]) * length if "time" in array.dims else 0
        dates.update(first + int(at) for at in np.flatnonzero(_has_value(values, array)))
    return found, dates


def _damaged(shard: Shard, reason: str) -> Problem:
    return Problem(kind="damaged", where=shard.file, text=f"{reason}: remove this file and run again")


def _has_value(values: NDArray[Any], array: Array) -> NDArray[np.bool_]:
    """Which dates of a chunk have any value."""
    fill = array.kind.fill
    there = ~np.isnan(values) if math.isnan(fill) else values != fill
    found: NDArray[np.bool_] = there.reshape(len(values), -1).any(axis=1)
    return found


def _stamps(path: Path) -> list[str]:
    import xarray as xr

    return [str(time)[:19] for time in xr.open_zarr(path, chunks=None)["time"].values]


def _grid(geobox: GeoBox) -> str:
    left, bottom, right, top = geobox.boundingbox.bbox
    height, width = geobox.shape
    return f"{width} x {height} px of {abs(geobox.resolution.x):g} in {geobox.crs}, {left:g} {bottom:g} {right:g} {top:g}"
