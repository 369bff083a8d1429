"""Facts about public catalogues, from ``_data/catalogues.toml``: a new one is a table there, not code."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from landshift.errors import ConfigError, DataQualityWarning, did_you_mean

__all__ = ["AccessWarning", "Catalogue", "Signing", "catalogue", "catalogues"]


class AccessWarning(DataQualityWarning):
    """Scenes were found whose files need an account, or are paid for by whoever reads them; recorded in run.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Tokens that a provider gives out by storage account and container."""

    host: str
    """End of the host names that need one."""
    endpoint: str
    """Address of tokens, with ``{account}`` and ``{container}``."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """One public catalogue."""

    name: str
    """Name in recipes."""
    title: str
    """Name for people."""
    url: str
    """Root of its STAC API."""
    docs: str = ""
    """Where its terms are explained."""
    account: str = ""
    """What is needed to read its files; empty where they are open."""
    collections: Mapping[str, str] = field(default_factory=dict)
    """Collection by sensor."""
    requester_pays: Mapping[str, str] = field(default_factory=dict)
    """Collections whose reader pays, and how."""
    signing: Signing | None = None
    """How its addresses are signed."""
    bucket: str = ""
    """Bucket of its files that needs ``gdal``."""
    gdal: Mapping[str, str] = field(default_factory=dict)
    """GDAL options to reach that bucket, where the environment does not say otherwise."""

    def collection(self, sensor: str | None) -> str:
        """The collection that holds a sensor's scenes.

        Args:
            sensor: Name of the sensor.

        Raises:
            ConfigError: It has none, or no sensor is named.
        """
        if sensor is not None and sensor in self.collections:
            return self.collections[sensor]
        said = f"{self.name} has no collection for {sensor}" if sensor else "which collection is not said"
        raise ConfigError(
            said,
            where=f'from = "{self.name}"',
            allowed=[f"sensor = {name!r}" for name in sorted(self.collections)],
            hint="name the `sensor`, or a `collection` of the catalogue",
        )

    def note(self, collection: str) -> str:
        """What reading the files of a collection needs; empty where they are open.

        Args:
            collection: Its id.
        """
        return self.requester_pays.get(collection, self.account)


@functools.cache
def catalogues() -> Mapping[str, Catalogue]:
    """All catalogues by name.

    >>> sorted(catalogues())
    ['cdse', 'creodias', 'earth-search', 'planetary-computer']
    """
    file = resources.files("landshift._data") / "catalogues.toml"
    tables: dict[str, dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))
    return {name: _catalogue(name, facts) for name, facts in tables.items()}


def catalogue(name: str) -> Catalogue:
    """A catalogue by name.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in catalogues():
        raise ConfigError(f"unknown catalogue {name!r}", hint=did_you_mean(name, catalogues()))
    return catalogues()[name]


def _catalogue(name: str, facts: dict[str, Any]) -> Catalogue:
    signing = facts.pop("signing", None)
    return Catalogue(name=name, signing=Signing(**signing) if signing else None, **facts)
