"""The tables of a recipe that are not steps of a stage: cache, engine, training, report; and its lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from landshift import sensor as sensors
from landshift.errors import ConfigError, did_you_mean
from landshift.step import FrozenMap, step

__all__ = ["Cache", "Engine", "Product", "Report", "Source", "Train", "bytes_of"]


@step(kind="table")
class Cache:
    """Where decoded tiles of remote scenes are kept."""

    dir: str = "~/.cache/landshift"
    """Folder; shared by all recipes of a user."""
    max: str = "50GB"
    """Size above which the tiles unused for longest are dropped."""

    def __post_init__(self) -> None:
        if "%" in self.max:
            raise ConfigError("cache.max is a size, not a share", got=self.max, allowed="50GB, 500MiB")
        bytes_of(self.max, where="cache.max")


@step(kind="table")
class Engine:
    """How the work is done; never part of a result's key."""

    executor: Literal["threads", "processes", "serial"] = "threads"
    """Who computes the blocks."""
    cluster: str | None = None
    """Address of a Dask scheduler, ``tcp://...``, whose workers do the blocks instead."""
    workers: int | None = None
    """Blocks in flight at once; by default the number of cores."""
    memory: str = "60%"
    """Limit of all workers of this machine together, such as ``"8GB"`` or a share of what is free."""
    on_error: Literal["raise", "skip"] = "raise"
    """A damaged file stops the run, or is left out, listed and counted; a failing network always stops it."""

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


@step(kind="table")
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

    def __post_init__(self) -> None:
        if self.sensor is not None and self.sensor not in sensors.names():
            raise ConfigError(
                "source.sensor is unknown", got=self.sensor, hint=did_you_mean(self.sensor, sensors.names())
            )
        if self.max_cloud is not None and not 0 <= self.max_cloud <= 100:
            raise ConfigError("source.max_cloud is in percent", got=self.max_cloud, allowed="0 to 100")

    @property
    def simulated(self) -> bool:
        """Whether its scenes are simulated; the report then says so."""
        return getattr(type(self.origin), "__step_name__", "") == "simulate"


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
