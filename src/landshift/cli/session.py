"""One run at the terminal: its story while it goes, its outcome at the end, and what Ctrl-C leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from landshift.cli.console import Terminal, facts, rows
from landshift.errors import ConfigError, counted
from landshift.pipeline.watch import sized

if TYPE_CHECKING:
    from landshift.pipeline.clean import Holdings
    from landshift.pipeline.run import RunResult

__all__ = [
    "box",
    "finish_and_tell",
    "metres",
    "run_and_tell",
    "share_and_tell",
    "tell_holdings",
    "tell_status",
]


def run_and_tell(
    recipe: Path,
    out: Path,
    overrides: list[str],
    *,
    try_: str | None = None,
    until: str | None = None,
    as_json: bool = False,
) -> None:
    """Run a recipe and print what became of it; Ctrl-C leaves a resumable folder and says so."""
    from landshift.config import Recipe
    from landshift.pipeline.run import run

    side = None if try_ is None else metres(try_)
    with _stoppable(out):
        result = run(Recipe.load(recipe, overrides), out, until=until, try_m=side, watch=Terminal())
    _tell(result, as_json=as_json)


def finish_and_tell(out: Path, *, alone: object = None, as_json: bool = False) -> None:
    """Finish what shards began and print what became of it.

    Args:
        out: Output folder of the shards.
        alone: The value of a flag that goes with a recipe alone.
        as_json: Whether to print JSON.

    Raises:
        ConfigError: Such a flag was given.
    """
    from landshift.pipeline.run import finish

    if alone:
        raise ConfigError(
            "a folder is finished by the recipe that its shards have noted, in that folder",
            where=out,
            got=str(alone),
            hint="leave --out and --set out, or name the recipe: `landshift finish recipe.toml --out out`",
        )
    with _stoppable(out):
        result = finish(out, watch=Terminal())
    _tell(result, as_json=as_json)


def share_and_tell(
    recipe: Path, out: Path, overrides: list[str], *, shard: str, alone: str | None, as_json: bool = False
) -> None:
    """Build blocks as one shard of a run and print how many.

    Args:
        recipe: The recipe.
        out: Output folder.
        overrides: Settings laid over the recipe.
        shard: Which of how many.
        alone: A flag's value that a shard cannot heed.
        as_json: Whether to print JSON.

    Raises:
        ConfigError: Such a flag was given.
    """
    from landshift.config import Recipe
    from landshift.pipeline.shards import Shard, run_shard

    if alone is not None:
        raise ConfigError(
            "a shard builds blocks and nothing else", got=alone, hint="leave --try and --until out"
        )
    with _stoppable(out):
        result = run_shard(Recipe.load(recipe, overrides), out, shard=Shard.of(shard), watch=Terminal())
    for sentence in result.warnings:
        typer.echo(typer.style("warning: ", fg="yellow") + sentence, err=True)
    told = {
        "built": result.built,
        "left": result.left,
        "total": f"{result.seconds:.1f} s",
        "output": str(out),
    }
    facts(told | {"next": f"when all shards have ended: landshift finish {out}"}, as_json=as_json)


@contextmanager
def _stoppable(out: Path) -> Iterator[None]:
    """Ctrl-C says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; the same command goes on where this one stopped ({out})", err=True)
        raise typer.Exit(130) from None


def _tell(result: RunResult, *, as_json: bool) -> None:
    for sentence in result.warnings:
        typer.echo(typer.style("warning: ", fg="yellow") + sentence, err=True)
    told = {stage.name: f"{stage.state} in {stage.seconds:.1f} s" for stage in result.stages}
    told |= {"total": f"{result.seconds:.1f} s", "output": str(result.out)}
    if (result.out / "report.html").is_file():
        told["look at"] = str(result.out / "report.html")
    facts(told, as_json=as_json)


def tell_status(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how far a run is: its stages, the blocks of its products, and who has which in his hands."""
    if as_json:
        facts(found, as_json=True)
        return
    stages = [
        {"stage": row["stage"], "state": row["state"], **_counted(row["record"])} for row in found["stages"]
    ]
    rows(stages, as_json=False, empty="no stage has begun")
    for row in found["products"]:
        typer.echo(f"{row['product']}: {row['done']} of {counted(row['blocks'], 'block')}")
    if found["claims"]:
        rows(found["claims"], as_json=False, empty="")
    typer.echo(found["run"])


def _counted(record: Mapping[str, Any]) -> dict[str, str]:
    """The plain numbers and names among what a stage counted."""
    plain = [f"{name} {value}" for name, value in record.items() if isinstance(value, (int, float, str))]
    return {"counts": ", ".join(plain)}


def tell_holdings(held: Holdings) -> None:
    """Print what is going to be removed, with its size, and what is not."""
    listed = [{"file": str(path), "size": sized(count)} for path, count in held.made.items()]
    rows(listed, as_json=False, empty="nothing to remove")
    typer.echo(f"{sized(sum(held.made.values()))} in all")
    if held.others:
        names = ", ".join(str(path) for path in held.others[:5])
        more = f" and {len(held.others) - 5} more" if len(held.others) > 5 else ""
        typer.echo(f"not made by landshift, and left there: {names}{more}")


def metres(text: str) -> float:
    """A length in metres: ``5km``, ``800m``.

    Raises:
        ConfigError: It is not a length.

    >>> metres("5km"), metres("800 m")
    (5000.0, 800.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(k?m)\s*", text)
    if not found or float(found[1]) == 0:
        raise ConfigError("--try takes a length", got=text, allowed="5km, 800m")
    return float(found[1]) * (1000 if found[2] == "km" else 1)


def box(text: str) -> tuple[float, ...]:
    """Four numbers with commas: left, bottom, right, top.

    Raises:
        ConfigError: They are not.

    >>> box("14.4,50,14.5,50.1")
    (14.4, 50.0, 14.5, 50.1)
    """
    try:
        left, bottom, right, top = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            "--bbox takes four numbers", got=text, allowed="left,bottom,right,top", hint="14.4,50.0,14.5,50.1"
        ) from None
    return left, bottom, right, top
