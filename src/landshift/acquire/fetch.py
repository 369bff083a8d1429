"""Fill the cache before the run: only the tiles that a place needs, and of those only what is not there yet.

Killed and started again it goes on where it was, since every tile stands in the cache as soon as it is read. After it,
the same place needs no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from landshift.acquire.cache import DiskCache
from landshift.acquire.datasets import Raster
from landshift.acquire.placement import placement_of
from landshift.acquire.read import OnError
from landshift.acquire.tiles import TileReader
from landshift.errors import SceneError, did_you_mean
from landshift.kernel.resample import Method
from landshift.plan import Plan
from landshift.scene import Pass, Scene

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Fetched", "fetch"]

AT_ONCE: Final = 8
"""Files that are read at once: it is the network that is waited for."""

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was fetched, and what was not."""

    files: int = 0
    """Files looked at."""
    local: int = 0
    """Of them local ones, which need no cache."""
    tiles: int = 0
    """Tiles that the cache had."""
    fetched: int = 0
    """Tiles that it had not."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Files that could not be used, or not everywhere, each with its error."""

    def __add__(self, other: Fetched) -> Fetched:
        """What two sources brought."""
        return Fetched(
            files=self.files + other.files,
            local=self.local + other.local,
            tiles=self.tiles + other.tiles,
            fetched=self.fetched + other.fetched,
            skipped={**self.skipped, **other.skipped},
        )


def fetch(
    passes: Sequence[Pass],
    plan: Plan,
    *,
    bands: Sequence[str],
    cache: DiskCache,
    resampling: Method = "bilinear",
    on_error: OnError = "raise",
    progress: Progress | None = None,
) -> Fetched:
    """Read every tile of remote scenes that a plan needs into a cache.

    Args:
        passes: Dates.
        plan: The place, in blocks.
        bands: Bands by common name, in the order they will be read.
        cache: Where tiles are kept.
        resampling: As the run will read, since that decides about overviews.
        on_error: ``raise``, or ``skip``: a damaged file is left out and told of; the others are fetched.
        progress: Told after every scene of a block.

    Raises:
        NetworkError: A server does not answer.
        SceneError: A file is damaged or lacks a band, and ``on_error`` is ``raise``.
    """
    wanted = [list(_layers(scene, bands, resampling)) for group in passes for scene in group.scenes]
    total = len(plan.blocks) * len(wanted)
    every = {layer[0] for layers in wanted for layer in layers}
    before = cache.hits, cache.misses
    done, skipped = 0, dict[str, str]()
    with (
        TileReader(held_bytes=0, max_open=4 * AT_ONCE, cache=cache) as reader,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        for block in plan.blocks:
            geobox = block.geobox(plan.geobox)
            for layers in wanted:
                jobs = {pool.submit(_one, reader, layer, geobox, plan.geobox): layer[0] for layer in layers}
                for job, raster in jobs.items():
                    error = job.exception()
                    if isinstance(error, SceneError) and on_error == "skip":
                        skipped[raster.shown] = error.message
                    elif error is not None:
                        raise error
                done += 1
                if progress is not None:
                    progress(done, total, "fetching scenes")
    return Fetched(
        files=len(every),
        local=sum(not raster.remote for raster in every),
        tiles=cache.hits - before[0],
        fetched=cache.misses - before[1],
        skipped=skipped,
    )


_Layer = tuple[Raster, tuple[int, ...], Method]


def _layers(scene: Scene, bands: Sequence[str], resampling: Method) -> Iterator[_Layer]:
    """Files of a scene with the bands that are decoded together, as reading groups them."""
    groups: dict[Raster, list[int]] = {}
    for band in bands:
        if band not in scene.bands:
            raise SceneError(f"scene {scene.id} has no band {band!r}", hint=did_you_mean(band, scene.bands))
        file = scene.bands[band]
        groups.setdefault(Raster(href=file.href, variable=file.variable), []).append(file.index)
    for raster, indexes in groups.items():
        yield raster, tuple(indexes), resampling
    if scene.quality is not None:
        yield (
            Raster(href=scene.quality.href, variable=scene.quality.variable),
            (scene.quality.index,),
            "nearest",
        )


def _one(reader: TileReader, layer: _Layer, geobox: GeoBox, whole: GeoBox) -> None:
    """Bring the tiles of one file under one block into the cache."""
    raster, indexes, method = layer
    if not raster.remote:
        return
    found = placement_of(reader, raster, geobox, method, whole=whole)
    if found is not None:
        reader.read(raster, indexes, found.rows, found.cols, level=found.level)
