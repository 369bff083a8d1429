"""Commands that look ahead and fetch: init, explain, search, adopt, fetch, simulate, schema."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from landshift.cli.build import Json, RecipeFile, Set
from landshift.cli.console import Terminal, facts, rows

__all__ = ["adopt", "explain", "fetch", "init", "schema", "search", "simulate"]


def init(
    place: Annotated[Path | None, typer.Option(help="Vector file of the place.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder of scenes to start from.")] = None,
    catalogue: Annotated[str, typer.Option(help="Public catalogue to take scenes from.")] = "earth-search",
    years: Annotated[
        str | None, typer.Option(help='Years, "2020..2023"; by default those of the folder.')
    ] = None,
) -> None:
    """Print a commented starter recipe.

    Example: landshift init --place province.gpkg > recipe.toml
    """
    from landshift.pipeline.starter import starter

    typer.echo(starter(place=place, folder=folder, catalogue=catalogue, years=years))


def explain(recipe: RecipeFile, overrides: Set = None, *, json: Json = False) -> None:
    """Tell what a recipe would do: scenes, bytes, disk, memory and time. Nothing is run.

    Example: landshift explain recipe.toml
    """
    from landshift.config import Recipe
    from landshift.pipeline.explain import explain as work

    facts(work(Recipe.load(recipe, overrides or [])), as_json=json)


def search(recipe: RecipeFile, overrides: Set = None, *, json: Json = False) -> None:
    """List the scenes a recipe finds, and those it leaves out with the reason.

    Example: landshift search recipe.toml --json
    """
    from landshift.config import Recipe
    from landshift.pipeline.explain import scenes

    rows(scenes(Recipe.load(recipe, overrides or [])), as_json=json, empty="no scenes")


def adopt(
    path: Annotated[Path, typer.Argument(help="Folder or file.")],
    pattern: Annotated[str | None, typer.Option(help="Which files: *.tif")] = None,
    date: Annotated[str | None, typer.Option(help="How names hold the date: %Y%m%d")] = None,
    bands: Annotated[str | None, typer.Option(help="Band names in file order, with commas.")] = None,
    *,
    json: Json = False,
) -> None:
    """List what a folder's files would be as scenes; nothing is copied.

    Example: landshift adopt scenes/ --date %Y%m%d --bands blue,green,red,nir
    """
    from landshift.pipeline.explain import adopted

    names = tuple(bands.split(",")) if bands else None
    rows(adopted(path, pattern=pattern, date=date, bands=names), as_json=json, empty="no scenes")


def fetch(recipe: RecipeFile, overrides: Set = None, *, json: Json = False) -> None:
    """Download what a recipe needs into the cache; resumable.

    Example: landshift fetch recipe.toml
    """
    from landshift.config import Recipe
    from landshift.pipeline.explain import fetch as work

    facts(work(Recipe.load(recipe, overrides or []), watch=Terminal()), as_json=json)


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder for the scenes.")],
    bbox: Annotated[str, typer.Option(help="Longitudes and latitudes: left,bottom,right,top")] = "",
    size: Annotated[int, typer.Option(help="Side in 10 m pixels, where no bbox is given.")] = 512,
    years: Annotated[str, typer.Option(help="Years.")] = "2017..2023",
    seed: Annotated[int, typer.Option(help="Seed of the landscape.")] = 1,
) -> None:
    """Write simulated scenes with their truth: COGs and a STAC catalogue.

    Example: landshift simulate scenes --size 256 --years 2020..2021
    """
    from landshift.cli.session import box
    from landshift.pipeline.demo import simulate as work

    facts(
        work(out, bbox=box(bbox) if bbox else None, size_px=size, years=years, seed=seed, watch=Terminal()),
        as_json=False,
    )


def schema(
    *, markdown: Annotated[bool, typer.Option("--markdown", help="The reference for people instead.")] = False
) -> None:
    """Print the JSON schema of recipes, for editors; or their reference, for people.

    Example: landshift schema > recipe.schema.json
    """
    from landshift.config import reference
    from landshift.config import schema as work

    typer.echo(reference() if markdown else jsonlib.dumps(work(), indent=2))
