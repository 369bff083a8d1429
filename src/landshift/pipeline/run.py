"""The whole job: survey, build, labels, train, evaluate, predict, change, zonal, score, publish. Up to date stages are left alone."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import landshift
from landshift.config import Recipe
from landshift.errors import ConfigError, DataQualityWarning, LandshiftError, StoreError
from landshift.pipeline import stages
from landshift.pipeline.hearing import quality_sentences
from landshift.pipeline.output import STAGES, Output, StageResult, hash_of
from landshift.pipeline.preflight import preflight
from landshift.pipeline.shards import SharedRun
from landshift.pipeline.survey import Survey
from landshift.pipeline.watch import Quiet, Watch

__all__ = ["STAGES", "RunResult", "finish", "run"]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run did."""

    out: Path
    """The output folder."""
    stages: tuple[StageResult, ...]
    """What became of every stage."""
    warnings: tuple[str, ...] = ()
    """What was skipped or filled, in words."""
    seconds: float = 0.0
    """Wall time."""
    survey: Survey | None = field(default=None, repr=False)
    """What the survey found."""


def run(
    recipe: Recipe | str | Path,
    out: str | Path = "out",
    *,
    until: str | None = None,
    try_m: float | None = None,
    watch: Watch | None = None,
) -> RunResult:
    """Do what a recipe says; go on where an earlier run stopped, and redo only what changed.

    Args:
        recipe: A recipe, or the path of one.
        out: Output folder. A trial goes to a folder of its size, such as ``out/try/5km``.
        until: Last stage to do, one of :data:`STAGES`; None does all.
        try_m: Side of a window around the place's centre, in metres: every stage runs on it alone.
        watch: Who is told how it goes.

    Raises:
        LandshiftError: With what, where and what to do next; the folder stays resumable.
    """
    made = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    if until is not None and until not in STAGES:
        raise ConfigError("no such stage", got=until, allowed=STAGES)
    heard = watch or Quiet()
    folder = Path(out) if try_m is None else Path(out) / "try" / _size_name(try_m)
    output = Output(path=folder, say=heard.say)
    begin = time.perf_counter()
    output.refuse_foreign()
    with output.lock(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataQualityWarning)
        SharedRun.close(output, made)
        context = stages.find(made, output, heard, crop_m=try_m)
        preflight(context, stages=STAGES if until is None else STAGES[: STAGES.index(until) + 1])
        output.prepare(context.survey.place)
        results = _do(context, until)
        said = tuple(dict.fromkeys([*quality_sentences(caught), *output.warnings(results)]))
        result = RunResult(
            out=folder,
            stages=tuple(results),
            warnings=said,
            seconds=time.perf_counter() - begin,
            survey=context.survey,
        )
        if until is None or until == "publish":
            _record(context, result)
    return result


def finish(out: str | Path = "out", *, watch: Watch | None = None) -> RunResult:
    """End what the shards of a run began: blocks that none of them finished, and all that comes after the blocks.

    Args:
        out: Output folder of the shards, all of which have ended.
        watch: Who is told how it goes.

    Raises:
        StoreError: No shard has been at work there, or one still is.
    """
    held = SharedRun.load(Output(path=Path(out)))
    if held is None:
        raise StoreError(
            "no shard of a run has been at work in this folder",
            where=out,
            hint="start shards with `landshift run recipe.toml --shard 1/4`, or finish by the recipe's name",
        )
    return run(held.recipe, out, watch=watch)


def _size_name(side_m: float) -> str:
    """Name of a trial's folder.

    Raises:
        ConfigError: There is no such window.

    >>> _size_name(5000), _size_name(120)
    ('5km', '120m')
    """
    if not side_m > 0:
        raise ConfigError("a trial's window has a side of more than 0 m", got=side_m, hint="such as 5000")
    return f"{side_m / 1000:g}km" if side_m >= 1000 else f"{side_m:g}m"


def _do(context: stages.Context, until: str | None) -> list[StageResult]:
    """Do the stages that the recipe asks for, in order; each one's key is an input of the next."""
    made: dict[str, Callable[[Mapping[str, str]], Any]] = {
        "survey": lambda _: stages.inventory(context),
        "build": lambda keys: stages.build(context, keys),
        "labels": lambda _: stages.labels(context),
        "train": lambda keys: stages.train(context, keys),
        "evaluate": lambda keys: stages.evaluate(context, keys),
        "predict": lambda keys: stages.predict(context, keys),
        "change": lambda keys: stages.change(context, keys),
        "zonal": lambda keys: stages.zonal(context, keys),
        "score": lambda keys: stages.score(context, keys),
        "publish": lambda keys: stages.publish(context, keys),
    }
    keys: dict[str, str] = {}
    results: list[StageResult] = []
    for name in STAGES:
        stage = made[name](keys)
        if stage is None:
            context.out.forget(name)
        else:
            if name == "publish":
                said = context.out.warnings(results)
                _record(context, RunResult(out=context.out.path, stages=tuple(results), warnings=said))
            try:
                done = context.out.do(stage)
            except LandshiftError:
                for sentence in context.out.warnings(results):  # what earlier stages noticed may say why
                    context.watch.say(f"warning: {sentence}")
                raise
            keys[name] = done.key
            results.append(done)
        if name == until:
            break
    return results


def _record(context: stages.Context, result: RunResult) -> None:
    """Write ``recipe.toml`` and ``run.json``."""
    from landshift.cube.provenance import write_run
    from landshift.plan import write_atomic

    text = context.recipe.to_toml()
    write_atomic(context.out.path / "recipe.toml", text.encode())
    write_run(
        context.out.path,
        title=context.recipe.report.title,
        simulated=context.simulated,
        recipe_hash=hash_of(context.recipe.to_dict()),
        versions={"landshift": landshift.__version__, "python": platform.python_version(), **_versions()},
        counts={done.name: dict(done.record) for done in result.stages},
        keys={done.name: done.key for done in result.stages},
        warnings=list(result.warnings),
        timings={done.name: round(done.seconds, 3) for done in result.stages},
    )


def _versions() -> dict[str, str]:
    """Versions of the packages whose change may change bytes."""
    from importlib.metadata import version

    return {
        name: version(name)
        for name in ("numpy", "numba", "rasterio", "xarray", "zarr", "torch", "scikit-learn")
    }
