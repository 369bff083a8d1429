"""What is known of an instrument: its bands, its scaling, its quality codes. Facts come from ``_data/sensors``.

All sensors' quality layers are decoded into one small set of classes, :data:`QUALITY`, written as CF flags.
Where several apply to a pixel the first of :data:`QUALITY_RANK` wins.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, did_you_mean

__all__ = [
    "BAND_DIM",
    "QUALITY",
    "QUALITY_RANK",
    "Band",
    "Baseline",
    "QualityRule",
    "Sensor",
    "get",
    "guess",
    "names",
    "quality_table",
]

QualityRule = Literal["scl", "qa_pixel", "fmask", "mask", "valid"]

BAND_DIM: Final[Mapping[str, str]] = MappingProxyType(
    {"reflectance": "band", "backscatter": "pol", "index": "index_name", "data": "band"}
)
"""Dimension along which a variable's bands lie. xarray allows no variable with a dimension of its own name,
so that of ``index`` is ``index_name``: ``cube["index"].sel(index_name="ndvi")``."""

QUALITY: Final[Mapping[str, int]] = MappingProxyType(
    {
        "nodata": 0,
        "clear": 1,
        "water": 2,
        "snow": 3,
        "shadow": 4,
        "thin_cloud": 5,
        "cloud": 6,
        "saturated": 7,
    }
)
"""Quality classes of every cube and their codes."""

QUALITY_RANK: Final = ("nodata", "cloud", "thin_cloud", "shadow", "saturated", "snow", "water", "clear")
"""Which class wins where several apply, first to last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band of an instrument."""

    name: str
    """STAC common name, the name used everywhere in landshift."""
    native: str
    """The provider's own name, such as ``B8A`` or ``SR_B5``."""
    aliases: tuple[str, ...] = ()
    """Other names that catalogues give it."""
    gsd_m: float
    """Pixel size in metres."""
    centre_um: float
    """Centre wavelength in micrometres."""
    width_um: float
    """Full width in micrometres."""
    scale: float
    """Value = stored number x scale + offset."""
    offset: float
    """See ``scale``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A processing baseline that added an offset to the stored numbers."""

    properties: tuple[str, ...]
    """Item properties that hold the baseline."""
    since: str
    """First baseline with the offset, such as ``04.00``."""
    offset: float
    """The offset in units of reflectance."""
    applied_properties: tuple[str, ...]
    """Item properties that are true where the provider has already taken the offset off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """An instrument and the product level its files come in."""

    name: str
    """Name in recipes, such as ``sentinel-2-l2a``."""
    title: str
    """Name for people."""
    family: Literal["optical", "sar", "index"]
    """Sensors of one family may share a cube."""
    quantity: Literal["reflectance", "backscatter", "index"]
    """Variable its cubes hold."""
    bands: tuple[Band, ...]
    """Bands in the provider's order."""
    nodata: float | None
    """Stored number that means no data."""
    platforms: tuple[str, ...]
    """Satellites that carry it."""
    collections: tuple[str, ...]
    """Catalogue collections known to hold it."""
    quality_rule: QualityRule | None
    """How its quality layer is decoded; None where it has none."""
    quality_assets: tuple[str, ...]
    """Asset names under which the quality layer is found."""
    baseline: Baseline | None
    """Processing baseline rule, for Sentinel-2."""

    def band(self, name: str) -> Band:
        """Find a band by common name, native name or alias.

        Raises:
            ConfigError: The sensor has no such band.

        >>> get("sentinel-2-l2a").band("B8A").name
        'nir08'
        """
        for band in self.bands:
            if name in {band.name, band.native, *band.aliases}:
                return band
        known = [band.name for band in self.bands]
        raise ConfigError(f"{self.title} has no band {name!r}", hint=did_you_mean(name, known))


@functools.cache
def names() -> tuple[str, ...]:
    """Names of all known sensors, sorted.

    >>> "sentinel-2-l2a" in names()
    True
    """
    folder = resources.files("landshift._data") / "sensors"
    return tuple(
        sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
    )


@functools.cache
def get(name: str) -> Sensor:
    """Load a sensor's facts.

    Raises:
        ConfigError: There is no such sensor.

    >>> get("landsat-8-9-c2l2").band("nir08").native
    'SR_B5'
    """
    if name not in names():
        raise ConfigError(f"unknown sensor {name!r}", hint=did_you_mean(name, names()))
    file = resources.files("landshift._data") / "sensors" / f"{name}.toml"
    return _sensor(name, tomllib.loads(file.read_text(encoding="utf-8")))


