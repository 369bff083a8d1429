"""Why a stage is done anew: what differs between what the folder holds and what is wanted, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["short", "why"]

_MOST: Final = 4
"""Changes that are told one by one."""
_SCENES: Final = "the scenes changed"


def why(
    held: Mapping[str, Any], settings: Mapping[str, Any], inputs: Sequence[str], missing: Sequence[str]
) -> str:
    """What makes a stage's result out of date.

    Args:
        held: What the folder says of the stage.
        settings: Its settings now.
        inputs: Keys of its inputs now.
        missing: What it made and is not there any more.

    >>> why({"settings": {"path": [["a.gpkg", 5, "44"]]}}, {"path": [["a.gpkg", 6, "55"]]}, (), ())
    'the file a.gpkg changed'
    """
    old, new = _flat(held.get("settings", {})), _flat(json.loads(json.dumps(dict(settings), default=str)))
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    said = list(dict.fromkeys(_said(name, old.get(name), new.get(name)) for name in changed))
    if any(one.startswith(_SCENES) and one != _SCENES for one in said):
        said = [one for one in said if one != _SCENES]
    if said:
        return ", ".join(said[:_MOST]) + (f" and {len(said) - _MOST} more" if len(said) > _MOST else "")
    if held.get("inputs") != list(inputs):
        return "its inputs changed"
    return f"{missing[0]} is missing" if missing else "its version changed"


def short(value: object) -> str:
    """A value, cut where it is long."""
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _said(name: str, old: Any, new: Any) -> str:
    """One change: of files, of scenes, or of a plain setting."""
    before, now = _marks(old), _marks(new)
    if before or now:
        names = sorted(file for file in {*before, *now} if before.get(file) != now.get(file))
        files = (
            f"the file {names[0]}" if len(names) == 1 else f"{len(names)} files ({short(', '.join(names))})"
        )
        return f"{files} changed"
    if name == "skipped" or name.startswith("scenes."):
        return _SCENES
    if name.startswith("ids."):
        there, here = {*(old or ())}, {*(new or ())}
        return f"{_SCENES} ({len(here - there)} new, {len(there - here)} gone)"
    return f"{name} {short(old)} -> {short(new)}"


def _marks(value: Any) -> dict[str, Any]:
    """Files by name, where a value is a list of their marks."""
    if not isinstance(value, list) or not value:
        return {}
    shapes = {tuple(map(type, one)) if isinstance(one, list) else () for one in value}
    return {name: rest for name, *rest in value} if shapes == {(str, int, str)} else {}


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, Mapping):
        parts = [_flat(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in values.items()]
        return {name: value for part in parts for name, value in part.items()}
    return {prefix: values}
