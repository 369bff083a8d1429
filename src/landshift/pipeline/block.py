"""One block: read, mask, make every product, write, note. The same bytes on any executor and in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landshift.pipeline.hearing import hearing
from landshift.pipeline.holdout import Holdout, Score
from landshift.plan import Block, Journal, tiles_of
from landshift.scene import Pass
from landshift.sensor import BAND_DIM, QUALITY

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from landshift.acquire.tiles import TileReader

__all__ = ["BlockWork", "Job", "masked"]


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
    store: Path
    """Where it is written."""


@dataclass(frozen=True, kw_only=True)
class BlockWork:
    """All that has to be done for a block; pickles, so that other processes can do it."""

    geobox: GeoBox
    """The whole grid."""
    passes: Mapping[str, tuple[Pass, ...]]
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
        tiles = tiles_of(block, side=self.tile_px)
        wholes: dict[str, xr.Dataset] = {}
        records: dict[str, list[Record]] = {job.name: [] for job in jobs}
        scores: dict[str, list[Score]] = {job.name: [] for job in scored}
        with ThreadPoolExecutor(self.threads, thread_name_prefix="tile") as pool:
            made = pool.map(partial(self._tile, jobs=jobs, scored=scored), tiles)
            for tile, part in zip(tiles, made, strict=True):
                for job in jobs:
                    records[job.name].append(part.records[job.name])
                    wholes[job.name] = _lay(wholes.get(job.name), block, tile, part.products.pop(job.name))
                for job in scored:
                    scores[job.name].append(part.scores[job.name])
        for job in scored:
            self._scores(job).finish(block.name, Score.total(scores[job.name]).as_dict())
        for job in jobs:
            record = Record.total(records[job.name])
            record.clipped += write_block(job.store, block, wholes.pop(job.name))
            self._records(job).finish(block.name, record.as_dict())
        return block.shape[0] * block.shape[1]

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

    def records(self, job: Job) -> list[dict[str, Any]]:
        """What every finished block noted of a product."""
        return list(self._records(job).records().values())

    def scores(self, job: Job) -> list[dict[str, Any]]:
        """The hold-out errors of a product, by block; none where it has none."""
        return list(self._scores(job).records().values()) if self.holdout.key(job) else []

    def _tile(self, tile: Block, *, jobs: tuple[Job, ...], scored: tuple[Job, ...]) -> _Tile:
        """All products and scores of a tile."""
        made, said = _Tile(), list[str]()
        with hearing(said):
            wanted = tuple(job for job in self.jobs if job in jobs or job in scored)
            cubes = {name: self._source(name, tile, wanted) for name in self.passes if _wanted(name, wanted)}
            for job in wanted:
                merged = _merge([cubes[name] for name in job.sources if name in cubes], job)
                if job in scored:
                    made.scores[job.name] = self.holdout.score(merged, job, tile)
                if job in jobs:
                    made.records[job.name] = record = Record()
                    made.products[job.name] = self._product(job, merged, record)
        told: list[Record | Score] = [*made.records.values(), *made.scores.values()]
        for note in told:
            note.said = list(dict.fromkeys(said))
        return made

    def _source(self, name: str, tile: Block, jobs: tuple[Job, ...]) -> xr.Dataset:
        """The masked cube of one source over one tile."""
        bands = {band for job in jobs if name in job.sources for band in job.bands}
        wanted = tuple(band for band in self.bands[name] if band in bands)
        return masked(
            self.passes[name],
            tile.geobox(self.geobox),
            bands=wanted,
            mask=self.mask,
            reader=self.reader,
            on_error=self.on_error,
        )

    def _product(self, job: Job, cube: xr.Dataset, record: Record) -> xr.Dataset:
        """One product of one tile, in stored numbers."""
        from landshift.ard.indices import index
        from landshift.cube.store import encode

        record.look_at(cube, job)
        product = job.step(cube)
        if job.indices:
            product = index(product, job.indices)
        record.look_back(product[job.variable].values)
        encoded, clipped = encode(product)
        record.clipped += clipped
        return encoded


@dataclass(frozen=True)
class _Tile:
    """What was made of a tile, by product: datasets in stored numbers, what was counted, what was scored."""

    products: dict[str, xr.Dataset] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)


class Record:
    """What is counted while a block is done."""

    def __init__(self) -> None:
        self.clipped = self.empty_px = 0
        self.pixels = 0
        self.seen: list[int] = []
        self.clear: list[int] = []
        self.filled: list[int] = []
        self.unread: dict[str, str] = {}
        self.said: list[str] = []

    def look_at(self, cube: xr.Dataset, job: Job) -> None:
        """Count valid and clear pixels of every date."""
        quality = cube["quality"].values
        shown = np.isfinite(cube[job.variable].values[:, 0])
        seen, clear = (quality != QUALITY["nodata"]).sum(axis=(1, 2)), shown.sum(axis=(1, 2))
        self.seen = _plus(self.seen, seen.tolist())
        self.clear = _plus(self.clear, clear.tolist())
        self.pixels += int(quality[0].size)
        self.unread |= {one["item"]: one["error"] for one in cube.attrs.get("read_errors", ())}

    def look_back(self, values: NDArray[np.float32]) -> None:
        """Count pixels of every finished date that hold a value, and pixels that never do."""
        holds = np.isfinite(values).any(axis=1)
        self.filled = _plus(self.filled, holds.sum(axis=(1, 2)).tolist())
        self.empty_px += int((~holds.any(axis=0)).sum())

    @classmethod
    def total(cls, parts: Sequence[Record]) -> Record:
        """The counts of all tiles, added in their order."""
        whole = cls()
        for part in parts:
            whole.clipped += part.clipped
            whole.empty_px += part.empty_px
            whole.unread |= part.unread
            whole.pixels += part.pixels
            whole.seen, whole.clear = _plus(whole.seen, part.seen), _plus(whole.clear, part.clear)
            whole.filled = _plus(whole.filled, part.filled)
            whole.said = list(dict.fromkeys([*whole.said, *part.said]))
        return whole

    def as_dict(self) -> dict[str, Any]:
        """As plain values for the journal."""
        return vars(self)


def masked(
    passes: tuple[Pass, ...],
    own: GeoBox,
    *,
    bands: tuple[str, ...],
    mask: Any,
    reader: TileReader,
    on_error: Literal["raise", "skip"] = "raise",
) -> xr.Dataset:
    """Read a tile and mask it: quality with the halo that the mask needs, bands without one.

    Args:
        passes: Dates.
        own: The tile's grid.
        bands: Bands.
        mask: The Mask step, or None for none.
        reader: Open files and kept tiles.
        on_error: What to do about a file that cannot be read.

    Returns:
        The cube of the tile.
    """
    from landshift.acquire.read import read
    from landshift.ard.mask import own_class

    cube = read(passes, own, bands=bands, on_error=on_error, reader=reader)
    if mask is None:
        return cube
    rows, cols = mask.halo_px(own)
    around = read(passes, own.pad(cols, rows), bands=(), on_error=on_error, reader=reader)
    inner = (..., slice(rows, rows + own.shape[0]), slice(cols, cols + own.shape[1]))
    layer, grown = around["quality"].values[inner], mask.grow(around)["quality"].values[inner]
    found = own_class(cube["quality"].values, layer=layer, grown=grown)
    cube["quality"] = (cube["quality"].dims, found, cube["quality"].attrs)
    hidden: xr.Dataset = mask.hide_pixels(cube, in_place=True)
    return hidden


def _wanted(name: str, jobs: tuple[Job, ...]) -> bool:
    return any(name in job.sources for job in jobs)


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
    joined.attrs["read_errors"] = [error for cube in cut for error in cube.attrs.get("read_errors", ())]
    order = np.lexsort((joined["item_ids"].values.astype(str), joined["time"].values))
    return joined.isel(time=order)  # as the dates of the store


def _lay(whole: xr.Dataset | None, block: Block, tile: Block, part: xr.Dataset) -> xr.Dataset:
    """Lay a tile of stored numbers into the dataset of its block, which the first one makes."""
    import xarray as xr

    if tile.shape == block.shape:
        return part
    if whole is None:
        found = {
            str(name): (array.dims, np.empty((*array.shape[:-2], *block.shape), array.dtype))
            for name, array in part.data_vars.items()
        }
        plain = {str(name): coord for name, coord in part.coords.items() if not {"y", "x"} & set(coord.dims)}
        whole = xr.Dataset(found, coords=plain)
    rows = slice(tile.y[0] - block.y[0], tile.y[1] - block.y[0])
    cols = slice(tile.x[0] - block.x[0], tile.x[1] - block.x[0])
    for name, array in part.data_vars.items():
        whole[name].values[..., rows, cols] = array.values
    return whole


def _plus(old: list[int], new: list[int]) -> list[int]:
    return [a + b for a, b in zip(old, new, strict=True)] if old else new
