"""The audit finds what leaks, and nothing where nothing does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pytest

from landshift.cube.maps import read_classes, read_map, write_map
from landshift.errors import ModelError
from landshift.learn.audit import audit_split
from landshift.learn.checkpoint import Checkpoint
from landshift.learn.split import FOLDS

if TYPE_CHECKING:
    from learn.conftest import Land


def test_a_trained_model_has_no_leak(unet: Checkpoint, forest: Checkpoint) -> None:
    for checkpoint in (unet, forest):
        found = audit_split(checkpoint.folder)
        assert found.apart(40)
        assert min(found.distance_m.values()) < 100
        assert not found.apart(500)


def test_ground_that_is_too_near_and_samples_that_overlap_are_found(
    unet: Checkpoint, land: Land, tmp_path: Path
) -> None:
    leaky = tmp_path / "leaky"
    shutil.copytree(unet.folder, leaky)
    frame = gpd.read_parquet(leaky / "samples.parquet")
    first = frame.index[frame["fold"] == "train"][0]
    frame = frame.assign(fold=np.where(frame.index == first, "val", frame["fold"]))
    twin = frame.loc[[first]].assign(fold="train")
    gpd.GeoDataFrame(frame.merge(twin, how="outer"), crs=frame.crs).to_parquet(leaky / "samples.parquet")
    codes = read_map(leaky / "folds.tif")
    row, col = np.argwhere(codes == FOLDS["train"])[0]
    codes[row, col + 1] = FOLDS["test"]
    write_map(leaky / "folds.tif", land.geobox, codes, classes=read_classes(leaky / "folds.tif"))
    found = audit_split(leaky)
    assert found.overlap_ha == pytest.approx(16**2 * 100 / 1e4)
    assert found.strays >= 1
    assert found.distance_m["train-test"] == 10
    assert not found.apart(20)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no split to audit"):
        audit_split(tmp_path)
