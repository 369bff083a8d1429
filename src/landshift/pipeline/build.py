"""The build: read a block once, compute all products of it, write whole shards.

Products on one grid come from one pass; none reads another back. A finished block is noted per product, so
that a changed product is redone alone and a killed run loses only the blocks in flight.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import shutil
import time
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift.acquire.tiles import TileReader
from landshift.ard.composite import Composite
from landshift.config import Product
from landshift.errors import ConfigError, DataQualityWarning
from landshift.pipeline import holdout
from landshift.pipeline.block import STRIP_BYTES, BlockWork, Job
from landshift.pipeline.budget import Budget, Load, Room
from landshift.pipeline.cache import cache_of
from landshift.pipeline.hearing import listening
from landshift.plan import (
    Block,
    Executor,
    Plan,
    ProcessExecutor,
    SerialExecutor,
    ThreadExecutor,
    plan_blocks,
    write_atomic,
)
from landshift.scene import Pass
from landshift.step import key as step_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landshift.config.tables import Engine
    from landshift.pipeline.stages import Context

__all__ = ["Build", "executor_of"]

CODES: Final = 12
"""Bytes per pixel and look of quality codes, with and without halo, and of masks while they are grown."""
STRIPS: Final = 8
"""Arrays of a strip's size: looks, product, rounded numbers, and what the hold-out hides and guesses."""
LAYOUT: Final = 3
"""Version of what a block holds: part of every product's key."""


