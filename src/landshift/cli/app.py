"""All commands, in the order a user meets them."""

from __future__ import annotations

import typer

from landshift.cli import ahead, build, results

__all__ = ["app"]

app = typer.Typer(
    name="landshift",
    help="From satellite scenes to cubes, models, maps and change: one recipe, one command.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for room, commands in (
    ("Start", (build.demo, ahead.init, ahead.explain, build.run, build.finish, build.status, results.serve)),
    ("Scenes", (ahead.search, ahead.adopt, ahead.fetch, ahead.simulate)),
    ("Results", (results.info, results.check, results.export, results.preview)),
    ("One stage alone", (build.labels, build.train, build.predict, build.change, build.zonal)),
    ("Housekeeping", (build.clean, ahead.schema, build.bench)),
):
    for command in commands:
        app.command(command.__name__, rich_help_panel=room)(command)


@app.callback(invoke_without_command=True)
def version(
    *, show: bool = typer.Option(False, "--version", help="Print the version and leave.", is_eager=True)
) -> None:
    """Print the version where it is asked for."""
    if show:
        import landshift

        typer.echo(landshift.__version__)
        raise typer.Exit
