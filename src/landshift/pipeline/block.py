"""One block: read, mask, make every product, write, note. The same bytes on any executor and in any order."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from landshift.pipeline.hearing import hearing
from landshift.pipeline.holdout import Holdout, Score
from landshift.pipeline.record import ReadError, Record, each_once
from landshift.plan import Block, Journal, strips_of, tiles_of
from landshift.scene import Pass
from landshift.sensor import BAND_DIM

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from landshift.acquire.memory import Recycler
    from landshift.acquire.tiles import TileReader

__all__ = ["STRIP_BYTES", "BlockWork", "Job", "Whole", "masked"]

Passes: TypeAlias = Mapping[str, tuple[Pass, ...]]
STRIP_BYTES: Final = 12 * 2**20
"""A product is made in strips whose pixels stay in the processor's cache, and in memory that is used again."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One product to make of every block."""

    name: str
    """The product's name."""
    key: str
    """Its key: names its journal."""
    step: Any
    """The step that makes it."""
    sources: tuple[str, ...]
    """Sources whose dates it takes."""
    bands: tuple[str, ...]
    """Bands it holds."""
    variable: str
    """``reflectance``, ``backscatter`` or ``index``."""
    indices: tuple[str, ...]
    """Indices computed from the finished bands."""
    dates: int
    """Dates it holds."""
    store: Path
    """Where it is written."""

    @property
    def layers(self) -> int:
        """Planes of its main variable: dates times bands."""
        return self.dates * len(self.bands)


