"""Which layers a site has: land cover, change, first years, certainty and true colour, as tile sets.

A change tile holds the class before *and* the class after of every pixel in one byte, so one set of tiles per
pair of years serves every view of it: all change, or what one class gained and lost.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass
from landshift.cube.maps import read_classes
from landshift.show.png import palette_png
from landshift.show.tiles import TileSet, Values, average, majority

__all__ = [
    "Frame",
    "SiteLayer",
    "certainty_layer",
    "change_layer",
    "cover_layer",
    "first_year_layer",
    "image_layer",
]

MOST_SLOTS: Final = 14
"""Classes that a change tile tells apart: 15 x 15 transitions, the rest included, fit one byte."""

_CIVIDIS: Final = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")
"""Nuñez, Anderton and Renslow (2018): read alike with every kind of colour vision."""

_UNSURE: Final = 40
"""Per cent at and below which all certainties look alike: the best of several classes is seldom less sure."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a layer: a year, a pair of years or a class."""

    keys: Mapping[str, Any]
    """What tells it from the others: ``year``; ``from`` and ``to``; ``class``."""
    tiles: TileSet
    """How it is drawn."""


@dataclass(frozen=True, kw_only=True)
class SiteLayer:
    """One layer of the page's switch."""

    id: str
    """Its name in data.json and in the page's address."""
    facts: Mapping[str, Any]
    """What the page needs to draw and explain it."""
    frames: tuple[Frame, ...]
    """Its pictures."""


def cover_layer(maps: Mapping[int, Path], classes: Sequence[LandClass]) -> SiteLayer:
    """The classes of every year."""
    palette = {one.value: one.colour for one in classes}
    frames = [
        Frame(keys={"year": year}, tiles=_class_tiles(f"cover/{year}", path, palette))
        for year, path in maps.items()
    ]
    return SiteLayer(id="cover", facts={}, frames=tuple(frames))


def certainty_layer(maps: Mapping[int, Path]) -> SiteLayer | None:
    """How sure the model was, where the maps hold a second band with its probability in per cent."""
    import rasterio

    sure = {}
    for year, path in maps.items():
        with rasterio.open(path) as source:
            if "probability" in source.descriptions[1:]:
                sure[year] = (path, source.descriptions.index("probability") + 1)
    shades = _ramp(_CIVIDIS, 100 - _UNSURE + 1)
    palette = {percent: shades[max(percent - _UNSURE, 0) + 1] for percent in range(1, 101)}
    frames = [
        Frame(
            keys={"year": year},
            tiles=TileSet(
                name=f"certainty/{year}",
                sources=(source,),
                combine=_percent,
                encode=functools.partial(_draw, palette=palette),
                coarsen=average,
            ),
        )
        for year, source in sure.items()
    ]
    return (
        SiteLayer(id="certainty", facts={"ramp": list(_CIVIDIS), "from": _UNSURE}, frames=tuple(frames))
        if frames
        else None
    )


def change_layer(
    folder: Path, classes: Sequence[LandClass], weights: Mapping[str, float]
) -> SiteLayer | None:
    """What became what between two years.

    Args:
        folder: ``out/change`` with ``<from>_<to>_new_<class>.tif``.
        classes: Classes of the maps.
        weights: Area changed by class name: where there are too many classes, the largest are told apart.
    """
    by_slug = {_slug(one.name): one for one in classes}
    pairs: dict[tuple[int, int], dict[int, Path]] = {}
    for path in sorted(folder.glob("*_new_*.tif")):
        named = re.fullmatch(r"(\d{4})_(\d{4})_new_(.+)", path.stem)
        if named and named[3] in by_slug:
            pairs.setdefault((int(named[1]), int(named[2])), {})[by_slug[named[3]].value] = path
    if not pairs:
        return None
    names = {one.value: one.name for one in classes}
    there = set.intersection(*(set(layers) for layers in pairs.values()))
    largest = sorted(there, key=lambda value: (-weights.get(names[value], 0.0), value))[:MOST_SLOTS]
    slots = sorted(largest)
    colours = {one.value: one.colour for one in classes}
    palette, prefer = _transitions([colours[value] for value in slots])
    frames = [
        Frame(
            keys={"from": pair[0], "to": pair[1]},
            tiles=TileSet(
                name=f"change/{pair[0]}_{pair[1]}",
                sources=tuple((pairs[pair][value], 1) for value in slots),
                combine=_before_after,
                encode=functools.partial(_draw, palette=palette),
                coarsen=functools.partial(majority, prefer=prefer),
            ),
        )
        for pair in sorted(pairs)
    ]
    return SiteLayer(id="change", facts={"slots": slots}, frames=tuple(frames))


