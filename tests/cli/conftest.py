"""The command line as a function, and a folder of six small scenes to use it on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from numpy.typing import NDArray

from landshift.cli import main
from tiny_rasters import Tiff, write

BANDS = ("blue", "green", "red", "nir")
DATES = ("20200110", "20200320", "20200525", "20200805", "20201015", "20201220")


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def landshift(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``landshift("run", recipe)`` is ``landshift run recipe`` at a terminal, but for the process."""

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["landshift", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
        said = capsys.readouterr()
        return Answer(code=code, out=said.out, err=said.err)

    return call


def look(number: int) -> NDArray[np.generic]:
    """One date of four bands, numbers of 1e-4: three stripes of cover that change with the season."""
    rng = np.random.default_rng(number)
    spectra = np.array([[300, 500, 400, 2500], [900, 1000, 1100, 1500], [400, 300, 200, 100]])
    rows = np.repeat([0, 1, 2], [14, 12, 10])
    plain = spectra[rows][:, None, :] * (1 + 0.1 * number) + rng.normal(0, 20, (36, 36, 4))
    return np.asarray(np.moveaxis(plain, -1, 0).clip(1, 9999), np.uint16)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Six dated GeoTIFFs of four bands, 36 px of 10 m."""
    folder = tmp_path / "scenes"
    for number, date in enumerate(DATES):
        write(folder / f"scene_{date}.tif", Tiff(size=36, bands=4, names=BANDS), look(number))
    return folder


def tables(folder: Path, **changes: Any) -> dict[str, Any]:
    """A recipe over such a folder as plain values; keyword arguments lay tables over it."""
    source = {"name": "s2", "from": "folder", "path": str(folder), "date": "%Y%m%d", "scale": 1e-4}
    base: dict[str, Any] = {
        "time": {"years": "2020"},
        "source": [source | changes.pop("source", {})],
        "product": [{"name": "regular", "kind": "interpolate", "every": "60D", "min_clear": 1}],
        "engine": {"executor": "serial"},
    }
    return base | changes


@pytest.fixture
def recipe(tmp_path: Path, scenes: Path) -> Callable[..., Path]:
    """Writes a recipe over the scenes; ``recipe(place={...})`` lays tables over it."""

    def make(**changes: Any) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(tomli_w.dumps(tables(scenes, **changes)))
        return path

    return make
