"""Commands that do work: run and its stages, the demo, clean, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landshift.cli.console import Terminal, facts, rows

__all__ = [
    "bench",
    "change",
    "clean",
    "demo",
    "finish",
    "labels",
    "predict",
    "run",
    "status",
    "train",
    "zonal",
]

RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a TOML file.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Output folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one setting: mask.grow_m.cloud=200. May be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run(
    recipe: RecipeFile,
    out: Out = Path("out"),
    overrides: Set = None,
    *,
    try_: Annotated[
        str | None,
        typer.Option("--try", help="Only a window around the centre, into OUT/try/5km: 5km, 800m."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Last stage to do: survey, build, train ...")] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="Only build blocks, as one of several processes: 2/8. Then `landshift finish`."),
    ] = None,
    json: Json = False,
) -> None:
    """Do all that a recipe says; go on where an earlier run stopped, redo only what changed.

    Example: landshift run recipe.toml --try 5km

    Example: landshift run recipe.toml --shard 2/8, one of eight on any machines that share the folder
    """
    from landshift.cli.session import run_and_tell, share_and_tell

    if shard is None:
        run_and_tell(recipe, out, overrides or [], try_=try_, until=until, as_json=json)
    else:
        share_and_tell(recipe, out, overrides or [], shard=shard, alone=try_ or until, as_json=json)


def finish(
    target: Annotated[Path, typer.Argument(help="Output folder of the shards, or the recipe.")] = Path("out"),
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output folder, beside a recipe.")] = None,
    overrides: Set = None,
    *,
    json: Json = False,
) -> None:
    """End what the shards of a run began: blocks left over, and all that comes after the blocks.

    Example: landshift finish out
    """
    from landshift.cli.session import finish_and_tell, run_and_tell

    if target.is_file():
        run_and_tell(target, out or Path("out"), overrides or [], as_json=json)
    else:
        finish_and_tell(target, alone=out or overrides, as_json=json)


def labels(recipe: RecipeFile, out: Out = Path("out"), overrides: Set = None) -> None:
    """Bring the labels onto the cube's grid, and what comes before it.

    Example: landshift labels recipe.toml
    """
    from landshift.cli.session import run_and_tell

    run_and_tell(recipe, out, overrides or [], until="labels")


def train(recipe: RecipeFile, out: Out = Path("out"), overrides: Set = None) -> None:
    """Train the models, and do what comes before it.

    Example: landshift train recipe.toml --set train.model=forest
    """
    from landshift.cli.session import run_and_tell

    run_and_tell(recipe, out, overrides or [], until="evaluate")


def predict(recipe: RecipeFile, out: Out = Path("out"), overrides: Set = None) -> None:
    """Make the yearly maps, and do what comes before it.

    Example: landshift predict recipe.toml
    """
    from landshift.cli.session import run_and_tell

    run_and_tell(recipe, out, overrides or [], until="predict")


def change(recipe: RecipeFile, out: Out = Path("out"), overrides: Set = None) -> None:
    """Compare the yearly maps, and do what comes before it.

    Example: landshift change recipe.toml
    """
    from landshift.cli.session import run_and_tell

    run_and_tell(recipe, out, overrides or [], until="change")


def zonal(recipe: RecipeFile, out: Out = Path("out"), overrides: Set = None) -> None:
    """Sum hectares by zone, year and class, and do what comes before it.

    Example: landshift zonal recipe.toml
    """
    from landshift.cli.session import run_and_tell

    run_and_tell(recipe, out, overrides or [], until="zonal")


def demo(
    out: Annotated[Path, typer.Argument(help="Output folder.")] = Path("out"),
    *,
    size: Annotated[int, typer.Option(help="Side of the simulated place in 10 m pixels.")] = 512,
    years: Annotated[str, typer.Option(help="Years to simulate.")] = "2017..2023",
    seed: Annotated[int, typer.Option(help="Seed of the landscape.")] = 1,
) -> None:
    """Run the whole job on simulated scenes and score it against their truth.

    Example: landshift demo out
    """
    from landshift.pipeline.demo import demo as work

    terminal = Terminal()
    board = work(out, size_px=size, years=years, seed=seed, watch=terminal)
    typer.echo("\nScoreboard, against the truth of the simulated scenes")
    rows(board, as_json=False, empty="no scores")
    typer.echo(f"\nLook at {out / 'report.html'} and {out / 'site' / 'index.html'} (`landshift serve {out}`)")


def status(
    out: Annotated[Path, typer.Argument(help="Output folder.")] = Path("out"), *, json: Json = False
) -> None:
    """Tell how far the run in an output folder is, and whether anybody is at work on it.

    Example: landshift status out
    """
    from landshift.cli.session import tell_status
    from landshift.pipeline.status import status as work

    tell_status(work(out), as_json=json)


def clean(
    out: Annotated[Path, typer.Argument(help="Output folder.")] = Path("out"),
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove what landshift made of an output folder; files of others stay.

    Example: landshift clean out --yes
    """
    from landshift.cli.session import tell_holdings
    from landshift.pipeline.clean import holdings, remove_output

    tell_holdings(holdings(out))
    if not yes:
        typer.confirm(f"Remove these from {out}?", abort=True)
    remove_output(out)
    facts({"removed": str(out)} if not out.exists() else {"kept": str(out)}, as_json=False)


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones; all by default.")] = None,
    *,
    json: Json = False,
) -> None:
    """Measure speed and memory against peers and limits, as ratios in one run.

    Example: landshift bench interpolate
    """
    from landshift.pipeline.bench import bench as work

    rows(work(names or [], say=Terminal().say), as_json=json, empty="no such benchmark")
