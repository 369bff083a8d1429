"""What the command line prints: sentences, facts, progress and errors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from landshift.errors import LandshiftError
from landshift.pipeline.watch import duration

__all__ = ["Terminal", "complain", "facts", "rows"]


class Terminal:
    """Tells a run's story: one moving line on a terminal, plain lines in a log."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.live = sys.stderr.isatty()
        self.what = ""
        self.begun = self.told = 0.0

    def say(self, text: str) -> None:
        """Print one sentence; the first word is the stage."""
        self._clear()
        typer.echo(text, err=True)

    def progress(self, done: int, total: int, what: str) -> None:
        """Show how far a stage is and how long it will take: often on a terminal, every ten seconds in a log.

        What stands behind a comma (a rate, a score) may change from call to call.
        """
        now = self.clock()
        kind = what.partition(",")[0]
        if kind != self.what:
            self.what, self.begun, self.told = kind, now, 0.0
        last = done >= total
        if not last and now - self.told < (0.2 if self.live else 10.0):
            return
        self.told = now
        spent = now - self.begun
        left = spent / done * (total - done) if done else 0.0
        line = f"  {what}: {done}/{total} ({100 * done // max(total, 1)} %)"
        line += f", {_left(left)}" if not last and done else f" in {duration(spent)}" if last else ""
        if self.live:
            typer.echo(f"\r\033[K{line}", err=True, nl=last)
        elif last or done:
            typer.echo(line, err=True)

    def _clear(self) -> None:
        if self.live and self.what:
            typer.echo("\r\033[K", err=True, nl=False)


def complain(error: LandshiftError) -> None:
    """Print an error as a paragraph on stderr."""
    first, *rest = str(error).splitlines()
    typer.echo(typer.style("error: ", fg="red", bold=True) + first, err=True)
    for line in rest:
        typer.echo(line, err=True)


def facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print named facts, aligned or as JSON."""
    if as_json:
        typer.echo(json.dumps(values, indent=2, default=str))
        return
    wide = max((len(name) for name in values), default=0)
    for name, value in values.items():
        if isinstance(value, Mapping):
            typer.echo(f"{name}")
            for inner, part in value.items():
                typer.echo(f"  {inner}: {part}")
        else:
            typer.echo(f"{name:<{wide}}  {value}")


def rows(table: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows in columns, or as JSON; ``empty`` is said where there are none."""
    if as_json:
        typer.echo(json.dumps(list(table), indent=2, default=str))
        return
    if not table:
        typer.echo(empty)
        return
    names = list(table[0])
    text = [[str(row.get(name, "")) for name in names] for row in table]
    wide = [max(len(cells[i]) for cells in [names, *text]) for i in range(len(names))]
    for cells in [names, *text]:
        typer.echo("  ".join(cell.ljust(size) for cell, size in zip(cells, wide, strict=True)).rstrip())


def _left(seconds: float) -> str:
    """How long something will still take: an estimate, which never says that nothing is left."""
    return f"about {duration(max(seconds, 1))} left"
