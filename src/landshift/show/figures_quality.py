"""Figures that say how good it is: clear looks, hold-out errors, training, confusion, accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from landshift import sensor
from landshift.kernel.confusion import untested
from landshift.show.figures_style import (
    ACCENT,
    FAINT,
    GRID,
    INK,
    MUTED,
    SERIES,
    WARM,
    canvas,
    class_axes,
    count,
    legend_below,
    legible,
    quiet,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from numpy.typing import NDArray

__all__ = [
    "draw_accuracy",
    "draw_clear",
    "draw_confusion",
    "draw_history",
    "draw_holdout",
    "is_summary",
    "untested_of",
]

_MARKS: Final = {"interpolate": ("o", ACCENT), "nearest": ("D", FAINT), "mean": ("s", WARM)}
_SPARE: Final = (("^", SERIES[2]), ("v", SERIES[3]), ("P", SERIES[4]), ("X", SERIES[5]))


def draw_clear(frame: pd.DataFrame) -> Figure:
    """The clear share of every date, one row for each product and source."""
    import matplotlib.dates as mdates
    import pandas as pd

    keys = [name for name in ("product", "source") if name in frame.columns]
    groups = list(frame.groupby(keys, sort=False)) if keys else [(("",), frame)]
    mean, times = frame.clear_share.mean(), pd.to_datetime(frame.time)
    title = f"{mean:.0%} of the ground was seen clearly on an average date"
    about = f"Clear share of each of {_dates(frame)}, with the monthly mean as a line."
    figure, body = canvas(0.45 + 1.15 * len(groups), title=title, subtitle=about)
    axes = body.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (names, group) in zip(axes, groups, strict=True):
        when, share = pd.to_datetime(group.time), 100 * group.clear_share.to_numpy()
        ax.vlines(when, 0, share, color=ACCENT, lw=0.8, alpha=0.28)
        ax.scatter(when, share, s=7, color=ACCENT, lw=0, zorder=3)
        monthly = pd.Series(share, index=pd.DatetimeIndex(when)).resample("MS").mean().dropna()
        ax.plot(pd.DatetimeIndex(monthly.index) + pd.Timedelta(days=14), monthly, color=WARM, lw=1.3)
        ax.set(ylim=(0, 104), yticks=[0, 50, 100])
        ax.yaxis.set_major_formatter("{x:.0f}%")
        label = " · ".join(dict.fromkeys(str(name) for name in names if str(name)))
        ax.set_title(f"{label}  {_dates(group)}")
        quiet(ax, grid="y")
    pad = max((times.max() - times.min()) * 0.01, pd.Timedelta(days=3))
    axes[-1].set_xlim(times.min() - pad, times.max() + pad)
    locator = mdates.AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call] # untyped there
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
    return figure


def draw_holdout(frame: pd.DataFrame) -> Figure:
    """Error of held-out looks: bands downwards, one mark for each method."""
    from matplotlib.ticker import MaxNLocator

    products = list(dict.fromkeys(frame["product"]))
    methods = list(dict.fromkeys(frame["method"]))
    bands = sorted(dict.fromkeys(frame["band"]), key=_wavelength)
    figure, body = canvas(
        0.75 + 0.27 * len(bands),
        title=_holdout_title(frame),
        subtitle="Root mean square error of clear looks"
        " that were hidden and then predicted from the remaining ones, in the units of the band.",
    )
    axes = body.subplots(1, len(products), sharey=True, squeeze=False)[0]
    at = {band: place for place, band in enumerate(reversed(bands))}
    spare = iter(_SPARE)
    marks = {method: _MARKS[method] if method in _MARKS else next(spare) for method in methods}
    for ax, product in zip(axes, products, strict=True):
        chosen = frame[frame["product"] == product]
        for band, rows in chosen.groupby("band"):
            ax.plot([rows.rmse.min(), rows.rmse.max()], [at[str(band)]] * 2, color=GRID, lw=2.2, zorder=1)
        for method in methods:
            rows, (mark, colour) = chosen[chosen["method"] == method], marks[method]
            size = 46 if method == methods[0] else 28
            ax.scatter(rows.rmse, [at[band] for band in rows.band], marker=mark, s=size, color=colour,
                       lw=0.8, edgecolor="white", zorder=3, label=method)  # fmt: skip
        ax.set(yticks=list(at.values()), xlim=(0, frame.rmse.max() * 1.06), ylim=(-0.5, len(at) - 0.5))
        ax.set_yticklabels([*at], color=INK)
        ax.xaxis.set_major_locator(MaxNLocator(6 if len(products) == 1 else 4))
        ax.set_title(product if len(products) > 1 else "")
        quiet(ax, grid="x")
    legend_below(body, *axes[0].get_legend_handles_labels())
    return figure


def draw_history(frame: pd.DataFrame) -> Figure:
    """Loss and mean IoU by epoch, training beside validation, for every model that has epochs."""
    models = list(dict.fromkeys(frame["model"]))
    metrics = [name for name in ("loss", "miou") if name in frame.columns and frame[name].notna().any()]
    names = {"loss": "Loss", "miou": "Mean IoU"}
    best, model, epoch = _best(frame, metrics)
    title = f"{model} was best after {epoch} epochs" + (f", with a mean IoU of {best:.2f}" if best else "")
    figure, body = canvas(
        2.25 * len(models),
        title=title,
        subtitle="Each epoch on training and on validation patches; the"
        " ring marks the epoch whose weights are kept.",
    )
    grid = body.subplots(len(models), len(metrics), squeeze=False)
    for row, name in zip(grid, models, strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            _curves(ax, frame[frame["model"] == name], metric, metrics)
            label = names[metric] + (f" · {name}" if len(models) > 1 else "")
            ax.set(title=label, xlabel="epoch")
    return figure


def draw_confusion(frame: pd.DataFrame, *, model: str) -> Figure:
    """The confusion matrix of one model, rows the map: what is there where the map says so."""
    classes = list(dict.fromkeys([*frame.mapped, *frame.reference]))
    table = frame.pivot_table(index="mapped", columns="reference", values="pixels", aggfunc="sum")
    counts = table.reindex(index=classes, columns=classes, fill_value=0).fillna(0).to_numpy(dtype=float)
    mapped, reference, total = counts.sum(1), counts.sum(0), counts.sum()
    right = np.trace(counts) / total if total else 0.0
    figure, body = canvas(
        1.35 + 0.36 * len(classes),
        title=f"{model} agrees with the reference on {right:.0%} of the test pixels",
        subtitle="Where the map says a class (row), what the reference says (column), per cent of the row. The"
        " diagonal is right; dark means much.",
    )
    ax = body.subplots()
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(mapped[:, None] > 0, counts / mapped[:, None], np.nan)
        found = np.where(reference > 0, np.diag(counts) / reference, np.nan)
    _matrix_cells(ax, share)
    class_axes(ax, classes)
    ax.set(xlabel="reference", ylabel="mapped as")
    _margins(ax, found, mapped)
    quiet(ax)
    return figure


def draw_accuracy(frame: pd.DataFrame) -> Figure:
    """F1 of every class on test areas, one mark for each model."""
    fold = "test" if "test" in set(frame["fold"]) else frame["fold"].iloc[-1]
    chosen = frame[frame["fold"] == fold]
    models = list(dict.fromkeys(chosen["model"]))
    classes = [name for name in dict.fromkeys(chosen["class"]) if not is_summary(name)]
    figure, body = canvas(
        0.75 + 0.27 * len(classes),
        title=_accuracy_title(chosen, models),
        subtitle=f"F1 score of each class on {fold} areas (0 = never right, 1 = always); n = reference pixels."
        + ("" if fold != "test" else _remark(chosen, models)),
    )
    ax = body.subplots()
    at = {name: place for place, name in enumerate(reversed(classes))}
    rows = chosen[chosen["class"].isin(classes)]
    for name, group in rows.groupby("class"):
        ax.plot([group.f1.min(), group.f1.max()], [at[str(name)]] * 2, color=GRID, lw=2.2, zorder=1)
    for number_of, model in enumerate(models):
        group = rows[rows["model"] == model]
        mark = ("o", "D", "s", "^", "v", "P", "X")[number_of % 7]
        ax.scatter(group.f1, [at[name] for name in group["class"]], s=44 if mark == "o" else 28, marker=mark,
                   color=SERIES[number_of % len(SERIES)], lw=0.8, edgecolor="white", zorder=3, label=model)  # fmt: skip
    support = rows.groupby("class")["pixels"].max()
    ax.set(yticks=list(at.values()), xlim=(-0.02, 1.02), ylim=(-0.5, len(at) - 0.5))
    ax.set_yticklabels([f"{name}  n {count(int(support[name]))}" for name in at], color=INK)
    quiet(ax, grid="x")
    legend_below(body, *ax.get_legend_handles_labels())
    return figure


def _wavelength(band: str) -> float:
    """Centre of a band in micrometres, for an order that everyone knows; what is no such band comes last."""
    known = {one.name: one.centre_um for name in sensor.names() for one in sensor.get(name).bands}
    return known.get(band) or float("inf")


def _dates(frame: pd.DataFrame) -> str:
    return f"{count(len(frame))} {'date' if len(frame) == 1 else 'dates'}"


def _holdout_title(frame: pd.DataFrame) -> str:
    mean = frame.groupby("method")["rmse"].mean()
    if "interpolate" not in mean or len(mean) < 2:
        return f"Hidden looks are predicted to {mean.min():.3f} on average"
    ratio = mean["interpolate"] / mean.drop("interpolate").min()
    best = str(mean.drop("interpolate").idxmin())
    other = {"nearest": "the nearest look", "mean": "the mean of all looks"}.get(best, best)
    how = f"{1 - ratio:.0%} closer" if ratio < 0.995 else "no closer"
    return f"Interpolation comes {how} to hidden looks than {other}, on average of bands"


def _best(frame: pd.DataFrame, metrics: list[str]) -> tuple[float | None, str, int]:
    """Best validation score, its model and its epoch."""
    checked = frame[frame["split"] != "train"]
    rows = checked if len(checked) else frame
    at = rows["miou"].to_numpy().argmax() if "miou" in metrics else rows["loss"].to_numpy().argmin()
    row = rows.iloc[int(at)]
    return (float(row.miou) if "miou" in metrics else None), str(row.model), int(row.epoch)


def _curves(ax: Axes, frame: pd.DataFrame, metric: str, metrics: list[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    colours = {"train": FAINT, "val": ACCENT, "validation": ACCENT, "test": WARM}
    curves = {str(split): rows.sort_values("epoch") for split, rows in frame.groupby("split", sort=False)}
    for rank, split in enumerate(sorted(curves, key=lambda name: curves[name][metric].iloc[-1])):
        ordered, colour = curves[split], colours.get(split, WARM)
        ax.plot(ordered.epoch, ordered[metric], color=colour, lw=1.6)
        ax.annotate({"val": "validation", "train": "training"}.get(split, split),
                    (ordered.epoch.iloc[-1], ordered[metric].iloc[-1]), xytext=(7, 5 if rank else -5),
                    textcoords="offset points", va="center", size=8.5,
                    color=MUTED if colour == FAINT else colour)  # fmt: skip
    _, _, epoch = _best(frame, metrics)
    checked = frame[(frame["split"] != "train") & (frame["epoch"] == epoch)]
    if len(checked):
        ax.scatter(checked.epoch, checked[metric], s=42, facecolor="none", edgecolor=ACCENT, lw=1.4, zorder=4)
    ax.set_xlim(frame.epoch.min() - 0.5, frame.epoch.max() + 0.5)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    quiet(ax, grid="y")


def _matrix_cells(ax: Axes, share: NDArray[np.float64]) -> None:
    from matplotlib import colormaps

    colours = colormaps["Blues"]
    size = len(share)
    for i in range(size):
        for j in range(size):
            value = share[i, j]
            shade = colours(0.03 + 0.87 * value) if np.isfinite(value) else (1, 1, 1, 1)
            ax.add_patch(_cell(j, i, shade, strong=i == j))
            text = "–" if not np.isfinite(value) else f"{100 * value:.0f}" if value >= 0.005 else ""
            ax.text(j, i, text, ha="center", va="center", size=8.5, color=legible(shade),
                    weight="bold" if i == j else "normal")  # fmt: skip
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))


def _cell(x: float, y: float, colour: tuple[float, ...], *, strong: bool) -> Rectangle:
    from matplotlib.patches import Rectangle

    edge = INK if strong else "white"
    return Rectangle(
        (x - 0.48, y - 0.47), 0.96, 0.94, facecolor=colour, edgecolor=edge, lw=0.9 if strong else 0
    )


def _margins(ax: Axes, found: NDArray[np.float64], mapped: NDArray[np.float64]) -> None:
    """Below: the share of each reference class that the map finds. On the right: pixels of each row."""
    size = len(mapped)
    for j, value in enumerate(found):
        text = f"{100 * value:.0f}" if np.isfinite(value) else "–"
        ax.text(j, size - 0.12, text, ha="center", va="center", size=8.5, color=MUTED)
    ax.text(-0.6, size - 0.12, "found", ha="right", va="center", size=8.5, color=MUTED)
    for i, total in enumerate(mapped):
        ax.text(size - 0.38, i, f"n {count(int(total))}", ha="left", va="center", size=8.5, color=MUTED)
    ax.set(xlim=(-0.5, size + 0.55), ylim=(size + 0.2, -0.5))


def _remark(frame: pd.DataFrame, models: list[str]) -> str:
    """The sentence about classes without a test pixel, of the model that it concerns most."""
    said = [text for text in (untested_of(frame, model) for model in models) if text]
    return f" {said[0][0].upper()}{said[0][1:]}." if said else ""


def _accuracy_title(frame: pd.DataFrame, models: list[str]) -> str:
    summed = frame[frame["class"].map(is_summary)].set_index("model")["iou"]
    means = frame.groupby("model")["iou"].mean() if summed.empty else summed[~summed.index.duplicated()]
    best = str(means.idxmax())
    others = ", ".join(f"{name} {means[name]:.2f}" for name in models if name != best and name in means)
    return f"{best} reaches a mean IoU of {means[best]:.2f}" + (f" ({others})" if others else "")


def untested_of(frame: pd.DataFrame, model: str) -> str | None:
    """What :func:`landshift.kernel.confusion.untested` says of a model, by its rows of one fold in ``accuracy``."""
    rows = frame[(frame["model"] == model) & ~frame["class"].map(is_summary)]
    return untested(
        [*rows["class"].astype(str)], support=rows["pixels"].to_numpy(), iou=rows["iou"].to_numpy()
    )


def is_summary(name: object) -> bool:
    """Whether a row of the table ``accuracy`` sums all classes up."""
    return str(name).lower() in {"all", "overall"}
