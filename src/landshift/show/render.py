"""All figures of an output folder, drawn from its tables and maps.

Nothing is computed here: a stage that measures writes a table, and this draws it. A table that is not there
has no figure, The same tables give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from landshift.cube.maps import read_classes
from landshift.cube.tables import read_table
from landshift.show import figures_change, figures_maps, figures_quality
from landshift.show.figures_style import drawing, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Sources", "draw_figures"]


@dataclass(frozen=True)
class Sources:
    """What there is to draw in an output folder."""

    out: Path
    """The folder."""

    _read: dict[str, pd.DataFrame | None] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> pd.DataFrame | None:
        """A table's rows, or None where it is missing or empty."""
        if name not in self._read:
            path = self.out / "tables" / f"{name}.parquet"
            frame = read_table(path).frame if path.is_file() else None
            self._read[name] = None if frame is None or frame.empty else frame
        return self._read[name]

    @cached_property
    def maps(self) -> Mapping[int, Path]:
        """The maps by year."""
        found = {path.stem: path for path in sorted((self.out / "maps").glob("*.tif"))}
        return {int(stem): path for stem, path in found.items() if re.fullmatch(r"\d{4}", stem)}

    @cached_property
    def colours(self) -> Mapping[str, str]:
        """The colour of every class name in the maps."""
        if not self.maps:
            return {}
        return {item.name: item.colour for item in read_classes(next(iter(self.maps.values())))}


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """A figure that can be drawn."""

    name: str
    draw: Callable[[], Figure]
    caption: str


def draw_figures(out: Path) -> list[Path]:
    """Draw ``out/figures/*.png`` from ``out/tables`` and ``out/maps``.

    Args:
        out: The output folder of a run.

    Returns:
        The files, in the order in which a reader wants them.
    """
    sources = Sources(out)
    with drawing():
        return [
            save(picture.draw(), out / "figures" / f"{picture.name}.png", caption=picture.caption)
            for source in (_maps, _change, _zones, _quality, _learning)
            for picture in source(sources)
        ]


def _maps(sources: Sources) -> Iterator[_Picture]:
    if sources.maps:
        yield _Picture(
            name="maps",
            draw=lambda: figures_maps.draw_maps(sources.maps),
            caption="The yearly maps, drawn from maps/*.tif by the most frequent class where a map is larger"
            " than its picture.",
        )
    changes = sources.table("gains")
    if changes is None:
        return
    name = figures_change.headline_class(changes)
    path = sources.out / "change" / f"first_year_{_file_part(name)}.tif"
    if path.is_file():
        last = sources.maps[max(sources.maps)] if sources.maps else None
        yield _Picture(
            name="years",
            draw=lambda: figures_maps.draw_years(path, name=name, background=last),
            caption=f"For every pixel the first year in which it is mapped as {name}; ground that was {name}"
            " on its first map is grey. The same layer for every class is change/first_year_*.tif.",
        )


def _change(sources: Sources) -> Iterator[_Picture]:
    area, changes, moved = (_mapped(sources.table(name)) for name in ("area", "gains", "transitions"))
    colours = sources.colours
    if area is not None:
        yield _Picture(
            name="area",
            draw=lambda: figures_change.draw_areas(area, colours=colours),
            caption="Area of each class, counted in pixels of the map; the percentage is the change from the"
            " first year to the last. Mapped areas carry the errors of the map.",
        )
    if changes is not None:
        yield _Picture(
            name="gains",
            draw=lambda: figures_change.draw_gains(changes, colours=colours),
            caption="Gains (solid) and losses (hatched) between the first and the last map. Pixels that lack"
            " a class in either year take no part.",
        )
    if moved is not None:
        yield _Picture(
            name="transitions",
            draw=lambda: figures_change.draw_transitions(moved),
            caption="The transition matrix of the first and the last map. All pairs of years are in the table"
            " transitions.",
        )
        yield _Picture(
            name="flows",
            draw=lambda: figures_change.draw_flows(moved, colours=colours),
            caption="Flows of ground between classes. Pale bands stayed in their class; saturated bands"
            " changed and have the colour of the class they became.",
        )


def _mapped(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    """The table, unless no ground in it has a class."""
    if frame is None:
        return None
    classes = [name for name in ("class", "class_from", "class_to") if name in frame.columns]
    areas = [name for name in ("area_ha", "gain_ha", "stable_ha") if name in frame.columns]
    seen = (frame[classes] != "nodata").all(axis=1)
    return frame if frame.loc[seen, areas].to_numpy().any() else None


def _zones(sources: Sources) -> Iterator[_Picture]:
    zones = sources.table("zonal_change")
    if zones is not None:
        yield _Picture(
            name="zones",
            draw=lambda: figures_change.draw_zones(zones, colours=sources.colours),
            caption="Zones ranked by net change. Every pixel is weighted with the share of it that lies in"
            " the zone; the percentage relates to the zone's ground mapped in both years.",
        )


def _quality(sources: Sources) -> Iterator[_Picture]:
    clear, holdout = sources.table("clear"), sources.table("holdout")
    if clear is not None:
        yield _Picture(
            name="clear",
            draw=lambda: figures_quality.draw_clear(clear),
            caption="Each dot is a date: the share of the place's pixels that are clear after masking. Few"
            " clear looks make a cube rest on interpolation.",
        )
    if holdout is not None and holdout["rmse"].notna().any():
        holdout = holdout[holdout["rmse"].notna()]
        yield _Picture(
            name="holdout",
            draw=lambda: figures_quality.draw_holdout(holdout),
            caption="A part of each pixel's clear looks is hidden and predicted from the others: by"
            " interpolation, as the cube does, by the nearest look in time and by the mean of all looks. The"
            " written cube uses all looks.",
        )


def _learning(sources: Sources) -> Iterator[_Picture]:
    accuracy, confusion, history = (sources.table(name) for name in ("accuracy", "confusion", "history"))
    if accuracy is not None:
        yield _Picture(
            name="accuracy",
            draw=lambda: figures_quality.draw_accuracy(accuracy),
            caption="Scores on areas that no model saw in training. The headline gives the mean intersection"
            " over union of all classes, from one confusion matrix over the whole test set.",
        )
    if confusion is not None:
        tested = confusion[confusion["fold"] == "test"] if "test" in set(confusion["fold"]) else confusion
        for model, rows in tested.groupby("model", sort=False):
            yield _Picture(
                name=f"confusion_{_file_part(str(model))}",
                draw=partial(figures_quality.draw_confusion, rows, model=str(model)),
                caption=f"Where {model} goes wrong, on ground it has not seen. The diagonal is the user's accuracy;"
                " the line below is the producer's: the share of each reference class that the map finds.",
            )
    if history is not None:
        yield _Picture(
            name="history",
            draw=lambda: figures_quality.draw_history(history),
            caption="Training. A widening gap between the curves is overfitting.",
        )


def _file_part(name: str) -> str:
    """A name as part of a file name, as change layers have it."""
    return re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_") or "class"
