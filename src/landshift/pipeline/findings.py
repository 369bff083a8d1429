"""What the maps say: change between years, areas by class, areas by zone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from landshift.cube.tables import write_table

if TYPE_CHECKING:
    from landshift.pipeline.stages import Context

__all__ = ["find_change", "find_zones"]


def find_change(context: Context) -> dict[str, Any]:
    """Write ``change/*.tif`` and the tables ``transitions`` and ``gains``."""
    from landshift.measure import transitions as measure

    out, maps, outline = context.out.path, context.maps(), context.survey.outline
    if len(maps) < 2:
        (out / "change").mkdir(exist_ok=True)
        years = ", ".join(map(str, maps)) or "none"
        context.watch.say(f"change: there is none to find, one year has no change (mapped: {years})")
        return {"pairs": 0}
    moved = measure.transitions(
        maps, out / "change", change=context.recipe.change, within=outline, progress=context.watch.progress
    )
    write_table(
        out,
        "transitions",
        moved,
        title="What became what between two years",
        columns=measure.TRANSITION_COLUMNS,
        xlsx=True,
    )
    write_table(
        out,
        "gains",
        measure.gains(moved),
        title="Gain, loss and net change of every class",
        columns=measure.GAIN_COLUMNS,
        xlsx=True,
    )
    return {"pairs": len(moved[["year_from", "year_to"]].drop_duplicates())}


def find_zones(context: Context, zones: Path) -> dict[str, Any]:
    """Write the tables ``zonal`` and ``zonal_change``."""
    import dataclasses

    from landshift.measure.zonal import ZONAL_CHANGE_COLUMNS, ZONAL_COLUMNS, zonal_tables

    out = context.out.path
    found = zonal_tables(context.maps(), dataclasses.replace(context.recipe.zonal, zones=zones))
    title = "Area of every class by zone and year"
    write_table(out, "zonal", found.area, title=title, columns=ZONAL_COLUMNS, xlsx=True)
    if len(found.change):
        title = "Gain and loss of every class by zone"
        write_table(out, "zonal_change", found.change, title=title, columns=ZONAL_CHANGE_COLUMNS, xlsx=True)
    return {"zones": int(found.area["zone"].nunique()), "outside": list(found.outside)}
