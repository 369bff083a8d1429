"""When a file was acquired: from its name, from a tag, or as the user says.

A rule is one of: a format such as ``%Y%m%d`` that is looked for anywhere in the file's name (then in its folder's);
the name of a tag; a date that holds for all files; or nothing, then well-known tags and common ways of writing dates
are tried, in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final

__all__ = ["date_of", "parse"]

_TAGS: Final = (
    "ACQUISITION_DATE",
    "ACQUISITION_TIME",
    "ACQUISITIONDATETIME",
    "DATE_ACQUIRED",
    "SENSING_TIME",
    "DATETIME",
)
"""Tags that hold an acquisition date where they exist; TIFFTAG_DATETIME is a processing date and is not asked."""

_FORMATS: Final = (
    "%Y%m%dT%H%M%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H-%M-%S",
    "%Y%m%d_%H%M%S",
    "%Y%m%d",
    "%Y-%m-%d",
    "%Y_%m_%d",
    "%Y.%m.%d",
    "%Y%j",
)
"""Ways of writing a date in a name, tried in this order."""

_OLD_LANDSAT: Final = re.compile(
    r"L[COTEM][1-9]\d{6}((?:19|20)\d\d(?:[0-2]\d\d|3[0-5]\d|36[0-5]))[A-Z]{3}\d\d"
)
"""Landsat scene identifiers before the collections: satellite, path, row, year and day of the year, station, version."""

_DIGITS: Final = {
    "Y": r"(?:19|20)\d\d",
    "m": r"\d\d",
    "d": r"\d\d",
    "j": r"\d{3}",
    "H": r"\d\d",
    "M": r"\d\d",
    "S": r"\d\d",
    "y": r"\d\d",
    "f": r"\d{1,6}",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "%": "%",
}


def date_of(path: PurePath, tags: Mapping[str, str], rule: str | None) -> datetime | None:
    """The acquisition of a file, UTC; None where nothing says it.

    Args:
        path: The file; its name is searched first, then its folder's.
        tags: Metadata of the file.
        rule: Format, tag name or date, see above; None tries what is common.

    >>> date_of(PurePath("S2_T37MEM_20160312_sr1000.tif"), {}, None).isoformat()
    '2016-03-12T00:00:00+00:00'
    >>> date_of(PurePath("ndvi_2019161.tif"), {}, "%Y%j").date().isoformat()
    '2019-06-10'
    >>> date_of(PurePath("LT52240631988227CUB02_B3.TIF"), {}, None).date().isoformat()
    '1988-08-14'
    >>> date_of(PurePath("a.tif"), {"WHEN": "2020-02-01"}, "WHEN").date().isoformat()
    '2020-02-01'
    """
    upper = {name.upper(): value for name, value in tags.items()}
    if rule is not None and "%" not in rule:
        return parse(upper[rule.upper()]) if rule.upper() in upper else parse(rule)
    if rule is not None:
        return _in_names(path, (rule,))
    for tag in _TAGS:
        found = parse(upper[tag]) if tag in upper else None
        if found is not None:
            return found
    return _in_names(path, _FORMATS)


def parse(text: str) -> datetime | None:
    """A date or time as it is commonly written, UTC; None where it is none.

    >>> parse("2019-01-01T10:00:00.5Z").isoformat(), parse("soon")
    ('2019-01-01T10:00:00.500000+00:00', None)
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return next(_matches(text, "%Y%m%d"), None)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _in_names(path: PurePath, formats: tuple[str, ...]) -> datetime | None:
    for name in (path.name, path.parent.name):
        old = _OLD_LANDSAT.search(name) if formats is _FORMATS else None
        if old is not None:
            return datetime.strptime(old[1], "%Y%j").replace(tzinfo=UTC)
        for form in formats:
            found = next(_matches(name, form), None)
            if found is not None:
                return found
    return None


def _matches(text: str, form: str) -> Iterator[datetime]:
    """Every date of a format in a text, in order; digits beside it make it another number."""
    pattern = re.sub(r"%(.)|([^%]+)", lambda m: _DIGITS.get(m[1], r"\S+") if m[1] else re.escape(m[2]), form)
    for match in re.finditer(rf"(?<!\d){pattern}(?!\d)", text):
        try:
            yield datetime.strptime(match[0], form).replace(tzinfo=UTC)
        except ValueError:
            continue
