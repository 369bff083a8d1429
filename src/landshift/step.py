"""A step: a frozen dataclass whose fields are the parameters and whose call is the work.

One object is at once the Python API, a table of the recipe, a set of command-line flags, the provenance
record and the cache key. ``@step`` adds what all of them share: validation by pydantic (an unknown key is
refused with the nearest known one), frozen and hashable mappings, a registry by kind, and a key that
changes when, and only when, the parameters, the inputs or the step's own version change.

>>> @step(kind="doctest")
... class Grow:
...     '''Grow masks.'''
...     metres: float = 30.0
>>> Grow(metres=60)
Grow(metres=60.0)
>>> registry("doctest")
{'grow': <class 'landshift.step.Grow'>}
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, TypeVar, dataclass_transform, get_type_hints

import pydantic
from pydantic.dataclasses import dataclass as validated
from pydantic_core import CoreSchema, core_schema

from landshift.errors import ConfigError, did_you_mean

__all__ = ["Duration", "FrozenMap", "days", "from_table", "json_schema", "key", "registry", "step", "table"]

T = TypeVar("T")
Duration = str
"""A length of time: ISO 8601 (``"P10D"``, ``"P1M"``) or short (``"10D"``, ``"2W"``, ``"12h"``)."""

_REGISTRY: dict[str, dict[str, type]] = {}
_UNIT_DAYS = {"h": 1 / 24, "D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


class FrozenMap(Mapping[str, Any]):
    """A mapping that hashes, so that a step with a mapping field is hashable too; mappings and lists in it as well.

    >>> FrozenMap(cloud=300)["cloud"], hash(FrozenMap(a=1, b={"c": [2]})) == hash(FrozenMap(b={"c": [2]}, a=1))
    (300, True)
    """

    __slots__ = ("_items",)
    _items: dict[str, Any]

    def __init__(self, items: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        given = {**(items or {}), **more}
        object.__setattr__(self, "_items", {name: _frozen(value) for name, value in given.items()})

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a FrozenMap does not change: {name}")

    def __reduce__(self) -> tuple[type[FrozenMap], tuple[dict[str, Any]]]:
        return (FrozenMap, (dict(self._items),))

    def __repr__(self) -> str:
        return repr(self._items)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        """Let pydantic write one into a JSON schema as the plain mapping it is."""
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(dict)
        )


@dataclass_transform(kw_only_default=True, frozen_default=True)
def step(*, kind: str, name: str | None = None, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Make a class a step of a kind, known by its name in snake case (or the one given).

    Args:
        kind: Which registry it joins: ``source``, ``ard``, ``product``, ``features``, ``model``, ...
        name: Its name in recipes; by default the class name in snake case.
        version: Raise it when the same parameters give other results: it is part of the key.
    """

    def decorate(cls: type[T]) -> type[T]:
        _merge_defaults(cls)
        config = pydantic.ConfigDict(
            extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True
        )
        made = validated(cls, frozen=True, kw_only=True, config=config)
        called = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        made.__step_name__, made.__step_kind__, made.__step_version__ = called, kind, version  # type: ignore[attr-defined]
        _say_it_clearly(made, called)
        _REGISTRY.setdefault(kind, {})[called] = made
        return typing.cast("type[T]", made)

    return decorate


def registry(kind: str) -> dict[str, type]:
    """The steps of a kind by name, sorted."""
    return dict(sorted(_REGISTRY.get(kind, {}).items()))