def first_year_layer(folder: Path, classes: Sequence[LandClass]) -> SiteLayer | None:
    """The year in which a pixel was first seen as a class."""
    frames, legend = [], []
    for one in classes:
        path = folder / f"first_year_{_slug(one.name)}.tif"
        if path.is_file():
            years = read_classes(path)
            palette = {year.value: year.colour for year in years}
            legend = [{"value": year.value, "name": year.name, "colour": year.colour} for year in years]
            tiles = _class_tiles(f"first_year/{_slug(one.name)}", path, palette)
            frames.append(Frame(keys={"class": one.value}, tiles=tiles))
    return SiteLayer(id="first_year", facts={"legend": legend}, frames=tuple(frames)) if frames else None


def image_layer(images: Mapping[int, Path], dates: Mapping[int, str]) -> SiteLayer | None:
    """True colour of every year, from RGB rasters with 0 for empty."""
    frames = [
        Frame(
            keys={"year": year, "date": dates[year]},
            tiles=TileSet(
                name=f"image/{year}",
                sources=((path, 1), (path, 2), (path, 3)),
                encode=_picture,
                coarsen=average,
                smooth=True,
                suffix="webp",
            ),
        )
        for year, path in images.items()
    ]
    return SiteLayer(id="image", facts={}, frames=tuple(frames)) if frames else None


def _class_tiles(name: str, path: Path, palette: Mapping[int, str]) -> TileSet:
    encode = functools.partial(_draw, palette=palette)
    return TileSet(name=name, sources=((path, 1),), encode=encode, coarsen=majority)


def _draw(values: Values, *, palette: Mapping[int, str]) -> bytes:
    return palette_png(values[0], palette)


def _percent(values: Values) -> Values:
    """Per cent as palette indices; 101 and more do not exist, 0 is empty."""
    return np.minimum(values, 100).astype(np.uint8)


def _before_after(values: Values) -> Values:
    """One byte per pixel out of one change layer per class.

    Args:
        values: (slots, y, x): 1 gain, 2 loss, 3 stable, 4 other, 0 no data.

    Returns:
        (1, y, x): 1 + before x (slots + 1) + after, where before and after count slots from 1 and 0 is any
        other class; 0 no data.

    >>> _before_after(np.array([[[3, 2, 4, 0]], [[4, 1, 4, 0]]], np.uint8))
    array([[[5, 6, 1, 0]]], dtype=uint8)
    """
    number = np.arange(1, len(values) + 1, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    before = (number * ((values == 2) | (values == 3))).max(axis=0)
    after = (number * ((values == 1) | (values == 3))).max(axis=0)
    code = 1 + before * (len(values) + 1) + after
    return np.where(values.all(axis=0), code, 0).astype(np.uint8)[np.newaxis]


def _transitions(colours: Sequence[str]) -> tuple[dict[int, str], NDArray[np.uint8]]:
    """Colours of all transitions (by what came; what stayed is pale) and which of them are changes."""
    side = len(colours) + 1
    palette, prefer = {}, np.zeros(256, np.uint8)
    for code in range(1, side * side + 1):
        before, after = divmod(code - 1, side)
        changed = before != after
        palette[code] = ("#8d8d8d" if after == 0 else colours[after - 1]) if changed else "#e4e2dd"
        prefer[code] = changed
    return palette, prefer


def _picture(values: Values) -> bytes:
    """A photograph: WebP, transparent where empty."""
    from PIL import Image

    rgb = np.moveaxis(values, 0, -1)
    empty = values[0] == 0
    if empty.any():
        alpha = np.where(empty, 0, 255).astype(np.uint8)
        image = Image.fromarray(np.ascontiguousarray(np.dstack([rgb, alpha])), "RGBA")
    else:
        image = Image.fromarray(np.ascontiguousarray(rgb), "RGB")
    sink = io.BytesIO()
    image.save(sink, "WEBP", quality=82, method=2)
    return sink.getvalue()


def _ramp(stops: Sequence[str], count: int) -> dict[int, str]:
    """``count`` colours between stops, numbered from 1.

    >>> _ramp(("#000000", "#ffffff"), 3)
    {1: '#000000', 2: '#808080', 3: '#ffffff'}
    """
    rgb = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops], float)
    where = np.linspace(0, len(stops) - 1, count)
    mixed = np.stack([np.interp(where, range(len(stops)), rgb[:, part]) for part in range(3)], axis=1)
    rounded = np.floor(mixed + 0.5).astype(int)
    return {number: "#{:02x}{:02x}{:02x}".format(*colour) for number, colour in enumerate(rounded, start=1)}


def _slug(name: str) -> str:
    """A class name as change layers spell it in file names.

    >>> _slug("Bare soil / rock")
    'bare_soil_rock'
    """
    return re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_") or "class"
