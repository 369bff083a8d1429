"""The step ``Simulate``: which scenes of which landscape are made, and how hard they are."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal

from landshift.errors import ConfigError
from landshift.step import Duration, days, step

__all__ = ["Simulate"]

Sensors = Literal["sentinel-2-l2a", "landsat-8-9-c2l2"]
_FIRST: Final = date(2015, 7, 1)


@step(kind="source")
class Simulate:
    """Scenes of a landscape with known truth, in place of a catalogue's.

    Everything follows from the seed and the place: the same numbers give the same bytes. The factors below are
    1 for the default realism; 0 takes a difficulty away.
    """

    seed: int = 1
    """Seed of landscape, weather, clouds and sensors."""
    start: date = date(2017, 1, 1)
    """First day."""
    end: date = date(2023, 12, 31)
    """Last day, included."""
    sensors: tuple[Sensors, ...] = ("sentinel-2-l2a",)
    """Which sensors pass."""
    revisit: Duration = "17D"
    """Mean time between passes of Sentinel-2, two orbits together; Landsat keeps its 16 days."""
    cloud: float = 0.40
    """Mean cloud cover of the year, 0 to 1; winters have more, summers less."""
    growth: float = 1.0
    """How fast towns grow."""
    shift: float = 1.0
    """Factor of the scenes' shifts: about 3 m between orbits, drifting."""
    atmosphere: float = 1.0
    """Factor of gain, offset and gradient that atmospheric correction left."""
    noise: float = 1.0
    """Factor of the sensors' noise."""
    directional: float = 1.0
    """Factor of the difference that sun and view angles make."""
    mask_mistakes: float = 1.0
    """Factor of the shares of pixels that product masks get wrong."""
    truth: Literal["all", "sample", "none"] = "sample"
    """Clear-sky reflectance beside every scene, beside every sixth pass, or beside none."""
    polygons: int = 24
    """Training polygons per class and year."""

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ConfigError("simulate ends before it starts", got=f"{self.start} .. {self.end}")
        if self.start < _FIRST:
            raise ConfigError("simulate.start is too early", got=self.start, allowed=f"{_FIRST} or later")
        if not 0 <= self.cloud < 1:
            raise ConfigError("simulate.cloud is a share", got=self.cloud, allowed="0 <= cloud < 1")
        if days(self.revisit) < 1:
            raise ConfigError("simulate.revisit is too short", got=self.revisit, allowed="1D or more")
        if self.seed < 0:
            raise ConfigError("simulate.seed is a natural number", got=self.seed)
        factors = ("growth", "shift", "atmosphere", "noise", "directional", "mask_mistakes")
        for name in factors:
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"simulate.{name} is a factor", got=getattr(self, name), allowed="0 or more"
                )
