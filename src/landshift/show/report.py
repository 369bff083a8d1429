"""The report: one page that says what was done and how good it is, and needs nothing beside it.

It reads ``tables/``, ``figures/`` and ``run.json`` of an output folder and computes nothing: a stage that
was not run simply has no section. Pictures, style and tables are inside the one file, so it can be mailed,
archived and printed. It holds no clock and no path, so the same results give the same page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift.cube.provenance import read_run
from landshift.cube.tables import Table, read_table
from landshift.errors import StoreError, counted
from landshift.plan import write_atomic
from landshift.show.figures_change import headline_class, longest_pair
from landshift.show.figures_quality import is_summary, untested_of
from landshift.show.figures_style import count, number
from landshift.show.page import Section, columns_list, fact_list, figure_of, folded, items, spoken

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_report"]


@dataclass(frozen=True, kw_only=True)
class _Chapter:
    """A section that shows figures and tables of one subject."""

    anchor: str
    title: str
    about: str
    figures: tuple[str, ...]
    tables: tuple[str, ...]


_CHAPTERS: Final = (
    _Chapter(
        anchor="maps",
        title="The maps",
        about="Each map gives every pixel the class that the model finds most likely for that year.",
        figures=("maps", "area"),
        tables=("area",),
    ),
    _Chapter(
        anchor="change",
        title="What changed",
        about="Change is the difference between two maps. It adds up the errors of both, so small changes of"
        " large classes deserve doubt; only a reference sample turns mapped change into an estimate of true"
        " change.",
        figures=("years", "gains", "transitions", "flows"),
        tables=("gains", "transitions"),
    ),
    _Chapter(
        anchor="zones",
        title="Zone by zone",
        about="Areas are exact sums over polygons: a pixel on a border counts with the share of it that lies"
        " inside.",
        figures=("zones",),
        tables=("zonal", "zonal_change"),
    ),
    _Chapter(
        anchor="accuracy",
        title="How good the maps are",
        about="Models are tested on ground that is kept apart from training in space, not on pixels beside it.",
        figures=("accuracy", "confusion_*", "history"),
        tables=("accuracy", "confusion", "history"),
    ),
    _Chapter(
        anchor="cube",
        title="How good the data are",
        about="Everything above rests on what the satellites saw. Here is how often that was, and how well the"
        " gaps between clear looks are filled.",
        figures=("preview_*", "clear", "holdout"),
        tables=("clear", "holdout", "read_errors", "shifts"),
    ),
)
"""In reading order: first what was found, then how far to trust it."""


def write_report(out: Path) -> Path:
    """Write ``out/report.html``.

    Args:
        out: The output folder of a run.

    Returns:
        The page.

    Raises:
        StoreError: The folder has nothing to report on, or a table in it is damaged.
    """
    tables = {path.stem: read_table(path) for path in sorted((out / "tables").glob("*.parquet"))}
    pictures = {path.stem: path for path in sorted((out / "figures").glob("*.png"))}
    if not tables and not pictures:
        raise StoreError("there is nothing to report on", where=out, hint="run the recipe first")
    record = _record(out)
    sections = [
        *_scoreboard(tables),
        *_results(tables, pictures),
        *_done(record),
        _warnings(record, tables),
        _reproduce(record, tables),
        _files(tables),
    ]
    page = Template(_data("report.html")).substitute(
        title=escape(_title(record, tables)),
        style=_data("report.css"),
        contents="\n".join(
            f'<li><a href="#{part.anchor}">{escape(part.title)}</a></li>' for part in sections
        ),
        banner=_banner(record),
        lead=escape(_lead(tables, record)),
        facts=fact_list(_facts(tables)),
        sections="\n".join(part.html() for part in sections),
    )
    path = out / "report.html"
    write_atomic(path, page.encode())
    return path


def _data(name: str) -> str:
    return (files("landshift") / "_data" / "report" / name).read_text(encoding="utf-8")


def _record(out: Path) -> Mapping[str, Any]:
    """What ``run.json`` says; a folder without it has tables all the same."""
    return read_run(out) if (out / "run.json").is_file() else {}


def _title(record: Mapping[str, Any], tables: Mapping[str, Table]) -> str:
    given = str(record.get("title") or "")
    plain = "Analysis-ready images" if _frame(tables, "area") is None else "Land cover and its change"
    return given if given not in {"", "landshift"} else plain


def _banner(record: Mapping[str, Any]) -> str:
    if not record.get("simulated"):
        return ""
    return (
        '<p class="banner" role="note"><strong>Simulated</strong><span>The scenes of this run are simulated:'
        " landscape, clouds and sensors are computed. Every figure below rehearses a real run; none of them says"
        " anything about a real place.</span></p>"
    )


def _frame(tables: Mapping[str, Table], name: str) -> pd.DataFrame | None:
    table = tables.get(name)
    return None if table is None or table.frame.empty else table.frame


def _lead(tables: Mapping[str, Table], record: Mapping[str, Any]) -> str:
    """One sentence about scope, from what is there."""
    parts = []
    area, zones = _frame(tables, "area"), _frame(tables, "zonal")
    scenes = _counts(record, "survey").get("scenes")
    if isinstance(scenes, int):
        parts.append(f"{count(scenes)} scene{'s' * (scenes != 1)}")
    if area is not None:
        years = " to ".join(dict.fromkeys((str(area.year.min()), str(area.year.max()))))
        mapped = area[(area.year == area.year.max()) & (area["class"] != "nodata")].area_ha.sum()
        parts.append(f"{number(float(mapped))} ha mapped, {years}")
    if zones is not None:
        parts.append(counted(zones.zone.nunique(), "zone"))
    return "; ".join(parts) + "." if parts else "What was done, and how good it is."


def _facts(tables: Mapping[str, Table]) -> list[tuple[str, str, str]]:
    facts = []
    gains, accuracy, holdout, clear = (
        _frame(tables, name) for name in ("gains", "accuracy", "holdout", "clear")
    )
    if gains is not None:
        name = headline_class(gains)
        row = longest_pair(gains[gains["class"] == name]).iloc[0]
        sign = "+" if row.net_ha > 0 else ""
        facts.append((f"{sign}{number(row.net_ha)}", "ha", f"{name}, {row.year_from} to {row.year_to}, net"))
    if accuracy is not None:
        tested = accuracy[accuracy["fold"] == "test"] if "test" in set(accuracy["fold"]) else accuracy
        overall = tested[tested["class"].map(is_summary)]
        if len(overall):
            best = overall.iloc[int(overall["iou"].to_numpy().argmax())]
            unit = "mIoU"
            if untested_of(tested, best.model):
                classes = tested[(tested["model"] == best.model) & ~tested["class"].map(is_summary)]
                unit += f" of {int(classes['iou'].notna().sum())} of {len(classes)} classes"
            facts.append((f"{best.iou:.2f}", unit, f"best model on test areas ({best.model})"))
    if holdout is not None:
        rows = holdout[holdout["method"] == "interpolate"]
        if rows.rmse.notna().any():
            facts.append((f"{rows.rmse.mean():.3f}", "RMSE", "of hidden clear looks, mean of bands"))
    if clear is not None:
        facts.append(
            (f"{clear.clear_share.mean():.0%}", "clear", f"on average, {counted(len(clear), 'date')}")
        )
    return facts


def _scoreboard(tables: Mapping[str, Table]) -> list[Section]:
    table = tables.get("scoreboard")
    if table is None or table.frame.empty:
        return []
    rows = []
    for score, group in table.frame.groupby("score", sort=False):
        most = float(np.nanmax(np.abs(group.value.to_numpy(dtype=np.float64)), initial=1e-12))
        unit = next((str(value) for value in group.get("unit", []) if value), "")
        head = f"{score} ({unit})" if unit else str(score)
        rows.append(f'<tr class="group"><td colspan="3">{escape(head)}</td></tr>')
        for _, row in group.iterrows():
            width = 100 * abs(float(row.value)) / most if np.isfinite(row.value) else 0
            rows.append(
                f'<tr><td>{escape(str(row.method))}</td><td class="right">{number(float(row.value))}</td>'
                f'<td class="meter"><i style="width:{width:.1f}%"></i></td></tr>'
            )
    body = (
        "<p>The scenes are simulated, so the truth is known for every pixel and date. These scores compare the"
        ' results with it.</p>\n<div class="scroll"><table><tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )
    return [Section(anchor="scoreboard", title="Scores against the truth", body=body + folded(table))]


def _results(tables: Mapping[str, Table], pictures: Mapping[str, Path]) -> list[Section]:
    sections: list[Section] = []
    shown: set[str] = set()
    for chapter in _CHAPTERS:
        chosen = [name for pattern in chapter.figures for name in pictures if fnmatchcase(name, pattern)]
        held = [tables[name] for name in chapter.tables if name in tables and not tables[name].frame.empty]
        shown.update(chosen)
        if chosen or held:
            told = [chapter.about, *(_untested(tables) if chapter.anchor == "accuracy" else ())]
            parts = [f"<p>{escape(text)}</p>" for text in told]
            parts += [figure_of(pictures[name]) for name in chosen]
            body = "\n".join([*parts, *map(folded, held)])
            sections.append(Section(anchor=chapter.anchor, title=chapter.title, body=body))
    rest = [name for name in pictures if name not in shown]
    if rest:
        body = "\n".join(figure_of(pictures[name]) for name in rest)
        sections.append(Section(anchor="pictures", title="More pictures", body=body))
    return sections


def _untested(tables: Mapping[str, Table]) -> list[str]:
    """What classes without a test pixel mean for the mean IoU, as sentences; models that share one share it."""
    frame = _frame(tables, "accuracy")
    if frame is None:
        return []
    tested = frame[frame["fold"] == "test"]
    said: dict[str, list[str]] = {}
    for model in dict.fromkeys(tested["model"].astype(str)):
        said.setdefault(untested_of(tested, model) or "", []).append(model)
    return [f"{', '.join(models)}: {text}." for text, models in said.items() if text]


def _counts(record: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """What a stage counted."""
    found = (record.get("counts") or {}).get(stage)
    return found if isinstance(found, Mapping) else {}


def _done(record: Mapping[str, Any]) -> list[Section]:
    """Which stages ran and what each of them counted."""
    counts = record.get("counts")
    if not isinstance(counts, Mapping) or not counts:
        return []
    rows = [
        f"<tr><td><code>{escape(str(stage))}</code></td><td>{escape(spoken(counted)) or '–'}</td></tr>"
        for stage, counted in counts.items()
    ]
    body = (
        "<p>The stages of the run, in their order, and what each of them counted. Every scene, used or skipped"
        " and why, is in <code>scenes.parquet</code>.</p>"
        '<div class="scroll"><table><tbody>' + "\n".join(rows) + "</tbody></table></div>"
    )
    return [Section(anchor="done", title="What was done", body=body)]


def _warnings(record: Mapping[str, Any], tables: Mapping[str, Table]) -> Section:
    """What was skipped, filled or doubted, from the run's record."""
    lines = [_line(one) for one in record.get("warnings") or ()]
    skipped = _counts(record, "survey").get("skipped")
    if isinstance(skipped, Mapping):
        lines += [
            f"{number} {'scene' if number == 1 else 'scenes'} skipped: {why}"
            for why, number in skipped.items()
        ]
    zones = _counts(record, "zonal")
    outside = list(zones.get("outside") or ())
    if outside and not any("zones lie outside" in line for line in lines):
        total = len(outside) + int(zones.get("zones") or 0)
        lines.append(f"{len(outside)} of {total} zones lie outside the map: {', '.join(map(str, outside))}")
    lines += [f"The table {name} is empty" for name, table in tables.items() if table.frame.empty]
    body = (
        items(dict.fromkeys(lines), kind="warnings")
        if lines
        else "<p>Nothing was skipped; there were no warnings.</p>"
    )
    return Section(anchor="warnings", title="Warnings and what was left out", body=body)