@dataclass(frozen=True, kw_only=True)
class BlockWork:
    """All that has to be done for a block; pickles, so that other processes can do it."""

    geobox: GeoBox
    """The whole grid."""
    passes: Passes
    """Dates by source."""
    bands: Mapping[str, tuple[str, ...]]
    """Bands by source."""
    mask: Any
    """The Mask step, or None."""
    jobs: tuple[Job, ...]
    """Products."""
    journal: Path
    """Folder of the journals."""
    holdout: Holdout
    """The hold-out pass."""
    on_error: Literal["raise", "skip"]
    """What to do about a file that cannot be read."""
    reader: TileReader
    """Open files and kept tiles, shared by all blocks of a process."""
    tile_px: int
    """Side of the tiles that a block is cut into while it is computed."""
    threads: int = 1
    """Tiles of a block that are computed at once; more than one where there are fewer blocks than workers."""

    def todo(self, block: Block) -> bool:
        """Whether anything is still to be done for a block."""
        return bool(self._unmade(block) or self._unscored(block))

    def __call__(self, block: Block) -> int:
        """Do the block; give its number of pixels."""
        from landshift.cube.store import write_block

        jobs, scored = self._unmade(block), self._unscored(block)
        done = self._computed(block, jobs, scored)
        for job in scored:
            score = Score.total([part.scores[job.name] for part in done.parts])
            score.unread, score.said = done.unread(job), done.said
            self._scores(job).finish(block.name, score.as_dict())
        for job in jobs:
            record = Record.total([part.records[job.name] for part in done.parts])
            record.unread, record.said = done.unread(job), done.said
            record.clipped += write_block(job.store, block, done.wholes.pop(job.name).cube)
            self._records(job).finish(block.name, record.as_dict())
        return block.shape[0] * block.shape[1]

    def _computed(self, block: Block, jobs: tuple[Job, ...], scored: tuple[Job, ...]) -> _Done:
        """Compute a block in tiles. A scene that one of them cannot read is left out in all of them.

        The memory limit decides the tiles: what is left out in one tile alone would let it decide the bytes.
        """
        errors: dict[str, list[ReadError]] = {}
        while True:
            passes = {name: _without(groups, errors.get(name, ())) for name, groups in self.passes.items()}
            wholes = {job.name: Whole(block, self.reader.memory) for job in jobs}
            work = partial(self._tile, passes=passes, wholes=wholes, scored=scored)
            with ThreadPoolExecutor(self.threads, thread_name_prefix="tile") as pool:
                parts = list(pool.map(work, tiles_of(block, side=self.tile_px)))
            fresh = {name for part in parts for name, found in part.errors.items() if found}
            for name in fresh:
                found = [error for part in parts for error in part.errors.get(name, ())]
                errors[name] = each_once([*errors.get(name, ()), *found])
            if not fresh:
                return _Done(parts=parts, wholes=wholes, errors=errors)

    def _unmade(self, block: Block) -> tuple[Job, ...]:
        """Products that this block is still to be made of."""
        return tuple(job for job in self.jobs if not self._records(job).done(block.name))

    def _unscored(self, block: Block) -> tuple[Job, ...]:
        """Products whose hold-out errors this block still lacks."""
        return tuple(
            job for job in self.jobs if self.holdout.key(job) and not self._scores(job).done(block.name)
        )

    def _records(self, job: Job) -> Journal:
        return Journal(folder=self.journal / "build", key=job.key)

    def _scores(self, job: Job) -> Journal:
        return Journal(folder=self.journal / "holdout", key=self.holdout.key(job))

    def unfinished(self, blocks: Sequence[Block]) -> list[Block]:
        """Blocks for which anything is still to be done; each journal's folder is read once.

        Args:
            blocks: Among these.
        """
        done = [journal.names() for job in self.jobs for journal in self.journals(job)]
        return [block for block in blocks if any(block.name not in names for names in done)]

    def journals(self, job: Job) -> tuple[Journal, ...]:
        """Where finished blocks of a product are noted: those written, and those scored where it has scores."""
        return (self._records(job), self._scores(job)) if self.holdout.key(job) else (self._records(job),)

    def records(self, job: Job) -> list[dict[str, Any]]:
        """What every finished block noted of a product."""
        return list(self._records(job).records().values())

    def scores(self, job: Job) -> list[dict[str, Any]]:
        """The hold-out errors of a product, by block; none where it has none."""
        return list(self._scores(job).records().values()) if self.holdout.key(job) else []

    def _tile(
        self, tile: Block, *, passes: Passes, wholes: Mapping[str, Whole], scored: tuple[Job, ...]
    ) -> _Tile:
        """Read a tile once, add all products of it to the block, and score those that are to be."""
        made = _Tile()
        with hearing(made.said):
            wanted = tuple(job for job in self.jobs if job.name in wholes or job in scored)
            sources = dict.fromkeys(name for job in wanted for name in job.sources)
            cubes = {name: self._source(name, tile, passes[name]) for name in sources}
            made.errors.update((name, cube.attrs.pop("read_errors", [])) for name, cube in cubes.items())
            for job in wanted:
                merged = _merge([cubes[name] for name in job.sources], job)
                records, scores = [], []
                for strip in strips_of(tile, pixels=STRIP_BYTES // (4 * job.layers)):
                    part = merged.isel(y=slice(strip.y[0] - tile.y[0], strip.y[1] - tile.y[0]))
                    if job in scored:
                        scores.append(self.holdout.score(part, job, strip))
                    if job.name in wholes:
                        records.append(Record())
                        wholes[job.name].put(strip, self._product(job, part, records[-1]))
                made.scores[job.name], made.records[job.name] = Score.total(scores), Record.total(records)
        return made

    def _source(self, name: str, tile: Block, groups: tuple[Pass, ...]) -> xr.Dataset:
        """The masked cube of one source over one tile.

        All its bands are read, whichever products are still to be made: a pixel that lacks one of them is no look.
        """
        return masked(
            groups,
            tile.geobox(self.geobox),
            whole=self.geobox,
            bands=self.bands[name],
            mask=self.mask,
            reader=self.reader,
            on_error=self.on_error,
        )

    def _product(self, job: Job, cube: xr.Dataset, record: Record) -> xr.Dataset:
        """One product of a strip, in stored numbers."""
        from landshift.ard.indices import index
        from landshift.cube.store import encode

        record.look_at(cube, job.variable)
        product = job.step(cube)
        if job.indices:
            product = index(product, job.indices)
        encoded, clipped = encode(product)
        record.look_back(encoded[job.variable].values)
        record.clipped += clipped
        return encoded


class Whole:
    """A product of a whole block in stored numbers, put together from strips in any order by any thread.

    Args:
        block: The block.
        memory: Where its arrays come from.
    """

    def __init__(self, block: Block, memory: Recycler) -> None:
        self._block, self._memory = block, memory
        self._arrays: dict[str, tuple[tuple[Hashable, ...], NDArray[Any]]] = {}
        self._coords: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def put(self, strip: Block, product: xr.Dataset) -> None:
        """Add the product of a part of the block."""
        with self._lock:
            if not self._arrays:
                for name, array in product.data_vars.items():
                    shape = (*array.shape[:-2], *self._block.shape)
                    self._arrays[str(name)] = (array.dims, self._memory.empty(shape, array.dtype))
                self._coords = {
                    name: coord for name, coord in product.coords.items() if not {"y", "x"} & set(coord.dims)
                }
        rows = slice(strip.y[0] - self._block.y[0], strip.y[1] - self._block.y[0])
        cols = slice(strip.x[0] - self._block.x[0], strip.x[1] - self._block.x[0])
        for name, (_, whole) in self._arrays.items():
            whole[..., rows, cols] = product[name].values

    @property
    def cube(self) -> xr.Dataset:
        """The block, once every strip of it is there."""
        import xarray as xr

        return xr.Dataset(self._arrays, coords=self._coords)


@dataclass(frozen=True)
class _Tile:
    """What was counted, scored and met in a tile."""

    records: dict[str, Record] = field(default_factory=dict)
    """Counts by product."""
    scores: dict[str, Score] = field(default_factory=dict)
    """Hold-out errors by product."""
    errors: dict[str, list[ReadError]] = field(default_factory=dict)
    """Files that could not be read, by source."""
    said: list[str] = field(default_factory=list)
    """Quality warnings."""


@dataclass(frozen=True, kw_only=True)
class _Done:
    """A block that is computed and not yet written."""

    parts: list[_Tile]
    """Its tiles."""
    wholes: dict[str, Whole]
    """Its products."""
    errors: Mapping[str, list[ReadError]]
    """Files for which scenes were left out, by source."""

    def unread(self, job: Job) -> list[ReadError]:
        """Files for which scenes of a product's sources were left out, each once."""
        return each_once([error for name in job.sources for error in self.errors.get(name, ())])

    @property
    def said(self) -> list[str]:
        """Quality warnings, each once."""
        return list(dict.fromkeys(sentence for part in self.parts for sentence in part.said))


def masked(
    passes: tuple[Pass, ...],
    own: GeoBox,
    *,
    whole: GeoBox,
    bands: tuple[str, ...],
    mask: Any,
    reader: TileReader,
    on_error: Literal["raise", "skip"] = "raise",
) -> xr.Dataset:
    """Read a tile and mask it: quality with the halo that the mask needs, bands without one.

    Args:
        passes: Dates.
        own: The tile's grid.
        whole: The place's grid.
        bands: Bands.
        mask: The Mask step, or None for none.
        reader: Open files and kept tiles.
        on_error: What to do about a file that cannot be read.

    Returns:
        The cube of the tile.
    """
    from landshift.acquire.read import read
    from landshift.ard.mask import own_class

    cube = read(passes, own, whole=whole, bands=bands, on_error=on_error, reader=reader)
    if mask is None:
        return cube
    rows, cols = mask.halo_px(own)
    around = read(passes, own.pad(cols, rows), bands=(), on_error=on_error, reader=reader)
    inner = (..., slice(rows, rows + own.shape[0]), slice(cols, cols + own.shape[1]))
    layer, grown = around["quality"].values[inner], mask.grow(around)["quality"].values[inner]
    found = own_class(cube["quality"].values, layer=layer, grown=grown)
    cube["quality"] = (cube["quality"].dims, found, cube["quality"].attrs)
    hidden: xr.Dataset = mask.hide_pixels(cube, in_place=True)
    errors = [*cube.attrs.get("read_errors", ()), *around.attrs.get("read_errors", ())]
    return hidden.assign_attrs(read_errors=errors) if errors else hidden


def _without(groups: tuple[Pass, ...], errors: Sequence[ReadError]) -> tuple[Pass, ...]:
    """Dates with the scenes marked as lost that could not be read."""
    lost = frozenset(error["item"] for error in errors)
    return tuple(replace(group, lost=lost) for group in groups) if lost else groups


def _merge(cubes: list[xr.Dataset], job: Job) -> xr.Dataset:
    """Dates of all sources on one axis, with the bands that all have."""
    import xarray as xr

    dim = BAND_DIM[job.variable]
    cut = [
        cube if tuple(cube[dim].values) == job.bands else cube.sel({dim: list(job.bands)}) for cube in cubes
    ]
    if len(cut) == 1:
        return cut[0]
    joined = xr.concat(
        cut, dim="time", combine_attrs="drop_conflicts", coords="minimal", compat="override", join="exact"
    )
    order = np.lexsort((joined["item_ids"].values.astype(str), joined["time"].values))
    return joined.isel(time=order)  # as the dates of the store
