"""Figures of change: areas by year, gains and losses, what became what, and where in zones."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from landshift.show.figures_style import (
    FAINT,
    GRID,
    INK,
    MUTED,
    canvas,
    class_axes,
    legible,
    number,
    quiet,
    tinted,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_areas", "draw_flows", "draw_gains", "draw_transitions", "draw_zones", "headline_class"]

_NODATA: Final = "nodata"
_SEALED: Final = ("impervious", "sealed", "built", "urban", "artificial")


def headline_class(changes: pd.DataFrame) -> str:
    """The class that a report speaks of first: sealed ground where there is one, else what grew most.

    Args:
        changes: The table ``gains``, or any with ``class`` and ``net_ha``.
    """
    classes = [str(name) for name in dict.fromkeys(changes["class"])]
    for word in _SEALED:
        for name in classes:
            if word in name.lower():
                return name
    return str(changes.groupby("class", sort=False)["net_ha"].sum().idxmax())


def draw_areas(frame: pd.DataFrame, *, colours: Mapping[str, str]) -> Figure:
    """The area of every class: by year in one small panel each, or as bars where there is one year."""
    rows = frame[frame["class"] != _NODATA]
    table = rows.pivot_table(index="year", columns="class", values="area_ha", sort=False).sort_index()
    if len(table) == 1:
        return _one_year(table.iloc[0].sort_values(), int(table.index[0]), colours)
    names, years = list(dict.fromkeys(rows["class"])), list(table.index)
    across = min(4, len(names))
    down = -(-len(names) // across)
    change = table.iloc[-1] - table.iloc[0]
    most = str(change.abs().idxmax())
    verb = "grew" if change[most] > 0 else "shrank"
    title = f"{_sentence(most)} {verb} by {number(abs(change[most]))} ha from {years[0]} to {years[-1]}"
    figure, body = canvas(
        0.25 + 1.35 * down,
        title=title if change.any() else f"No class changed its area from {years[0]} to {years[-1]}",
        subtitle="Mapped area of each class by year, hectares. Every panel starts at zero and has its own scale.",
    )
    grid = body.subplots(down, across, squeeze=False, sharex=True).ravel()
    for ax in grid[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(grid, names, strict=False):
        _area_panel(ax, years, table[name].to_numpy(dtype=float), colour=colours.get(name, MUTED))
        ax.set_title(textwrap.fill(name, 24), size=9)
    return figure


def draw_gains(frame: pd.DataFrame, *, colours: Mapping[str, str]) -> Figure:
    """Gain to the right, loss to the left, net as a mark, for the longest pair of years."""
    rows = longest_pair(frame)
    rows = rows.sort_values("net_ha", kind="stable")
    first, last = int(rows.year_from.iloc[0]), int(rows.year_to.iloc[0])
    top = rows.iloc[-1]
    title = f"{_sentence(top['class'])} gained most: {_signed(top.net_ha)} ha net, {first} to {last}"
    if not rows[["gain_ha", "loss_ha"]].to_numpy().any():
        title = f"No class gained or lost ground from {first} to {last}"
    figure, body = canvas(
        0.55 + 0.32 * len(rows),
        title=title,
        subtitle="Area that became a class (right) and that left it"
        " (left), hectares; the mark and the figure are the net.",
    )
    ax = body.subplots()
    reach = float(rows[["gain_ha", "loss_ha"]].max().max()) or 1.0
    for place, (_, row) in enumerate(rows.iterrows()):
        colour = colours.get(row["class"], MUTED)
        ax.barh(place, row.gain_ha, height=0.62, color=colour)
        ax.barh(
            place,
            -row.loss_ha,
            height=0.62,
            color=tinted(colour, 0.35),
            edgecolor=colour,
            lw=0.8,
            hatch="////",
        )
        ax.plot([row.net_ha] * 2, [place - 0.42, place + 0.42], color=INK, lw=2.2)
        ax.text(1.16 * reach, place, _signed(row.net_ha), ha="right", va="center", weight="bold", size=8.5)
    ax.axvline(0, color=INK, lw=0.8)
    ax.set(yticks=range(len(rows)), xlim=(-1.04 * (float(rows.loss_ha.max()) or 0.02 * reach), 1.17 * reach))
    ax.set_yticklabels(rows["class"], color=INK)
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    quiet(ax, grid="x")
    return figure


def draw_transitions(frame: pd.DataFrame) -> Figure:
    """What became what, in hectares, for the longest pair of years; what stayed is left pale."""
    rows = longest_pair(frame)
    names = [name for name in dict.fromkeys(rows.class_from) if name != _NODATA]
    first, last = int(rows.year_from.iloc[0]), int(rows.year_to.iloc[0])
    table = rows.pivot_table(index="class_from", columns="class_to", values="area_ha", aggfunc="sum")
    area = table.reindex(index=names, columns=names).fillna(0).to_numpy(dtype=float)
    moved = area - np.diag(np.diag(area))
    i, j = np.unravel_index(int(np.argmax(moved)), moved.shape)
    title = f"The largest change: {number(moved[i, j])} ha of {names[i]} became {names[j]}, {first} to {last}"
    if not moved.any():
        title = f"Nothing changed its class from {first} to {last}"
    figure, body = canvas(
        1.3 + 0.36 * len(names),
        title=title,
        subtitle=f"Hectares from each class of {first} (row) to each"
        f" class of {last} (column). Grey cells stayed what they were; dark means much change.",
    )
    ax = body.subplots()
    _hectare_cells(ax, area, moved)
    class_axes(ax, names)
    ax.set(xlabel=f"class in {last}", ylabel=f"class in {first}")
    quiet(ax)
    return figure


def draw_flows(frame: pd.DataFrame, *, colours: Mapping[str, str]) -> Figure:
    """How ground moved between classes from year to year, as bands between columns."""
    steps = _steps(frame)
    years = [int(pair[0]) for pair in steps] + [int(list(steps)[-1][1])]
    names = [name for name in dict.fromkeys(frame.class_from) if name != _NODATA]
    figure, body = canvas(
        3.3,
        title=_flow_title(steps, years),
        subtitle="Every column is the land of one year, split by class;"
        " a band is ground that changed its class on the way to the next, drawn in its new class's colour.",
    )
    ax = body.subplots()
    tables = [_square(rows, names) for rows in steps.values()]
    whole = max(float(table.sum()) for table in tables)
    gap, half = 0.018 * whole, max(0.11 * (len(years) - 1) / 6, 0.025)
    for at, table in enumerate(tables):
        _bands(ax, at, table, gap=gap, half=half, colours=[colours.get(name, MUTED) for name in names])
    for at in range(len(years)):
        heights = tables[at].sum(1) if at < len(tables) else tables[-1].sum(0)
        _column(ax, at, heights, gap=gap, half=half, colours=[colours.get(name, MUTED) for name in names])
    _column_names(ax, names, tables[0].sum(1), gap=gap, x=-1.25 * half, align="right")
    _column_names(ax, names, tables[-1].sum(0), gap=gap, x=len(years) - 1 + 1.25 * half, align="left")
    ax.set(xticks=range(len(years)), yticks=[], xlim=(-1.25 * half, len(years) - 1 + 1.25 * half))
    ax.set_ylim(whole + gap * len(names), 0)
    ax.set_xticklabels([str(year) for year in years])
    quiet(ax)
    return figure


def draw_zones(frame: pd.DataFrame, *, colours: Mapping[str, str], most: int = 20) -> Figure:
    """Zones by the net change of the headline class over the longest pair of years."""
    name = headline_class(frame)
    rows = longest_pair(frame[frame["class"] == name]).sort_values("net_ha", ascending=False, kind="stable")
    first, last = int(rows.year_from.iloc[0]), int(rows.year_to.iloc[0])
    top, total = rows.iloc[0], len(rows)
    kept = rows.iloc[:most].iloc[::-1]
    title = f"{top.zone} gained most {name}: {_signed(top.net_ha)} ha from {first} to {last}"
    if top.net_ha <= 0:
        title = f"No zone gained {name} from {first} to {last}"
    subtitle = f"Net change of {name} by zone, hectares, and as a share of the zone's mapped area"
    subtitle += f" (the first {most} of {total} zones)." if total > most else "."
    figure, body = canvas(0.35 + 0.25 * len(kept), title=title, subtitle=subtitle)
    ax = body.subplots()
    colour = colours.get(name, MUTED)
    ax.barh(range(len(kept)), kept.net_ha, height=0.66, color=colour)
    reach = float(kept.net_ha.abs().max()) or 1.0
    for place, (_, row) in enumerate(kept.iterrows()):
        side = 1 if row.net_ha >= 0 else -1
        ax.text(row.net_ha + side * 0.012 * reach, place, f"{_signed(row.net_ha)} ha", va="center",
                ha="left" if side > 0 else "right", size=8.5, weight="bold")  # fmt: skip
        if "changed_share" in row and np.isfinite(row.changed_share):
            ax.text(1.36 * reach, place, _percent(row.changed_share, 1),
                    va="center", ha="right", size=8.5, color=MUTED)  # fmt: skip
    low = min(float(kept.net_ha.min()) * 1.15, 0)
    ax.axvline(0, color=INK, lw=0.8)
    ax.set(yticks=range(len(kept)), xticks=[], xlim=(low, 1.37 * reach), ylim=(-0.6, len(kept) - 0.4))
    ax.set_yticklabels(kept.zone, color=INK)
    quiet(ax)
    return figure


def longest_pair(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the pair of years that lie farthest apart."""
    span = frame.year_to - frame.year_from
    first = frame[span == span.max()].iloc[0]
    chosen: pd.DataFrame = frame[(frame.year_from == first.year_from) & (frame.year_to == first.year_to)]
    return chosen


