"""The reference of recipes as Markdown: every table, every setting, its default and what it means."""

from __future__ import annotations

from typing import Any

from landshift.config.parse import SINGLE, class_of, steps_of
from landshift.step import json_schema

__all__ = ["reference"]

_INTRO = """\
# The recipe

One TOML file says what a run does. Each table is one step; the order of tables means nothing; an unknown table or key is
refused with the nearest known one. `landshift init` prints a starter, `landshift schema` the JSON schema for editors,
`--set mask.grow_m.cloud=200` overrides one setting. Paths are relative to the recipe's folder; `${NAME}` is taken from the
environment.

This page is printed by `landshift schema --markdown`.
"""


def reference() -> str:
    """The reference of all tables, made from the steps themselves."""
    parts = [_INTRO, *(_section(f"[{name}]", class_of(name)) for name in ("place", "time"))]
    parts.append(
        "## [[source]]\n\nOne table for each source. All take `name`, `sensor` (such as `sentinel-2-l2a`), `bands` (STAC common"
        " names) and `max_cloud` (percent, by the provider). `from` names a catalogue (`earth-search`,"
        " `planetary-computer`, `cdse`, `creodias`) or one of these:\n"
    )
    parts += [_section(f'from = "{name}"', cls, level=3) for name, cls in steps_of("source").items()]
    parts.append(
        "## [[product]]\n\nOne table for each cube. All take `name`, `from` (a list of sources, by default all) and `indices`"
        " (computed from the finished bands). `kind` is one of these:\n"
    )
    parts += [_section(f'kind = "{name}"', cls, level=3) for name, cls in steps_of("product").items()]
    for name in SINGLE:
        if name not in {"place", "time"}:
            parts.append(_section(f"[{name}]", class_of(name)))
            if name == "train":
                parts += [
                    _section(f"[train.{model}]", cls, level=3) for model, cls in steps_of("model").items()
                ]
    return "\n".join(parts)


def _section(title: str, cls: type, *, level: int = 2) -> str:
    """One table: what it is, and its settings."""
    first = (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    schema = json_schema(cls)
    rows = [
        f"| `{name}` | {_default(field)} | {_flat(field.get('description', ''))} |"
        for name, field in schema.get("properties", {}).items()
    ]
    table = ["| setting | default | meaning |", "|---|---|---|", *rows] if rows else ["It has no settings."]
    return "\n".join([f"{'#' * level} {title}", "", " ".join(first.split()), "", *table, ""])


def _default(field: dict[str, Any]) -> str:
    import json

    if "default" not in field:
        return "required"
    value = field["default"]
    return "" if value is None else f"`{json.dumps(value)}`"


def _flat(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")
