"""Pieces of a page: figures with captions, tables with documented columns, facts. Everything is escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from landshift.show.figures_style import count, number

if TYPE_CHECKING:
    import pandas as pd

    from landshift.cube.tables import Table

__all__ = [
    "Section",
    "columns_list",
    "count",
    "fact_list",
    "figure_of",
    "folded",
    "items",
    "spoken",
    "table_of",
]

_ROWS = 40


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of a page."""

    anchor: str
    """Its id in links."""
    title: str
    """Its heading."""
    body: str
    """Its HTML."""

    def html(self) -> str:
        """The section with its heading."""
        return f'<section>\n<h2 id="{self.anchor}">{escape(self.title)}</h2>\n{self.body}\n</section>'


def figure_of(path: Path) -> str:
    """A picture inside the page, with the headline as its text and the caption that the file carries."""
    from PIL import Image

    with Image.open(path) as picture:
        said, (width, height) = dict(picture.info), picture.size
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(str(said.get("Title", path.stem)), quote=True)
    caption = escape(str(said.get("Description", "")))
    source = f'<img alt="{text}" width="{width}" height="{height}" src="data:image/png;base64,{data}">'
    return f'<figure>\n<div class="scroll">{source}</div>\n<figcaption>{caption}</figcaption>\n</figure>'


def fact_list(facts: Sequence[tuple[str, str, str]]) -> str:
    """Large figures: value, unit, and what it is."""
    if not facts:
        return ""
    cells = "\n".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
        for value, unit, what in facts
    )
    return f'<dl class="facts">\n{cells}\n</dl>'


def table_of(frame: pd.DataFrame, *, about: Mapping[str, str] | None = None, rows: int = _ROWS) -> str:
    """A frame as an HTML table; numbers on the right, missing values as a dash.

    Args:
        frame: The rows.
        about: What each column holds, shown when the pointer rests on its head.
        rows: How many rows are shown at most; what is left out is said.
    """
    import pandas as pd

    names = [str(name) for name in frame.columns]
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    sides = [' class="right"' if side else "" for side in numeric]
    heads = "".join(
        f'<th{side} title="{escape((about or {}).get(name, ""), quote=True)}">{escape(_heading(name))}</th>'
        for name, side in zip(names, sides, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(f"<td{side}>{_cell(value)}</td>" for value, side in zip(row, sides, strict=True))
        + "</tr>"
        for row in frame.head(rows).itertuples(index=False, name=None)
    )
    more = f'<p class="more">{len(frame) - rows} more rows in the file.</p>' if len(frame) > rows else ""
    return f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>{more}'


def columns_list(columns: Mapping[str, str]) -> str:
    """What each column of a table holds."""
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in columns.items())
    return f'<dl class="columns">{entries}</dl>'


def folded(table: Table) -> str:
    """A whole table, folded away: its columns explained, its first rows, and where the rest is."""
    title = escape(table.title or table.name)
    files = f"<code>tables/{escape(table.name)}.csv</code>, <code>.parquet</code>"
    return (
        f'<details id="table-{escape(table.name, quote=True)}">\n'
        f"<summary>Table: {title} <span>· {len(table.frame):,} rows</span></summary>\n<div>"
        f"{columns_list(table.columns)}{table_of(table.frame, about=table.columns)}"
        f'<p class="more">Whole table: {files}</p></div>\n</details>'
    )


def items(lines: Iterable[str], *, kind: str = "") -> str:
    """A list of lines of text."""
    name = f' class="{escape(kind, quote=True)}"' if kind else ""
    return f"<ul{name}>\n" + "\n".join(f"<li>{escape(line)}</li>" for line in lines) + "\n</ul>"


def spoken(value: object) -> str:
    """A nested value on one line, for people.

    >>> spoken({"scenes": 12, "dates": {"s2": 9}, "skipped": {}, "outside": ["H", "I"]})
    'scenes 12; dates: s2 9; outside H, I'
    """
    if isinstance(value, Mapping):
        kept = [(name, part) for name, part in value.items() if part not in (None, "", {}, [], ())]
        parts = [f"{name}{':' if isinstance(part, Mapping) else ''} {spoken(part)}" for name, part in kept]
        return "; ".join(parts)
    if isinstance(value, (list, tuple)):
        return ", ".join(spoken(part) for part in value)
    if isinstance(value, float):
        return number(value)
    return str(value)


def _heading(name: str) -> str:
    """A column name as a heading.

    >>> _heading("area_ha"), _heading("year_from")
    ('area (ha)', 'year from')
    """
    stem, _, unit = name.rpartition("_")
    return (
        f"{stem.replace('_', ' ')} ({unit})" if unit in {"ha", "m", "km"} and stem else name.replace("_", " ")
    )


def _cell(value: object) -> str:
    """A value as text.

    >>> _cell(2018), _cell(0.123456), _cell(float("nan")), _cell("<a>")
    ('2018', '0.12', '–', '&lt;a&gt;')
    """
    import pandas as pd

    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    return escape(count(value) if isinstance(value, int) and abs(value) >= 10_000 else str(value))
