"""Removing an output folder: what landshift made goes, what somebody else has laid there stays."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from landshift.errors import StoreError
from landshift.pipeline.output import Output

__all__ = ["Holdings", "holdings", "remove_output"]


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What an output folder holds."""

    made: dict[Path, int]
    """What landshift made, with its bytes."""
    others: tuple[Path, ...]
    """Files that it did not make."""


def holdings(out: Path) -> Holdings:
    """What landshift made of an output folder, and what it did not.

    Args:
        out: Output folder.

    Raises:
        StoreError: The folder is not a landshift output, or a run is at work there.
    """
    output = Output(path=out)
    trials = [one for one in (out / "try").glob("*") if (one / ".landshift").is_dir()]
    if output.foreign or not (output.hidden.is_dir() or trials):
        raise StoreError(
            "this folder is not a landshift output", where=out, hint="remove it by hand if you mean it"
        )
    busy = [one for one in (out, *trials) if Output(path=one).busy]
    if busy:
        raise StoreError(
            "a run is at work in this folder", where=busy[0], hint="wait for it to end, or stop it"
        )
    named = [out / name for name in ("recipe.toml", "run.json", ".landshift")]
    for stage in output.status().values():
        named += [out / name for name in stage.get("outputs", ())]
        named += [file for name in stage.get("tables", ()) for file in (out / "tables").glob(f"{name}.*")]
    made = {path: _bytes(path) for path in sorted({*named, *trials}) if path.exists()}
    others = (
        file for file in sorted(out.rglob("*")) if file.is_file() and not made.keys() & {file, *file.parents}
    )
    return Holdings(made=made, others=tuple(others))


def remove_output(out: Path) -> Holdings:
    """Remove what landshift made of an output folder, and the folder where nothing else is in it.

    Args:
        out: Output folder.

    Raises:
        StoreError: The folder is not a landshift output, or a run is at work there.
    """
    held = holdings(out)
    for path in held.made:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for folder in (out / "cubes", out / "tables", out / "try", out):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return held


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
