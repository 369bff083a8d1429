"""Hidden looks are drawn by pixel, and the simple rules say what numpy says."""

from __future__ import annotations

import numpy as np

from landshift.kernel.holdout import baselines, hidden, tally

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
    assert tally(truth, said, np.array([True, True, True, False])) == (2, 0.25, 0.5)
