"""Which class a value of the source becomes: a table of ours, a TOML file, an inline mapping, or as it comes.

A table lists the classes and the source values each is made ``from``; values under ``unlabelled`` are dropped
on purpose, and any other value is dropped too, but counted and reported.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from landshift.cube.classes import LandClass, colours_of, from_names, from_records
from landshift.errors import ConfigError, did_you_mean

__all__ = ["Reclass", "as_it_comes", "from_mapping", "load", "named", "text_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclass:
    """Classes, and the class number of every source value."""

    classes: tuple[LandClass, ...]
    """The classes."""
    numbers: Mapping[str, int]
    """Class number by source value, as text."""
    unlabelled: frozenset[str] = frozenset()
    """Source values that are dropped on purpose."""

    def number(self, value: object) -> int | None:
        """Class number of a source value; 0 where it is dropped on purpose, None where it is unknown."""
        text = text_of(value)
        return 0 if text in self.unlabelled else self.numbers.get(text)


def named() -> tuple[str, ...]:
    """Names of the tables that come with landshift.

    >>> named()
    ('s2glc', 's2glc-3')
    """
    folder = resources.files("landshift._data") / "reclass"
    return tuple(
        sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
    )


def load(name: str) -> Reclass:
    """Load a reclass table: a name of ours, or a TOML file of the same form.

    Raises:
        ConfigError: There is no such table, or a source value belongs to two classes.

    >>> load("s2glc-3").number(82)
    2
    """
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError("the reclass table cannot be read", where=name, got=error.strerror) from error
    elif name in named():
        text = (resources.files("landshift._data") / "reclass" / f"{name}.toml").read_text(encoding="utf-8")
    else:
        hint = f"{did_you_mean(name, named())}; or give a .toml file"
        raise ConfigError(f"unknown reclass table {name!r}", hint=hint)
    try:
        said = tomllib.loads(text)
        records = said["class"]
        numbers = _distinct(
            (text_of(value), int(record["value"])) for record in records for value in record["from"]
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        hint = "each [[class]] needs value, name and a table `from` of source values"
        raise ConfigError("not a reclass table", where=name, got=str(error), hint=hint) from error
    dropped = frozenset(text_of(value) for value in said.get("unlabelled", ()))
    return Reclass(classes=from_records(records), numbers=numbers, unlabelled=dropped)


def from_mapping(mapping: Mapping[str, str | int], colours: Mapping[str, str]) -> Reclass:
    """A table from an inline mapping of source values to class names or numbers.

    Names are numbered from 1 in the order they come first; a number names the class after its source value.

    >>> table = from_mapping({"11": "water", "20": "forest", "21": "forest"}, {})
    >>> [(c.value, c.name) for c in table.classes], table.number("21")
    ([(1, 'water'), (2, 'forest')], 2)
    >>> [(c.value, c.name) for c in from_mapping({"lake": 4}, {}).classes]
    [(4, 'lake')]
    """
    names: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for source, wanted in mapping.items():
        if isinstance(wanted, int):
            if wanted not in names.values():
                names[source] = wanted
            numbers[text_of(source)] = wanted
    taken = set(names.values())
    for source, wanted in mapping.items():
        if isinstance(wanted, str):
            if wanted not in names:
                names[wanted] = next(number for number in range(1, 257) if number not in taken)
                taken.add(names[wanted])
            numbers[text_of(source)] = names[wanted]
    return Reclass(classes=_coloured(from_names(names), colours), numbers=numbers)


def as_it_comes(
    values: Iterable[object], colours: Mapping[str, str], known: Iterable[LandClass] = ()
) -> Reclass:
    """A table for values that have no mapping: whole numbers 1 to 255 keep their number, names are sorted.

    >>> [(c.value, c.name) for c in as_it_comes(["tree", "lake"], {}).classes]
    [(1, 'lake'), (2, 'tree')]
    >>> [(c.value, c.name) for c in as_it_comes([7, 3.0], {}).classes]
    [(3, '3'), (7, '7')]
    """
    texts = sorted({text_of(value) for value in values} - {"", "0"})
    if all(text.isdigit() and 1 <= int(text) <= 255 for text in texts):
        titled = {str(one.value): one for one in known}
        bare = [text for text in texts if text not in titled]
        drawn = colours_of(bare, taken=[one.colour for one in titled.values()])
        classes = [
            titled.get(text) or LandClass(value=int(text), name=text, colour=drawn[text]) for text in texts
        ]
        made = tuple(sorted(classes, key=lambda one: one.value))
        return Reclass(
            classes=_coloured(made, colours),
            numbers={text: int(text) for text in texts},
            unlabelled=frozenset({"0"}),
        )
    if len(texts) > 255:
        raise ConfigError(
            "too many classes", got=f"{len(texts)} values", allowed="255", hint="give a reclass table"
        )
    classes_by_name = from_names(texts)
    return Reclass(
        classes=_coloured(classes_by_name, colours), numbers={one.name: one.value for one in classes_by_name}
    )


def text_of(value: object) -> str:
    """A source value as the text that tables use: 3.0 and "3" are the same, nothing is an empty text.

    >>> text_of(3.0), text_of(" Lake "), text_of(None), text_of(float("nan"))
    ('3', 'Lake', '', '')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN and NaT alone differ from themselves
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _coloured(classes: tuple[LandClass, ...], colours: Mapping[str, str]) -> tuple[LandClass, ...]:
    known = {one.name for one in classes}
    for name in colours:
        if name not in known:
            raise ConfigError(f"a colour for an unknown class {name!r}", hint=did_you_mean(name, known))
    return tuple(
        LandClass(value=one.value, name=one.name, colour=colours.get(one.name, one.colour)) for one in classes
    )


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for source, number in pairs:
        if found.setdefault(source, number) != number:
            raise ConfigError("a source value belongs to two classes", got=source)
    return found
