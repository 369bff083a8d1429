"""The recipe: one TOML file, each table one step.

A recipe is read in three moves: TOML to plain values, ``--set`` overrides laid over them, and every table handed
to the step it belongs to, which validates itself. The order of tables means nothing; an unknown table or key is
refused with the nearest known one. Paths are relative to the recipe's folder, and ``${NAME}`` is taken from the
environment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from landshift.config import parse
from landshift.config.tables import Cache, Engine, Product, Report, Source, Train
from landshift.errors import ConfigError, did_you_mean
from landshift.place import Place, Time
from landshift.step import table

__all__ = ["Recipe"]

_TAUGHT: Final = ("features", "samples", "split", "change", "zonal")
"""Tables that nothing reads without ``[train]``."""


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
    predict: Any = None
    """How maps are made of a model's output."""
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
        except OSError as error:
            raise ConfigError(
                f"the recipe cannot be read: {error.strerror}", where=file, hint="give the TOML file"
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
        merged = parse.override(parse.thaw(values), overrides)
        known = {*parse.SINGLE, "source", "product"}
        for name in merged:
            if name not in known:
                raise ConfigError(f"[{name}] is not a table of a recipe", hint=did_you_mean(name, known))
        expanded = parse.expand(merged)
        if expanded.get("mask") is not False:
            expanded.setdefault("mask", {})
        tables = {
            name: values for name, values in expanded.items() if name in parse.SINGLE and values is not False
        }
        parts = {name: parse.single(name, values) for name, values in tables.items()}
        if "train" in parts:
            for name in ("features", "samples", "split", "predict"):
                parts.setdefault(name, parse.single(name, {}))
        sources = parse.sources_of(expanded.get("source"))
        indices = parts.pop("indices", None)
        products = parse.products_of(expanded.get("product"), indices.names if indices else (), sources)
        home = Path.cwd() if base is None else base
        made = cls(sources=sources, products=products, base=home, values=merged, **parts)
        idle = [] if made.train else [name for name in _TAUGHT if name in parts]
        if idle:
            raise ConfigError(
                f"[{idle[0]}] works on models or their maps, and the recipe trains none",
                where=f"[{idle[0]}]",
                hint=f"add [labels] and [train], or leave [{idle[0]}] out",
            )
        if made.train is not None:
            made.product(made.train.product)
            for name in (made.train.model, *made.train.compare, *made.train.settings):
                parse.model_of(name, made.train.settings.get(name, {}))
        return made

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
        for name in parse.SINGLE:
            part = getattr(self, name, None)
            if name in {"place", "time", "engine", "cache"} or part is None:
                continue
            said[name] = table(part) | {
                k: v for k, v in _written(self.values, name).items() if isinstance(v, str)
            }
        if self.mask is None:
            said["mask"] = False
        return said


def _written(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = values.get(name, {})
    return part if isinstance(part, Mapping) else {}


def _drop_none(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _drop_none(value) for name, value in values.items() if value is not None}
    return [_drop_none(value) for value in values] if isinstance(values, (list, tuple)) else values
