"""From plain values to steps: overrides, the environment, and the step that every table belongs to."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from landshift.config.tables import Product, Source
from landshift.errors import ConfigError, did_you_mean
from landshift.step import from_table, json_schema, registry

__all__ = [
    "SINGLE",
    "expand",
    "model_of",
    "override",
    "products_of",
    "schema",
    "single",
    "sources_of",
    "thaw",
]

_ROOMS: Final = {
    "source": ("landshift.acquire.source", "landshift.acquire.simulate"),
    "ard": ("landshift.ard.mask", "landshift.ard.indices"),
    "product": ("landshift.ard.observed", "landshift.ard.interpolate", "landshift.ard.composite"),
    "model": ("landshift.learn.models.unet", "landshift.learn.models.forest"),
}
"""Modules whose steps a kind of table may name; imported only when a recipe is read."""

SINGLE: Final = {
    "place": ("landshift.place", "Place"),
    "time": ("landshift.place", "Time"),
    "cache": ("landshift.config.tables", "Cache"),
    "engine": ("landshift.config.tables", "Engine"),
    "mask": ("landshift.ard.mask", "Mask"),
    "labels": ("landshift.cube.labels", "Labels"),
    "indices": ("landshift.ard.indices", "Indices"),
    "features": ("landshift.learn.features", "Features"),
    "samples": ("landshift.learn.patches", "Patches"),
    "split": ("landshift.learn.split", "Split"),
    "train": ("landshift.config.tables", "Train"),
    "predict": ("landshift.learn.smooth", "Predict"),
    "change": ("landshift.measure.transitions", "Change"),
    "zonal": ("landshift.measure.zonal", "Zonal"),
    "report": ("landshift.config.tables", "Report"),
}
"""Tables that stand once, and the step each of them is."""


def schema() -> dict[str, Any]:
    """JSON schema of a recipe, for editors that complete and check TOML."""
    from landshift.acquire.catalogue import catalogues

    properties = {name: json_schema(class_of(name)) for name in SINGLE}
    properties["mask"] = {"anyOf": [properties["mask"], {"const": False}]}
    properties["train"]["properties"] |= {model: json_schema(cls) for model, cls in steps_of("model").items()}
    sources, products = steps_of("source"), steps_of("product")
    sources |= dict.fromkeys(catalogues(), sources["stac"])
    shared = json_schema(Source)["properties"]
    common = {name: shared[name] for name in ("name", "sensor", "bands", "max_cloud")}
    properties["source"] = _entries("from", sources, common)
    texts = {"type": "array", "items": {"type": "string"}}
    properties["product"] = _entries(
        "kind", products, {"name": {"type": "string"}, "from": texts, "indices": texts}
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "landshift recipe",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _entries(key: str, choices: Mapping[str, type], common: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of a list of tables: what a key names decides which settings an entry has beside the common ones."""
    kinds = []
    for choice, cls in choices.items():
        own = json_schema(cls)
        own["properties"] = {key: {"const": choice}, **common, **own.get("properties", {})}
        own["required"] = [key, *own.get("required", ())]
        kinds.append({**own, "title": choice})
    return {"type": "array", "items": {"type": "object", "anyOf": kinds}}


def model_of(name: str, settings: Mapping[str, Any]) -> Any:
    """The model of a name with its settings.

    Raises:
        ConfigError: There is no such model, or a setting does not fit.
    """
    known = steps_of("model")
    if name not in known:
        raise ConfigError(f"there is no model {name!r}", where="[train]", hint=did_you_mean(name, known))
    return from_table(known[name], settings, where=f"train.{name}")


def class_of(name: str) -> type:
    """The step of a table that stands once."""
    module, cls = SINGLE[name]
    return getattr(import_module(module), cls)  # type: ignore[no-any-return]  # a step class by construction


