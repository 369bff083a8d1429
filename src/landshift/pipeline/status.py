"""What an output folder holds, how far its run is, and whether its cubes are whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from landshift.errors import StoreError
from landshift.pipeline.output import STAGES, Output
from landshift.plan import Journal

if TYPE_CHECKING:
    from landshift.cube.check import Problem

__all__ = ["check", "cubes_of", "info", "is_cube", "status"]


def status(out: Path) -> dict[str, Any]:
    """How far a run is, and whether anybody is at work on it.

    Args:
        out: Output folder.

    Returns:
        ``run``: a sentence. ``stages``: a row each, in the order of the run, with ``stage``, ``state``, ``key`` and
        the ``record`` of what it counted. ``products``: a row each with blocks ``done`` and ``blocks`` in all.
        ``claims``: a row for each block in the hands of a shard, with ``block``, ``shard``, ``host``, ``process``.

    Raises:
        StoreError: No run has been at work there.
    """
    output = Output(path=out)
    if not output.hidden.is_dir():
        trials = ", ".join(
            str(one) for one in sorted((out / "try").glob("*")) if (one / ".landshift").is_dir()
        )
        hint = f"there are trials: {trials}" if trials else "give the folder that `landshift run` wrote to"
        raise StoreError("no run has been at work in this folder", where=out, hint=hint)
    held = output.status()
    stages = [
        {"stage": name, **{part: held[name][part] for part in ("state", "key", "record")}}
        for name in STAGES
        if name in held
    ]
    claims = [
        {"block": claim["name"], **{ours: claim.get(theirs, "") for ours, theirs in _CLAIM.items()}}
        for claim in output.claims().held()
    ]
    products = [_built(output, store) for store in sorted((out / "cubes").glob("*.zarr"))]
    return {
        "run": _standing(output, stages, claims),
        "stages": stages,
        "products": products,
        "claims": claims,
    }


_CLAIM: Final = {"shard": "owner", "host": "host", "process": "process"}
"""Parts of a claim, as they are shown and as its file names them."""


def _standing(output: Output, stages: list[dict[str, Any]], claims: list[dict[str, Any]]) -> str:
    """Who is at work, or what is to be done next; in words."""
    shards = {claim["shard"] for claim in claims}
    if shards:
        return f"{len(shards)} shard{'s are' if len(shards) > 1 else ' is'} at work"
    if output.busy:
        return "a run is at work"
    if {"publish"} <= {row["stage"] for row in stages} and all(row["state"] == "done" for row in stages):
        return "finished"
    if output.busy is None:
        return "not finished; whether anybody is at work cannot be told on this file system"
    return "nobody is at work: run again, which goes on where it stopped"


def _built(output: Output, store: Path) -> dict[str, Any]:
    """How many blocks of a product are done."""
    from landshift.cube.store import planned

    marker = output.hidden / "stores" / f"{store.stem}.key"
    key = marker.read_text() if marker.is_file() else ""
    journal = Journal(folder=output.hidden / "journal" / "build", key=key)
    return {
        "product": store.stem,
        "done": len(journal.names()) if key else 0,
        "blocks": len(planned(store)),
    }


def info(path: Path) -> dict[str, Any]:
    """Facts of a cube or of an output folder.

    Args:
        path: A ``.zarr`` store, or an output folder.

    Raises:
        StoreError: It is neither.
    """
    if (path / "zarr.json").is_file():
        return _cube(path)
    if not (path / ".landshift").is_dir() and not (path / "run.json").is_file():
        raise StoreError(
            "neither a cube nor an output folder", where=path, hint="give out/ or out/cubes/<name>.zarr"
        )
    import json

    file = path / "run.json"
    said = json.loads(file.read_text()) if file.is_file() else {}
    held = Output(path=path).status()
    cubes = {store.stem: _brief(store) for store in sorted((path / "cubes").glob("*.zarr"))}
    return {
        "title": said.get("title", ""),
        "simulated": said.get("simulated", False),
        "stages": ", ".join(f"{name} {held[name]['state']}" for name in STAGES if name in held),
        "cubes": cubes,
        "maps": ", ".join(file.stem for file in sorted((path / "maps").glob("*.tif"))) or "none",
        "tables": ", ".join(file.stem for file in sorted((path / "tables").glob("*.parquet"))) or "none",
    }


def cubes_of(path: Path) -> list[Path]:
    """The cube that a path is, or all cubes of an output folder.

    Args:
        path: A ``.zarr`` store, or an output folder.

    Raises:
        StoreError: There is no cube.
    """
    stores = [path] if is_cube(path) else sorted((path / "cubes").glob("*.zarr"))
    if not stores:
        raise StoreError("there is no cube here", where=path, hint="run a recipe first")
    return stores


def is_cube(path: Path) -> bool:
    """Whether a path is meant to be a cube, and not a folder of them."""
    return path.suffix == ".zarr" or (path / "zarr.json").is_file()


def check(path: Path) -> list[dict[str, Any]]:
    """What is odd about a cube, or about all cubes of an output folder; an empty list where all is whole.

    Args:
        path: A ``.zarr`` store, or an output folder.

    Returns:
        Rows with ``cube``, ``kind`` and ``text``. The kind is ``problem``, or ``note`` for dates without any value
        that the build itself has found empty, as where clouds hide all of a date.

    Raises:
        StoreError: There is no cube.
    """
    return [row for store in cubes_of(path) for row in _oddities(store)]


def _oddities(store: Path) -> list[dict[str, Any]]:
    from landshift.cube.check import check as look
    from landshift.cube.store import layout_of

    found = look(store)
    if any(problem.kind == "metadata" for problem in found):
        known: set[str] = set()
    else:
        main = f"{layout_of(store).variable} "
        known = {one.where for one in found if one.kind == "empty" and one.text.startswith(main)}
        build = Output(path=store.resolve().parents[1]).status().get("build", {})
        if build.get("record", {}).get(store.stem, {}).get("empty_dates") != len(known):
            known = set()
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in found:
        kind = "note" if problem.kind == "empty" and problem.where in known else "problem"
        what = problem.text if problem.kind == "empty" else str(problem)
        groups.setdefault((kind, what), []).append(problem)
    return [{"cube": store.stem, "kind": kind, "text": _together(same)} for (kind, _), same in groups.items()]


def _together(same: Sequence[Problem]) -> str:
    """One line for a problem, or for many dates that have the same one."""
    if len(same) == 1:
        return str(same[0])
    dates = ", ".join(problem.where[:10] for problem in same[:3]) + (", ..." if len(same) > 3 else "")
    return f"{same[0].text.removesuffix(' on this date')} on {len(same)} dates: {dates}"


def _cube(path: Path) -> dict[str, Any]:
    from landshift.cube.store import geobox_of, layout_of, open_cube

    cube, layout, grid = open_cube(path), layout_of(path), geobox_of(path)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    stamps = cube["time"].values
    return {
        "cube": path.name,
        "holds": f"{layout.variable}: {', '.join(layout.names)}",
        "indices": ", ".join(layout.indices) or "none",
        "beside": ", ".join(layout.extra) or "nothing",
        "dates": f"{layout.times}, {str(stamps[0])[:10]} to {str(stamps[-1])[:10]}",
        "grid": f"{grid.shape[0]} x {grid.shape[1]} px of {abs(grid.resolution.x):g}, {grid.crs}",
        "bounds": ", ".join(f"{value:.1f}" for value in grid.boundingbox.bbox),
        "size": f"{size / 1e6:.1f} MB",
    }


def _brief(path: Path) -> str:
    facts = _cube(path)
    return f"{facts['holds']}; {facts['dates']}; {facts['size']}"