def _steps(frame: pd.DataFrame) -> dict[tuple[int, int], pd.DataFrame]:
    """The rows of each pair of neighbouring years; of the longest pair where years are missing."""
    years = sorted({*frame.year_from, *frame.year_to})
    wanted = {
        (int(a), int(b)): frame[(frame.year_from == a) & (frame.year_to == b)] for a, b in pairwise(years)
    }
    if not any(rows.empty for rows in wanted.values()):
        return wanted
    rows = longest_pair(frame)
    return {(int(rows.year_from.iloc[0]), int(rows.year_to.iloc[0])): rows}


def _square(rows: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    table = rows.pivot_table(index="class_from", columns="class_to", values="area_ha", aggfunc="sum")
    return np.asarray(table.reindex(index=names, columns=names).fillna(0), dtype=np.float64)


def _flow_title(steps: Mapping[tuple[int, int], pd.DataFrame], years: Sequence[int]) -> str:
    shares = {}
    for pair, rows in steps.items():
        seen = rows[(rows.class_from != _NODATA) & (rows.class_to != _NODATA)]
        moved = seen[seen.class_from != seen.class_to].area_ha.sum()
        shares[pair] = moved / max(seen.area_ha.sum(), 1e-12)
    pair = max(shares, key=lambda key: shares[key])
    if len(years) == 2:
        return f"{shares[pair]:.1%} of the land changed its class from {pair[0]} to {pair[1]}"
    mean = sum(shares.values()) / len(shares)
    return f"{mean:.1%} of the land changes its class in a year; most, {shares[pair]:.1%}, from {pair[0]} to {pair[1]}"


def _bands(
    ax: Axes, at: int, table: NDArray[np.float64], *, gap: float, half: float, colours: Sequence[str]
) -> None:
    """Bands between column ``at`` and the next; what stays is pale, what moves has its new colour."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    size = len(table)
    start = np.concatenate([[0], np.cumsum(table.sum(1) + gap)])[:-1]
    end = np.concatenate([[0], np.cumsum(table.sum(0) + gap)])[:-1]
    left, right = at + half, at + 1 - half
    width = (right - left) / 2
    for i in range(size):
        for j in range(size):
            height = table[i, j]
            if height <= 0:
                continue
            top, low = start[i], end[j]
            start[i] += height
            end[j] += height
            corners = [
                (left, top), (left + width, top), (right - width, low), (right, low),
                (right, low + height), (right - width, low + height), (left + width, top + height),
                (left, top + height), (left, top),
            ]  # fmt: skip
            codes = [1, 4, 4, 4, 2, 4, 4, 4, 79]
            style = (tinted(colours[i], 0.14), 1) if i == j else (colours[j], 3)
            ax.add_patch(PathPatch(Outline(corners, codes), facecolor=style[0], lw=0, zorder=style[1]))


def _column(
    ax: Axes, at: int, heights: NDArray[np.float64], *, gap: float, half: float, colours: Sequence[str]
) -> None:
    from matplotlib.patches import Rectangle

    top = 0.0
    for height, colour in zip(heights, colours, strict=True):
        ax.add_patch(Rectangle((at - half, top), 2 * half, height, facecolor=colour, lw=0, zorder=4))
        top += height + gap


def _column_names(
    ax: Axes, names: Sequence[str], heights: NDArray[np.float64], *, gap: float, x: float, align: str
) -> None:
    """Class names beside a column, moved apart where classes are thin."""
    tops = np.concatenate([[0], np.cumsum(heights + gap)])[:-1]
    middle = tops + heights / 2
    least = 0.052 * float(heights.sum())
    for index in range(1, len(middle)):
        middle[index] = max(middle[index], middle[index - 1] + least)
    over = max(middle[-1] - float(heights.sum() + gap * len(names) - least / 2), 0.0)
    for index in range(len(middle) - 1, -1, -1):
        room = middle[index + 1] - least if index + 1 < len(middle) else middle[index] - over
        middle[index] = min(middle[index], room)
    for name, y in zip(names, middle, strict=True):
        ax.text(x, y, name, ha=align, va="center", size=8.5, clip_on=False)


def _one_year(areas: pd.Series[float], year: int, colours: Mapping[str, str]) -> Figure:
    """Areas of a single year, largest on top."""
    names = [str(name) for name in areas.index]
    figure, body = canvas(
        0.3 + 0.3 * len(names),
        title=f"{_sentence(names[-1])} covers most ground in {year}",
        subtitle="Mapped area of each class, hectares, and its share of the mapped ground.",
    )
    ax = body.subplots()
    reach, total = float(areas.max()), float(areas.sum())
    ax.barh(names, areas, height=0.64, color=[colours.get(name, MUTED) for name in names])
    for place, value in enumerate(areas):
        ax.text(value + 0.012 * reach, place, f"{number(value)} ha", va="center", weight="bold", size=8.5)
        ax.text(1.3 * reach, place, f"{value / total:.1%}", va="center", ha="right", color=MUTED, size=8.5)
    ax.set(xlim=(0, 1.31 * reach), xticks=[], ylim=(-0.6, len(names) - 0.4))
    ax.tick_params(axis="y", labelcolor=INK)
    quiet(ax)
    return figure


def _area_panel(ax: Axes, years: Sequence[int], area: NDArray[np.float64], *, colour: str) -> None:
    from matplotlib.patheffects import Normal, Stroke

    ax.fill_between(years, 0, area, color=tinted(colour, 0.3), lw=0)
    ax.plot(years, area, color=colour, lw=2, marker="o", ms=3.2, markeredgecolor="white", markeredgewidth=0.5)
    ax.set(ylim=(0, max(float(area.max()), 1e-9) * 1.32), yticks=[])
    for index, align in ((0, "left"), (-1, "right")):
        ax.annotate(number(area[index]), (years[index], area[index]), xytext=(0, 6), ha=align, size=8.5,
                    textcoords="offset points", weight="bold", color=INK, zorder=5,
                    path_effects=[Stroke(linewidth=2.5, foreground="white"), Normal()])  # fmt: skip
    if area[0] > 0:
        share = _percent(area[-1] / area[0] - 1, 0)
        ax.text(0.5, 0.08, share, transform=ax.transAxes, ha="center", size=8.5, color=INK)
    ax.set_xticks([years[0], years[-1]])
    quiet(ax)
    ax.spines["bottom"].set_visible(True)


def _hectare_cells(ax: Axes, area: NDArray[np.float64], moved: NDArray[np.float64]) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    shades, most = colormaps["Oranges"], max(float(moved.max()), 1e-12)
    size = len(area)
    for i in range(size):
        for j in range(size):
            shade: tuple[float, ...] = (
                tinted(FAINT, 0.35) if i == j else tuple(shades((moved[i, j] / most) ** 0.5 * 0.85))
            )
            shade = tinted(GRID, 0.3) if i != j and moved[i, j] == 0 else shade
            ax.add_patch(Rectangle((j - 0.48, i - 0.47), 0.96, 0.94, facecolor=shade, lw=0))
            text = number(area[i, j]) if area[i, j] else ""
            ax.text(j, i, text, ha="center", va="center", size=8.5, color=MUTED if i == j else legible(shade))
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def _percent(share: float, places: int) -> str:
    text = f"{100 * share:+.{places}f}%".replace("-", "\N{MINUS SIGN}")
    return text[1:] if not text.strip("+\N{MINUS SIGN}0.%") else text


def _sentence(name: str) -> str:
    return name[:1].upper() + name[1:]
