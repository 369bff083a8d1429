"""What is wrong with labels, classes, zones and indices is told before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely import box

from cli.test_bad_input import ORIGIN, complaint, learning, polygons

Command = Callable[..., Any]
Recipe = Callable[..., Path]


def zones(path: Path, *, far: bool = False) -> Path:
    x, y = (700_000.0, 5_000_000.0) if far else ORIGIN
    shape = box(x, y - 360, x + 360, y)
    geopandas.GeoDataFrame({"name": ["a"], "size": [1]}, geometry=[shape], crs="EPSG:32633").to_file(path)
    return path


def wrong(tmp_path: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Recipe tables by what is wrong with them, and a word of the complaint."""
    good = learning(polygons(tmp_path / "labels.gpkg", one_class_at=9))
    path = good["labels"]["path"]
    away = polygons(tmp_path / "away.gpkg", at=(700_000.0, 5_000_000.0))
    bare = tmp_path / "empty.gpkg"
    geopandas.GeoDataFrame({"class": []}, geometry=[], crs="EPSG:32633").to_file(bare)
    product = {"name": "regular", "kind": "interpolate", "every": "60D"}

    def labels(**said: Any) -> dict[str, Any]:
        return good | {"labels": said}

    return {
        "no file": (labels(path=str(tmp_path / "none.gpkg"), year=2020), "none.gpkg"),
        "no field": (labels(path=path, year=2020, field="clas"), "did you mean 'class'"),
        "no year field": (labels(path=path, year_field="year"), "no field 'year'"),
        "no year": (labels(path=path), "need a year"),
        "empty": (labels(path=str(bare), year=2020), "no feature with a shape"),
        "elsewhere": (labels(path=str(away), year=2020), "do not overlap"),
        "other year": (labels(path=path, year=2015), "no labelled year is in the cube"),
        "no labels": ({"train": {"model": "forest"}}, "nothing to learn from"),
        "change": (good | {"change": {"classes": ["twon"]}}, "did you mean 'town'"),
        "no zones": (good | {"zonal": {"zones": str(tmp_path / "z.gpkg")}}, "z.gpkg"),
        "no id": (
            good | {"zonal": {"zones": str(zones(tmp_path / "zones.gpkg")), "id": "nam"}},
            "did you mean 'name'",
        ),
        "far zones": (
            good | {"zonal": {"zones": str(zones(tmp_path / "far.gpkg", far=True)), "id": "name"}},
            "no zone touches",
        ),
        "band": (good | {"features": {"bands": ["red", "swir9"]}}, "swir9"),
        "feature index": (good | {"features": {"indices": ["mndwi"]}}, "features.indices: mndwi"),
        "no groups": (good | {"split": {"groups": str(tmp_path / "parcels.gpkg")}}, "parcels.gpkg"),
        "no group field": (
            good | {"split": {"groups": "labels", "group_field": "parcel"}},
            "no such field in the groups' file",
        ),
        "index": ({"product": [product | {"indices": ["nbr"]}]}, "nbr needs the band 'swir22'"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "no file",
        "no field",
        "no year field",
        "no year",
        "empty",
        "elsewhere",
        "other year",
        "no labels",
        "change",
        "no zones",
        "no id",
        "far zones",
        "band",
        "feature index",
        "no groups",
        "no group field",
        "index",
    ],
)
def test_it_is_refused_before_the_build_and_by_explain(
    landshift: Command, recipe: Recipe, tmp_path: Path, case: str
) -> None:
    tables, word = wrong(tmp_path)[case]
    made, out = recipe(**tables), tmp_path / "out"
    answers = [landshift("run", made, "-o", out), landshift("explain", made)]
    assert answers[0].code in {1, 2}
    for answer in answers:
        complaint(answer, answers[0].code, word)
    assert not (out / "cubes").exists()


def test_what_a_stage_that_is_not_wanted_would_need_does_not_count(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    made = recipe(**learning(tmp_path / "not drawn yet.gpkg"))
    answer = landshift("run", made, "-o", tmp_path / "out", "--until", "build")
    assert answer.code == 0, answer.err


def test_one_year_has_no_change_and_a_class_that_is_not_there_is_refused_later_too(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    good = learning(polygons(tmp_path / "labels.gpkg", one_class_at=9))
    answer = landshift("run", recipe(**good, change={}), "-o", tmp_path / "out", "--until", "change")
    assert answer.code == 0, answer.err
    assert "one year has no change (mapped: 2020)" in " ".join((answer.out + answer.err).split())
    again = landshift("run", recipe(**good, change={"classes": ["twon"]}), "-o", tmp_path / "out")
    complaint(again, 2, "did you mean 'town'")
