"""Features against NumPy, and the year's looks they are made of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from landshift.errors import ConfigError, ModelError
from landshift.learn.features import Features
from landshift.learn.statistics import STATISTICS, summarise


def cube(
    values: NDArray[np.floating], times: list[str], bands: tuple[str, ...] = ("red", "nir")
) -> xr.Dataset:
    stamps = np.array(times, "datetime64[ns]")
    return xr.Dataset(
        {"reflectance": (("time", "band", "y", "x"), values.astype(np.float32))},
        coords={"time": stamps, "band": list(bands)},
    )


def test_statistics_are_those_of_the_worked_example() -> None:
    first, second = summarise(np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7]], np.float32)).T
    np.testing.assert_allclose(first, [0.1, 0.12, 0.15, 0.2, 0.25, 0.28, 0.3, 0.2, 0.0816497], atol=1e-6)
    np.testing.assert_allclose(second, np.r_[first[:8] + 0.4, first[8]], atol=1e-6)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**31), times=st.sampled_from([1, 2, 3, 7, 36, 64, 65, 130]), gaps=st.floats(0, 0.9)
)
def test_statistics_equal_numpy_whatever_is_missing(seed: int, times: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    series = rng.normal(0.2, 0.3, (times, 23)).astype(np.float32)
    series[rng.random(series.shape) < gaps] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ranks = np.nanpercentile(series.astype(np.float64), [0, 10, 25, 50, 75, 90, 100], axis=0)
        moments = [np.nanmean(series, axis=0, dtype=np.float64), np.nanstd(series, axis=0, dtype=np.float64)]
    np.testing.assert_allclose(summarise(series), [*ranks, *moments], rtol=1e-5, atol=1e-6)


def test_statistics_can_be_chosen_and_ordered() -> None:
    series = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    np.testing.assert_array_equal(summarise(series, ("std", "p10")), summarise(series)[[8, 1]])


def test_features_are_ordered_feature_by_feature() -> None:
    values = np.arange(3 * 2 * 2 * 2, dtype=np.float32).reshape(3, 2, 2, 2)
    found = Features(indices=())(cube(values, ["2020-02-01", "2020-05-01", "2020-08-01"]), year=2020)
    assert found["feature"].to_numpy().tolist() == [
        f"{band}.{name}" for band in ("red", "nir") for name in STATISTICS
    ]
    np.testing.assert_array_equal(found.sel(feature="nir.max"), values[:, 1].max(axis=0))


def test_a_single_date_gives_its_bands_as_they_are() -> None:
    values = np.random.default_rng(1).random((1, 2, 3, 4)).astype(np.float32)
    found = Features(indices=())(cube(values, ["2020-07-01"]), year=2020)
    assert found["feature"].to_numpy().tolist() == ["red", "nir"]
    np.testing.assert_array_equal(found, values[0])


def test_an_index_is_taken_at_every_date_before_its_statistics() -> None:
    values = np.array([[0.2, 0.4], [0.1, 0.5], [0.3, 0.3]], np.float32)[:, :, None, None]
    found = Features(indices=("ndvi",), statistics=("max",))(
        cube(values, ["2020-02-01", "2020-05-01", "2020-08-01"]), year=2020
    )
    assert float(found.sel(feature="ndvi.max")[0, 0]) == pytest.approx(0.4 / 0.6, abs=1e-6)
    single = Features(indices=("ndvi",))(cube(values[:1], ["2020-02-01"]), year=2020)
    assert (float(single.sel(feature="ndvi")[0, 0]) + 1) / 2 == pytest.approx(0.6667, abs=1e-4)


def test_a_stored_index_is_read_and_not_computed() -> None:
    data = cube(np.full((2, 2, 2, 2), 0.5), ["2020-02-01", "2020-05-01"])
    stored = np.full((2, 1, 2, 2), 0.77, np.float32)
    data["index"] = (("time", "index_name", "y", "x"), stored)
    data = data.assign_coords(index_name=["ndvi"])
    found = Features(indices=("ndvi",), statistics=("mean",))(data, year=2020)
    np.testing.assert_allclose(found.sel(feature="ndvi.mean"), 0.77)


def test_only_the_looks_of_the_window_count() -> None:
    times = ["2019-11-15", "2019-12-31T23:59", "2020-01-01", "2020-06-30T22:00", "2020-07-01"]
    data = cube(np.zeros((5, 2, 1, 1)), times)
    assert Features().dates(data, 2020) == slice(2, 5)
    assert Features(window=("01-01", "06-30")).dates(data, 2020) == slice(2, 4)
    assert Features(window=("11-01", "06-30")).dates(data, 2020) == slice(0, 4)
    assert Features().years(data) == (2019, 2020)
    assert Features(window=("03-01", "02-29")).dates(data, 2021) == slice(3, 5)


@settings(deadline=None)
@given(top=st.integers(0, 140), left=st.integers(0, 60), height=st.integers(1, 80), width=st.integers(1, 40))
def test_a_window_has_the_features_of_the_whole(top: int, left: int, height: int, width: int) -> None:
    rng = np.random.default_rng(5)
    data = cube(rng.random((4, 2, 150, 70)), [f"2020-0{month}-01" for month in range(1, 5)])
    step = Features(bands=("nir", "red"), indices=(), statistics=("p25", "std"))
    rows, cols = slice(top, min(150, top + height)), slice(left, min(70, left + width))
    whole = step.compute(data, 2020, (slice(0, 150), slice(0, 70)))
    np.testing.assert_array_equal(step.compute(data, 2020, (rows, cols)), whole[:, rows, cols])


def test_what_is_not_there_is_refused_with_the_nearest_name() -> None:
    data = cube(np.zeros((2, 2, 1, 1)), ["2020-02-01", "2020-05-01"])
    with pytest.raises(ConfigError, match="did you mean 'red'"):
        Features(bands=("rad",))(data, year=2020)
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        Features(statistics=("meen",))
    with pytest.raises(ConfigError, match="not a day"):
        Features(window=("1 May", "12-31"))
    with pytest.raises(ConfigError, match="green"):
        Features(indices=("mndwi",))(data, year=2020)
    with pytest.raises(ConfigError, match="no such index"):
        Features(indices=("ndvy",))(data, year=2020)


def test_years_of_different_kind_are_refused() -> None:
    data = cube(np.zeros((3, 2, 1, 1)), ["2019-06-01", "2020-02-01", "2020-05-01"])
    with pytest.raises(ConfigError, match="years differ"):
        Features().resolve(data, years=(2019, 2020), statistics=("p50",))
    learned = Features().resolve(data, years=(2020,), statistics=("p50",))
    with pytest.raises(ModelError, match="statistics over several dates"):
        learned.compute(data, 2019, (slice(0, 1), slice(0, 1)))
    with pytest.raises(ModelError, match="no dates"):
        learned.compute(data, 2031, (slice(0, 1), slice(0, 1)))
