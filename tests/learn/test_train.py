"""Training: it learns, it stops, it goes on after a kill with the same bytes, and it looks at its own ground only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest

from landshift.cube.labels import read_labels
from landshift.cube.maps import read_classes, read_map
from landshift.cube.store import open_cube
from landshift.errors import ConfigError, GridError, LabelError, ModelError
from landshift.learn import train as module
from landshift.learn.checkpoint import Checkpoint, load
from landshift.learn.dataset import IGNORE, extract, same_grid, years_in_common
from landshift.learn.features import Features
from landshift.learn.models.forest import RandomForest
from landshift.learn.models.unet import UNet
from landshift.learn.patches import Patches
from landshift.learn.split import FOLDS

if TYPE_CHECKING:
    from learn.conftest import Land


SCORES = [0.0, 0.3, 0.0, 0.4, 0.0, 0.5, 0.0, 0.5, 0.0, 0.4]
"""Training and validation, epoch by epoch: the best is epoch 2, reached again but not beaten."""


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_both_models_learn(unet: Checkpoint, forest: Checkpoint) -> None:
    assert forest.metrics["val_miou"] > 0.9
    assert unet.metrics["val_miou"] > 0.6
    assert unet.metrics["history"][-1]["train_loss"] < unet.metrics["history"][0]["train_loss"]


def test_a_checkpoint_says_all_that_is_needed_to_use_it(unet: Checkpoint, forest: Checkpoint) -> None:
    for one, folder in ((unet, unet.folder), (forest, forest.folder)):
        assert load(folder) == one
        assert not list(folder.parent.glob("*.partial"))
        assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert sorted(everything(unet.folder)) == [
        "folds.tif",
        "folds.tif.aux.xml",
        "metrics.json",
        "model.json",
        "model.onnx",
        "model.safetensors",
        "samples.parquet",
    ]
    item = json.loads((unet.folder / "model.json").read_text(encoding="utf-8"))
    said = item["properties"]
    assert {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"} <= set(said)
    source, result = said["mlm:input"][0], said["mlm:output"][0]
    assert source["bands"] == list(unet.features.names)
    assert source["input"]["shape"] == [-1, len(unet.features.names), -1, -1]
    assert [one["value"] for one in result["classification:classes"]] == [1, 2, 4]
    assert item["assets"]["model"]["mlm:artifact_type"] == "onnx"
    assert unet.features.statistics == ("p10", "p50", "p90", "std")
    assert forest.features.statistics is not None
    assert len(forest.features.statistics) == 9
    text = (unet.folder / "model.json").read_text(encoding="utf-8")
    assert str(unet.folder) not in text


def test_samples_are_kept_with_their_ground(unet: Checkpoint, land: Land) -> None:
    frame = gpd.read_parquet(unet.folder / "samples.parquet")
    assert {"id", "geometry", "label", "fold", "inclusion_probability"} <= set(frame.columns)
    codes = read_map(unet.folder / "folds.tif")
    assert codes.shape == land.truth.shape[1:]
    assert [one.name for one in read_classes(unet.folder / "folds.tif")] == ["train", "val", "test", "buffer"]
    for fold in ("train", "val"):
        for row, col in frame.loc[frame["fold"] == fold, ["row", "col"]].to_numpy():
            others = np.setdiff1d(list(FOLDS.values()), FOLDS[fold])
            assert not np.isin(codes[row : row + 16, col : col + 16], others).any()


def test_a_killed_training_goes_on_to_the_same_bytes(unet: Checkpoint, land: Land, tmp_path: Path) -> None:
    def stop(done: int, total: int, what: str) -> None:  # noqa: ARG001 - the signature of progress
        if what.startswith("train") and done == 2:
            raise KeyboardInterrupt

    model = UNet(widths=(8, 16), epochs=4, batch=4)
    with pytest.raises(KeyboardInterrupt):
        land.train(model, tmp_path, progress=stop)
    assert (tmp_path / "work" / "state.pt").is_file()
    assert not (tmp_path / "model").exists()
    (tmp_path / "work" / "state.pt.7.partial").write_bytes(b"torn")
    epochs: list[int] = []
    again = land.train(
        model, tmp_path, progress=lambda done, _, what: epochs.append(done) if "unet" in what else None
    )
    assert epochs == [3, 4]
    assert everything(again.folder) == everything(unet.folder)


@pytest.mark.slow
def test_a_training_killed_by_the_system_goes_on_to_the_same_bytes(
    unet: Checkpoint, land: Land, tmp_path: Path
) -> None:
    code = f"""
from pathlib import Path
from landshift.learn.train import train
from landshift.learn.features import Features
from landshift.learn.models.unet import UNet
from landshift.learn.patches import Patches
from landshift.learn.split import Split
train(UNet(widths=(8, 16), epochs=4, batch=4), cube=Path({str(land.cube)!r}), labels=Path({str(land.labels)!r}),
      features=Features(), patches=Patches(size=16, per_class=30, pixels_per_class=400), split=Split(buffer_m=40),
      out=Path("model"), work=Path("work"), threads=1, progress=lambda *said: print(*said, flush=True))
