"""Maps do not depend on how they are cut, and say where there is no data."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

from landshift.cube.classes import as_records
from landshift.cube.maps import map_geobox, read_classes, read_map
from landshift.cube.store import open_cube
from landshift.errors import ConfigError, DataQualityWarning, LabelError, ModelError
from landshift.kernel.confusion import accumulate
from landshift.learn.checkpoint import Checkpoint
from landshift.learn.evaluate import evaluate, write_accuracy, write_history
from landshift.learn.features import Features
from landshift.learn.models.forest import RandomForest
from landshift.learn.predict import Tiler, predict, tile_for
from landshift.learn.split import FOLDS, windows
from landshift.place import pixel_at_centre_m
from learn.conftest import write_store

if TYPE_CHECKING:
    from learn.conftest import Land


def classes_by_tiles(checkpoint: Checkpoint, land: Land, tile_px: int) -> np.ndarray:
    tiler = Tiler(checkpoint, open_cube(land.cube), tile_px=tile_px)
    out = np.zeros((2, *land.truth.shape[1:]), np.uint8)
    for core in windows(tiler.shape, tile_px):
        out[:, core[0], core[1]] = tiler(2021, core)
    return out


@pytest.mark.parametrize("tile_px", [512, 64, 22])
def test_the_cut_into_tiles_does_not_change_the_map(
    unet: Checkpoint, forest: Checkpoint, land: Land, tile_px: int
) -> None:
    for checkpoint in (unet, forest):
        whole = classes_by_tiles(checkpoint, land, 1024)
        cut = classes_by_tiles(checkpoint, land, tile_px)
        np.testing.assert_array_equal(cut[0], whole[0])
        np.testing.assert_allclose(cut[1].astype(int), whole[1], atol=1)


def test_a_map_is_one_pass_over_the_whole_raster(unet: Checkpoint, land: Land) -> None:
    cube = open_cube(land.cube)
    seen = unet.features.compute(cube, 2021, (slice(0, 150), slice(0, 203)))
    padded = np.pad(seen, ((0, 0), (14, 14), (14, 15)), mode="reflect")
    net = unet.predictor()
    expected = net(padded)[:, 14:164, 14:217].argmax(axis=0)
    known = np.isfinite(seen).all(axis=0)
    found = classes_by_tiles(unet, land, 32)[0]
    np.testing.assert_array_equal(found, np.where(known, np.array([1, 2, 4])[expected], 0))


def test_a_map_is_right_where_there_is_data_and_empty_where_not(
    forest: Checkpoint, land: Land, tmp_path: Path
) -> None:
    path = predict(forest.folder, cube=land.cube, year=2021, out=tmp_path)
    assert path == tmp_path / "maps" / "2021.tif"
    assert map_geobox(path) == land.geobox
    assert read_classes(path) == land.classes
    found, percent = read_map(path), read_map(path, band=2)
    assert (found[:20, :20] == 0).all()
    assert (percent[found == 0] == 0).all()
    there = np.ones_like(found, dtype=bool)
    there[:20, :20] = False
    assert (found[there] == land.truth[1][there]).mean() > 0.95
    assert percent[there].min() > 33
    assert percent.max() <= 100
    assert [one.name for one in path.parent.iterdir() if "partial" in one.name] == []


def test_the_same_map_has_the_same_bytes(unet: Checkpoint, land: Land, tmp_path: Path) -> None:
    one, two = (predict(unet.folder, cube=land.cube, year=2020, out=tmp_path / f"{i}.tif") for i in (1, 2))
    assert one.read_bytes() == two.read_bytes()


def test_the_memory_limit_decides_how_large_a_tile_is(unet: Checkpoint, land: Land) -> None:
    cube = open_cube(land.cube)
    sizes = [tile_for(unet, cube, 2021, memory) for memory in (2**30, 2**25, 2**24)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    with pytest.raises(ConfigError, match="too little memory"):
        tile_for(unet, cube, 2021, 2**16)


def learned_at(folder: Path, height: float, width: float) -> None:
    """Let a checkpoint say that it has learned from pixels of another size."""
    item = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    item["properties"]["landshift:model"]["grid"]["resolution_m"] = [height, width]
    (folder / "model.json").write_text(json.dumps(item), encoding="utf-8")


@pytest.mark.parametrize(
    ("height", "width", "says"), [(10.0, 20.0, "refused"), (9.7, 10.0, "told"), (10.05, 10, "")]
)
def test_pixels_of_another_size_are_refused_or_told(
    forest: Checkpoint, land: Land, tmp_path: Path, height: float, width: float, says: str
) -> None:
    copy = Path(shutil.copytree(forest.folder, tmp_path / "model"))
    learned_at(copy, height, width)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if says == "refused":
            with pytest.raises(ModelError, match="another pixel size"):
                predict(copy, cube=land.cube, year=2021, out=tmp_path)
        else:
            predict(copy, cube=land.cube, year=2021, out=tmp_path)
    told = [str(one.message) for one in caught if one.category is DataQualityWarning]
    assert len(told) == (says == "told")
    assert all("9.7 x 10 m" in text for text in told)


def test_another_near_infrared_is_told_in_training_and_refused_in_prediction(
    land: Land, forest: Checkpoint, tmp_path: Path
) -> None:
    from learn.conftest import write_store

    looks = open_cube(land.cube).load()
    narrow = looks.assign_coords(band=np.array(["green", "red", "nir08"], object))
    write_store(
        tmp_path / "regular.zarr",
        land.geobox,
        narrow,
        variable="reflectance",
        names=("green", "red", "nir08"),
    )
    here = replace(land, cube=tmp_path / "regular.zarr")
    features = {"features": Features(bands=("green", "red"), indices=("ndvi",))}
    with pytest.warns(DataQualityWarning, match="ask for nir, .* made of nir08"):
        made = here.train(RandomForest(trees=3), tmp_path / "narrow", **features)
    assert dict(made.stand_ins) == {"nir": "nir08"}
    assert predict(made.folder, cube=here.cube, year=2021, out=tmp_path).is_file()
    with pytest.raises(ModelError, match="made of other bands"):
        predict(made.folder, cube=land.cube, year=2021, out=tmp_path)
    broad = land.train(RandomForest(trees=3), tmp_path / "broad", **features)
    assert dict(broad.stand_ins) == dict(forest.stand_ins) == {}
    with pytest.raises(ModelError, match="nir08 for nir"):
        predict(broad.folder, cube=here.cube, year=2021, out=tmp_path)


def test_a_model_of_a_grid_in_degrees_knows_the_size_of_its_pixels_on_the_ground(
    land: Land, tmp_path: Path
) -> None:
    from odc.geo.geobox import GeoBox

    from landshift.cube.labels import read_labels
    from learn.conftest import CLASSES, write_store

    height, width = land.truth.shape[1:]
    grid = GeoBox.from_bbox((14, 50, 14 + width * 1e-4, 50 + height * 1e-4), "EPSG:4326", resolution=1e-4)
    dims = ("time", "y", "x")
    looks = open_cube(land.cube).drop_vars(["y", "x"]).load()
    marked = xr.Dataset(
        {"labels": (dims, read_labels(land.labels).to_numpy())},
        coords={"time": read_labels(land.labels)["time"]},
    )
    write_store(tmp_path / "regular.zarr", grid, looks, variable="reflectance", names=("green", "red", "nir"))
    write_store(
        tmp_path / "labels.zarr",
        grid,
        marked,
        variable="labels",
        names=(),
        attrs={"classes": as_records(CLASSES)},
    )
    here = replace(land, cube=tmp_path / "regular.zarr", labels=tmp_path / "labels.zarr")
    made = here.train(RandomForest(trees=3), tmp_path)
    assert made.resolution_m == pixel_at_centre_m(grid)
    assert made.resolution_m == pytest.approx((11.13, 7.15), abs=0.01)
    assert predict(made.folder, cube=here.cube, year=2021, out=tmp_path).is_file()
    with pytest.raises(ModelError, match="another pixel size"):
        predict(made.folder, cube=land.cube, year=2021, out=tmp_path)


def test_a_model_refuses_what_it_has_not_learned(unet: Checkpoint, land: Land, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no dates"):
        predict(unet.folder, cube=land.cube, year=1999, out=tmp_path)
    coarse = tmp_path / "coarse"
    shutil.copytree(unet.folder, coarse)
    learned_at(coarse, 30.0, 30.0)
    with pytest.raises(ModelError, match="another pixel size"):
        predict(coarse, cube=land.cube, year=2021, out=tmp_path)
    (coarse / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="weights are missing"):
        replace(unet, folder=coarse).predictor()
    with pytest.raises(ConfigError, match="multiple of the model's stride"):
        Tiler(unet, open_cube(land.cube), tile_px=33)


def test_the_score_is_one_matrix_over_the_test_ground(forest: Checkpoint, land: Land, tmp_path: Path) -> None:
    from landshift.cube.labels import read_labels

    found = evaluate(forest.folder, cube=land.cube, labels=land.labels)
    test = read_map(forest.folder / "folds.tif") == FOLDS["test"]
    labels = read_labels(land.labels).to_numpy()
    expected = np.zeros((3, 3), np.int64)
    for i, year in enumerate((2020, 2021)):
        mapped = read_map(predict(forest.folder, cube=land.cube, year=year, out=tmp_path / f"{year}.tif"))
        expected += accumulate(mapped, np.where(test, labels[i], 0), values=(1, 2, 4))
    np.testing.assert_array_equal(found.matrix, expected)
    assert found.scores.mean_iou > 0.9
    assert found.baseline.mean_iou < 0.3
    assert found.baseline.producers[found.majority] == 1


def test_the_tables_of_accuracy_hold_models_and_baseline(
    unet: Checkpoint, forest: Checkpoint, land: Land, tmp_path: Path
) -> None:
    from landshift.cube.tables import read_table

    board = write_accuracy({"unet": unet, "forest": forest}, cube=land.cube, labels=land.labels, out=tmp_path)
    assert list(board) == ["unet", "forest", "majority class"]
    accuracy = read_table(tmp_path / "tables" / "accuracy.parquet").frame
    assert accuracy["model"].value_counts().to_dict() == {"unet": 4, "forest": 4, "majority class": 4}
    overall = accuracy[accuracy["class"] == "all"]
    miou = dict(zip(overall["model"], overall["iou"], strict=True))
    assert miou == pytest.approx({name: scores["miou"] for name, scores in board.items()})
    assert miou["unet"] > miou["majority class"]
    assert (tmp_path / "tables" / "accuracy.xlsx").is_file()
    confusion = read_table(tmp_path / "tables" / "confusion.parquet").frame
    assert confusion.groupby("model")["pixels"].sum().nunique() == 1
    write_history(tmp_path, {"unet": unet, "forest": forest})
    history = read_table(tmp_path / "tables" / "history.parquet").frame
    assert history.groupby("split")["epoch"].max().to_dict() == {"train": 4, "val": 4}


def test_a_class_without_a_test_pixel_is_told_beside_the_number(
    forest: Checkpoint, land: Land, tmp_path: Path
) -> None:
    from landshift.cube.labels import read_labels
    from landshift.cube.tables import read_table

    values = read_labels(land.labels).to_numpy().copy()
    values[(values == 4) & (read_map(forest.folder / "folds.tif") == FOLDS["test"])] = 0
    marked = xr.Dataset(
        {"labels": (("time", "y", "x"), values)}, coords={"time": read_labels(land.labels)["time"]}
    )
    attrs = {"classes": as_records(land.classes)}
    write_store(tmp_path / "l.zarr", land.geobox, marked, variable="labels", names=(), attrs=attrs)
    name = next(one.name for one in land.classes if one.value == 4)
    with pytest.warns(
        DataQualityWarning, match=rf"no test pixel of {name}: the mean IoU is of \d of 3 classes"
    ):
        write_accuracy({"forest": forest}, cube=land.cube, labels=tmp_path / "l.zarr", out=tmp_path)
    table = read_table(tmp_path / "tables" / "accuracy.parquet").frame
    assert table[table["class"] == name]["pixels"].tolist() == [0, 0]


def test_a_fold_without_labels_cannot_be_scored(forest: Checkpoint, land: Land, tmp_path: Path) -> None:
    from landshift.cube.maps import write_map

    bare = tmp_path / "bare"
    shutil.copytree(forest.folder, bare)
    write_map(bare / "folds.tif", land.geobox, np.ones(land.truth.shape[1:], np.uint8), classes=land.classes)
    with pytest.raises(LabelError, match="no labelled pixel on test ground"):
        evaluate(bare, cube=land.cube, labels=land.labels)