@dataclass(frozen=True)
class Build:
    """The work of the stage ``build``; see :mod:`landshift.pipeline.build`."""

    context: Context
    """The run."""

    @property
    def keys(self) -> dict[str, str]:
        """Key of every product: its step, mask, indices, scenes and grid."""
        survey, recipe = self.context.survey, self.context.recipe
        found = {}
        for product in recipe.products:
            sources = {source.name: survey.fingerprint(source.name) for source in recipe.sources_of(product)}
            bands = {name: list(survey.bands[name]) for name in sources}
            rest = [product.name, list(product.indices), sources, bands, survey.place, LAYOUT]
            mask = "" if recipe.mask is None else step_key(recipe.mask)
            found[product.name] = step_key(self.timed(product), mask, str(rest))
        return found

    def timed(self, product: Product) -> Any:
        """The product's step with the recipe's span of time where it has none of its own."""
        begin, end = self.context.recipe.time.span
        fields = {field.name for field in dataclasses.fields(product.step)}
        span = {"start": begin.date(), "end": (end - timedelta(microseconds=1)).date()}
        open_ended = end.year >= 2100
        given = {
            name: value
            for name, value in span.items()
            if name in fields and getattr(product.step, name) is None and not open_ended
        }
        return dataclasses.replace(product.step, **given) if given else product.step

    def times(self, product: Product) -> NDArray[np.datetime64]:
        """Dates that a product will have, UTC."""
        return _times(self.timed(product), self._groups(product))

    @cached_property
    def plan(self) -> Plan:
        """The blocks."""
        return plan_blocks(self.context.survey.geobox, geometry=self.context.survey.outline)

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """What to make of every block, product by product."""
        return tuple(self._job(product) for product in self.context.recipe.products)

    @cached_property
    def work(self) -> BlockWork:
        """What has to be done for a block; needs the stores of :meth:`prepare`."""
        context, plan = self.context, self.plan
        return BlockWork(
            geobox=plan.geobox,
            passes=context.survey.passes,
            bands=context.survey.bands,
            mask=context.recipe.mask,
            jobs=self.jobs,
            journal=context.out.hidden / "journal",
            holdout=holdout.Holdout(share=context.recipe.report.holdout, seed=context.recipe.report.seed),
            on_error=context.recipe.engine.on_error,
            reader=TileReader(held_bytes=self.budget.held_bytes, cache=cache_of(context.recipe)),
            threads=self.budget.threads,
            tile_px=self.budget.tile_px,
        )

    @cached_property
    def budget(self) -> Budget:
        """How memory is shared out."""
        return Budget.of(Room.of(self.context.recipe.engine), self.load)

    @cached_property
    def load(self) -> Load:
        """What a block takes: the looks of all sources, read and masked, and the products made of them."""
        survey, plan = self.context.survey, self.plan
        several = any(len(job.sources) > 1 for job in self.jobs)
        looks = sum(
            len(groups) * (4 * len(survey.bands[name]) * (1 + several) + CODES)
            for name, groups in survey.passes.items()
        )
        rows, cols = zip(*(block.shape for block in plan.blocks), strict=True)
        return Load(
            block=(max(rows), max(cols)),
            blocks=max(1.0, sum(map(math.prod, zip(rows, cols, strict=True))) / plan.block_px**2),
            tile=looks,
            strip=STRIPS * STRIP_BYTES,
            stored=sum(job.dates * (2 * (len(job.bands) + len(job.indices)) + 2) for job in self.jobs),
        )

    def __call__(self) -> dict[str, Any]:
        """Build what is not built; give counts for ``run.json``."""
        self.prepare()
        with contextlib.closing(self.do(self.work.unfinished(self.plan.blocks))) as done:
            for _ in done:
                pass
        return self._tables()

    def lost(self) -> list[str]:
        """What was built and is gone since, in words."""
        return [f"block {block.name} of {job.name}" for job in self.jobs for block in self._lost(job)]

    def _lost(self, job: Job) -> list[Block]:
        """Blocks of a product that are noted as done and of which a file is not there."""
        from landshift.cube.store import lacking

        noted = self.work.journals(job)[0].names()
        return lacking(job.store, [block for block in self.plan.blocks if block.name in noted])

    def prepare(self) -> None:
        """Make the stores that the recipe asks for, and remove all others."""
        self._drop_strangers()
        for job in self.work.jobs:
            self._make_store(job)

    def do(self, blocks: Iterable[Block]) -> Generator[Block]:
        """Do blocks; give each as soon as it is done. Who stops listening closes it: what is in flight then ends first.

        Args:
            blocks: Which; the next is taken when a worker is free for it.
        """
        work, plan, watch = self.work, self.plan, self.context.watch
        total = len(plan.blocks)
        done = total - len(work.unfinished(plan.blocks))
        layers = sum(len(groups) * len(work.bands[name]) for name, groups in work.passes.items())
        begin, pixels = time.perf_counter(), 0
        if not self.budget.fits:
            watch.say(f"build: engine.memory is {self.budget}")
        watch.progress(done, total, "blocks")
        with work.reader, listening():
            for block, count in executor_of(self.context.recipe.engine, at_once=self.budget.at_once).run(
                work, blocks
            ):
                done, pixels = done + 1, pixels + count
                rate = pixels * layers / 1e6 / (time.perf_counter() - begin)
                watch.progress(done, total, f"blocks, {rate:.{0 if rate >= 10 else 1}f} MPix/s")
                yield block

    def _job(self, product: Product) -> Job:
        """What to make of every block for a product."""
        context, groups = self.context, self._groups(product)
        passes = context.survey.passes
        names = tuple(source.name for source in context.recipe.sources_of(product) if passes[source.name])
        step = self.timed(product)
        if _of_looks(step):
            _refuse_one_moment(product.name, groups)
        bands = _shared_bands([context.survey.bands[name] for name in names], product.name)
        return Job(
            name=product.name,
            key=self.keys[product.name],
            step=step,
            sources=names,
            bands=bands,
            variable=_variable(groups),
            indices=tuple(name.lower() for name in product.indices),
            dates=len(_times(step, groups)),
            store=context.cube(product),
        )

    def _groups(self, product: Product) -> list[Pass]:
        """The dates of a product's sources."""
        names = [source.name for source in self.context.recipe.sources_of(product)]
        groups = sorted(
            (group for name in names for group in self.context.survey.passes[name]), key=lambda one: one.order
        )
        if not groups:
            raise ConfigError(f"product {product.name} has no scenes", hint="look with `landshift search`")
        return groups

    def _make_store(self, job: Job) -> None:
        """Create a product's store, or take it up again; one of another key is removed first."""
        from landshift.cube.store import create

        hidden, step = self.context.out.hidden, job.step
        marker = hidden / "stores" / f"{job.name}.key"
        if not (job.store.exists() and marker.is_file() and marker.read_text() == job.key):
            # what the journal says of blocks is true of a store that is whole: both go, the marker first
            marker.unlink(missing_ok=True)
            shutil.rmtree(hidden / "journal" / "build" / job.key, ignore_errors=True)
            shutil.rmtree(job.store, ignore_errors=True)
        if self.context.recipe.engine.on_error == "raise":
            self._reopen_holes(job)
        groups = self._groups(self.context.recipe.product(job.name))
        create(
            job.store,
            geobox=self.plan.geobox,
            times=_times(step, groups),
            variable=job.variable,
            names=job.bands,
            product=job.name,
            extra=_extra(step),
            indices=job.indices,
            coords=_per_scene(groups) if _of_looks(step) else {},
            attrs={"landshift:key": job.key},
            blocks=self.plan.blocks,
        )
        journal = self.work.journals(job)[0]
        for block in self._lost(job):
            journal.path(block.name).unlink()
        write_atomic(marker, job.key.encode())

    def _reopen_holes(self, job: Job) -> None:
        """Do blocks anew in which an earlier run has skipped files: now they are to be read, or to stop the run."""
        from landshift.pipeline.tally import holes

        for journal in self.work.journals(job):
            for block in holes(journal):
                journal.path(block).unlink()

    def _drop_strangers(self) -> None:
        """Remove stores of products that the recipe no longer has."""
        kept = {f"{product.name}.zarr" for product in self.context.recipe.products}
        for store in sorted((self.context.out.path / "cubes").glob("*.zarr")):
            if store.name not in kept:
                self.context.watch.say(f"build: removed {store.name}, which the recipe no longer has")
                shutil.rmtree(store)

    def _tables(self) -> dict[str, Any]:
        """Sum what the blocks counted, write the tables of the data's quality, and say what workers said."""
        from landshift.pipeline.tally import empty_dates, write_clear, write_holdout, write_read_errors

        work, out = self.work, self.context.out.path
        records = {job.name: work.records(job) for job in work.jobs}
        scores = {job.name: work.scores(job) for job in work.jobs}
        write_clear(out, records, work.jobs, self.context.survey.passes)
        write_holdout(out, scores, work.jobs)
        noted = [note for found in (*records.values(), *scores.values()) for note in found]
        for sentence in sorted({sentence for note in noted for sentence in note["said"]}):
            warnings.warn(sentence, DataQualityWarning, stacklevel=2)
        lost, empty = write_read_errors(out, records), empty_dates(records, work.jobs)
        counts: dict[str, dict[str, int]] = {
            name: {"read_errors": lost[name], "empty_dates": empty[name]}
            | {what: sum(record[what] for record in found) for what in ("clipped", "empty_px")}
            for name, found in records.items()
        }
        return {"blocks": {name: len(found) for name, found in records.items()}, **counts}


