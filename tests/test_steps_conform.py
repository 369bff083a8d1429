"""Every step that takes a cube is put through the same check, on cubes made to break it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from landshift.ard._cube import in_order
from landshift.step import registry
from landshift.testing import check_step, cube_on, cubes, geoboxes

for _module in ("mask", "interpolate", "composite", "indices", "observed"):
    import_module(f"landshift.ard.{_module}")

_DAY = dt.date(2019, 12, 3)
_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "mask": [
        {},
        {
            "grow_m": {"cloud": 25, "shadow": 60.0, "snow": 0, "thin_cloud": 15},
            "open_m": 0,
            "hide": ["cloud"],
        },
        {"open_m": 35, "grow_m": {"cloud": 50, "shadow": 20}},
    ],
    "interpolate": [
        {"min_clear": 1, "max_gap": "any"},
        {"every": "7D", "max_gap": "30D", "min_clear": 2, "extrapolate": "gaps"},
        {"every": "1M", "start": _DAY, "end": dt.date(2020, 6, 30), "extrapolate": "never"},
        {"every": "P12D", "start": dt.datetime(2019, 12, 1, 6, tzinfo=dt.UTC)},
    ],
    "composite": [
        {},
        {"method": "geometric_median", "period": "quarter", "min_clear": 2},
        {"period": "month", "months": [11, 2], "start": _DAY, "end": dt.date(2020, 3, 1)},
    ],
    "observed": [{}],
    "indices": [{}],
}
_STEPS = {**registry("ard"), **registry("product")}
_CASES = [
    pytest.param(_STEPS[name](**values), id=f"{name}-{number}")
    for name in sorted(_STEPS)
    for number, values in enumerate(_SETTINGS.get(name, [{}]))
]
_TRIES = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("one", _CASES)
@_TRIES
@given(cube=cubes())
def test_every_step_is_a_step(one: Any, cube: xr.Dataset) -> None:
    if getattr(one, "start", None) is not None:
        first = np.datetime64("2020-01-01", "ns")
        cube = cube.assign_coords(time=cube["time"].values - (cube["time"].values[0] - first))
    check_step(one, cube)


@_TRIES
@given(cube=cubes(variables=["reflectance"]), names=st.permutations(["ndvi", "bsi", "evi"]))
def test_indices_are_a_step(cube: xr.Dataset, names: list[str]) -> None:
    check_step(_STEPS["indices"](names=tuple(names)), cube)


@_TRIES
@given(geobox=geoboxes(), seed=st.integers(0, 99))
def test_mask_then_product_is_the_same_for_any_cut(geobox: Any, seed: int) -> None:
    looks = np.datetime64("2020-01-01", "ns") + np.arange(8) * np.timedelta64(9, "D")
    cube = cube_on(geobox, looks, missing=0.2, seed=seed)
    rng = np.random.default_rng(seed)
    cube["quality"] = (
        ("time", "y", "x"),
        rng.choice(np.array([1, 1, 1, 2, 4, 6], np.uint8), (8, *geobox.shape)),
    )
    mask = _STEPS["mask"](grow_m={"cloud": 40, "shadow": 30}, open_m=10)
    product = _STEPS["interpolate"](min_clear=1)
    whole = product(mask(cube))
    down, across = mask.halo_px(geobox)
    half = geobox.shape[0] // 2
    for rows in (slice(0, half), slice(half, geobox.shape[0])):
        if rows.start == rows.stop:
            continue
        start = max(0, rows.start - down)
        seen = mask.grow(cube[["quality"]].isel(y=slice(start, rows.stop + down)))
        block = cube.isel(y=rows)
        block["quality"] = seen["quality"].isel(y=slice(rows.start - start, rows.stop - start))
        made = product(mask.hide_pixels(block))
        np.testing.assert_array_equal(made["reflectance"].values, whole["reflectance"].isel(y=rows).values)
        np.testing.assert_array_equal(made["age"].values, whole["age"].isel(y=rows).values)
    assert across >= 1


class _Broken:
    """A step with one fault."""

    def __init__(self, work: Callable[[xr.Dataset], xr.Dataset]) -> None:
        self.work = work

    def __call__(self, cube: xr.Dataset) -> xr.Dataset:
        return self.work(cube)


def _overwrite(cube: xr.Dataset) -> xr.Dataset:
    cube["reflectance"].values.fill(1)
    return cube.copy()


def _normalise(cube: xr.Dataset) -> xr.Dataset:
    made = in_order(cube)
    return made.assign(reflectance=made["reflectance"] / made["reflectance"].max())


_FAULTS: dict[str, Callable[[xr.Dataset], xr.Dataset]] = {
    "changed its input": _overwrite,
    "depends on the block": _normalise,
    "out of nothing": lambda cube: cube.fillna(0),
    "takes a dask-backed cube": lambda cube: cube.transpose("time", "band", "y", "x"),
    "moved the grid": lambda cube: cube.isel(y=slice(1, None)),
    "gave reflectance as float64": lambda cube: cube.assign(
        reflectance=cube["reflectance"].astype("float64")
    ),
    "lost layers": lambda cube: cube.isel(band=slice(1, None)),
    "other times": lambda cube: cube.isel(time=slice(1, None)),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_the_check_finds(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
    grid = GeoBox.from_bbox((0, 0, 60, 50), "EPSG:3035", resolution=10)
    monkeypatch.setattr("landshift.testing.check_value", lambda _step: None)
    monkeypatch.setattr("landshift.testing.dataclasses.fields", lambda _step: ())
    with pytest.raises(AssertionError, match=fault):
        check_step(_Broken(_FAULTS[fault]), cube_on(grid, looks))
