"""Land classes: a number, a name and a colour, and how they travel in attributes and tags.

Zero is always "unlabelled" (in labels) or "no data" (in maps) and never a class.
"""

from __future__ import annotations

import colorsys
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from landshift.errors import ConfigError

__all__ = ["LandClass", "as_records", "as_stac", "colour_of", "from_names", "from_records"]

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


def colour_of(name: str, value: int) -> str:
    """A colour that suits a class name, else one from a wheel that keeps neighbours apart.

    >>> colour_of("Coniferous forest", 3), colour_of("quarry", 2) != colour_of("quarry", 3)
    ('#0b5d2a', True)
    """
    flat = name.lower()
    found = [(flat.find(word), word) for word in _KNOWN if word in flat]
    if found:
        return _KNOWN[min(found)[1]]
    red, green, blue = colorsys.hsv_to_rgb((value * 0.618034) % 1.0, 0.55, 0.85)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


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
    return _distinct(
        LandClass(value=value, name=name, colour=colour_of(name, value)) for name, value in ordered
    )


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
    return _distinct(
        LandClass(
            value=int(record["value"]),
            name=str(record["name"]),
            colour=str(record.get("colour") or colour_of(str(record["name"]), int(record["value"]))),
        )
        for record in records
    )


def _distinct(classes: Iterable[LandClass]) -> tuple[LandClass, ...]:
    kept = tuple(sorted(classes, key=lambda one: one.value))
    for before, after in itertools.pairwise(kept):
        if before.value == after.value:
            raise ConfigError(
                "two classes share a number", where=f"{before.name}, {after.name}", got=before.value
            )
    return kept
