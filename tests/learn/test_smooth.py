"""The most probable class of a year given all years: against every possible history, written out."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from landshift.cube.maps import read_map
from landshift.cube.store import open_cube
from landshift.errors import ConfigError
from landshift.learn.checkpoint import Checkpoint
from landshift.learn.evaluate import evaluate
from landshift.learn.predict import Tiler, predict_years
from landshift.learn.smooth import Predict, most_probable
from landshift.learn.split import windows

if TYPE_CHECKING:
    from learn.conftest import Land


def by_all_histories(likely: NDArray[np.float64], at: int, stay: float) -> NDArray[np.float64]:
    """Sum over every sequence of classes of the product of what is seen and what changes."""
    years, classes = likely.shape
    found = np.zeros(classes)
    for history in itertools.product(range(classes), repeat=years):
        chance = np.prod([likely[year, one] for year, one in enumerate(history)])
        for one, other in itertools.pairwise(history):
            chance *= stay if one == other else (1 - stay) / (classes - 1)
        found[history[at]] += chance
    total: NDArray[np.float64] = found / found.sum()
    return total


@given(
    years=st.integers(1, 4),
    classes=st.integers(2, 4),
    stay=st.floats(0.5, 0.99),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_it_is_the_sum_over_all_histories(
    years: int, classes: int, stay: float, seed: int, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, years - 1))
    likely = np.random.default_rng(seed).dirichlet(np.ones(classes), years).clip(2e-3)
    found = most_probable(likely.astype(np.float32), at=at, stay=stay)
    np.testing.assert_allclose(found, by_all_histories(likely, at, stay), rtol=2e-4, atol=1e-6)


def test_one_odd_year_is_outvoted_and_a_change_that_lasts_is_not() -> None:
    field, built = np.array([0.8, 0.2], np.float32), np.array([0.2, 0.8], np.float32)
    odd = [int(most_probable(np.stack([field, built, field]), at=at, stay=0.9).argmax()) for at in range(3)]
    lasting = np.stack([field, field, built, built])
    kept = [int(most_probable(lasting, at=at, stay=0.9).argmax()) for at in range(4)]
    assert (odd, kept) == ([0, 0, 0], [0, 0, 1, 1])


def test_a_year_without_data_says_nothing() -> None:
    seen = np.array([[0.7, 0.3], [np.nan, np.nan], [0.6, 0.4]], np.float32)
    alone = most_probable(seen[[0]], at=0, stay=0.8)
    np.testing.assert_allclose(most_probable(seen[:2], at=0, stay=0.8), alone, rtol=1e-6)
    assert most_probable(seen, at=1, stay=0.8)[0] > 0.5


@pytest.mark.parametrize("settings", [{"years_around": -1}, {"stay": 1.0}, {"stay": 0.3}])
def test_settings_without_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="predict"):
        Predict(**settings)  # type: ignore[arg-type] # wrong on purpose


def test_a_map_is_the_most_probable_class_of_the_years_around_it(forest: Checkpoint, land: Land) -> None:
    cube, whole = open_cube(land.cube), (slice(0, 150), slice(0, 203))
    run = forest.predictor(threads=1)
    seen = [forest.features.compute(cube, year, whole) for year in (2020, 2021)]
    likely = np.stack([np.where(np.isfinite(one[0]), run(one), np.nan) for one in seen])
    expected = np.array([1, 2, 4])[most_probable(likely, at=1, stay=0.7).argmax(axis=0)]
    found = Tiler(forest, cube, tile_px=256, how=Predict(years_around=1, stay=0.7))(2021, whole)
    np.testing.assert_array_equal(found[0], np.where(np.isfinite(seen[1][0]), expected, 0))
    alone = Tiler(forest, cube, tile_px=256)(2021, whole)
    assert (alone[0] != found[0]).any()


def test_neither_the_cut_nor_the_order_of_the_years_changes_the_maps(
    forest: Checkpoint, land: Land, tmp_path: Path
) -> None:
    cube, how = open_cube(land.cube), Predict(years_around=1)
    files = {year: tmp_path / f"{year}.tif" for year in (2020, 2021)}
    predict_years(forest.folder, files, cube=land.cube, how=how)
    tiler = Tiler(forest, cube, tile_px=64, how=how)
    for year in (2021, 2020):
        for core in windows(tiler.shape, 64):
            np.testing.assert_array_equal(tiler(year, core)[0], read_map(files[year], core))


def test_the_score_is_that_of_the_maps(forest: Checkpoint, land: Land) -> None:
    alone = evaluate(forest.folder, cube=land.cube, labels=land.labels)
    together = evaluate(
        forest.folder, cube=land.cube, labels=land.labels, how=Predict(years_around=1, stay=0.95)
    )
    assert (alone.matrix != together.matrix).any()
    assert alone.matrix.sum() == together.matrix.sum()
