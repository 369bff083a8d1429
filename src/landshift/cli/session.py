"""One run at the terminal: its story while it goes, its outcome at the end, and what Ctrl-C leaves."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from landshift.cli.console import Terminal, facts
from landshift.errors import ConfigError

__all__ = ["box", "metres", "run_and_tell"]


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
    try:
        result = run(Recipe.load(recipe, overrides), out, until=until, try_m=side, watch=Terminal())
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; the same command goes on where this one stopped ({out})", err=True)
        raise typer.Exit(130) from None
    for sentence in result.warnings:
        typer.echo(typer.style("warning: ", fg="yellow") + sentence, err=True)
    told = {stage.name: f"{stage.state} in {stage.seconds:.1f} s" for stage in result.stages}
    facts({**told, "total": f"{result.seconds:.1f} s", "output": str(result.out)}, as_json=as_json)


def metres(text: str) -> float:
    """A length in metres: ``5km``, ``800m``.

    Raises:
        ConfigError: It is not a length.

    >>> metres("5km"), metres("800 m")
    (5000.0, 800.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(k?m)\s*", text)
    if not found:
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
