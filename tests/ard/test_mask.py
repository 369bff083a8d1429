"""Mask against SciPy's exact distance transform and morphology, on awkward grids."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy import ndimage

from landshift.ard.mask import Mask, grow, opened
from landshift.errors import ConfigError, GridError
from landshift.place import pixel_m
from landshift.sensor import QUALITY, QUALITY_RANK
from landshift.testing import cube_on, masks

_LOOKS = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
_TRIES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
Codes = NDArray[np.uint8]


def _grid(
    shape: tuple[int, int], *, size: tuple[float, float] = (10.0, 10.0), crs: str = "EPSG:3035"
) -> GeoBox:
    left, top = (39.0, 60.0) if crs == "EPSG:4326" else (4e6, 3e6)
    return GeoBox(shape, Affine(size[1], 0, left, 0, -size[0], top), crs)


def _cube(quality: Codes, **where: Any) -> xr.Dataset:
    codes = quality if quality.ndim == 3 else quality[None]
    cube = cube_on(_grid(codes.shape[1:], **where), _LOOKS[: codes.shape[0]])
    return cube.assign(quality=(("time", "y", "x"), codes))


def _expected(before: Codes, metres: dict[str, float], sampling: tuple[float, float]) -> Codes:
    """The same by SciPy, class after class, from the last of the rank to the first."""
    found = before.copy()
    rank = {QUALITY[name]: place for place, name in enumerate(QUALITY_RANK)}
    ranks = np.vectorize(rank.get)
    for name in reversed(QUALITY_RANK):
        if metres.get(name, 0) > 0 and (before == QUALITY[name]).any():
            away = ndimage.distance_transform_edt(before != QUALITY[name], sampling=sampling)
            inside = away <= metres[name] + 1e-6
            found[inside & (ranks(found) > rank[QUALITY[name]])] = QUALITY[name]
    return found


@_TRIES
@given(
    codes=st.tuples(st.just(1), st.integers(1, 25), st.integers(1, 25)).flatmap(
        lambda shape: masks(shape=shape)
    ),
    high=st.sampled_from([10.0, 20.0, 30.0]),
    wide=st.sampled_from([10.0, 15.0, 60.0]),
    cloud=st.integers(0, 150),
    shadow=st.integers(0, 90),
)
def test_growth_equals_the_exact_distance_transform(
    codes: Codes, high: float, wide: float, cloud: int, shadow: int
) -> None:
    metres = {"cloud": float(cloud), "shadow": float(shadow), "snow": 30.0, "thin_cloud": 20.0}
    made = grow(codes, metres=metres, size=(high, np.full(codes.shape[1], wide)))
    np.testing.assert_array_equal(made[0], _expected(codes[0], metres, (high, wide)))


def test_growth_over_more_columns_than_a_byte_counts() -> None:
    codes = np.ones((1, 3, 700), np.uint8)
    codes[0, 1, 10] = QUALITY["cloud"]
    made = grow(codes, metres={"cloud": 5000.0}, size=(10.0, np.full(3, 10.0)))
    np.testing.assert_array_equal(made[0], _expected(codes[0], {"cloud": 5000.0}, (10.0, 10.0)))


def test_a_distance_equal_to_the_radius_is_inside() -> None:
    codes = np.ones((1, 1, 80), np.uint8)
    codes[0, 0, 40] = QUALITY["cloud"]
    for resolution in (10.0, 30.0, 0.1, 1 / 3):
        made = grow(codes, metres={"cloud": 30 * resolution}, size=(resolution, np.array([resolution])))
        assert (made == QUALITY["cloud"]).sum() == 61


def test_opening_equals_morphology_with_a_disc() -> None:
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.standard_normal((60, 70)), 1.5)
    cloud = smooth > 0.15
    codes = np.where(cloud, QUALITY["cloud"], QUALITY["clear"]).astype(np.uint8)[None]
    for radius, resolution in ((10.0, 10.0), (20.0, 10.0), (35.0, 10.0), (45.0, 30.0)):
        reach = int(radius // resolution)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = np.hypot(y, x) * resolution <= radius + 1e-6
        kept = ndimage.binary_dilation(ndimage.binary_erosion(cloud, disc, border_value=1), disc)
        made = opened(codes, radius_m=radius, size=(resolution, np.full(60, resolution)))
        np.testing.assert_array_equal(made[0] == QUALITY["cloud"], kept)


def test_a_bright_roof_becomes_clear_and_grows_no_cloud() -> None:
    codes = np.ones((40, 40), np.uint8)
    codes[20:22, 20:22] = QUALITY["cloud"]
    assert (Mask()(_cube(codes))["quality"] == QUALITY["clear"]).all()
    assert (Mask(open_m=0)(_cube(codes))["quality"] == QUALITY["cloud"]).sum() > 500


def test_opening_spares_clouds_at_the_edge_and_beside_missing_data() -> None:
    codes = np.ones((9, 9), np.uint8)
    codes[:, 0] = QUALITY["cloud"]
    codes[0, :] = QUALITY["nodata"]
    codes[1:4, :] = QUALITY["cloud"]
    made = opened(codes[None], radius_m=10, size=(10.0, np.full(9, 10.0)))[0]
    assert (made[1:4] == QUALITY["cloud"]).all()
    assert (made[0] == QUALITY["nodata"]).all()


def test_a_cloud_beats_a_shadow_and_missing_data_stays_missing() -> None:
    codes = np.array([[6, 4, 4, 1, 0, 1, 2, 3]], np.uint8)
    made = (
        Mask(grow_m={"cloud": 20, "shadow": 30, "snow": 20}, open_m=0)
        .grow(_cube(codes))["quality"]
        .values[0, 0]
    )
    assert made.tolist() == [6, 6, 6, 4, 0, 4, 3, 3]


def test_all_but_clear_and_water_is_hidden_in_all_bands() -> None:
    codes = np.arange(8, dtype=np.uint8)[None]
    none = dict.fromkeys(("cloud", "shadow", "snow"), 0)
    made = Mask(grow_m=none, open_m=0)(_cube(codes))
    shown = np.isfinite(made["reflectance"].values[0, :, 0])
    assert [QUALITY["clear"], QUALITY["water"]] == np.flatnonzero(shown.all(axis=0)).tolist()
    assert (shown.all(axis=0) == shown.any(axis=0)).all()
    only_cloud = Mask(grow_m=none, open_m=0, hide=("cloud",))(_cube(codes))
    assert int(np.isnan(only_cloud["reflectance"].values[0, 0, 0]).sum()) == 1


def test_a_wholly_hidden_cube_is_all_missing_and_no_error() -> None:
    made = Mask()(_cube(np.full((2, 6, 5), QUALITY["cloud"], np.uint8)))
    assert np.isnan(made["reflectance"].values).all()
    assert (made["quality"] == QUALITY["cloud"]).all()


def test_a_partial_mapping_keeps_the_other_defaults() -> None:
    mask = Mask(grow_m={"cloud": 100})
    assert mask.grow_m == {**Mask().grow_m, "cloud": 100.0}
    assert hash(mask) != hash(Mask())


@pytest.mark.parametrize(("size", "crs"), [((10.0, 10.0), "EPSG:3035"), ((30.0, 15.0), "EPSG:3035")])
def test_the_halo_is_what_the_step_sees(size: tuple[float, float], crs: str) -> None:
    mask = Mask(grow_m={"cloud": 100}, open_m=20)
    grid = _grid((5, 5), size=size, crs=crs)
    assert mask.halo_m == {"quality": 140.0}
    assert mask.halo_px(grid) == (math.ceil(140 / size[0]), math.ceil(140 / size[1]))


def test_degrees_grow_a_circle_on_the_ground() -> None:
    codes = np.ones((61, 121), np.uint8)
    codes[30, 60] = QUALITY["cloud"]
    step = 10 / 111_320
    cube = _cube(codes, size=(step, step), crs="EPSG:4326")
    cloud = Mask(grow_m={"cloud": 200}, open_m=0).grow(cube)["quality"].values[0] == QUALITY["cloud"]
    height, width = pixel_m(_grid((61, 121), size=(step, step), crs="EPSG:4326"))
    assert height == pytest.approx(10.0)
    assert width[30] == pytest.approx(5.0, rel=1e-3)
    assert cloud[:, 60].sum() == 41
    assert cloud[30].sum() == 2 * int(200 / width[30]) + 1


def test_hiding_in_place_writes_into_the_given_array() -> None:
    cube = _cube(np.full((4, 4), QUALITY["cloud"], np.uint8))
    own = cube["reflectance"].values
    made = Mask().hide_pixels(cube, in_place=True)
    assert np.isnan(own).all()
    assert np.shares_memory(made["reflectance"].values, own)


def test_quality_alone_can_be_grown() -> None:
    cube = _cube(np.full((4, 4), QUALITY["snow"], np.uint8))
    assert list(Mask().grow(cube[["quality"]]).data_vars) == ["quality"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"grow_m": {"clowd": 10}}, "did you mean 'cloud'"),
        ({"grow_m": {"water": 10}}, "not a class that grows"),
        ({"grow_m": {"cloud": -1}}, "0 or more"),
        ({"grow_m": {"cloud": "far"}}, "mask.grow_m.cloud"),
        ({"hide": ["clouds"]}, "did you mean 'cloud'"),
        ({"open_m": -1}, "mask.open_m"),
    ],
)
def test_wrong_settings_say_what_is_right(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Mask(**values)


def test_a_cube_without_quality_or_grid_is_told_so() -> None:
    cube = _cube(np.ones((2, 2), np.uint8))
    with pytest.raises(ConfigError, match="no `quality`"):
        Mask()(cube.drop_vars("quality"))
    with pytest.raises(ConfigError, match="other numbers"):
        Mask()(cube.assign(quality=cube["quality"].astype("int16")))
    with pytest.raises(GridError, match="lengths in metres mean nothing"):
        Mask()(cube.drop_vars(["spatial_ref", "y", "x"]))
