"""Optics: pixels mix the ground, keep its mean, and look where the shift says."""

from __future__ import annotations

import numpy as np
import pytest

from landshift.acquire.simulate.optics import integrate, weights

MARGIN = 60


def ground(side: int = 240) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    rows = random.integers(0, 50, (side + 2 * MARGIN, side + 2 * MARGIN)).astype(np.int32)
    return rows, random.random((50, 5)).astype(np.float32)


@pytest.mark.parametrize("pixel", [10.0, 20.0, 30.0, 60.0])
def test_mixing_keeps_the_mean(pixel: float) -> None:
    rows, table = ground()
    seen = integrate(rows, table, bands=(0, 3, 4), pixel_m=pixel, margin=MARGIN)
    truth = table[rows[MARGIN:-MARGIN, MARGIN:-MARGIN]].mean(axis=(0, 1))
    np.testing.assert_allclose(seen.mean(axis=(1, 2)), truth[[0, 3, 4]], rtol=4e-3)


def test_a_flat_ground_stays_flat() -> None:
    rows, _ = ground()
    seen = integrate(rows, np.full((50, 1), 0.3, np.float32), bands=(0,), pixel_m=20.0, margin=MARGIN)
    np.testing.assert_allclose(seen, 0.3, rtol=1e-5)


def test_a_shift_of_one_pixel_is_the_neighbour() -> None:
    rows, table = ground()
    plain = integrate(rows, table, bands=(0,), pixel_m=10.0, margin=MARGIN)
    moved = integrate(rows, table, bands=(0,), pixel_m=10.0, shift_m=(10.0, -10.0), margin=MARGIN)
    np.testing.assert_allclose(moved[0, :-1, 1:], plain[0, 1:, :-1], rtol=1e-5)


def test_weights_are_centred_on_the_shifted_pixel() -> None:
    for shift in (-3.3, 0.0, 1.2, 4.9):
        first, share = weights(10.0, shift)
        centre = ((first + np.arange(share.size) + 0.5) * share).sum() * 2.5
        assert centre == pytest.approx(5.0 + shift, abs=0.1)


def test_the_sum_over_single_points_equals_a_direct_sum() -> None:
    rows, table = ground(40)
    seen = integrate(rows, table, bands=(1,), pixel_m=10.0, shift_m=(1.0, 2.0), margin=MARGIN)
    (top, down), (left, across) = weights(10.0, 1.0), weights(10.0, 2.0)
    i, j = 4, 7
    part = rows[MARGIN + top + 4 * i :, MARGIN + left + 4 * j :][: down.size, : across.size]
    assert seen[0, i, j] == pytest.approx(float(down @ table[part, 1] @ across), rel=1e-5)