def from_table(cls: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Build a step from a table of the recipe.

    Args:
        cls: The step's class.
        values: Field names and values, as TOML gives them.
        where: The table's name, for messages.

    Raises:
        ConfigError: A key is unknown or a value does not fit.
    """
    try:
        return cls(**values)
    except ConfigError as error:
        name = getattr(cls, "__step_name__", cls.__name__)
        message = error.message.replace(f"{name}.", f"{where}.", 1)
        raise ConfigError(
            message, where=f"[{where}]", got=error.got, allowed=error.allowed, hint=error.hint
        ) from error


def table(obj: Any) -> dict[str, Any]:
    """A step's fields as plain TOML- and JSON-ready values."""
    return {field.name: _plain(getattr(obj, field.name)) for field in dataclasses.fields(obj)}


def key(obj: Any, *inputs: str) -> str:
    """Sixteen hex digits that name a step's result: class, version, fields and the keys of its inputs.

    >>> @step(kind="doctest")
    ... class Shrink:
    ...     by: int = 1
    >>> key(Shrink()) == key(Shrink(by=1)), key(Shrink()) == key(Shrink(by=2)), key(Shrink(), "a") == key(Shrink())
    (True, False, False)
    """
    named = {
        "step": getattr(type(obj), "__step_name__", type(obj).__name__),
        "version": getattr(type(obj), "__step_version__", 1),
        "fields": table(obj) if dataclasses.is_dataclass(obj) else _plain(obj),
        "inputs": list(inputs),
    }
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON schema of a step, for editors; field docstrings become descriptions."""
    return pydantic.TypeAdapter(cls).json_schema()


def days(duration: Duration) -> float:
    """A duration in days; a month counts 30.4375 and a year 365.25.

    Raises:
        ConfigError: It is not a duration.

    >>> days("10D"), days("P2W"), days("12h")
    (10.0, 14.0, 0.5)
    """
    found = re.fullmatch(r"P?(T?)(\d+(?:\.\d+)?)([hHDdWwMYy])", duration.strip())
    if not found or (found[1] and found[3] not in "hH"):  # PT5M are minutes
        raise ConfigError("not a duration", got=repr(duration), allowed="10D, P10D, 2W, 1M, 1Y, 12h")
    unit = {"H": "h", "d": "D", "w": "W", "y": "Y"}.get(found[3], found[3])
    return float(found[2]) * _UNIT_DAYS[unit]


def _merge_defaults(cls: type) -> None:
    """Wrap mapping fields: frozen always, and a partial mapping merges over the default one."""
    hints = get_type_hints(cls, include_extras=True)
    for field, hint in list(hints.items()):
        if field not in inspect.get_annotations(cls) or not _is_mapping(hint):
            continue
        given = cls.__dict__.get(field)
        default: Mapping[str, Any] = {}
        if isinstance(given, Mapping):
            default = given
        elif isinstance(given, dataclasses.Field) and given.default_factory is not dataclasses.MISSING:
            default = given.default_factory()
        merge = pydantic.AfterValidator(_Merge(FrozenMap(default)))
        cls.__annotations__[field] = typing.Annotated[hint, merge]
        if default or isinstance(given, (Mapping, dataclasses.Field)):
            setattr(cls, field, FrozenMap(default))


class _Merge:
    """Lay a given mapping over the field's default one."""

    def __init__(self, default: FrozenMap) -> None:
        self.default = default

    def __call__(self, given: Mapping[str, Any] | None) -> FrozenMap | None:
        return None if given is None else FrozenMap({**self.default, **given})


def _is_mapping(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _is_mapping(typing.get_args(hint)[0])
    if origin in {typing.Union, types.UnionType}:
        return any(_is_mapping(part) for part in typing.get_args(hint))
    kind = origin or hint
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _say_it_clearly(cls: type, called: str) -> None:
    """Turn pydantic's errors into ours, on every construction."""
    inner = cls.__init__  # type: ignore[misc]
    fields = [field.name for field in dataclasses.fields(cls)]

    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807 - replaces the generated one
        for name in values:
            if name not in fields:
                raise ConfigError(f"{called}.{name} is not a setting", hint=did_you_mean(name, fields))
        try:
            inner(self, *args, **values)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join([called, *map(str, first["loc"])])
            message = first["msg"].removeprefix("Value error, ")
            got = repr(first["input"]) if first["loc"] else None
            raise ConfigError(f"{where}: {message}", got=got) from None

    __init__.__signature__ = inspect.signature(inner)  # type: ignore[attr-defined]
    __init__.__doc__ = inner.__doc__
    cls.__init__ = __init__  # type: ignore[misc]


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping) and not isinstance(value, FrozenMap):
        return FrozenMap(value)
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return table(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(part) for part in value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
