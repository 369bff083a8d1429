"""Land classes: a number, a name and a colour, and how they travel in attributes and tags.

Zero is always "unlabelled" (in labels) or "no data" (in maps) and never a class.
"""

from __future__ import annotations

import colorsys
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from landshift.errors import ConfigError

__all__ = ["LandClass", "as_records", "as_stac", "colours_of", "from_names", "from_records"]

_KNOWN: Final[Mapping[str, str]] = {
    "water": "#2b83ba",
    "sea": "#1f6fa8",
    "river": "#3b93ca",
    "impervious": "#d7191c",
    "built": "#d7191c",
    "urban": "#d7191c",
    "artificial": "#d7191c",
    "road": "#7f7f7f",
    "forest": "#1a7f37",
    "woodland": "#1a7f37",
    "tree": "#1a7f37",
    "broadleaf": "#3fa34d",
    "deciduous": "#3fa34d",
    "conifer": "#0b5d2a",
    "scrub": "#8c9f3f",
    "shrub": "#8c9f3f",
    "bracken": "#b07d3c",
    "grass": "#a6d96a",
    "herbaceous": "#a6d96a",
    "meadow": "#a6d96a",
    "green": "#4dac26",
    "crop": "#fdd35f",
    "cultivated": "#fdd35f",
    "arable": "#fdd35f",
    "field": "#fdd35f",
    "vineyard": "#9e4f9e",
    "bare": "#c49a6c",
    "soil": "#c49a6c",
    "sand": "#f2e2b0",
    "wetland": "#5ab4ac",
    "marsh": "#5ab4ac",
    "peat": "#4a8a84",
    "snow": "#e8f4ff",
    "ice": "#e8f4ff",
    "other": "#bdbdbd",
}

_WHOLE: Final = frozenset({"ice", "sea"})
"""Known words that other words begin with ("seasonal"): they count alone."""
_END: Final = r"(?![^\W_])"
"""The end of a word, in a pattern."""

_WHEEL: Final = tuple(
    "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hsv_to_rgb(hue / 18, strength, value))
    for strength, value in ((0.57, 0.85), (0.8, 0.6))
    for hue in range(18)
)
"""Colours for classes whose names suggest none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LandClass:
    """One class of a map or of labels.

    >>> LandClass(value=1, name="water", colour="#2b83ba").rgb
    (43, 131, 186)
    """

    value: int
    """Number in the raster, 1 to 255."""
    name: str
    """Name for people and tables."""
    colour: str
    """Colour as ``#rrggbb``."""

    def __post_init__(self) -> None:
        """Refuse numbers that a byte cannot hold and colours that no page can draw."""
        if not 1 <= self.value <= 255:
            raise ConfigError(
                "a class number is out of range", where=self.name, got=self.value, allowed="1 to 255"
            )
        if not self.name.strip():
            raise ConfigError("a class has no name", where=f"class {self.value}")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ConfigError("not a colour", where=self.name, got=self.colour, allowed="#rrggbb")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        red, green, blue = (int(self.colour[start : start + 2], 16) for start in (1, 3, 5))
        return red, green, blue


def colours_of(names: Iterable[str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """A colour for every class name: one that suits it, else the one of a wheel that differs most from all others.

    Args:
        names: Names of classes, each once.
        taken: Colours that other classes of the map have.

    >>> colours_of(["quarry", "Coniferous forest", "plantation"])
    {'quarry': '#d95dd9', 'Coniferous forest': '#0b5d2a', 'plantation': '#5dd9b0'}
    """
    listed, used, found = list(names), [colour.lower() for colour in taken], {}
    suggested = {name: _suits(name) for name in listed}
    for name in sorted(listed, key=lambda name: suggested[name] is None):  # what a name suggests comes first
        own = suggested[name]
        if own is None or own in used:
            own = max(_WHEEL, key=lambda colour: min((_apart(colour, other) for other in used), default=0.0))
        found[name] = own
        used.append(own)
    return {name: found[name] for name in listed}


def _suits(name: str) -> str | None:
    """The colour of the first known word that a word of a name begins with: "Croplands" is of crops, "rice" no ice."""
    flat = name.lower()
    words = [
        (found.start(), word)
        for word in _KNOWN
        if (found := re.search(rf"(?<![^\W_]){word}{_END if word in _WHOLE else ''}", flat))
    ]
    return _KNOWN[min(words)[1]] if words else None


def _apart(one: str, other: str) -> float:
    """How different two colours look: the "redmean" distance of RGB (T. Riemersma, compuphase.com/cmetric.htm)."""
    (r, g, b), (s, h, c) = (tuple(int(text[i : i + 2], 16) for i in (1, 3, 5)) for text in (one, other))
    mean = (r + s) / 2
    parts = (2 + mean / 256) * (r - s) ** 2, 4 * (g - h) ** 2, (2 + (255 - mean) / 256) * (b - c) ** 2
    return math.sqrt(sum(parts))


def from_names(names: Sequence[str] | Mapping[str, int]) -> tuple[LandClass, ...]:
    """Classes from names alone, numbered from 1 in their order, or from names with their numbers.

    Raises:
        ConfigError: Two classes share a number.

    >>> print(*(f"{one.value} {one.name}" for one in from_names(["water", "forest"])))
    1 water 2 forest
    """
    numbered = (
        dict(names) if isinstance(names, Mapping) else {name: i for i, name in enumerate(names, start=1)}
    )
    ordered = sorted(numbered.items(), key=lambda pair: pair[1])
    colours = colours_of(numbered)
    return _distinct(LandClass(value=value, name=name, colour=colours[name]) for name, value in ordered)


def as_records(classes: Iterable[LandClass]) -> list[dict[str, Any]]:
    """Classes as plain mappings, for attributes and tags."""
    return [asdict(one) for one in classes]


def as_stac(classes: Iterable[LandClass]) -> list[dict[str, Any]]:
    """Classes as the STAC extension *classification* 2.0.0 has them: ``name`` is one word, ``title`` for people.

    >>> as_stac(from_names(["bare soil"]))
    [{'value': 1, 'name': 'bare_soil', 'title': 'bare soil', 'color_hint': 'C49A6C'}]
    """
    return [
        {
            "value": one.value,
            "name": re.sub(r"[^0-9A-Za-z-]+", "_", one.name).strip("_") or f"class_{one.value}",
            "title": one.name,
            "color_hint": one.colour.lstrip("#").upper(),
        }
        for one in classes
    ]


def from_records(records: Iterable[Mapping[str, Any]]) -> tuple[LandClass, ...]:
    """The inverse of :func:`as_records`; a missing colour is chosen by the name.

    >>> classes = from_names(["water"])
    >>> from_records(as_records(classes)) == classes
    True
    """
    listed = list(records)
    said = [
        LandClass(value=int(one["value"]), name=str(one["name"]), colour=str(one["colour"]))
        for one in listed
        if one.get("colour")
    ]
    bare = [(int(one["value"]), str(one["name"])) for one in listed if not one.get("colour")]
    colours = colours_of(dict.fromkeys(name for _, name in bare), taken=[one.colour for one in said])
    found = [LandClass(value=value, name=name, colour=colours[name]) for value, name in bare]
    return _distinct([*said, *found])


def _distinct(classes: Iterable[LandClass]) -> tuple[LandClass, ...]:
    kept = tuple(sorted(classes, key=lambda one: one.value))
    for before, after in itertools.pairwise(kept):
        if before.value == after.value:
            raise ConfigError(
                "two classes share a number", where=f"{before.name}, {after.name}", got=before.value
            )
    return kept
