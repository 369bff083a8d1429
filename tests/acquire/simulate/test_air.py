"""Air and masks: clouds where the cover says, shadows where the sun says, mistakes as often as stated."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from landshift.acquire.simulate import Simulate, facts
from landshift.acquire.simulate.air import Air, air_of
from landshift.acquire.simulate.masks import CLOUD, SHADOW, THIN, product_mask, true_mask
from landshift.acquire.simulate.passes import Overpass, Sky, overpasses
from landshift.acquire.simulate.sun import Geometry
from landshift.sensor import QUALITY, quality_table


def seen(cover: float = 0.4, cirrus: float = 0.0, sensor: str = "sentinel-2-l2a") -> Overpass:
    return Overpass(
        sensor=sensor,
        platform="sentinel-2a",
        orbit=122,
        moment=datetime(2020, 6, 1, 10, tzinfo=UTC),
        geometry=Geometry(sun_zenith=45.0, sun_azimuth=180.0),
        sky=Sky(cover=cover, size_m=1500.0, height_m=1000.0, cirrus=cirrus),
        shift_m=(0.0, 0.0),
        swath=9.0,
        baseline="04.00",
        offset=-1000,
        number=0,
    )


def test_shadows_fall_away_from_the_sun_by_height_times_tangent() -> None:
    air = air_of(Simulate(), seen(), (500_000.0, 5_400_000.0), (300, 300), 10.0)
    np.testing.assert_allclose(air.shadow[:-100], air.cloud[100:], atol=1e-5)
    assert 0.2 < (air.cloud > 0).mean() < 0.7
    slanted = replace(seen(), geometry=Geometry(sun_zenith=60.0, sun_azimuth=90.0))
    east = air_of(Simulate(), slanted, (500_000.0, 5_400_000.0), (300, 400), 10.0)
    away = round(1000.0 * math.tan(math.radians(60.0)) / 10.0)
    assert np.corrcoef(east.shadow[:, :-away].ravel(), east.cloud[:, away:].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("cover", [0.1, 0.5, 0.9])
def test_clouds_cover_what_the_sky_says(cover: float) -> None:
    air = air_of(Simulate(), seen(cover), (300_000.0, 5_000_000.0), (600, 600), 200.0)
    assert (air.cloud > 0).mean() == pytest.approx(cover, abs=0.08)


def test_a_block_of_air_is_the_same_alone() -> None:
    whole = air_of(Simulate(), seen(cirrus=0.5), (500_000.0, 5_400_000.0), (100, 120), 10.0)
    part = air_of(Simulate(), seen(cirrus=0.5), (500_300.0, 5_399_800.0), (50, 40), 10.0)
    np.testing.assert_array_equal(part.cloud, whole.cloud[20:70, 30:70])
    np.testing.assert_array_equal(part.cirrus, whole.cirrus[20:70, 30:70])


def flat(value: float, side: int) -> dict[str, np.ndarray]:
    names = ("blue", "green", "red", "nir08", "swir16")
    return {name: np.full((side, side), value, np.float32) for name in names}


def air_with(side: int, *, cloud: float = 0.0, cirrus: float = 0.0, shadow: float = 0.0) -> Air:
    fields = {"cloud": cloud, "cirrus": cirrus, "shadow": shadow}
    return Air(**{name: np.full((side, side), value, np.float32) for name, value in fields.items()})


@pytest.mark.parametrize(
    ("mistake", "air", "ground", "right"),
    [
        ("thin_missed", {"cirrus": 0.2}, 0.15, "thin_cloud"),
        ("shadow_missed", {"shadow": 0.9}, 0.15, "shadow"),
        ("edge_missed", {"cloud": 0.7}, 0.15, "cloud"),
        ("bright_false", {}, 0.35, "clear"),
        ("dark_false", {}, 0.10, "clear"),
    ],
)
@pytest.mark.parametrize("sensor", ["sentinel-2-l2a", "landsat-8-9-c2l2"])
def test_mistakes_happen_as_often_as_stated(
    mistake: str, air: dict[str, float], ground: float, right: str, sensor: str
) -> None:
    side, rule = 700, "scl" if sensor == "sentinel-2-l2a" else "qa_pixel"
    valid = np.ones((side, side), bool)
    codes = product_mask(
        Simulate(), seen(sensor=sensor), air_with(side, **air), flat(ground, side), valid, (0.0, 0.0, 20.0)
    )
    said = quality_table(rule)[codes]
    wrong = (said != QUALITY[right]).mean()
    assert wrong == pytest.approx(facts.mistakes()[mistake], rel=0.3, abs=0.01)
    none = product_mask(
        Simulate(mask_mistakes=0.0),
        seen(sensor=sensor),
        air_with(side, **air),
        flat(ground, side),
        valid,
        (0.0, 0.0, 20.0),
    )
    assert (quality_table(rule)[none] == QUALITY[right]).all()


def test_the_true_mask_ranks_cloud_over_shadow_over_water() -> None:
    cloud = np.array([[0.9, 0.2, 0.0, 0.0, 0.9]], np.float32)
    shadow = np.array([[0.9, 0.9, 0.9, 0.0, 0.9]], np.float32)
    water = np.array([[True, True, True, True, True]])
    air = Air(cloud=cloud, cirrus=np.zeros_like(cloud), shadow=shadow)
    valid = np.array([[True, True, True, True, False]])
    names = ["cloud", "thin_cloud", "shadow", "water", "nodata"]
    assert true_mask(air, water, valid).tolist() == [[QUALITY[name] for name in names]]
    assert THIN < CLOUD
    assert SHADOW < 1


def test_a_longer_simulation_keeps_the_passes_of_a_shorter_one() -> None:
    both = Simulate(sensors=("sentinel-2-l2a", "landsat-8-9-c2l2"))
    short = overpasses(replace(both, start=date(2019, 1, 1), end=date(2019, 12, 31)), 15.0, 48.7)
    long = overpasses(both, 15.0, 48.7)
    assert set(short) <= set(long)
    assert {one.platform for one in long} == {"sentinel-2a", "sentinel-2b", "landsat-8", "landsat-9"}


def test_a_usual_year_has_a_dozen_passes_of_use() -> None:
    every = overpasses(Simulate(), 15.0, 48.7)
    by_year = [sum(1 for one in every if one.moment.year == year) for year in range(2017, 2024)]
    assert 20 <= min(by_year) <= max(by_year) <= 23
    useful = [one for one in every if one.sky.cover < 0.6]
    assert 10 <= len(useful) / 7 <= 17


def test_shifts_drift_by_orbit_and_halve_with_the_refined_geometry() -> None:
    every = overpasses(Simulate(seed=4), 15.0, 48.7)
    sizes = {late: [] for late in (False, True)}  # type: dict[bool, list[float]]
    for one in every:
        sizes[one.moment.date() >= date(2021, 3, 30)].append(math.hypot(*one.shift_m))
    assert 0.5 < np.mean(sizes[False]) < 8.0
    assert np.mean(sizes[True]) < 0.8 * np.mean(sizes[False])
    assert all(one.shift_m == (0.0, 0.0) for one in overpasses(Simulate(shift=0.0), 15.0, 48.7))