def single(name: str, values: Any) -> Any:
    """The step of a table that stands once.

    Raises:
        ConfigError: It is not a table, or a value does not fit.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} is a table", got=values, hint=f"write it as [{name}] with its keys below")
    if name == "train":
        models = {
            model: values[model] for model in steps_of("model") if isinstance(values.get(model), Mapping)
        }
        rest = {key: value for key, value in values.items() if key not in models}
        values = {**rest, "settings": {**rest.get("settings", {}), **models}}
    return from_table(class_of(name), values, where=name)


def steps_of(kind: str) -> dict[str, type]:
    """The steps of a kind by name; their modules are imported only now."""
    for module in _ROOMS[kind]:
        import_module(module)
    return registry(kind)


def sources_of(tables: Any) -> tuple[Source, ...]:
    """The ``[[source]]`` tables.

    Raises:
        ConfigError: There is none, two share a name, or a value does not fit.
    """
    if not tables or not isinstance(tables, list):
        raise ConfigError(
            "a recipe needs at least one [[source]], in double brackets: there may be several",
            hint="`landshift init` writes a starter recipe",
        )
    steps_of("source")
    named = [_source(_entry(values, "source"), number) for number, values in enumerate(tables, start=1)]
    _unique([source.name for source in named], "source")
    return tuple(named)


def _source(values: Mapping[str, Any], number: int) -> Source:
    from landshift.acquire.source import origin_of

    name = str(values.get("name", f"source{number}"))
    where = f"source.{name}"
    common = {key: values[key] for key in ("sensor", "max_cloud", "bands") if key in values}
    rest = {key: value for key, value in values.items() if key not in {"name", "sensor", "max_cloud"}}
    return from_table(Source, {"name": name, "origin": origin_of(rest, where=where), **common}, where=where)


def _entry(values: Any, what: str) -> Mapping[str, Any]:
    """One table of a list of tables."""
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"a {what} is a table", got=values, hint=f"write it as [[{what}]] with its keys below"
        )
    return values


def products_of(tables: Any, indices: Sequence[str], sources: Sequence[Source]) -> tuple[Product, ...]:
    """The ``[[product]]`` tables.

    Args:
        tables: The tables.
        indices: Names of the table ``[indices]``, which every product takes that lists none of its own.
        sources: The recipe's sources.

    Raises:
        ConfigError: There is none, one is of no known kind or source, or a value does not fit.
    """
    choices = steps_of("product")
    if not tables or not isinstance(tables, list):
        raise ConfigError(
            "a recipe needs at least one [[product]]",
            hint=f'such as kind = "interpolate"; kinds: {", ".join(choices)}',
        )
    made = []
    for number, table in enumerate(tables, start=1):
        values = _entry(table, "product")
        kind = values.get("kind")
        name = str(values.get("name", kind or f"product{number}"))
        if kind not in choices:
            raise ConfigError(
                f"product.{name} has no known kind", got=kind, hint=did_you_mean(str(kind), choices)
            )
        wanted = values.get("from", ())
        if not isinstance(wanted, (list, tuple)):
            raise ConfigError(f"product.{name}.from is a list", got=wanted, allowed=f'["{wanted}"]')
        unknown = [source for source in wanted if source not in {known.name for known in sources}]
        if unknown:
            known = [source.name for source in sources]
            raise ConfigError(f"product.{name} is from an unknown source", got=unknown, allowed=known)
        where = f"product.{name}"
        listed: Any = from_table(class_of("indices"), {"names": values.get("indices", indices)}, where=where)
        fields = {k: v for k, v in values.items() if k not in {"name", "kind", "from", "indices"}}
        made.append(
            Product(
                name=name,
                step=from_table(choices[kind], fields, where=where),
                sources=tuple(wanted),
                indices=listed.names,
            )
        )
    _unique([product.name for product in made], "product")
    return tuple(made)


def _unique(names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two {what}s have the same name", got=twice, hint="give each its own `name`")


def override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Lay ``table.key=value`` strings over plain values, in place.

    Raises:
        ConfigError: A string is not of that form, or names an entry of a list that is not there.

    >>> override({"mask": {"open_m": 0}}, ["mask.grow_m.cloud=200", "report.title=Town"])
    {'mask': {'open_m': 0, 'grow_m': {'cloud': 200}}, 'report': {'title': 'Town'}}
    """
    for text in overrides:
        path, equals, raw = text.partition("=")
        if not equals:
            raise ConfigError("--set takes table.key=value", got=text)
        try:
            value = tomllib.loads(f"value = {raw}")["value"]
        except tomllib.TOMLDecodeError:
            value = raw
        *parents, last = path.strip().split(".")
        at: Any = values
        for part in parents:
            at = at.setdefault(part, {}) if isinstance(at, dict) else at[_place(at, part, path)]
        at[last if isinstance(at, dict) else _place(at, last, path)] = value
    return values


def _place(at: Any, part: str, path: str) -> int:
    """Where in a list an entry is that goes by its name or its number."""
    if not isinstance(at, list):
        raise ConfigError(f"--set {path}: {part!r} is below a value that is no table", got=at)
    named = [str(entry.get("name", i)) if isinstance(entry, dict) else str(i) for i, entry in enumerate(at)]
    for number, name in enumerate(named):
        if part in {name, str(number)}:
            return number
    raise ConfigError(f"--set {path}: there is no {part!r}", allowed=named)


def thaw(values: Any) -> Any:
    """A deep copy as plain dicts and lists, free to be changed."""
    if isinstance(values, Mapping):
        return {name: thaw(value) for name, value in values.items()}
    return [thaw(value) for value in values] if isinstance(values, list) else values


def expand(values: Any) -> Any:
    """Replace ``${NAME}`` by the environment's value."""
    if isinstance(values, Mapping):
        return {name: expand(value) for name, value in values.items()}
    if isinstance(values, list):
        return [expand(value) for value in values]
    if isinstance(values, str) and "${" in values:
        return re.sub(r"\$\{(\w+)\}", _environment, values)
    return values


def _environment(match: re.Match[str]) -> str:
    if match[1] not in os.environ:
        raise ConfigError(f"the environment variable {match[1]} is not set", hint=f"export {match[1]}=...")
    return os.environ[match[1]]