def guess(*, collection: str | None = None, platform: str | None = None) -> Sensor | None:
    """The sensor that a catalogue's collection or platform name speaks of, or None.

    >>> guess(collection="sentinel-2-c1-l2a").name
    'sentinel-2-l2a'
    >>> guess(collection="landsat-c2-l2", platform="LANDSAT_7").name
    'landsat-4-7-c2l2'
    """
    flat = (platform or "").lower().replace("_", "-").replace(" ", "-")
    every = [get(name) for name in names()]
    if collection:
        found = [sensor for sensor in every if collection.lower() in sensor.collections]
        fitting = [sensor for sensor in found if flat in sensor.platforms]
        return next(iter(fitting or found), None)
    found = [sensor for sensor in every if flat and flat in sensor.platforms]
    return found[-1] if found else None


@functools.cache
def quality_table(rule: QualityRule) -> NDArray[np.uint8]:
    """Our class of every possible 16-bit code of a product's quality layer.

    ``scl`` is Sentinel-2's scene classification (class 2, dark or topographic shadow, and 7, unclassified,
    count as clear), ``qa_pixel`` the bit field of Landsat Collection 2 (USGS LSDS-1619), ``fmask`` the codes
    that Geoscience Australia's Landsat ARD uses, ``mask`` a layer whose non-zero pixels are cloud, ``valid`` one
    whose non-zero pixels are clear.

    Args:
        rule: How codes are to be read.

    Returns:
        Codes of :data:`QUALITY`, uint8 (65536,), read-only.

    >>> quality_table("scl")[[0, 4, 9]].tolist()
    [0, 1, 6]
    """
    codes = np.arange(65536, dtype=np.uint16)
    if rule == "qa_pixel":
        table = _qa_pixel(codes)
    elif rule == "scl":
        table = np.full(codes.shape, QUALITY["nodata"], np.uint8)
        listed = ["nodata", "saturated", "clear", "shadow", "clear", "clear", "water", "clear"]
        listed += ["cloud", "cloud", "thin_cloud", "snow"]
        table[: len(listed)] = [QUALITY[name] for name in listed]
    elif rule == "fmask":
        table = np.full(codes.shape, QUALITY["nodata"], np.uint8)
        table[:6] = [QUALITY[name] for name in ("nodata", "clear", "cloud", "shadow", "snow", "water")]
    elif rule == "mask":
        table = np.where(codes > 0, QUALITY["cloud"], QUALITY["clear"]).astype(np.uint8)
    elif rule == "valid":
        table = np.where(codes > 0, QUALITY["clear"], QUALITY["nodata"]).astype(np.uint8)
    else:
        raise ConfigError(
            "unknown quality rule", got=rule, allowed=["scl", "qa_pixel", "fmask", "mask", "valid"]
        )
    table.setflags(write=False)
    return table


def _qa_pixel(codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Landsat Collection 2 bits: 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5 snow, 7 water."""
    bits = {"cloud": 0b1010, "thin_cloud": 0b100, "shadow": 0b10000, "snow": 0b100000, "water": 0b10000000}
    table = np.full(codes.shape, QUALITY["clear"], np.uint8)
    for name in reversed(QUALITY_RANK):
        if name in bits:
            table[(codes & bits[name]) != 0] = QUALITY[name]
    table[(codes & 1) != 0] = QUALITY["nodata"]
    return table


def _sensor(name: str, facts: Mapping[str, Any]) -> Sensor:
    scale, offset = facts["scale"], facts["offset"]
    bands = tuple(
        Band(**{"scale": scale, "offset": offset, **band, "aliases": tuple(band.get("aliases", ()))})
        for band in facts["band"]
    )
    quality = facts.get("quality", {})
    return Sensor(
        name=name,
        title=facts["title"],
        family=facts["family"],
        quantity=facts["quantity"],
        bands=bands,
        nodata=facts.get("nodata"),
        platforms=tuple(facts["platforms"]),
        collections=tuple(facts["collections"]),
        quality_rule=quality.get("rule"),
        quality_assets=tuple(quality.get("assets", ())),
        baseline=_baseline(facts["baseline"]) if "baseline" in facts else None,
    )


def _baseline(facts: Mapping[str, Any]) -> Baseline:
    return Baseline(
        properties=tuple(facts["property"]),
        since=facts["from"],
        offset=facts["offset"],
        applied_properties=tuple(facts["applied_property"]),
    )