def executor_of(engine: Engine, *, at_once: int) -> Executor:
    """The executor a recipe asks for.

    Args:
        engine: The recipe's table.
        at_once: Blocks in flight; a cluster knows itself how many.
    """
    if engine.cluster is not None:
        from landshift.cluster import DaskExecutor

        return DaskExecutor(address=engine.cluster)
    if engine.executor == "serial":
        return SerialExecutor()
    return (
        ThreadExecutor(workers=at_once) if engine.executor == "threads" else ProcessExecutor(workers=at_once)
    )


def _refuse_one_moment(product: str, groups: Sequence[Pass]) -> None:
    """Two looks of the very same moment cannot share a time axis of looks."""
    for one, other in itertools.pairwise(groups):
        if one.stamp == other.stamp:
            raise ConfigError(
                f"product {product} holds every look at its own time, and two looks are of the same moment",
                where=f"{one.time:%Y-%m-%dT%H:%M:%S.%fZ}",
                got=[f"{look.item_ids} of source {look.scenes[0].source}" for look in (one, other)],
                hint="make a product of each source with `from = [...]`, or leave one of the two scenes out",
            )


def _shared_bands(bands: Sequence[tuple[str, ...]], product: str) -> tuple[str, ...]:
    """Bands that all sources of a product have, in the order of the first."""
    shared = tuple(band for band in bands[0] if all(band in other for other in bands))
    if not shared:
        raise ConfigError(
            f"the sources of product {product} have no band in common",
            got=[list(names) for names in bands],
            hint="name `bands` of each source, or make a product of each",
        )
    return shared


def _variable(groups: Sequence[Pass]) -> str:
    found = {scene.quantity for group in groups for scene in group.scenes}
    if len(found) > 1:
        raise ConfigError(
            "one product cannot hold optical and radar scenes", got=sorted(found), hint="make two"
        )
    return found.pop()


def _extra(step: Any) -> Mapping[str, tuple[str, ...]]:
    """What the step adds beside the bands."""
    series, plane = ("time", "y", "x"), ("y", "x")
    if isinstance(step, Composite):
        return {"n_clear": series}
    return {"n_clear": plane, "age": series} if hasattr(step, "every") else {"quality": series}


def _per_scene(groups: Sequence[Pass]) -> Mapping[str, NDArray[Any]]:
    """Coordinates per date, for products whose dates are the scenes'."""
    first = [group.scenes[0] for group in groups]
    return {
        "sensor": np.array([scene.sensor for scene in first], object),
        "platform": np.array([scene.platform for scene in first], object),
        "orbit_state": np.array([scene.orbit_state for scene in first], object),
        "relative_orbit": np.array([scene.relative_orbit for scene in first], np.int16),
        "item_ids": np.array([group.item_ids for group in groups], object),
    }


def _of_looks(step: Any) -> bool:
    """Whether a product's dates are those of the looks."""
    return not hasattr(step, "period") and not hasattr(step, "every")


def _times(step: Any, groups: Sequence[Pass]) -> NDArray[np.datetime64]:
    """Dates of a product, UTC."""
    return np.asarray(step.times(np.array([group.stamp for group in groups], "datetime64[ns]")))
