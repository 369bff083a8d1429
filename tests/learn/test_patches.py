"""Samples are balanced, stay in their block, and know with which probability they were drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from landshift.cube.classes import LandClass, from_names
from landshift.errors import ConfigError, LabelError
from landshift.learn import patches as module
from landshift.learn.patches import Drawn, Patches
from landshift.learn.split import BUFFER, FOLDS, Split, windows

Labelled = Callable[[NDArray[np.uint8]], tuple[xr.DataArray, GeoBox]]
CLASSES: tuple[LandClass, ...] = from_names(["common", "rare", "rarest"])


def labels_of(seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([0, 1, 2, 3], np.uint8), (2, 200, 210), p=[0.6, 0.3, 0.08, 0.02])


def draw(labelled: Labelled, values: NDArray[np.uint8], *, size: int = 16, **settings: int) -> Drawn:
    labels, geobox = labelled(values)
    folds = Split(block_m=400, buffer_m=50)(labels, geobox, values=(1, 2, 3), patch_px=16)
    return Patches(**settings)(labels, geobox, folds, classes=CLASSES, size=size)


def test_every_class_is_drawn_as_often(labelled: Labelled) -> None:
    frame = draw(labelled, labels_of(), per_class=20).frame
    counts = frame.groupby(["fold", "label"]).size()
    assert counts["train"].to_dict() == {"common": 20, "rare": 20, "rarest": 20}
    assert counts["val"].to_dict() == {"common": 7, "rare": 7, "rarest": 7}
    assert frame["id"].is_unique


def test_where_the_pixels_of_a_class_are_decides_what_is_advised(labelled: Labelled) -> None:
    """All of one class in a test block, then all of it in the buffer; the counts are those of the codes."""
    values = labels_of()
    values[values == 3] = 0
    labels, geobox = labelled(values)
    split = Split(block_m=400, buffer_m=50)
    codes = split(labels, geobox, values=(1, 2), patch_px=16).window(slice(0, 200), slice(0, 210))
    cases = {
        FOLDS["test"]: ("0 train, 0 val, 100 test, 0 buffer", "split.block_m"),
        BUFFER: ("0 train, 0 val, 0 test, 100 buffer", "split.buffer_m"),
    }
    for code, (counted, advice) in cases.items():
        marked = values.copy()
        rows, cols = (at[:50] for at in np.nonzero(codes == code))
        marked[:, rows, cols] = 3
        folds = split(labels, geobox, values=(1, 2), patch_px=16)
        with pytest.raises(LabelError) as caught:
            Patches()(labels.copy(data=marked), geobox, folds, classes=CLASSES, size=16)
        assert f"rarest: {counted}" in str(caught.value)
        assert advice in (caught.value.hint or "")


def test_the_inclusion_probability_is_drawn_over_all(labelled: Labelled) -> None:
    values = labels_of()
    drawn = draw(labelled, values, size=1, pixels_per_class=50)
    codes = drawn.folds.window(slice(0, 200), slice(0, 210))
    for one in CLASSES:
        there = int((values[:, codes == FOLDS["train"]] == one.value).sum())
        rows = drawn.frame[(drawn.frame["fold"] == "train") & (drawn.frame["label"] == one.name)]
        assert rows["inclusion_probability"].unique().tolist() == [50 / there]
        at = values[rows["year"] - 2018, rows["row"], rows["col"]]
        assert (at == one.value).all()
        assert (codes[rows["row"], rows["col"]] == FOLDS["train"]).all()


def test_patches_stay_inside_one_block_and_folds_never_overlap(labelled: Labelled) -> None:
    drawn = draw(labelled, labels_of(), per_class=40)
    for row, col in zip(drawn.frame["row"], drawn.frame["col"], strict=True):
        units = drawn.folds.units.window(slice(row, row + 16), slice(col, col + 16))
        assert units.shape == (16, 16)
        assert len(np.unique(units)) == 1
    shapes = {fold: shapely.union_all(group.geometry) for fold, group in drawn.frame.groupby("fold")}
    assert shapes["train"].intersection(shapes["val"]).area == 0
    assert drawn.frame.crs.to_epsg() == 3035
    assert drawn.frame.geometry.area.unique().tolist() == [160.0**2]


def test_the_draw_does_not_depend_on_how_the_raster_is_cut(
    labelled: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = draw(labelled, labels_of(), size=1, pixels_per_class=30).frame
    monkeypatch.setattr(module, "windows", lambda shape: windows(shape, 61))
    again = draw(labelled, labels_of(), size=1, pixels_per_class=30).frame
    assert once.equals(again)


def test_samples_stay_drawn_when_few_labels_are_added(labelled: Labelled) -> None:
    values = labels_of()
    more = values.copy()
    gaps = np.argwhere(more == 0)[::400]
    more[tuple(gaps.T)] = 1
    folds = draw(labelled, values).folds
    before, after = (
        set(Patches(pixels_per_class=200)(*labelled(one), folds, classes=CLASSES, size=1).frame["id"])
        for one in (values, more)
    )
    assert len(before & after) / len(before) > 0.9


def test_a_seed_draws_others(labelled: Labelled) -> None:
    first, second = (draw(labelled, labels_of(), size=1, seed=seed).frame for seed in (0, 1))
    assert set(first["id"]) != set(second["id"])


def test_a_class_with_too_few_samples_is_named_with_what_to_do(labelled: Labelled) -> None:
    values = labels_of()
    values[values == 3] = 0
    values[0, 30, 30:33] = 3
    with pytest.raises(LabelError) as caught:
        draw(labelled, values, per_class=20)
    said = str(caught.value)
    assert "too few labelled training pixels: rarest" in said
    assert "common: " in said
    assert "label more of it" in said
    with pytest.raises(ConfigError, match="1 or more"):
        Patches(size=0)