def _line(warning: object) -> str:
    if isinstance(warning, Mapping):
        text = str(warning.get("message") or warning)
        count = warning.get("count")
        return f"{text} ({count} times)" if isinstance(count, int) and count > 1 else text
    return str(warning)


def _reproduce(record: Mapping[str, Any], tables: Mapping[str, Table]) -> Section:
    recipe = str(record.get("recipe_hash") or "")
    versions = {str(name): str(value) for name, value in dict(record.get("versions") or {}).items()}
    intro = (
        "<p>The resolved recipe is <code>recipe.toml</code> in this folder. With the same inputs and the same"
        " versions it gives the same bytes:</p>"
    )
    parts = [intro, "<pre><code>landshift run recipe.toml</code></pre>"]
    if recipe:
        parts.append(f"<p>Fingerprint of the recipe: <code>{escape(recipe)}</code></p>")
    if versions:
        parts += ["<h3>Versions</h3>", columns_list(versions)]
    version = versions.get("landshift", "")
    cited = f"{_title(record, tables)}. Made with landshift{' ' + version if version else ''}" + (
        f", recipe {recipe}" if recipe else ""
    )
    parts += [
        "<h3>How to cite</h3>",
        f"<p>{escape(cited)}. Cite the data of each source as its licence asks.</p>",
    ]
    return Section(anchor="reproduce", title="Reproduce and cite", body="\n".join(parts))


def _files(tables: Mapping[str, Table]) -> Section:
    """All tables of the folder; those that no section shows are shown here."""
    known = {name for chapter in _CHAPTERS for name in chapter.tables} | {"scoreboard"}
    rows = [
        f'<tr><td><a href="#table-{escape(name, quote=True)}"><code>{escape(name)}</code></a></td>'
        f'<td>{escape(table.title)}</td><td class="right">{count(len(table.frame))}</td></tr>'
        for name, table in tables.items()
        if not table.frame.empty
    ]
    rest = [folded(table) for name, table in tables.items() if name not in known and not table.frame.empty]
    body = (
        "<p>Every table is in <code>tables/</code> as Parquet and as CSV with a description beside it; what each"
        " column holds stands above its rows where the table is shown.</p>"
        '<div class="scroll"><table><thead><tr><th>table</th><th>what it holds</th><th class="right">rows</th></tr>'
        "</thead><tbody>" + "\n".join(rows) + "</tbody></table></div>" + "\n".join(rest)
    )
    return Section(anchor="tables", title="Tables", body=body)