"""
    rng = np.random.default_rng(0)
    for line in (1, 3, 4, 5, 99):  # while samples are cut, after epochs, while the result is written, never
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout as said:
            if len([text for text, _ in zip(said, range(line), strict=False)]) == line:
                time.sleep(rng.uniform(0, 0.3))
                process.kill()
        process.wait()
    assert process.returncode == 0
    assert everything(tmp_path / "model") == everything(unet.folder)


def test_training_stops_when_it_no_longer_gets_better(
    land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "save", lambda *_, **__: None)
    monkeypatch.setattr(
        module, "_summed", lambda parts, split: {f"{split}_miou": SCORES.pop(0), "n": len(parts)}
    )
    metrics = land.train(
        UNet(widths=(4, 4), epochs=9, patience=2), tmp_path, patches=Patches(size=16, per_class=6)
    ).metrics
    assert (metrics["epochs"], metrics["best_epoch"], metrics["val_miou"]) == (5, 2, 0.5)


def test_only_the_own_fold_outside_the_buffer_is_a_target(land: Land, tmp_path: Path) -> None:
    truth, cube = read_labels(land.labels), open_cube(land.cube)
    folds = land.settings["split"](truth, land.geobox, values=(1, 2, 4), patch_px=16)
    drawn = land.settings["patches"](truth, land.geobox, folds, classes=land.classes, size=16)
    features = land.settings["features"].resolve(cube, years=(2020, 2021), statistics=("p50",))
    samples = extract(cube, truth, drawn, features=features, folder=tmp_path)
    codes, values = folds.window(slice(0, 150), slice(0, 203)), truth.to_numpy()
    lut = {1: 0, 2: 1, 4: 2}
    for row in range(0, len(drawn.frame), 7):
        one = drawn.frame.iloc[row]
        part = (slice(one["row"], one["row"] + 16), slice(one["col"], one["col"] + 16))
        known = np.isfinite(samples.x[row][: features.n_band_features]).all(axis=0)
        counts = (codes[part] == FOLDS[one["fold"]]) & known
        expected = [lut.get(value, IGNORE) for value in values[one["year"] - 2020][part].ravel()]
        np.testing.assert_array_equal(
            samples.y[row], np.where(counts, np.reshape(expected, (16, 16)), IGNORE)
        )
    seen = np.concatenate(
        [samples.x[row].reshape(len(features.names), -1) for row in samples.rows("train")], axis=1
    )
    fitted = samples.normalisation()
    np.testing.assert_allclose(fitted.mean, np.nanmean(seen, axis=1), rtol=1e-5)
    np.testing.assert_allclose(fitted.std, np.nanstd(seen, axis=1), rtol=1e-4)


def test_training_weights_make_classes_count_the_same() -> None:
    weights = np.array(module._weights(np.array([100, 50, 1])))
    assert weights[1] / weights[0] == pytest.approx(2)
    assert weights[2] / weights[0] == pytest.approx(10)


def test_the_rate_rises_once_and_falls_to_nothing() -> None:
    model = UNet(epochs=5, learning_rate=0.1)
    rates = [module._rate(model, step, 4) for step in range(20)]
    assert rates[3] == pytest.approx(0.1)
    assert rates == sorted(rates[:4]) + sorted(rates[4:], reverse=True)
    assert rates[-1] < 0.01


def test_turns_keep_features_and_targets_together() -> None:
    x = np.arange(2 * 4 * 4).reshape(2, 4, 4)
    seen = {module._turned(x, turn)[0].tobytes() for turn in range(8)}
    assert len(seen) == 8
    for turn in range(8):
        np.testing.assert_array_equal(module._turned(x, turn)[0], module._turned(x[0], turn))


def test_what_cannot_be_learned_is_refused(land: Land, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of the model's stride"):
        land.train(UNet(), tmp_path, patches=Patches(size=12))
    with pytest.raises(LabelError, match="too few labelled training pixels"):
        land.train(RandomForest(), tmp_path, patches=Patches(min_per_class=10**6))
    truth = read_labels(land.labels)
    with pytest.raises(LabelError, match="no labelled year"):
        years_in_common(
            Features(),
            open_cube(land.cube),
            truth.assign_coords(time=truth["time"] + np.timedelta64(9999, "D")),
        )
    shifted = truth.assign_coords(x=truth["x"] + 10)
    with pytest.raises(GridError, match="not on one grid"):
        same_grid(land.geobox, shifted)
    with pytest.raises(ModelError, match="no model here"):
        load(tmp_path)
    (tmp_path / "model.json").write_text('{"properties": {}}', encoding="utf-8")
    with pytest.raises(ModelError, match="not one that landshift wrote"):
        load(tmp_path)
