"""What a newcomer meets with folders and sources that hold less, or other things, than the recipe thinks."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from six_scenes import BANDS, tables
from tiny_rasters import Tiff, write

Command = Callable[..., Any]
Recipe = Callable[..., Path]


def far(folder: Path) -> dict[str, Any]:
    """A source whose only scene lies 100 km away, in the same zone."""
    write(folder / "other_20200610.tif", Tiff(bands=2, names=("red", "nir"), origin=(600_000.0, 5_600_000.0)))
    return {"name": "far", "from": "folder", "path": str(folder), "date": "%Y%m%d", "bands": ["red", "nir"]}


def test_a_source_without_a_scene_is_told_by_explain_and_by_the_run(
    landshift: Command, scenes: Path, tmp_path: Path
) -> None:
    place = {"bbox": [500_000, 5_599_700, 500_300, 5_600_000], "bbox_crs": "EPSG:32633", "resolution": 10}
    values = tables(scenes, place=place)
    values["source"][0]["bands"] = list(BANDS)
    values["source"].append(far(tmp_path / "far"))
    made = tmp_path / "recipe.toml"
    made.write_text(tomli_w.dumps(values))
    said = json.loads(landshift("explain", made, "--json").out)
    assert "source far has no scene: 1 outside the place" in said["warnings"]
    answer = landshift("run", made, "-o", tmp_path / "out", "--until", "build")
    assert answer.code == 0, answer.err
    assert "source far has no scene: 1 outside the place" in answer.out + answer.err


def test_search_lists_what_is_left_out_where_nothing_is_left(landshift: Command, recipe: Recipe) -> None:
    beside = recipe(place={"bbox": [3.0, 50.5, 3.1, 50.6]})
    found = json.loads(landshift("search", beside, "--json").out)
    assert len(found) == 6
    assert {row["used"] for row in found} == {"no: outside the place"}


def test_search_lists_every_damaged_file(landshift: Command, recipe: Recipe, scenes: Path) -> None:
    files = sorted(scenes.glob("*.tif"))
    for file in files[:2]:
        file.write_bytes(file.read_bytes()[:300])
    found = json.loads(landshift("search", recipe(), "--json").out)
    assert len(found) == len(files)
    assert sum(row["used"] != "yes" for row in found) == 2


def test_where_all_files_are_damaged_other_filters_are_not_advised(
    landshift: Command, recipe: Recipe, scenes: Path
) -> None:
    for file in scenes.glob("*.tif"):
        file.write_bytes(file.read_bytes()[:300])
    answer = landshift("explain", recipe(engine={"on_error": "skip"}))
    assert answer.code == 1
    assert "copy or download these files again" in answer.err
    assert "widen" not in answer.err


def test_init_names_files_that_are_no_scenes_and_its_recipe_runs(
    landshift: Command, scenes: Path, tmp_path: Path
) -> None:
    write(scenes / "srtm.tif", Tiff())
    text = landshift("init", "--folder", scenes).out
    assert "# not a scene: srtm" in text
    assert tomllib.loads(text)["engine"]["on_error"] == "skip"
    (tmp_path / "recipe.toml").write_text(text)
    answer = landshift("explain", tmp_path / "recipe.toml", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["scenes"] == 6


@pytest.mark.parametrize(("dates", "products"), [(2, ["yearly"]), (3, ["regular", "yearly"])])
def test_init_interpolates_only_where_there_are_dates_enough(
    landshift: Command, tmp_path: Path, dates: int, products: list[str]
) -> None:
    for day in range(dates):
        write(tmp_path / "few" / f"a_2020060{day + 1}.tif", Tiff(bands=2, names=("red", "nir")))
    made = tomllib.loads(landshift("init", "--folder", tmp_path / "few").out)
    assert [product["name"] for product in made["product"]] == products
    assert "engine" not in made


def test_what_was_noticed_before_a_failure_is_told_with_it(
    landshift: Command, recipe: Recipe, scenes: Path, tmp_path: Path
) -> None:
    """Two places, and the one that is taken has no clear look: the first fact explains the second."""
    for file in scenes.glob("*.tif"):
        write(file, Tiff(size=36, bands=4, names=BANDS), np.zeros((4, 36, 36), np.uint16))
    write(scenes / "scene_20200801.tif", Tiff(bands=4, names=BANDS, crs="EPSG:32634"))
    answer = landshift("run", recipe(), "-o", tmp_path / "out")
    assert answer.code == 1
    assert "no clear look" in answer.err
    assert "the scenes lie in 2 places" in answer.err
