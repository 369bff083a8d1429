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


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--place", "nowhere.gpkg"), "nowhere.gpkg"),
        (("--folder", "nowhere"), "nowhere"),
        (("--years", "abc"), "abc"),
        (("--catalogue", "earth-serch"), "did you mean 'earth-search'"),
    ],
)
def test_init_refuses_what_would_make_no_recipe(
    landshift: Command, options: tuple[str, str], word: str
) -> None:
    answer = landshift("init", *options)
    assert (answer.code, answer.out) == (2, "")
    assert word in answer.err


def test_clean_refuses_before_it_asks_and_keeps_files_of_others(
    landshift: Command, finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.md").write_text("years of work")
    refused = landshift("clean", tmp_path / "thesis")
    assert (refused.code, "Remove" in refused.out) == (1, False)
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    (out / "notes.txt").write_text("mine")
    (out / "cubes" / "mine.txt").write_text("mine too")
    answer = landshift("clean", out, "--yes")
    assert answer.code == 0, answer.err
    assert "yearly.zarr" in answer.out
    assert "KB" in answer.out
    assert "not made by landshift" in answer.out
    assert sorted(file.name for file in out.rglob("*") if file.is_file()) == ["mine.txt", "notes.txt"]


def test_explain_says_what_does_not_fit(
    landshift: Command, recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.loads(landshift("explain", recipe(place={"resolution": 10}), "--json").out)
    assert "warnings" not in said
    assert "1 thread," in said["build time"]
    assert "whole tiles" in said["of it needed"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    box = {"bbox": [500_000, 5_599_700, 500_300, 5_600_000], "bbox_crs": "EPSG:32633", "resolution": 1000}
    coarse = json.loads(landshift("explain", recipe(place=box), "--json").out)
    assert "a pixel of 1000 is larger than the place" in coarse["warnings"]
    assert "10 B are free: too little" in coarse["disk free"]


def test_a_date_format_that_matches_nothing_says_so(landshift: Command, recipe: Make) -> None:
    answer = landshift("explain", recipe(source={"date": "%Y-%j"}))
    assert answer.code == 1
    assert "'%Y-%j' does not match" in answer.err


def test_many_empty_dates_of_a_cube_are_one_line(landshift: Command, recipe: Make, tmp_path: Path) -> None:
    product = [{"name": "regular", "kind": "interpolate", "every": "60D", "min_clear": 50}]
    seen = {"name": "seen", "kind": "observed"}
    assert landshift("run", recipe(product=[seen, *product]), "-o", tmp_path / "out").code == 0
    found = json.loads(landshift("check", tmp_path / "out", "--json").out)
    main = [row["text"] for row in found if row["text"].startswith("reflectance")]
    assert len(main) == 1
    assert "on 7 dates: 2020-" in main[0]


def test_progress_never_says_that_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    from landshift.cli.console import Terminal

    now = iter([100.0, 120.0])
    terminal = Terminal(clock=lambda: next(now))
    terminal.progress(0, 1000, "blocks")
    terminal.progress(999, 1000, "blocks")
    assert capsys.readouterr().err == "  blocks: 999/1000 (99 %), about 1 s left\n"
