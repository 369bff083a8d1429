"""The store: a cube as a sharded Zarr v3 group that plain xarray opens and that workers fill block by block.

Values lie as rounded integers with a scale (CF), strings as variable-length strings, the grid as CF grid
mapping and as GeoZarr attributes. Each block is a set of whole files, written under another name and renamed,
so nothing half-written is ever part of the store, and the bytes depend on the values alone: not on the order
of blocks, the number of workers, the clock, the host or the path. A shard without any value is a file with an
index alone; a block that was never written has no files: this is how :mod:`landshift.cube.check` tells
"empty" from "missing".
"""

from __future__ import annotations

import functools
import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from landshift.cube.codec import empty_chunk, encode_chunk, join_shard, quantise, take_chunk
from landshift.cube.layout import Array, Layout, Shard, rows_blocks
from landshift.cube.metadata import Columns, first_difference, refuse_odd, write_metadata
from landshift.errors import GridError, StoreError
from landshift.plan import BLOCK_PX, Block, cores, partial_name

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = [
    "clean_partials",
    "create",
    "encode",
    "geobox_of",
    "lacking",
    "layout_of",
    "open_cube",
    "planned",
    "write_block",
]

_Encoded: TypeAlias = tuple[list[bytes | None], int]
_ENCODING = frozenset({"scale_factor", "_FillValue", "coordinates"})
_ROOM = "free some space or choose another output folder; a second run goes on where this one stopped"


def create(  # noqa: PLR0913 - a store is made of this: grid, dates, bands, further variables, coordinates
    path: Path,
    *,
    geobox: GeoBox,
    times: NDArray[np.datetime64] | Sequence[np.datetime64],
    variable: str,
    names: Sequence[str],
    product: str,
    extra: Mapping[str, tuple[str, ...]] | None = None,
    indices: Sequence[str] = (),
    coords: Columns | None = None,
    attrs: Mapping[str, Any] | None = None,
    block_px: int = BLOCK_PX,
    blocks: Iterable[Block] | None = None,
) -> Path:
    """Make an empty store, or accept the one that is there if it is the same.

    Args:
        path: The ``.zarr`` folder.
        geobox: The whole grid.
        times: Dates, UTC, ascending.
        variable: ``reflectance``, ``backscatter``, ``index``, ``data``, or ``labels``, which has no bands.
        names: Its bands, polarisations or indices.
        product: The product's name, for the title.
        extra: Further variables and their dimensions: ``quality``, ``n_clear``, ``age``.
        indices: Indices kept beside the bands, in a variable ``index``.
        coords: Further coordinates per date: text or numbers, as long as ``times``.
        attrs: Further attributes of the store: hashes and item ids, never times, hosts or paths.
        block_px: Side of a block, and of a shard, in pixels.
        blocks: The blocks that will be written; all of the grid by default. ``check`` misses them.

    Returns:
        The path.

    Raises:
        StoreError: The folder cannot be written, or holds another cube.
    """
    stamps = np.asarray(times, "datetime64[ns]")
    layout = Layout(
        geobox=geobox,
        times=len(stamps),
        names=tuple(names),
        variable=variable,
        extra=dict(extra or {}),
        indices=tuple(indices),
        block_px=block_px,
    )
    refuse_odd(layout, stamps, coords or {})
    made = partial_name(path)
    with _failing_well(path):
        made.parent.mkdir(parents=True, exist_ok=True)
        write_metadata(made, layout, stamps, coords or {}, {**layout.attrs(product, blocks), **(attrs or {})})
        if not path.exists():
            try:
                made.rename(path)
            except OSError:
                if not path.exists():
                    raise
            else:
                return path
        other = first_difference(made, path)  # there before, or made meanwhile by another process
        shutil.rmtree(made)
    if other is not None:
        raise StoreError(
            "the folder holds another cube",
            where=path,
            got=f"a different {other}",
            hint="choose another output folder, or remove this store to build it anew",
        )
    return path


