"""Virtual dates against ``numpy.interp``, and the rules for gaps, ends and too few looks."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from landshift.ard.interpolate import AGE_MISSING, Interpolate, lines
from landshift.errors import ConfigError
from landshift.testing import cube_on, cubes

_TRIES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
_GRID = GeoBox.from_bbox((0, 0, 70, 30), "EPSG:3035", resolution=10)


def _stamps(*days: float) -> NDArray[np.datetime64]:
    ns = np.round(np.array(days, np.float64) * 86_400e9).astype("timedelta64[ns]")
    return np.datetime64("2020-01-01", "ns") + ns


def _series(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1, 1, 1)


def _days(stamps: NDArray[np.datetime64]) -> NDArray[np.float64]:
    return (stamps - np.datetime64("2020-01-01", "ns")).astype(np.int64) / 86_400e9


@_TRIES
@given(cube=cubes(max_px=4), every=st.sampled_from(["1D", "7D", "10D", "36h"]))
def test_it_equals_numpy_interp_with_constant_ends(cube: xr.Dataset, every: str) -> None:
    name = next(iter(cube.data_vars))
    made = Interpolate(every=every, min_clear=1, max_gap=None)(cube)
    looks, wanted = _days(cube["time"].values), _days(made["time"].values)
    values, found = cube[name].values, made[name].values
    for row, col in np.ndindex(*values.shape[2:]):
        clear = np.isfinite(values[:, :, row, col]).all(axis=1)
        assert made["n_clear"].values[row, col] == clear.sum()
        if not clear.any():
            assert np.isnan(found[:, :, row, col]).all()
            assert (made["age"].values[:, row, col] == AGE_MISSING).all()
            continue
        apart = np.abs(wanted[:, None] - looks[clear]).min(axis=1)
        np.testing.assert_array_equal(made["age"].values[:, row, col], np.floor(apart + 0.5))
        if np.unique(looks[clear]).size < clear.sum():
            continue  # two looks at one time: interp says nothing certain
        for band in range(values.shape[1]):
            said = np.interp(wanted, looks[clear], values[clear, band, row, col])
            scale = np.abs(values[clear, band, row, col]).max()
            np.testing.assert_allclose(found[:, band, row, col], said, rtol=0, atol=4e-7 * scale)


@pytest.mark.parametrize("count", [1, 2, 30, 700])
def test_long_series_and_ragged_runs_equal_numpy_interp(count: int) -> None:
    rng = np.random.default_rng(count)
    values = rng.random((count, 3, 5, 67), dtype=np.float32)
    values[np.broadcast_to(rng.random((count, 1, 5, 67)) < 0.3, values.shape)] = np.nan
    looks = _stamps(*np.cumsum(rng.uniform(0.5, 9, count)))
    wanted = _stamps(*np.arange(-5, 60, 7.3))
    made, _, clear = lines(values, looks=looks, times=wanted)
    for row, col in ((0, 0), (2, 31), (2, 32), (4, 66)):
        good = np.isfinite(values[:, 0, row, col])
        assert clear[row, col] == good.sum()
        if good.any():
            said = np.interp(_days(wanted), _days(looks)[good], values[good, 1, row, col])
            np.testing.assert_allclose(made[:, 1, row, col], said, rtol=2e-6, atol=2e-7)


def test_a_date_with_a_clear_look_is_that_look_exactly() -> None:
    cube = cube_on(_GRID, _stamps(0, 10.5, 33.25, 200), missing=0.3)
    made = Interpolate(min_clear=1, max_gap="5D").at(cube["time"].values)(cube)
    clear = np.isfinite(cube["reflectance"].values).all(axis=1, keepdims=True)
    shown = np.where(clear, cube["reflectance"].values, 0)
    np.testing.assert_array_equal(np.where(clear, made["reflectance"].values, 0), shown)
    assert (made["age"].values[clear[:, 0]] == 0).all()


def test_bands_of_a_pixel_come_from_the_same_looks() -> None:
    values = np.array([[0.1, 0.1], [0.9, np.nan], [0.3, 0.3]], np.float32).reshape(3, 2, 1, 1)
    made, _, clear = lines(values, looks=_stamps(0, 5, 10), times=_stamps(5))
    np.testing.assert_allclose(made.ravel(), [0.2, 0.2], rtol=1e-6)
    assert clear[0, 0] == 2


def test_infinite_pixels_are_no_looks() -> None:
    made, _, clear = lines(_series(0.1, np.inf, 0.3), looks=_stamps(0, 5, 10), times=_stamps(5))
    assert made.item() == pytest.approx(0.2)
    assert clear.item() == 2


@pytest.mark.parametrize(
    ("extrapolate", "wanted"),
    [
        (
            "ends",
            {-11: np.nan, -10: 0.2, 0: 0.2, 10: 0.3, 21: np.nan, 45: np.nan, 60: 0.8, 70: 0.8, 71: np.nan},
        ),
        ("gaps", {-11: np.nan, -10: 0.2, 21: 0.4, 30: 0.4, 31: np.nan, 49: np.nan, 51: 0.8, 70: 0.8}),
        ("never", {-1: np.nan, 0: 0.2, 10: 0.3, 20: 0.4, 21: np.nan, 60: 0.8, 61: np.nan}),
    ],
)
def test_gaps_and_ends(extrapolate: Any, wanted: dict[int, float]) -> None:
    cube = cube_on(_GRID, _stamps(0, 20, 60))
    cube["reflectance"].values[:] = np.array([0.2, 0.4, 0.8], np.float32)[:, None, None, None]
    step = Interpolate(min_clear=1, max_gap="20D", extrapolate=extrapolate)
    made = step.at(_stamps(*wanted))(cube)["reflectance"].values[:, 0, 0, 0]
    np.testing.assert_allclose(made, list(wanted.values()), rtol=1e-6)


def test_a_gap_as_long_as_the_limit_is_crossed() -> None:
    looks, wanted = _stamps(0, 20), _stamps(10)
    assert lines(_series(0, 1), looks=looks, times=wanted, max_gap=20.0)[0].item() == 0.5
    assert np.isnan(lines(_series(0, 1), looks=looks, times=wanted, max_gap=19.99)[0].item())


def test_too_few_looks_stay_missing_but_are_counted() -> None:
    cube = cube_on(_GRID, _stamps(0, 10, 20))
    cube["reflectance"].values[1, :, 0, 0] = np.nan
    made = Interpolate(every="5D", min_clear=3)(cube)
    assert np.isnan(made["reflectance"].values[:, :, 0, 0]).all()
    assert np.isfinite(made["reflectance"].values[:, :, 0, 1:]).all()
    assert made["n_clear"].values[0, :2].tolist() == [2, 3]
    assert made["age"].values[:, 0, 0].tolist() == [0, 5, 10, 5, 0]


def test_age_is_capped_and_halves_round_up() -> None:
    wanted = _stamps(0.49, 0.5, 40_000)
    age = lines(_series(0.1), looks=_stamps(0), times=wanted)[1]
    assert age.ravel().tolist() == [0, 1, 32767]


def test_clock_times_years_apart_keep_their_precision() -> None:
    looks = np.array(["1985-06-01T10:30:00", "2024-06-01T10:30:00", "2024-06-11T10:30:00"], "M8[ns]")
    wanted = np.array(["2024-06-06T12:00:00"], "M8[ns]")
    made = lines(_series(0.0, 0.0, 1.0), looks=looks, times=wanted)[0].item()
    assert made == pytest.approx((5 + 1.5 / 24) / 10, abs=1e-7)


def test_a_cube_without_any_clear_look_gives_missing_values() -> None:
    cube = cube_on(_GRID, _stamps(0, 10), missing=1.0)
    made = Interpolate(min_clear=1)(cube)
    assert np.isnan(made["reflectance"].values).all()
    assert not made["n_clear"].values.any()


def test_dates_start_with_the_first_look_and_include_the_last_day() -> None:
    looks = np.array(["2020-01-03T10:30", "2020-01-23T10:30"], "M8[ns]")
    assert Interpolate().times(looks).astype("M8[D]").astype(str).tolist() == [
        "2020-01-03",
        "2020-01-13",
        "2020-01-23",
    ]


def test_a_bare_end_is_included_and_a_clock_time_is_not() -> None:
    looks = np.array(["2020-01-03T10:30", "2021-01-23T10:30"], "M8[ns]")
    start, end = dt.date(2020, 1, 1), dt.date(2020, 1, 11)
    assert Interpolate(start=start, end=end).times(looks).size == 2
    assert Interpolate(start=start, end=dt.datetime(2020, 1, 11, tzinfo=dt.UTC)).times(looks).size == 1


def test_months_and_years_are_the_calendars() -> None:
    step = Interpolate(every="P1M", start=dt.date(2019, 11, 15), end=dt.date(2020, 3, 1))
    assert step.times(np.array([], "M8[ns]")).astype("M8[D]").astype(str).tolist() == [
        "2019-12-01",
        "2020-01-01",
        "2020-02-01",
        "2020-03-01",
    ]
    years = Interpolate(every="1Y", start=dt.date(2017, 1, 1), end=dt.date(2020, 12, 31))
    assert years.times(np.array([], "M8[ns]")).size == 4


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"every": "0D"}, "every must be longer"),
        ({"every": "soon"}, "not a duration"),
        ({"max_gap": "0D"}, "max_gap must be longer"),
        ({"min_clear": 0}, "min_clear"),
        ({"method": "cubic"}, "method"),
        ({"start": dt.date(2021, 1, 1), "end": dt.date(2020, 1, 1)}, "ends before it starts"),
        ({"evry": "5D"}, "did you mean 'every'"),
    ],
)
def test_wrong_settings_say_what_is_right(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Interpolate(**values)


def test_wrong_cubes_are_told_so() -> None:
    cube = cube_on(_GRID, _stamps(0, 10))
    with pytest.raises(ConfigError, match="not ascending"):
        Interpolate()(cube.isel(time=[1, 0]))
    with pytest.raises(ConfigError, match="none of the variables"):
        Interpolate()(cube[["quality"]])
    with pytest.raises(ConfigError, match="no look to take its dates from"):
        Interpolate()(cube.isel(time=[]))
    with pytest.raises(ConfigError, match="no date between"):
        Interpolate(start=dt.date(2020, 2, 1))(cube)
    with pytest.raises(ConfigError, match="other dimensions"):
        Interpolate()(cube.isel(band=0))


@pytest.mark.data
def test_real_looks_are_reproduced_and_the_rest_lies_between_them(shared_data: Any) -> None:
    rasterio = pytest.importorskip("rasterio")
    files = sorted((shared_data / "s2-sr-timeseries-rufiji").rglob("*.tif"))
    assert len(files) >= 10
    planes = []
    for file in files[:12]:
        with rasterio.open(file) as source:
            planes.append(source.read(window=((0, 64), (0, 64))).astype(np.float32) / 1000)
    values = np.stack(planes)
    values[np.broadcast_to((values == 0).all(axis=1, keepdims=True), values.shape)] = np.nan
    looks = _stamps(*np.arange(len(planes)) * 12)
    wanted = _stamps(*np.arange(0, 130, 5))
    made, _, clear = lines(values, looks=looks, times=wanted)
    seen = clear > 0
    low, high = np.nanmin(values[..., seen], axis=0), np.nanmax(values[..., seen], axis=0)
    assert (made[..., seen] >= low - 1e-6).all()
    assert (made[..., seen] <= high + 1e-6).all()


def test_values_can_be_written_into_given_memory() -> None:
    out = np.full((3, 1, 1, 1), 9, np.float32)
    made = lines(_series(0.0, 1.0), looks=_stamps(0, 10), times=_stamps(0, 5, 10), out=out)[0]
    assert made is out
    assert out.ravel().tolist() == [0.0, 0.5, 1.0]
