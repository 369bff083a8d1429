"""Bad input at the command line: which error, which exit code, and does the message say what to do."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import tomli_w
from shapely import box

from landshift.cube.store import open_cube
from tiny_rasters import Tiff, write

Command = Callable[..., Any]
Recipe = Callable[..., Path]
ORIGIN = (500_000.0, 5_600_000.0)


def complaint(answer: Any, code: int, *words: str) -> None:
    """The command failed with this code, in one readable paragraph that holds these words."""
    assert answer.code == code, answer
    assert answer.err.count("error: ") == 1, answer.err
    assert "Traceback" not in answer.err
    flat = " ".join(answer.err.split())
    for word in (*words, "next: "):
        assert word in flat, (word, flat)


def counts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "run.json").read_text())
    return found


def polygons(path: Path, *, at: tuple[float, float] = ORIGIN, one_class_at: int = 3) -> Path:
    """Three classes in stripes, cut into small squares; the last one in ``one_class_at`` of them."""
    shapes, names = [], []
    for name, rows in (("crop", (0, 14)), ("town", (14, 26)), ("water", (26, 36))):
        for number, col in enumerate(range(0, 36, 4)):
            if name == "water" and number >= one_class_at:
                continue
            x, y = at[0] + 10 * col, at[1] - 10 * rows[1]
            shapes.append(box(x, y, x + 40, at[1] - 10 * rows[0]))
            names.append(name)
    geopandas.GeoDataFrame({"class": names}, geometry=shapes, crs="EPSG:32633").to_file(path)
    return path


def learning(labels: Path) -> dict[str, Any]:
    return {
        "labels": {"path": str(labels), "year": 2020},
        "samples": {"min_per_class": 5, "size": 4},
        "split": {"block_m": 60, "buffer_m": 0},
        "train": {"model": "forest", "forest": {"trees": 3}},
    }


def test_an_unknown_key_is_refused_with_the_nearest_one(landshift: Command, recipe: Recipe) -> None:
    answer = landshift("run", recipe(mask={"dialte": 3}))
    complaint(answer, 2, "mask.dialte is not a setting", "grow_m")


def test_a_misspelt_table_is_refused_with_the_nearest_one(landshift: Command, recipe: Recipe) -> None:
    complaint(landshift("run", recipe(zonall={})), 2, "[zonall] is not a table", "did you mean 'zonal'")


def test_a_misspelt_step_is_refused_with_the_nearest_one(landshift: Command, recipe: Recipe) -> None:
    product = {"name": "regular", "kind": "interpolat"}
    complaint(landshift("run", recipe(product=[product])), 2, "did you mean 'interpolate'")


def test_a_misspelt_source_is_refused_with_the_nearest_one(landshift: Command, recipe: Recipe) -> None:
    complaint(landshift("run", recipe(source={"from": "foldr"})), 2, "did you mean 'folder'")


def test_a_recipe_that_is_not_there_says_how_to_get_one(landshift: Command, tmp_path: Path) -> None:
    complaint(landshift("run", tmp_path / "none.toml"), 2, "no such recipe", "landshift init")


def test_a_place_outside_the_data_says_where_to_look(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    answer = landshift("run", recipe(place={"bbox": [40.0, 10.0, 40.1, 10.1]}), "-o", tmp_path / "out")
    complaint(answer, 1, "no scene fits", "outside the place", "widen")


def test_no_scenes_in_the_time_counts_the_reasons(landshift: Command, recipe: Recipe, tmp_path: Path) -> None:
    answer = landshift("run", recipe(time={"years": "2011"}), "-o", tmp_path / "out")
    complaint(answer, 1, "no scene fits", "6 ", "2011", "widen")


def test_an_empty_folder_is_no_scenes(landshift: Command, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    complaint(
        landshift("run", recipe(source={"path": str(tmp_path / "empty")})), 1, "no file fits", "pattern"
    )


def test_a_missing_folder_is_a_wrong_recipe(landshift: Command, recipe: Recipe) -> None:
    complaint(landshift("run", recipe(source={"path": "nowhere"})), 2, "folder does not exist", "nowhere")


def test_a_file_without_crs_stops_and_names_it(
    landshift: Command, recipe: Recipe, scenes: Path, tmp_path: Path
) -> None:
    write(scenes / "scene_20200801.tif", Tiff(size=36, bands=4, crs=None))
    complaint(landshift("run", recipe(), "-o", tmp_path / "out"), 1, "scene_20200801", "CRS")


def test_a_file_without_crs_is_skipped_and_counted_on_wish(
    landshift: Command, recipe: Recipe, scenes: Path, tmp_path: Path
) -> None:
    write(scenes / "scene_20200801.tif", Tiff(size=36, bands=4, crs=None))
    answer = landshift("run", recipe(engine={"on_error": "skip"}), "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    said = counts(tmp_path / "out")["counts"]["survey"]
    assert said["scenes"] == 6
    assert sum(said["skipped"].values()) == 1


def test_bands_of_one_item_in_different_crs_stop(landshift: Command, recipe: Recipe, tmp_path: Path) -> None:
    split = tmp_path / "split"
    write(split / "20200110_red.tif", Tiff(size=36))
    write(split / "20200110_nir.tif", Tiff(size=36, crs="EPSG:32634"))
    source = {"path": str(split), "bands": ["red", "nir"]}
    complaint(landshift("run", recipe(source=source), "-o", tmp_path / "out"), 1, "CRS", "20200110")


def test_a_missing_band_names_those_there_are(landshift: Command, recipe: Recipe, tmp_path: Path) -> None:
    answer = landshift("run", recipe(source={"bands": ["red", "swir16"]}), "-o", tmp_path / "out")
    assert answer.code in {1, 2}
    complaint(answer, answer.code, "band")


@pytest.mark.parametrize("kind", ["truncated", "not a raster"])
def test_a_damaged_file_stops_and_names_it(
    landshift: Command, recipe: Recipe, scenes: Path, tmp_path: Path, kind: str
) -> None:
    damage(scenes / "scene_20200525.tif", kind)
    complaint(landshift("run", recipe(), "-o", tmp_path / "out"), 1, "scene_20200525", "on_error")


@pytest.mark.parametrize("kind", ["truncated", "not a raster"])
def test_a_damaged_file_is_skipped_counted_and_told_on_wish(
    landshift: Command, recipe: Recipe, scenes: Path, tmp_path: Path, kind: str
) -> None:
    damage(scenes / "scene_20200525.tif", kind)
    answer = landshift("run", recipe(engine={"on_error": "skip"}), "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    said = counts(tmp_path / "out")
    skipped = sum(said["counts"]["survey"]["skipped"].values())
    unread = said["counts"]["build"]["regular"]["read_errors"]
    assert skipped + unread == 1
    assert skipped == 1 or any("scene_20200525" in sentence for sentence in said["warnings"])


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if kind == "truncated" else b"not a raster at all")


def test_a_folder_that_cannot_be_made_says_so(landshift: Command, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    complaint(landshift("run", recipe(), "-o", tmp_path / "file" / "out"), 1, "cannot be written", "--out")


def test_a_file_in_the_place_of_the_folder_says_so(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("in the way")
    complaint(landshift("run", recipe(), "-o", tmp_path / "out"), 1, "choose a new")


def test_a_full_disk_stops_with_what_to_do_and_the_run_goes_on_later(
    landshift: Command, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "w" in mode and "/reflectance/c/" in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, *rest, **more)

    made = recipe()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        answer = landshift("run", made, "-o", tmp_path / "out")
    complaint(answer, 1, "No space left on device", "free some space")
    assert not list((tmp_path / "out" / "cubes").rglob("*.partial"))
    assert landshift("run", made, "-o", tmp_path / "out").code == 0
    assert landshift("check", tmp_path / "out").code == 0


@pytest.mark.parametrize("stage", ["maps", "figures", "site", "tables"])
def test_a_disk_that_fills_up_later_is_told_as_well(
    landshift: Command, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    made = recipe(**learning(polygons(tmp_path / "labels.gpkg", one_class_at=9)))
    written = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if f"/{stage}/" in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    answer = landshift("run", made, "-o", tmp_path / "out")
    if answer.code != 0:  # where a library writes the files itself, this fault does not reach them
        complaint(answer, 1, "No space left on device", "space")


def test_another_places_folder_is_refused_with_both_grids(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert landshift("run", recipe(), "-o", out, "--until", "build").code == 0
    moved = recipe(place={"bbox": [500_060, 5_599_700, 500_300, 5_599_940], "bbox_crs": "EPSG:32633"})
    complaint(landshift("run", moved, "-o", out), 1, "another place", "another output folder", str(out))


def test_a_folder_of_other_things_is_refused_and_left_alone(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.md").write_text("years of work")
    complaint(landshift("run", recipe(), "-o", tmp_path / "thesis"), 1, "not a landshift output", "empty")
    complaint(landshift("clean", tmp_path / "thesis", "--yes"), 1, "not a landshift output")
    assert [file.name for file in (tmp_path / "thesis").iterdir()] == ["chapter.md"]


def test_labels_elsewhere_say_that_they_do_not_overlap(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    labels = polygons(tmp_path / "labels.gpkg", at=(700_000.0, 5_000_000.0))
    answer = landshift("run", recipe(**learning(labels)), "-o", tmp_path / "out")
    complaint(answer, 1, "overlap")


def test_labels_that_are_not_there_are_a_wrong_recipe(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    answer = landshift("run", recipe(**learning(tmp_path / "none.gpkg")), "-o", tmp_path / "out")
    complaint(answer, 2, "none.gpkg")


def test_a_class_with_too_few_samples_is_named(landshift: Command, recipe: Recipe, tmp_path: Path) -> None:
    values = learning(polygons(tmp_path / "labels.gpkg", one_class_at=1))
    values["samples"]["min_per_class"] = 60
    answer = landshift("run", recipe(**values), "-o", tmp_path / "out")
    complaint(answer, 1, "too few", "water", "min_per_class")


def test_labels_of_another_year_say_which_years_there_are(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    values = learning(polygons(tmp_path / "labels.gpkg", one_class_at=9))
    values["labels"]["year"] = 2015
    complaint(landshift("run", recipe(**values), "-o", tmp_path / "out"), 1, "2015", "2020")


def test_training_without_labels_says_what_is_missing(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    answer = landshift("run", recipe(train={"model": "forest"}), "-o", tmp_path / "out")
    complaint(answer, 1, "nothing to learn from", "[labels]")


def empty(scenes: Path) -> None:
    """All pixels of all scenes become no data."""
    shutil.rmtree(scenes)
    for date in ("20200110", "20200320"):
        nothing = np.zeros((4, 36, 36), "uint16")
        write(
            scenes / f"scene_{date}.tif",
            Tiff(size=36, bands=4, names=("blue", "green", "red", "nir")),
            nothing,
        )


@pytest.mark.parametrize("kind", ["interpolate", "composite", "observed"])
def test_zero_clear_looks_is_said_and_no_empty_cube_is_passed_off_as_data(
    landshift: Command, recipe: Recipe, scenes: Path, tmp_path: Path, kind: str
) -> None:
    empty(scenes)
    settings = {"every": "60D"} if kind == "interpolate" else {}
    answer = landshift(
        "run", recipe(product=[{"name": "regular", "kind": kind, **settings}]), "-o", tmp_path / "out"
    )
    complaint(answer, 1, "no clear look", "mask")
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_product_whose_every_date_is_empty_warns_and_is_counted(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    products = [
        {"name": "seen", "kind": "observed"},
        {"name": "regular", "kind": "interpolate", "every": "60D", "min_clear": 50},
    ]
    answer = landshift("run", recipe(product=products), "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert "warning: " in answer.err
    assert "regular" in answer.err
    said = counts(tmp_path / "out")
    assert any("regular" in sentence for sentence in said["warnings"])
    assert said["counts"]["build"]["regular"]["empty_px"] == 36 * 36
    assert said["counts"]["build"]["regular"]["empty_dates"] == 7


def test_empty_dates_at_the_ends_of_the_span_are_told_apart(
    landshift: Command, recipe: Recipe, tmp_path: Path
) -> None:
    products = [{"name": "regular", "kind": "interpolate", "every": "60D", "max_gap": "60D", "min_clear": 1}]
    made = recipe(product=products, time={"start": "2019-01-01", "end": "2020-12-31"})
    answer = landshift("run", made, "-o", tmp_path / "out", "--until", "build")
    assert answer.code == 0, answer.err
    cube = open_cube(tmp_path / "out" / "cubes" / "regular.zarr")
    held = np.flatnonzero(cube.reflectance.notnull().any(["band", "y", "x"]).to_numpy())
    before, after = held[0], cube.sizes["time"] - 1 - held[-1]
    assert before > 0
    assert f"{before} before the first value, {after} after the last" in " ".join(answer.err.split())


def test_no_network_names_the_server_and_what_to_do(landshift: Command, tmp_path: Path) -> None:
    source = [{"name": "s2", "from": "earth-search", "sensor": "sentinel-2-l2a", "bands": ["red"]}]
    place = {"bbox": [14.4, 50.0, 14.41, 50.01], "crs": "utm", "resolution": 10}
    cache = {"dir": str(tmp_path / "cache")}
    made = tmp_path / "remote.toml"
    product = [{"name": "seen", "kind": "observed"}]
    made.write_text(
        tomli_w.dumps(
            {"source": source, "place": place, "cache": cache, "product": product, "time": {"years": "2020"}}
        )
    )
    answer = landshift("run", made, "-o", tmp_path / "out")
    complaint(answer, 1, "earth-search")


def test_a_server_that_refuses_is_named(landshift: Command, tmp_path: Path) -> None:
    made = tmp_path / "remote.toml"
    source = {"name": "s2", "from": "stac", "url": "http://127.0.0.1:9/api", "sensor": "sentinel-2-l2a"}
    place = {"bbox": [14.4, 50.0, 14.41, 50.01], "crs": "utm", "resolution": 10}
    values = {"source": [source], "place": place, "cache": {"dir": str(tmp_path / "cache")}}
    made.write_text(tomli_w.dumps(values | {"product": [{"name": "seen", "kind": "observed"}]}))
    complaint(landshift("run", made, "-o", tmp_path / "out"), 1, "127.0.0.1:9")