def write_block(path: Path, block: Block, cube: xr.Dataset, *, threads: int | None = None) -> int:
    """Write one block, all its dates, bands and variables, as whole files.

    Blocks may be written in any order, by any number of threads, processes or machines, each block by one.

    Args:
        path: A store made by :func:`create`.
        block: A block of its plan.
        cube: The variables of the store over this block; values as float32 with NaN for missing, or as
            stored numbers (see :func:`encode`). Further variables are left out.
        threads: Threads that encode; by default one per core.

    Returns:
        How many values did not fit the stored range and were clipped to it.

    Raises:
        GridError: The cube does not cover the block, or has other dates or bands than the store.
        StoreError: The store cannot be written; the block then has no torn file.
    """
    layout = layout_of(path)
    jobs = [(array, _planes(array, layout, block, cube)) for array in layout.arrays]
    clipped = 0
    workers = threads or cores()
    with ThreadPoolExecutor(workers, thread_name_prefix="encode") as pool:
        flying: deque[tuple[Path, list[Future[_Encoded]]]] = deque()
        try:
            for array, planes in jobs:
                for shard in array.shards(block.row, block.col):
                    flying.append((path / shard.file, _encode_shard(pool, array, shard, planes)))
                    if len(flying) > 2:
                        clipped += _finish_shard(path, *flying.popleft())
            while flying:
                clipped += _finish_shard(path, *flying.popleft())
        finally:
            for _, futures in flying:
                for future in futures:
                    future.cancel()
    return clipped


def lacking(path: Path, blocks: Iterable[Block]) -> list[Block]:
    """Blocks of which a file is not there.

    Args:
        path: A store.
        blocks: Blocks of its plan.

    Raises:
        StoreError: There is no store, or its metadata cannot be read.
    """
    layout = layout_of(path)
    return [
        block
        for block in blocks
        if not all(
            (path / shard.file).is_file()
            for array in layout.arrays
            for shard in array.shards(block.row, block.col)
        )
    ]


def encode(cube: xr.Dataset) -> tuple[xr.Dataset, int]:
    """Round a cube's main variables to the stored type, so that finished tiles wait in half the memory.

    Args:
        cube: A cube with values as float32.

    Returns:
        The cube with stored numbers, which :func:`write_block` takes as well, and how many were clipped.
    """
    from landshift.cube.layout import KINDS

    made, clipped = cube.copy(), 0
    for name, kind in KINDS.items():
        if name in cube and kind.scale is not None and cube[name].dtype.kind == "f":
            numbers, count = quantise(cube[name].values, kind.scale)
            made[name] = (cube[name].dims, numbers)
            clipped += count
    return made, clipped


def open_cube(path: Path | str, *, bands_as_variables: bool = False, partly: bool = False) -> xr.Dataset:
    """Open a store lazily: nothing is read but the metadata, and slices read what they need.

    Args:
        path: A store made by landshift.
        bands_as_variables: Whether each band becomes a variable of its own, (time, y, x).
        partly: Whether blocks that are not there are missing pixels, to look at a build under way; else an error.

    Returns:
        The cube: main variable as float32 with NaN for missing; ``quality``, ``n_clear`` and ``age`` as the
        integers they are (``age`` is -32768 where there is no clear look).

    Raises:
        StoreError: There is no store, or its metadata cannot be read. Reading values raises it too, where a file is
            damaged, or (unless ``partly``) not there: a block that is not built yet, or was removed.
    """
    import xarray as xr
    from xarray.core.indexing import LazilyIndexedArray

    from landshift.cube.reader import StoredArray

    layout = layout_of(path)
    try:
        cube = xr.open_zarr(path, chunks=None, consolidated=True, mask_and_scale=False)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError("a cube cannot be opened", where=path, got=str(error), hint="run again") from error
    texts = {name: part.astype(object) for name, part in cube.coords.items() if part.dtype.kind == "T"}
    cube = cube.assign_coords(texts)
    blocks = frozenset(() if partly else planned(path))
    for array in layout.arrays:
        attrs = {name: value for name, value in cube[array.name].attrs.items() if name not in _ENCODING}
        if array.kind.masked and array.kind.scale is None:
            attrs["nodata"] = array.kind.fill
        lazy = LazilyIndexedArray(StoredArray(path, array, blocks=blocks))
        cube[array.name] = xr.Variable(array.dims, lazy, attrs)
    return _split(cube, layout) if bands_as_variables else cube


def geobox_of(path: Path | str) -> GeoBox:
    """The grid of a store, exactly as it was given to :func:`create`."""
    return layout_of(path).geobox


def layout_of(path: Path | str) -> Layout:
    """The layout of a store, read from its metadata once.

    Raises:
        StoreError: There is no store of ours.
    """
    return _metadata(path)[0]


def planned(path: Path | str) -> list[tuple[int, int]]:
    """Rows and columns of the blocks that a store was made for.

    Args:
        path: A store made by landshift.

    Raises:
        StoreError: There is no store of ours.
    """
    layout, runs = _metadata(path)
    if runs is not None:
        return rows_blocks(runs)
    height, width = layout.grid
    return [(row, col) for row in range(height) for col in range(width)]


