"""Accuracy figures against scikit-learn and the published matrices of Olofsson et al."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from landshift.kernel.confusion import accumulate, constant_map, scores

OLOFSSON_2013 = np.array([[97, 0, 3], [3, 279, 18], [2, 1, 97]])
OLOFSSON_2014 = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])


def proportions(counts: np.ndarray, mapped: list[float]) -> np.ndarray:
    weights = np.array(mapped) / np.sum(mapped)
    shares: np.ndarray = counts / counts.sum(axis=1, keepdims=True) * weights[:, None]
    return shares


@pytest.mark.parametrize(
    ("matrix", "accuracy", "kappa", "producers"),
    [
        (
            proportions(OLOFSSON_2013, [22353, 1122543, 610228]),
            0.944417,
            0.885699,
            [0.480631, 0.994189, 0.896926],
        ),
        (
            proportions(OLOFSSON_2014, [200e3, 150e3, 3.2e6, 6.45e6]),
            0.946512,
            0.888814,
            [0.7487, 0.8472, 0.9345, 0.9616],
        ),
    ],
)
def test_area_proportions_give_the_published_accuracy(
    matrix: np.ndarray, accuracy: float, kappa: float, producers: list[float]
) -> None:
    found = scores(matrix)
    assert found.overall_accuracy == pytest.approx(accuracy, abs=1e-6)
    assert found.kappa == pytest.approx(kappa, abs=1e-6)
    np.testing.assert_allclose(found.producers, producers, atol=6e-5)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 200), k=st.integers(2, 6))
def test_scores_equal_scikit_learn(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(1, k + 1, n), rng.integers(1, k + 1, n)
    values = list(range(1, k + 1))
    matrix = accumulate(guess, truth, values=values)
    np.testing.assert_array_equal(matrix.T, metrics.confusion_matrix(truth, guess, labels=values))
    found = scores(matrix)
    seen = [value for value in values if value in truth or value in guess]
    f1 = metrics.f1_score(truth, guess, labels=seen, average="macro", zero_division=0)
    iou = metrics.jaccard_score(truth, guess, labels=seen, average="macro", zero_division=0)
    assert found.overall_accuracy == pytest.approx(metrics.accuracy_score(truth, guess))
    assert found.macro_f1 == pytest.approx(f1)
    assert found.mean_iou == pytest.approx(iou)
    if len(seen) > 1:
        assert found.kappa == pytest.approx(metrics.cohen_kappa_score(truth, guess, labels=values))


@given(seed=st.integers(0, 2**31), cut=st.integers(0, 60))
def test_windows_add_up_to_the_whole(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, 5, 60).astype(np.uint8), rng.integers(0, 5, 60).astype(np.uint8)
    values = (4, 2, 1)
    parts = accumulate(guess[:cut], truth[:cut], values=values) + accumulate(
        guess[cut:], truth[cut:], values=values
    )
    np.testing.assert_array_equal(parts, accumulate(guess, truth, values=values))
    assert parts.sum() == np.sum(np.isin(truth, values) & np.isin(guess, values))


def test_a_class_that_nobody_saw_is_undefined_and_not_zero() -> None:
    found = scores([[5, 0, 0], [0, 3, 0], [0, 0, 0]])
    assert np.isnan(found.iou[2])
    assert np.isnan(found.f1[2])
    assert found.mean_iou == found.macro_f1 == 1.0


def test_nothing_to_count_gives_nan_and_no_error() -> None:
    assert np.isnan(scores(np.zeros((2, 2))).overall_accuracy)


def test_a_constant_map_finds_its_class_and_nothing_else() -> None:
    baseline = scores(constant_map(OLOFSSON_2014, row=3))
    assert baseline.producers.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert baseline.overall_accuracy == pytest.approx(340 / 640)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        accumulate(np.zeros(2, int), np.zeros(3, int), values=(1,))
    with pytest.raises(ValueError, match="twice"):
        accumulate(np.zeros(2, int), np.zeros(2, int), values=(1, 1))
    with pytest.raises(ValueError, match="square"):
        scores(np.zeros((2, 3)))
