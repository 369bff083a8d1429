"""Hidden looks are drawn by pixel, and the simple rules say what numpy says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landshift.kernel.holdout import baselines, hidden, mean_errors, tally

DAYS = np.arange(0, 300, 10)


def test_the_same_looks_are_hidden_however_the_place_is_cut() -> None:
    clear = np.random.default_rng(1).random((30, 40, 50)) < 0.7
    whole = hidden(clear, DAYS, (0, 0), 0.1, 5)
    part = hidden(clear[:, 13:, 7:], DAYS, (13, 7), 0.1, 5)
    assert (whole[:, 13:, 7:] == part).all()
    assert not (whole & ~clear).any()
    assert abs(whole.sum() / clear.sum() - 0.1) < 0.005
    assert (whole != hidden(clear, DAYS, (0, 0), 0.1, 6)).any()


def test_hidden_looks_are_spread_evenly_over_dates_and_pixels() -> None:
    drawn = hidden(np.ones((30, 60, 60), np.bool_), DAYS, (0, 0), 0.5, 0)
    assert np.abs(drawn.mean((1, 2)) - 0.5).max() < 0.05
    assert np.abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.06


def test_baselines_are_the_nearest_look_and_the_mean() -> None:
    rng = np.random.default_rng(2)
    values = rng.random((30, 3, 4)).astype(np.float32)
    held = rng.random(values.shape) < 0.2
    kept = ~held & (rng.random(values.shape) < 0.6)
    nearest, mean = baselines(values, kept, held, DAYS.astype(float))
    for look, row, col in np.argwhere(held):
        use = np.flatnonzero(kept[:, row, col])
        closest = use[np.argmin(np.abs(DAYS[use] - DAYS[look]))]
        assert nearest[look, row, col] == values[closest, row, col]
        assert np.isclose(mean[look, row, col], values[use, row, col].mean(), rtol=1e-5)
    assert np.isnan(nearest[~held]).all()


def test_the_tally_counts_only_what_was_predicted() -> None:
    truth = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    said = np.array([1.5, np.nan, 3.0, 2.0], np.float32)
    assert tally(truth, said, np.array([True, True, True, False])) == (2, 250 * 10**9, 5 * 10**8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    exponent=st.integers(-6, 6),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_any_cut_gives_equal_sums(seed: int, exponent: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    drawn = (rng.normal(size=(2, 5, 40, 7)) * 10.0**exponent).astype(np.float32)
    truth, said = drawn
    held = rng.random(truth.shape) < 0.5
    edges = [0, *sorted(cuts), 40]
    rows = [slice(start, stop) for start, stop in itertools.pairwise(edges)]
    parts = [tally(truth[:, part], said[:, part], held[:, part]) for part in reversed(rows)]
    whole = tally(truth, said, held)
    assert tuple(map(sum, zip(*parts, strict=True))) == whole
    error = said[held].astype(np.float64) - truth[held]
    rmse, mae = mean_errors(*whole)
    assert rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6, abs=1e-6)
    assert mae == pytest.approx(np.mean(np.abs(error)), rel=1e-6, abs=1e-9)


def test_nothing_predicted_has_no_error() -> None:
    nothing = np.full((1, 1, 1), np.nan, np.float32)
    assert np.isnan(mean_errors(*tally(nothing, nothing, np.isnan(nothing)))).all()
