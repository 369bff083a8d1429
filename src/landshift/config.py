"""The recipe: one TOML file, each table one step.

A recipe is read in three moves: TOML to plain values, ``--set`` overrides laid over them, and every table handed
to the step it belongs to, which validates itself. The order of tables means nothing; an unknown table or key is
refused with the nearest known one. Paths are relative to the recipe's folder, and ``${NAME}`` is taken from the
environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from landshift.errors import ConfigError, did_you_mean
from landshift.place import Place, Time
from landshift.step import FrozenMap, from_table, json_schema, registry, step, table

__all__ = ["Cache", "Engine", "Product", "Recipe", "Report", "Source", "Train"]

_ROOMS: Final = {
    "source": ("landshift.acquire.source", "landshift.acquire.simulate"),
    "ard": ("landshift.ard.mask", "landshift.ard.indices"),
    "product": ("landshift.ard.observed", "landshift.ard.interpolate", "landshift.ard.composite"),
    "model": ("landshift.learn.models.unet", "landshift.learn.models.forest"),
}
"""Modules whose steps a kind of table may name; imported only when a recipe is read."""

_SINGLE: Final = {
    "place": ("landshift.place", "Place"),
    "time": ("landshift.place", "Time"),
    "cache": ("landshift.config", "Cache"),
    "engine": ("landshift.config", "Engine"),
    "mask": ("landshift.ard.mask", "Mask"),
    "labels": ("landshift.cube.labels", "Labels"),
    "features": ("landshift.learn.features", "Features"),
    "samples": ("landshift.learn.patches", "Patches"),
    "split": ("landshift.learn.split", "Split"),
    "train": ("landshift.config", "Train"),
    "change": ("landshift.measure.transitions", "Change"),
    "zonal": ("landshift.measure.zonal", "Zonal"),
    "report": ("landshift.config", "Report"),
}
"""Tables that stand once, and the step each of them is."""


@step(kind="table")
class Cache:
    """Where decoded tiles of remote scenes are kept."""

    dir: str = "~/.cache/landshift"
    """Folder; shared by all recipes of a user."""
    max: str = "50GB"
    """Size above which the tiles unused for longest are dropped."""


@step(kind="table")
class Engine:
    """How the work is done; never part of a result's key."""

    executor: Literal["threads", "processes", "serial"] = "threads"
    """Who computes the blocks."""
    workers: int | None = None
    """Blocks in flight at once; by default the number of cores."""
    memory: str = "60%"
    """Limit of all workers of this machine together, such as ``"8GB"`` or a share of what is free."""
    on_error: Literal["raise", "skip"] = "raise"
    """A file that cannot be read stops the run, or is left out and counted."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError("engine.workers must be 1 or more", got=self.workers)
        bytes_of(self.memory, where="engine.memory")


@step(kind="table")
class Train:
    """Which models learn from which product."""

    product: str | None = None
    """Product that features are taken from; by default the first one."""
    model: str = "unet"
    """Model whose maps are published: ``unet`` or ``forest``."""
    compare: tuple[str, ...] = ()
    """Models that are trained and scored beside it."""
    settings: Mapping[str, Any] = FrozenMap()
    """Settings by model: ``[train.unet]``, ``[train.forest]``."""
    years: tuple[int, ...] = ()
    """Years to map; by default every whole year of the product."""


@step(kind="table")
class Report:
    """What the report says."""

    title: str = "landshift"
    """Headline of report and site."""
    holdout: float = 0.1
    """Share of each pixel's clear looks that the hold-out pass hides and predicts; 0 leaves it out."""
    seed: int = 0
    """Seed of the hold-out."""

    def __post_init__(self) -> None:
        if not 0 <= self.holdout < 1:
            raise ConfigError("report.holdout is a share", got=self.holdout, allowed="0 <= holdout < 1")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One ``[[source]]``: where scenes come from, and what of them is wanted."""

    name: str
    """Name that products refer to."""
    origin: Any
    """The step that finds scenes; see :mod:`landshift.acquire.source`."""
    sensor: str | None = None
    """Sensor; None lets each scene tell."""
    bands: tuple[str, ...] | None = None
    """Bands by common name; None takes all that every scene has."""
    max_cloud: float | None = None
    """Scenes with more cloud (percent, by the provider) are left out."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """One ``[[product]]``: a cube with one time axis on one grid."""

    name: str
    """Name of its store: ``cubes/<name>.zarr``."""
    step: Any
    """The step that makes it: Interpolate, Composite or Observed."""
    sources: tuple[str, ...] = ()
    """Sources it is made from; empty for all."""
    indices: tuple[str, ...] = ()
    """Indices computed from the finished bands."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a run does, validated."""

    sources: tuple[Source, ...]
    """Where scenes come from."""
    products: tuple[Product, ...]
    """Cubes to make."""
    place: Place = field(default_factory=Place)
    """Area and grid."""
    time: Time = field(default_factory=Time)
    """Span of time."""
    cache: Cache = field(default_factory=Cache)
    """Cache of remote tiles."""
    engine: Engine = field(default_factory=Engine)
    """How the work is done."""
    mask: Any = None
    """The Mask step; on by default, ``mask = false`` leaves it out."""
    labels: Any = None
    """Labels to learn from."""
    features: Any = None
    """What a model sees of a cube."""
    samples: Any = None
    """How patches are drawn."""
    split: Any = None
    """How folds are made."""
    train: Train | None = None
    """Models to train; None makes cubes only."""
    change: Any = None
    """Transitions between years."""
    zonal: Any = None
    """Statistics by zone."""
    report: Report = field(default_factory=Report)
    """Report and hold-out."""
    base: Path = field(default_factory=Path, compare=False)
    """Folder that relative paths start from."""
    values: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The tables as they were written, overrides included."""

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
        """Read a recipe file.

        Args:
            path: The TOML file.
            overrides: ``table.key=value`` strings that are laid over it.

        Raises:
            ConfigError: The file is missing, is not TOML, or says something that is not known.
        """
        file = Path(path)
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                "there is no such recipe", where=file, hint="`landshift init` writes one"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"the recipe is not valid TOML: {error}", where=file) from None
        return cls.of(values, base=file.resolve().parent, overrides=overrides)

    @classmethod
    def of(
        cls, values: Mapping[str, Any], *, base: Path | None = None, overrides: Sequence[str] = ()
    ) -> Recipe:
        """Build a recipe from plain values.

        Args:
            values: Tables, as TOML gives them.
            base: Folder that relative paths start from; by default the current one.
            overrides: See :meth:`load`.

        Raises:
            ConfigError: A table or key is not known, or a value does not fit.
        """
        merged = _override(_thaw(values), overrides)
        known = {*_SINGLE, "source", "product", "indices", "mask"}
        for name in merged:
            if name not in known:
                raise ConfigError(f"[{name}] is not a table of a recipe", hint=did_you_mean(name, known))
        expanded = _expand(merged)
        parts = {name: _single(name, expanded[name]) for name in _SINGLE if name in expanded}
        if expanded.get("mask") is False:
            parts["mask"] = None
        else:
            parts.setdefault("mask", _single("mask", {}))
        if "train" in parts:
            for name in ("features", "samples", "split"):
                parts.setdefault(name, _single(name, {}))
        sources = _sources(expanded.get("source"))
        products = _products(expanded.get("product"), expanded.get("indices", {}), sources)
        home = Path.cwd() if base is None else base
        return cls(sources=sources, products=products, base=home, values=merged, **parts)

    def source(self, name: str) -> Source:
        """The source of a name."""
        return next(source for source in self.sources if source.name == name)

    def product(self, name: str | None = None) -> Product:
        """The product of a name, or the first one.

        Raises:
            ConfigError: There is none of that name.
        """
        if name is None:
            return self.products[0]
        for product in self.products:
            if product.name == name:
                return product
        known = [product.name for product in self.products]
        raise ConfigError(f"there is no product {name!r}", hint=did_you_mean(name, known))

    def sources_of(self, product: Product) -> tuple[Source, ...]:
        """The sources a product is made from."""
        wanted = product.sources or tuple(source.name for source in self.sources)
        return tuple(self.source(name) for name in wanted)

    def to_toml(self) -> str:
        """The resolved recipe: every setting with its value, defaults included."""
        import tomli_w

        return tomli_w.dumps(_drop_none(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, defaults included; paths and ``${NAME}`` stay as they were written."""
        said: dict[str, Any] = {name: dict(self.values.get(name, {})) for name in ("place", "time")}
        said["source"] = [dict(entry) for entry in self.values["source"]]
        said["product"] = [
            {"name": product.name, "kind": type(product.step).__step_name__, **table(product.step)}
            | ({"from": list(product.sources)} if product.sources else {})
            | ({"indices": list(product.indices)} if product.indices else {})
            for product in self.products
        ]
        for name in _SINGLE:
            part = getattr(self, name, None)
            if name in {"place", "time", "engine", "cache"} or part is None:
                continue
            said[name] = table(part) | {
                k: v for k, v in _written(self.values, name).items() if isinstance(v, str)
            }
        if self.mask is None:
            said["mask"] = False
        return said


