"""One recipe end to end on a small simulated town, and what later runs do with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landshift
from landshift.config import Recipe
from landshift.cube.maps import read_classes, read_map
from landshift.cube.tables import read_table
from landshift.errors import ConfigError, StoreError
from landshift.pipeline.run import STAGES, run
from landshift.plan import write_atomic
from small_runs import Heard, Town, contents, differing


def table(out: Path, name: str) -> Any:
    return read_table(out / "tables" / f"{name}.parquet").frame


def states(result: Any) -> dict[str, str]:
    return {stage.name: stage.state for stage in result.stages}


@pytest.fixture
def copy(town: Town, tmp_path: Path) -> Path:
    """A copy of the finished run, free to be changed."""
    return Path(shutil.copytree(town.out, tmp_path / "out"))


def test_every_stage_is_done_in_order(town: Town) -> None:
    assert [stage.name for stage in town.result.stages] == list(STAGES)
    assert set(states(town.result).values()) == {"done"}


def test_the_folder_holds_what_the_contract_names(town: Town) -> None:
    names = {file.split("/")[0] for file in contents(town.out)}
    wanted = {"recipe.toml", "run.json", "scenes.parquet", "cubes", "labels.zarr", "model", "maps", "change"}
    assert wanted | {"tables", "figures", "report.html", "site", "stac"} <= names
    assert not list(town.out.rglob("*.partial"))


def test_the_catalogue_leads_to_every_cube_map_and_model(town: Town) -> None:
    import pystac

    root = pystac.Catalog.from_file(str(town.out / "stac" / "catalog.json"))
    found = {f"{item.get_collection().id}/{item.id}": item for item in root.get_items(recursive=True)}  # type: ignore[union-attr] # every item has one
    assert {"cube-regular/regular", "cube-yearly/yearly", "labels/labels", "maps/2020", "maps/2021"} <= set(
        found
    )
    (model,) = [item for name, item in found.items() if name.startswith("models/")]
    assert model.properties["mlm:name"] == "landshift forest"
    for item in found.values():
        assert item.properties["landshift:simulated"] is True
        assert all(Path(str(asset.get_absolute_href())).exists() for asset in item.assets.values())
    assert (
        Path(str(model.assets["model"].get_absolute_href())).resolve()
        == (town.out / "model" / "model.onnx").resolve()
    )


def test_no_file_of_the_result_holds_a_path_of_this_machine(town: Town) -> None:
    told = str(town.out.parent).encode()
    found = [name for name, content in contents(town.out).items() if told in content]
    assert found == []


def test_the_cube_is_near_the_clear_sky_truth(town: Town) -> None:
    board = table(town.out, "scoreboard").set_index(["score", "method"])["value"]
    assert 0 < board["clear-sky RMSE of regular", "interpolate"] < 0.06


def test_the_maps_are_nearer_the_truth_than_the_majority_class(town: Town) -> None:
    board = table(town.out, "scoreboard").set_index(["score", "method"])["value"]
    forest = board["mIoU on blocked test areas, all years", "forest"]
    assert forest > 1.5 * board["mIoU on blocked test areas, all years", "majority class"]
    truth = town.out / ".landshift" / "simulated" / "truth" / "landcover_2020.tif"
    names = {one.value: one.name for one in read_classes(truth)}
    said = {one.value: one.name for one in read_classes(town.out / "maps" / "2020.tif")}
    real = np.vectorize(lambda value: names.get(value, ""))(read_map(truth))
    mapped = np.vectorize(lambda value: said.get(value, "none"))(read_map(town.out / "maps" / "2020.tif"))
    commonest = max((real == name).mean() for name in set(names.values()))
    assert (real == mapped).mean() > commonest


def test_zonal_areas_are_those_of_the_polygons(town: Town) -> None:
    import geopandas

    districts = geopandas.read_file(town.out / ".landshift" / "simulated" / "truth" / "districts.gpkg")
    zonal = table(town.out, "zonal")
    sums = zonal.groupby(["zone", "year"])["area_ha"].sum().unstack()
    inside = districts.to_crs("EPSG:32633").set_index("district").area / 1e4
    for zone, row in sums.iterrows():
        np.testing.assert_allclose(row.to_numpy(), inside[zone], rtol=0.02)


def test_transitions_and_areas_add_up(town: Town) -> None:
    moved, area = table(town.out, "transitions"), table(town.out, "area")
    for year in (2020, 2021):
        total = area[area["year"] == year]["area_ha"].sum()
        assert total == pytest.approx(96 * 96 * 0.01, rel=0.02)
    first = moved[(moved["year_from"] == 2020) & (moved["year_to"] == 2021)]
    before = first.groupby("class_from")["area_ha"].sum()
    stood = area[area["year"] == 2020].set_index("class")["area_ha"]
    np.testing.assert_allclose(before, stood.reindex(before.index), rtol=1e-6)


def test_the_report_says_that_it_is_simulated(town: Town) -> None:
    page = (town.out / "report.html").read_text()
    assert "simulated" in page.lower()
    assert "A small town" in page
    assert json.loads((town.out / "run.json").read_text())["simulated"] is True


def test_the_written_recipe_runs_to_the_same_keys(town: Town) -> None:
    again = Recipe.load(town.out / "recipe.toml")
    assert again.to_toml() == (town.out / "recipe.toml").read_text()


def test_a_second_run_does_nothing_and_changes_no_byte(town: Town, copy: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (copy / "cubes").rglob("*") if file.is_file()}
    result = run(Recipe.of(town.values), copy)
    assert set(states(result).values()) == {"up to date"}
    assert differing(contents(town.out), contents(copy)) == []
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_a_changed_change_table_redoes_only_what_follows_and_says_why(town: Town, copy: Path) -> None:
    heard = Heard()
    result = run(Recipe.of(town.values | {"change": {"pairs": "first_last"}}), copy, watch=heard)
    kept = {"survey", "build", "labels", "train", "evaluate", "predict"}
    assert {name for name, state in states(result).items() if state == "up to date"} == kept
    why = {stage.name: stage.why for stage in result.stages}
    assert why["change"].startswith("pairs ")
    assert why["publish"] == "its inputs changed"
    assert any(line.startswith("change: redone because pairs") for line in heard.lines)


def test_a_changed_product_without_pupils_does_not_train_anew(town: Town, copy: Path) -> None:
    products = [town.values["product"][0], {**town.values["product"][1], "indices": ["ndvi", "ndbi"]}]
    said = states(run(Recipe.of(town.values | {"product": products}), copy))
    assert said["build"] == "redone"
    assert said["train"] == said["predict"] == "up to date"
    assert said["publish"] == "redone"


def test_a_changed_recipe_ends_as_a_fresh_run_of_it_does(town: Town, copy: Path, tmp_path: Path) -> None:
    """Without models, zones and hold-out: nothing of the earlier recipe may stay."""
    kept = {name: values for name, values in town.values.items() if name in {"place", "time", "source"}}
    changed = kept | {"product": town.values["product"][1:], "report": {"holdout": 0}}
    fresh = tmp_path / "fresh"
    simulated = Path(".landshift") / "simulated"
    shutil.copytree(town.out / simulated, fresh / simulated)
    run(Recipe.of(changed), copy)
    run(Recipe.of(changed), fresh)
    assert differing(contents(fresh), contents(copy)) == []


def test_until_stops_after_its_stage(town: Town, tmp_path: Path) -> None:
    simulated = Path(".landshift") / "simulated"
    shutil.copytree(town.out / simulated, tmp_path / "out" / simulated)
    result = run(Recipe.of(town.values), tmp_path / "out", until="survey")
    assert [stage.name for stage in result.stages] == ["survey"]
    with pytest.raises(ConfigError, match="no such stage"):
        run(Recipe.of(town.values), tmp_path / "out", until="bild")


def test_a_trial_runs_every_stage_on_a_window_and_leaves_the_folder_free(town: Town, tmp_path: Path) -> None:
    values = {name: part for name, part in town.values.items() if name in {"place", "time", "product"}}
    scenes = town.out / ".landshift" / "simulated" / "catalog.json"
    bands = town.values["source"][0]["bands"]
    values["source"] = [{"name": "s2", "from": "stac", "url": str(scenes), "bands": bands}]
    result = run(Recipe.of(values), tmp_path / "out", try_m=300)
    assert result.out == tmp_path / "out" / "try" / "300m"
    cube = landshift.open(result.out / "cubes" / "regular.zarr")
    assert cube.odc.geobox.shape == (30, 30)
    assert (result.out / "report.html").is_file()
    whole = run(Recipe.of(values), tmp_path / "out", until="build")
    assert landshift.open(whole.out / "cubes" / "regular.zarr").odc.geobox.shape == (96, 96)


def test_another_place_is_refused_before_anything_is_removed(town: Town, copy: Path) -> None:
    left, bottom, right, top = town.values["place"]["bbox"]
    moved = town.values["place"] | {"bbox": [left, bottom, right - 120, top]}
    with pytest.raises(StoreError, match="another place"):
        run(Recipe.of(town.values | {"place": moved}), copy)
    assert differing(contents(town.out), contents(copy)) == []


def test_a_lost_record_is_written_again(town: Town, copy: Path) -> None:
    (copy / "run.json").unlink()
    write_atomic(copy / "recipe.toml", b"")
    run(Recipe.of(town.values), copy)
    assert differing(contents(town.out), contents(copy)) == []


def test_maps_of_simulated_scenes_say_so(town: Town) -> None:
    import rasterio

    with rasterio.open(town.out / "maps" / "2020.tif") as image:
        assert image.tags()["simulated"] == "true"
