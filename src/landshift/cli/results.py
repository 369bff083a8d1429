"""Commands that look at results: info, check, export, preview, serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from landshift.cli.build import Json
from landshift.cli.console import facts, rows

__all__ = ["check", "export", "info", "preview", "serve"]

Store = Annotated[Path, typer.Argument(help="A cube (*.zarr), or an output folder.", show_default=False)]


def info(store: Store, *, json: Json = False) -> None:
    """Tell what a cube or an output folder holds.

    Example: landshift info out/cubes/regular.zarr
    """
    from landshift.pipeline.status import info as work

    facts(work(store), as_json=json)


def check(store: Store, *, json: Json = False) -> None:
    """Check the integrity of a cube, or of all cubes of an output folder; exit code 1 where anything is wrong.

    Example: landshift check out
    """
    from landshift.pipeline.status import check as work

    found = work(store)
    whole = all(row["kind"] == "note" for row in found)
    rows(found, as_json=json, empty=f"{store}: whole")
    if found and whole and not json:
        typer.echo(f"{store}: whole")
    if not whole:
        raise typer.Exit(1)


def export(
    store: Store,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the COGs.")] = Path("cogs"),
    per: Annotated[
        Literal["date", "band"],
        typer.Option(help="One file per date with all bands, or per band with all dates."),
    ] = "date",
) -> None:
    """Write a cube as COGs with described bands; of an output folder all cubes, each into a folder of its own.

    Example: landshift export out/cubes/yearly.zarr --out cogs
    """
    from landshift.cube.export import export as work
    from landshift.pipeline.status import cubes_of, is_cube

    written = [
        file
        for cube in cubes_of(store)
        for file in work(cube, out if is_cube(store) else out / cube.stem, per=per)
    ]
    facts({"written": len(written), "folder": str(out)}, as_json=False)


def preview(
    store: Store,
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG.")] = Path("preview.png"),
    bands: Annotated[str | None, typer.Option(help="Three bands, or one index, with commas.")] = None,
) -> None:
    """Draw a strip of a cube's dates as PNG; of an output folder one of each cube, named by it.

    Example: landshift preview out/cubes/regular.zarr --out strip.png
    """
    from landshift.pipeline.status import cubes_of, is_cube
    from landshift.show.preview import preview as work

    names = tuple(bands.split(",")) if bands else None
    for cube in cubes_of(store):
        png = out if is_cube(store) else out.with_stem(f"{out.stem}_{cube.stem}")
        facts({"written": str(work(cube, png, bands=names))}, as_json=False)


def serve(
    out: Annotated[Path, typer.Argument(help="Output folder.")] = Path("out"),
    port: Annotated[int, typer.Option(help="Port; the next free one is taken where it is in use.")] = 8000,
) -> None:
    """Serve the dashboard of an output folder on this machine.

    Example: landshift serve out
    """
    from landshift.show.serve import serve as work

    work(out, port=port)