def schema() -> dict[str, Any]:
    """JSON schema of a recipe, for editors that complete and check TOML."""
    properties = {name: json_schema(_class(name)) for name in _SINGLE}
    for name, kind, key in (("source", "source", "from"), ("product", "product", "kind")):
        choices = _steps(kind)
        properties[name] = {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, key: {"enum": sorted(choices)}},
                "anyOf": [{"title": choice, **json_schema(cls)} for choice, cls in choices.items()],
            },
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "landshift recipe",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def bytes_of(text: str, *, where: str, whole: int | None = None) -> int:
    """A size in bytes: ``"8GB"``, ``"500 MiB"``, or a share such as ``"60%"`` of ``whole``.

    Raises:
        ConfigError: It is not a size.

    >>> bytes_of("2KB", where="doc"), bytes_of("50%", where="doc", whole=10)
    (2000, 5)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|[kKMGT]?i?B)\s*", text)
    if not found:
        raise ConfigError(f"{where} is not a size", got=text, allowed="8GB, 500MiB, 60%")
    if found[2] == "%":
        return int(float(found[1]) / 100 * (whole or 0))
    power = " KMGT".index(found[2][0].upper()) if found[2] != "B" else 0
    return int(float(found[1]) * (1024 if "i" in found[2] else 1000) ** power)


def model_of(name: str, settings: Mapping[str, Any]) -> Any:
    """The model of a name with its settings.

    Raises:
        ConfigError: There is no such model, or a setting does not fit.
    """
    known = _steps("model")
    if name not in known:
        raise ConfigError(f"there is no model {name!r}", where="[train]", hint=did_you_mean(name, known))
    return from_table(known[name], settings, where=f"train.{name}")


def _class(name: str) -> type:
    module, cls = _SINGLE[name]
    return getattr(import_module(module), cls)  # type: ignore[no-any-return]  # a step class by construction


def _single(name: str, values: Any) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} is a table", got=values, hint=f"write it as [{name}] with its keys below")
    if name == "train":
        models = {model: values[model] for model in _steps("model") if isinstance(values.get(model), Mapping)}
        rest = {key: value for key, value in values.items() if key not in models}
        values = {**rest, "settings": {**rest.get("settings", {}), **models}}
    return from_table(_class(name), values, where=name)


def _steps(kind: str) -> dict[str, type]:
    for module in _ROOMS[kind]:
        import_module(module)
    return registry(kind)


def _sources(tables: Any) -> tuple[Source, ...]:
    if not tables or not isinstance(tables, list):
        raise ConfigError(
            "a recipe needs at least one [[source]]", hint="`landshift init` writes a starter recipe"
        )
    named = [_source(values, number) for number, values in enumerate(tables, start=1)]
    _unique([source.name for source in named], "source")
    return tuple(named)


def _source(values: Mapping[str, Any], number: int) -> Source:
    from landshift.acquire.source import origin_of

    name = str(values.get("name", f"source{number}"))
    common = {key: values[key] for key in ("sensor", "max_cloud") if key in values}
    bands = tuple(values["bands"]) if "bands" in values else None
    rest = {key: value for key, value in values.items() if key not in {"name", *common}}
    return Source(name=name, origin=origin_of(rest, where=f"source.{name}"), bands=bands, **common)


def _products(tables: Any, indices: Mapping[str, Any], sources: Sequence[Source]) -> tuple[Product, ...]:
    choices = _steps("product")
    if not tables or not isinstance(tables, list):
        raise ConfigError(
            "a recipe needs at least one [[product]]",
            hint=f'such as kind = "interpolate"; kinds: {", ".join(choices)}',
        )
    made = []
    for number, values in enumerate(tables, start=1):
        kind = values.get("kind")
        name = str(values.get("name", kind or f"product{number}"))
        if kind not in choices:
            raise ConfigError(
                f"product.{name} has no known kind", got=kind, hint=did_you_mean(str(kind), choices)
            )
        wanted = tuple(values.get("from", ()))
        unknown = [source for source in wanted if source not in {known.name for known in sources}]
        if unknown:
            known = [source.name for source in sources]
            raise ConfigError(f"product.{name} is from an unknown source", got=unknown, allowed=known)
        listed = values.get("indices", indices.get("names", ()))
        fields = {k: v for k, v in values.items() if k not in {"name", "kind", "from", "indices"}}
        made.append(
            Product(
                name=name,
                step=from_table(choices[kind], fields, where=f"product.{name}"),
                sources=wanted,
                indices=tuple(listed),
            )
        )
    _unique([product.name for product in made], "product")
    return tuple(made)


def _unique(names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two {what}s have the same name", got=twice, hint="give each its own `name`")


def _override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
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
            at = _into(at, part, path)
        at[last] = value
    return values


def _into(at: Any, part: str, path: str) -> Any:
    """One level down; an entry of a list goes by its name or its number."""
    if isinstance(at, list):
        for number, entry in enumerate(at):
            if part in {entry.get("name"), str(number)}:
                return entry
        raise ConfigError(f"--set {path}: there is no {part!r}", allowed=[entry.get("name") for entry in at])
    return at.setdefault(part, {})


def _thaw(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _thaw(value) for name, value in values.items()}
    return [_thaw(value) for value in values] if isinstance(values, list) else values


def _expand(values: Any) -> Any:
    """Replace ``${NAME}`` by the environment's value."""
    if isinstance(values, Mapping):
        return {name: _expand(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_expand(value) for value in values]
    if isinstance(values, str) and "${" in values:
        return re.sub(r"\$\{(\w+)\}", _environment, values)
    return values


def _environment(match: re.Match[str]) -> str:
    if match[1] not in os.environ:
        raise ConfigError(f"the environment variable {match[1]} is not set", hint=f"export {match[1]}=...")
    return os.environ[match[1]]


def _written(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = values.get(name, {})
    return part if isinstance(part, Mapping) else {}


def _drop_none(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _drop_none(value) for name, value in values.items() if value is not None}
    return [_drop_none(value) for value in values] if isinstance(values, (list, tuple)) else values