def _metadata(path: Path | str) -> tuple[Layout, Any]:
    """Layout, and the runs of its planned blocks; None where all are planned."""
    file = Path(path) / "zarr.json"
    try:
        return _parsed(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            "not a cube of landshift", where=path, got=f"{type(error).__name__}: {error}", hint="run first"
        ) from error


def clean_partials(path: Path) -> int:
    """Remove what a killed run left half-written in a store or an output folder; say how many files."""
    found = [part for part in Path(path).rglob("*.partial") if part.exists()]
    with _failing_well(path):
        for part in found:
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
    return len(found)


@functools.lru_cache(maxsize=64)
def _parsed(file: Path, _changed: int) -> tuple[Layout, Any]:
    attrs = json.loads(file.read_text(encoding="utf-8"))["attributes"]
    return Layout.from_attrs(attrs), attrs["landshift"]["blocks"]


def _planes(array: Array, layout: Layout, block: Block, cube: xr.Dataset) -> NDArray[Any]:
    """One variable of a block as (time, band, y, x), checked against the store."""
    if array.name not in cube:
        raise GridError("the cube lacks a variable of the store", got=list(cube), allowed=array.name)
    if block != layout.block(block.row, block.col):
        raise GridError("the block is not one of the store's", got=block, allowed=f"{layout.block_px} px")
    found = cube[array.name]
    sizes = dict(zip(array.dims, array.shape, strict=True)) | dict(zip(("y", "x"), block.shape, strict=True))
    if found.dims != array.dims or dict(found.sizes) != sizes:
        raise GridError(
            f"{array.name} does not fit the store", where=block.name, got=dict(found.sizes), allowed=sizes
        )
    dim = array.axis
    names = layout.names_of(array.name)
    if dim is not None and dim in found.coords and tuple(map(str, found[dim].values)) != names:
        raise GridError(f"the cube has other names along {dim}", got=list(found[dim].values), allowed=names)
    wanted = np.dtype(array.kind.dtype)
    values = found.values
    if values.dtype != wanted:
        values = values.astype(np.float32 if array.kind.scale is not None else wanted, copy=False)
    return array.as_planes(np.ascontiguousarray(values))


def _encode_shard(
    pool: ThreadPoolExecutor, array: Array, shard: Shard, planes: NDArray[Any]
) -> list[Future[_Encoded]]:
    """Start encoding all chunks of a shard, those of the same dates together, in C order."""
    chunk, whole = (dict(zip(array.dims, shape, strict=True)) for shape in (array.chunk, array.shard))
    dates = range(shard.start, shard.start + whole.get("time", 1), chunk.get("time", 1))
    corners = [(y, x) for y in range(0, whole["y"], chunk["y"]) for x in range(0, whole["x"], chunk["x"])]
    return [
        pool.submit(_encode, array, planes, shard.name, [(date, *at) for at in corners]) for date in dates
    ]


def _encode(
    array: Array, planes: NDArray[Any], name: int, starts: Sequence[tuple[int, int, int]]
) -> _Encoded:
    """Chunks of a shard, None for those beyond the data or all missing, and how many values were clipped."""
    times, _, height, width = planes.shape
    chunks, clipped = [], 0
    memory = empty_chunk(array)
    for start in starts:
        inside = start[0] < times and start[1] < height and start[2] < width
        chunk, count = take_chunk(array, planes, name, start, chunk=memory) if inside else (None, 0)
        chunks.append(None if chunk is None else encode_chunk(chunk))
        clipped += count
    return chunks, clipped


def _finish_shard(store: Path, file: Path, futures: list[Future[_Encoded]]) -> int:
    """Write a shard whole or not at all; give back how many of its values were clipped."""
    done = [future.result() for future in futures]
    partial = partial_name(file)
    with _failing_well(store):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as target:
                target.writelines(join_shard([chunk for chunks, _ in done for chunk in chunks]))
            partial.replace(file)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
    return sum(clipped for _, clipped in done)


def _split(cube: xr.Dataset, layout: Layout) -> xr.Dataset:
    """A variable per band and per index."""
    made = cube
    for array in layout.arrays:
        if dim := array.axis:
            found = cube[array.name]
            parts = {name: found[:, number].drop_vars(dim) for number, name in enumerate(cube[dim].values)}
            made = made.drop_vars([array.name, dim]).assign(parts)
    return made


@contextmanager
def _failing_well(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {Path(path).name}: {error.strerror or error}", where=path, hint=_ROOM
        ) from error
