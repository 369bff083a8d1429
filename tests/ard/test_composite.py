"""Composites against NumPy's median, SciPy's minimiser, and what must not change them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.optimize import minimize

from landshift.ard._median import geometric_median, median, network
from landshift.ard.composite import Composite
from landshift.errors import ConfigError
from landshift.testing import cube_on

_TRIES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
_GRID = GeoBox.from_bbox((0, 0, 110, 30), "EPSG:3035", resolution=10)
Points = NDArray[np.float64]


def _gappy(
    seed: int, *, count: int, bands: int = 3, pixels: int = 70, missing: float = 0.3
) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.random((count, bands, 1, pixels), dtype=np.float32)
    values[np.broadcast_to(rng.random((count, 1, 1, pixels)) < missing, values.shape)] = np.nan
    return values


def _centre(points: Points) -> Points:
    """Geometric median of (look, band)."""
    pixels = points.astype(np.float32).reshape(*points.shape, 1, 1)
    return geometric_median(pixels, [np.arange(len(points))])[0].reshape(-1).astype(np.float64)


def _cost(at: Points, points: Points) -> float:
    return float(np.linalg.norm(points - at, axis=1).sum())


@pytest.mark.parametrize("length", [0, 1, 2, 3, 5, 8, 13, 31, 64, 100])
def test_the_network_sorts(length: int) -> None:
    rng = np.random.default_rng(length)
    values = rng.integers(0, 5, (200, length))
    for low, high in network(length):
        pair = values[:, [low, high]]
        values[:, low], values[:, high] = pair.min(axis=1), pair.max(axis=1)
    assert (np.diff(values, axis=1) >= 0).all()


@_TRIES
@given(seed=st.integers(0, 9999), count=st.integers(1, 40), missing=st.sampled_from([0.0, 0.3, 0.9]))
def test_the_median_is_numpys(seed: int, count: int, missing: float) -> None:
    values = _gappy(seed, count=count, missing=missing)
    groups = [np.arange(count), np.arange(0, count, 2), np.arange(0)]
    made, clear = median(values, groups)
    for number, looks in enumerate(groups):
        seen = np.isfinite(values[looks]).all(axis=(0, 1, 2)) if looks.size else np.zeros(0)
        some = np.isfinite(values[looks]).any(axis=(0, 1))
        np.testing.assert_array_equal(clear[number], np.isfinite(values[looks, 0]).sum(axis=0))
        np.testing.assert_array_equal(np.isfinite(made[number, 0]), some)
        said = np.nanmedian(values[looks][:, :, some], axis=0)
        np.testing.assert_array_equal(made[number][:, some], said)
        assert seen.ndim == 1


@_TRIES
@given(seed=st.integers(0, 9999), count=st.integers(3, 12), bands=st.integers(2, 5))
def test_the_geometric_median_is_the_least_sum_of_distances(seed: int, count: int, bands: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((count, bands)).astype(np.float32).astype(np.float64)
    found = _centre(points)
    best = minimize(_cost, points.mean(axis=0), args=(points,), method="BFGS", options={"gtol": 1e-9})
    candidates = [best.fun, *(_cost(point, points) for point in points)]
    assert _cost(found, points) <= min(candidates) + 1e-6 * count


@pytest.mark.parametrize("seed", range(5))
def test_the_geometric_median_moves_turns_and_scales_with_its_looks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((9, 4))
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    centre = _centre(points)
    np.testing.assert_allclose(_centre(points + 0.25), centre + 0.25, atol=2e-6)
    np.testing.assert_allclose(_centre(points @ turn), centre @ turn, atol=2e-6)
    np.testing.assert_allclose(_centre(points * 0.5), centre * 0.5, atol=2e-6)
    np.testing.assert_allclose(_centre(points[rng.permutation(9)]), centre, atol=2e-6)


def test_one_band_gives_a_median() -> None:
    assert _centre(np.array([[0.9], [0.1], [0.3], [0.2], [0.25]])).item() == pytest.approx(0.25, abs=1e-6)


def test_a_look_that_is_the_median_is_taken_exactly() -> None:
    points = np.array([[0.2, 0.3], [0.2, 0.3], [0.2, 0.3], [0.9, 0.1]])
    np.testing.assert_array_equal(_centre(points), np.array([0.2, 0.3], np.float32))
    obtuse = np.array([[0.0, 0.0], [1.0, 0.05], [-1.0, 0.05]])
    np.testing.assert_array_equal(_centre(obtuse), [0.0, 0.0])


@pytest.mark.parametrize("count", [1, 2])
def test_one_look_is_itself_and_two_give_their_middle(count: int) -> None:
    points = np.array([[0.2, 0.4], [0.4, 0.8]])[:count]
    np.testing.assert_allclose(_centre(points), points.mean(axis=0), rtol=1e-6)


def test_half_the_looks_may_be_wild() -> None:
    rng = np.random.default_rng(0)
    good = 0.2 + 0.001 * rng.standard_normal((6, 3))
    assert np.abs(_centre(np.vstack([good, rng.random((5, 3)) + 1])) - 0.2).max() < 0.01


def test_a_pixel_does_not_depend_on_its_neighbours() -> None:
    values = _gappy(1, count=15, pixels=41)
    groups = [np.arange(15)]
    for kernel in (median, geometric_median):
        whole, _ = kernel(values, groups)
        for first in (1, 3, 8):
            part, _ = kernel(np.ascontiguousarray(values[..., first:]), groups)
            np.testing.assert_array_equal(part, whole[..., first:])


def test_bands_that_miss_alone_make_the_look_unclear() -> None:
    values = np.array([[0.1, 0.1], [0.2, np.nan], [0.5, 0.3]], np.float32).reshape(3, 2, 1, 1)
    for kernel in (median, geometric_median):
        made, clear = kernel(values, [np.arange(3)])
        np.testing.assert_allclose(made.ravel(), [0.3, 0.2], rtol=1e-6)
        assert clear.item() == 2


def _cube(*stamps: str, value: float | None = None) -> Any:
    cube = cube_on(_GRID, np.array(stamps, "M8[ns]"))
    if value is not None:
        cube["reflectance"].values[:] = value
    return cube


def test_periods_are_calendar_ones_named_by_their_first_day() -> None:
    looks = np.array(["2018-12-31T23:59", "2020-01-01T00:00"], "M8[ns]")
    said = {
        "year": ["2018-01-01", "2019-01-01", "2020-01-01"],
        "quarter": [
            f"{day}" for day in ("2018-10-01", "2019-01-01", "2019-04-01", "2019-07-01", "2019-10-01")
        ]
        + ["2020-01-01"],
    }
    for period, days in said.items():
        assert Composite(period=period).times(looks).astype("M8[D]").astype(str).tolist() == days  # type: ignore[arg-type]
    assert Composite(period="month").times(looks).size == 14


def test_looks_fall_into_their_period_and_empty_periods_are_missing() -> None:
    cube = _cube("2018-12-31T23:59", "2020-01-01T00:00", "2020-06-01")
    made = Composite()(cube)
    assert made["n_clear"].values[:, 0, 0].tolist() == [1, 0, 2]
    values = cube["reflectance"].values
    np.testing.assert_array_equal(made["reflectance"].values[0], values[0])
    assert np.isnan(made["reflectance"].values[1]).all()
    np.testing.assert_allclose(made["reflectance"].values[2], values[1:].mean(axis=0), rtol=1e-6)


def test_start_end_and_months_choose_looks_and_periods() -> None:
    cube = _cube("2019-12-15", "2020-03-31", "2020-04-01", "2020-10-31T12:00", "2020-11-01")
    assert Composite(months=(4, 10))(cube)["n_clear"].values[:, 0, 0].tolist() == [0, 2]
    winter = Composite(months=(11, 2), period="month", start=dt.date(2019, 12, 1), end=dt.date(2020, 12, 31))
    dates = winter.times(cube["time"].values).astype("M8[M]").astype(str).tolist()
    assert dates == ["2019-12", "2020-01", "2020-02", "2020-11", "2020-12"]
    cut = Composite(start=dt.date(2020, 4, 1), end=dt.date(2020, 10, 31))(cube)
    assert cut["n_clear"].values[:, 0, 0].tolist() == [2]
    early = Composite(start=dt.date(2020, 4, 1), end=dt.datetime(2020, 10, 31, 12, tzinfo=dt.UTC))(cube)
    assert early["n_clear"].values[:, 0, 0].tolist() == [1]


def test_too_few_looks_are_missing_but_counted() -> None:
    cube = _cube("2020-01-01", "2020-02-01", "2020-03-01")
    cube["reflectance"].values[0, :, 0, 0] = np.nan
    for method in ("median", "geometric_median"):
        made = Composite(method=method, min_clear=3)(cube)
        assert np.isnan(made["reflectance"].values[0, :, 0, 0]).all()
        assert np.isfinite(made["reflectance"].values[0, :, 0, 1]).all()
        assert made["n_clear"].values[0, 0, :2].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"method": "medoid"}, "composite.method"),
        ({"period": "week"}, "composite.period"),
        ({"min_clear": 0}, "composite.min_clear"),
        ({"months": ()}, "names no month"),
        ({"months": (0, 3)}, "from 1 to 12"),
        ({"start": dt.date(2021, 1, 1), "end": dt.date(2020, 1, 1)}, "ends before it starts"),
    ],
)
def test_wrong_settings_say_what_is_right(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Composite(**values)


def test_no_look_and_no_dates_is_told() -> None:
    with pytest.raises(ConfigError, match="no look to take its periods from"):
        Composite().times(np.array([], "M8[ns]"))
    step = Composite(start=dt.date(2020, 1, 1), end=dt.date(2020, 12, 31))
    assert np.isnan(step(_cube().isel(time=[]))["reflectance"].values).all()
