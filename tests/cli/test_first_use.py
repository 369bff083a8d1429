"""What somebody tries who has never used landshift: folders for cubes, misspelt names, a second trial."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import landshift as package
from landshift.config import Recipe
from landshift.errors import StoreError
from six_scenes import write_scenes_and_recipe

Command = Callable[..., Any]
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over six small scenes: an output folder with two cubes and a report."""
    folder = tmp_path_factory.mktemp("first")
    package.run(Recipe.load(write_scenes_and_recipe(folder)), folder / "out")
    return folder / "out"


def test_export_of_an_output_folder_writes_every_cube_into_a_folder_of_its_own(
    landshift: Command, finished: Path, tmp_path: Path
) -> None:
    answer = landshift("export", finished, "--out", tmp_path / "cogs")
    assert answer.code == 0, answer.err
    found = {file.parent.name: file.name for file in (tmp_path / "cogs").rglob("*.tif")}
    assert {*found} == {"regular", "yearly"}
    assert all(name.startswith(product) for product, name in found.items())


def test_preview_of_an_output_folder_draws_every_cube(
    landshift: Command, finished: Path, tmp_path: Path
) -> None:
    answer = landshift("preview", finished, "--out", tmp_path / "strip.png")
    assert answer.code == 0, answer.err
    assert {file.name for file in tmp_path.glob("*.png")} == {"strip_regular.png", "strip_yearly.png"}


@pytest.mark.parametrize("command", ["export", "preview", "check"])
def test_a_folder_without_cubes_says_so(landshift: Command, tmp_path: Path, command: str) -> None:
    answer = landshift(command, tmp_path)
    assert answer.code == 1
    assert "no cube" in answer.err
    assert "Traceback" not in answer.err


def test_explain_takes_a_path_as_run_does(recipe: Make) -> None:
    path = recipe()
    assert package.explain(str(path))["place"] == package.explain(Recipe.load(path))["place"]


@pytest.mark.parametrize(
    "place", [{"crs": "EPSG:99999"}, {"bbox": [14.0, 50.0, 14.1, 50.1], "bbox_crs": "no crs"}]
)
def test_an_unknown_crs_is_a_wrong_recipe(landshift: Command, recipe: Make, place: dict[str, Any]) -> None:
    answer = landshift("explain", recipe(place=place))
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err
    name = "place.bbox_crs" if "bbox_crs" in place else "place.crs"
    assert name in answer.err
    assert "EPSG:32633" in answer.err


def test_status_of_a_folder_without_a_run_fails(landshift: Command, tmp_path: Path) -> None:
    answer = landshift("status", tmp_path / "nope")
    assert answer.code == 1
    assert "no run has been at work" in answer.err
    assert not (tmp_path / "nope").exists()


def test_damaged_files_that_are_skipped_are_told_at_the_end(
    landshift: Command, recipe: Make, scenes: Path, tmp_path: Path
) -> None:
    for date in ("20200525", "20200805"):
        (scenes / f"scene_{date}.tif").write_bytes(b"not a raster at all")
    made, out = recipe(engine={"on_error": "skip"}), tmp_path / "out"
    for _ in range(2):  # a second run finds all up to date, and still says so
        answer = landshift("run", made, "-o", out)
        assert answer.code == 0, answer.err
        assert answer.err.count("2 scenes could not be used") == 1
        assert "scenes.parquet" in answer.err
        said = json.loads((out / "run.json").read_text())["warnings"]
        assert any("2 scenes could not be used" in sentence for sentence in said)
    assert "2 scenes could not be used" in (out / "report.html").read_text()
