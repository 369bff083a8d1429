"""The command line as a function, and a folder of six small scenes to use it on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from landshift.cli import main
from six_scenes import tables, write_scenes


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


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Six dated GeoTIFFs of four bands, 36 px of 10 m."""
    return write_scenes(tmp_path / "scenes")


@pytest.fixture
def recipe(tmp_path: Path, scenes: Path) -> Callable[..., Path]:
    """Writes a recipe over the scenes; ``recipe(place={...})`` lays tables over it."""

    def make(**changes: Any) -> Path:
        path = tmp_path / "recipe.toml"
        path.write_text(tomli_w.dumps(tables(scenes, **changes)))
        return path

    return make
