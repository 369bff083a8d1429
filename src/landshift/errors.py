"""What can go wrong, as one small tree.

::

    LandshiftError                 base: prints as one readable paragraph, never as a traceback
    ├── ConfigError                the recipe, a flag or an argument is wrong            (exit code 2)
    ├── NoScenesError              nothing fits the place, the time and the filters
    ├── SceneError                 a scene or file cannot be used: no CRS, missing band, corrupt
    ├── GridError                  two things that must share a grid do not
    ├── LabelError                 labels do not overlap, or a class has too few samples
    ├── ModelError                 a checkpoint does not fit the data it is applied to
    ├── StoreError                 an output cannot be written, or what is there is damaged or foreign
    ├── NetworkError               a catalogue or file server did not answer
    └── MissingDependencyError     an optional package is not installed

    DataQualityWarning             something was skipped or filled; it is also counted in run.json

Every message says what happened, where, what was found, what is allowed and what to do next.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataQualityWarning",
    "GridError",
    "LabelError",
    "LandshiftError",
    "MissingDependencyError",
    "ModelError",
    "NetworkError",
    "NoScenesError",
    "SceneError",
    "StoreError",
    "counted",
    "did_you_mean",
]


class LandshiftError(Exception):
    """Base of every error that landshift raises on purpose.

    Args:
        message: What happened, as a sentence without a full stop.
        where: The file, table or setting that is concerned.
        got: What was found there.
        allowed: What would have been accepted.
        hint: What to do next.

    >>> print(LandshiftError("no such band", where="bands", got="ndvi", allowed=["red", "nir"], hint="index it"))
    no such band
      where:   bands
      got:     ndvi
      allowed: red, nir
      next:    index it
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        where: object = None,
        got: object = None,
        allowed: object = None,
        hint: str | None = None,
    ) -> None:
        self.message, self.where, self.got, self.allowed, self.hint = message, where, got, allowed, hint
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all parts, so that a worker process reports as well as a thread does."""
        return (_rebuild, (type(self), self.message, self.where, self.got, self.allowed, self.hint))

    def __str__(self) -> str:
        parts = {"where": self.where, "got": self.got, "allowed": self.allowed, "next": self.hint}
        lines = [f"  {name + ':':<8} {_flat(part)}" for name, part in parts.items() if part is not None]
        return "\n".join([self.message, *lines])


class ConfigError(LandshiftError):
    """The recipe, a flag or an argument is wrong."""

    exit_code = 2


class NoScenesError(LandshiftError):
    """No scene fits the place, the time and the filters."""

    skipped: tuple[Any, ...] = ()
    """Scenes that were left out, with their reasons, where they are known."""


class SceneError(LandshiftError):
    """A scene or file cannot be used."""


class GridError(LandshiftError):
    """Two things that must share a grid do not."""


class LabelError(LandshiftError):
    """Labels do not fit the place, or a class has too few of them."""


class ModelError(LandshiftError):
    """A model does not fit the data it is applied to."""


class StoreError(LandshiftError):
    """An output cannot be written, or what is there is damaged or belongs to another run."""


class NetworkError(LandshiftError):
    """A catalogue or a file server did not answer."""


class MissingDependencyError(LandshiftError):
    """An optional package is not installed."""


class DataQualityWarning(UserWarning):
    """Something was skipped or filled; the same fact is counted in the run's record."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Say which known name is nearest to a misspelt one, and list them all.

    >>> did_you_mean("dilat", ["dilate", "hide"])
    "did you mean 'dilate'? Known: dilate, hide"
    >>> did_you_mean("nvdi", ["ndvi", "ndwi", "nvdx"])
    "did you mean 'ndvi'? Known: ndvi, ndwi, nvdx"
    >>> did_you_mean("xyz", ["dilate"])
    'known: dilate'
    """
    known = sorted(choices)
    swapped = [f"{name[:at]}{name[at + 1]}{name[at]}{name[at + 2 :]}" for at in range(len(name) - 1)]
    near = [one for one in swapped if one in known] or difflib.get_close_matches(
        name, known, n=1, cutoff=0.55
    )
    listing = ", ".join(known)
    return f"did you mean {near[0]!r}? Known: {listing}" if near else f"known: {listing}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, which takes an s unless it is one.

    >>> counted(1, "scene"), counted(2, "scene"), counted(0, "date")
    ('1 scene', '2 scenes', '0 dates')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def _flat(part: object) -> str:
    return ", ".join(map(str, part)) if isinstance(part, (list, tuple, set, frozenset)) else str(part)


def _rebuild(
    kind: type[LandshiftError], message: str, where: object, got: object, allowed: object, hint: str | None
) -> LandshiftError:
    return kind(message, where=where, got=got, allowed=allowed, hint=hint)
