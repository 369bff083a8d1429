"""The landscape: a function of place and seed, whichever block asks; its history; its colours."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray

from landshift.acquire.simulate import LAND_CLASSES, Simulate
from landshift.acquire.simulate.landscape import Ground, block, points, share_of_classes

LEFT, TOP = 501_000.0, 5_404_000.0
DAY = date(2020, 6, 10)


def colours(ground: Ground, sim: Simulate, day: date = DAY) -> NDArray[np.float32]:
    return ground.spectra(sim, sensor="sentinel-2-l2a", day=day, geometry=None)[ground.rows]


@pytest.fixture(scope="module")
def whole() -> Ground:
    return block(Simulate(), left=LEFT, top=TOP, shape=(400, 600))


def test_a_block_computed_alone_equals_the_same_block_of_a_larger_one(whole: Ground) -> None:
    sim = Simulate()
    part = block(sim, left=LEFT + 250.0, top=TOP - 125.0, shape=(80, 90), workers=1)
    window = (slice(50, 130), slice(100, 190))
    np.testing.assert_array_equal(colours(part, sim), colours(whole, sim)[window])
    np.testing.assert_array_equal(part.land_class(2021.3), whole.land_class(2021.3)[window])


def test_points_in_any_order_are_the_same_ground(whole: Ground) -> None:
    sim = Simulate()
    random = np.random.default_rng(0)
    rows, cols = random.integers(0, 400, 500), random.integers(0, 600, 500)
    asked = points(sim, LEFT + (cols + 0.5) * 2.5, TOP - (rows + 0.5) * 2.5)
    np.testing.assert_array_equal(colours(asked, sim), colours(whole, sim)[rows, cols])


def test_another_seed_is_another_landscape(whole: Ground) -> None:
    other = block(Simulate(seed=2), left=LEFT, top=TOP, shape=(400, 600))
    assert (other.land_class(2020.5) != whole.land_class(2020.5)).mean() > 0.2


def test_a_place_of_five_kilometres_has_every_class() -> None:
    x, y = np.meshgrid(500_040.0 + 10.0 * np.arange(512), 5_400_000.0 + 10.0 * np.arange(512))
    shares = share_of_classes(points(Simulate(), x, y), 2020.5)
    assert set(shares) == {one.name for one in LAND_CLASSES}
    assert all(share > 0.01 for share in shares.values()), shares


def test_towns_grow_and_parcels_are_bare_before_they_are_built(whole: Ground) -> None:
    history = whole.history
    grown = (history.state[2] == 1) & (history.state[0] == 0) & np.isfinite(history.when[1])
    assert grown.any()
    assert (history.state[1][grown] == 2).all()
    assert (history.when[1][grown] - history.when[0][grown]).min() > 0.5
    early, late = (share_of_classes(whole, year)["impervious"] for year in (2017.0, 2024.0))
    assert late > early


def test_no_growth_means_no_new_buildings() -> None:
    still = block(Simulate(growth=0.0), left=LEFT, top=TOP, shape=(400, 600))
    early, late = (share_of_classes(still, year)["impervious"] for year in (2017.0, 2024.0))
    assert late <= early


def ndvi(ground: Ground, sim: Simulate, day: date) -> NDArray[np.float32]:
    seen = colours(ground, sim, day)
    red, nir = seen[..., 3], seen[..., 7]
    found: NDArray[np.float32] = (nir - red) / (nir + red)
    return found


def test_seasons_look_like_their_classes(whole: Ground) -> None:
    sim = Simulate()
    number = {one.name: one.value for one in LAND_CLASSES}
    winter, spring, summer = (ndvi(whole, sim, date(2020, month, 20)) for month in (1, 5, 7))
    cover = whole.land_class(2020.5)
    forest, crop = cover == number["forest"], cover == number["cropland"]
    built, water = cover == number["impervious"], cover == number["water"]
    assert summer[forest].mean() > winter[forest].mean() + 0.15
    assert spring[crop].mean() > 0.5
    assert abs(summer[built].mean() - winter[built].mean()) < 0.05
    assert summer[water].max() < 0.1
    assert summer[crop].std() > 2 * spring[forest].std()


def test_rain_darkens_bare_soil(whole: Ground) -> None:
    from landshift.acquire.simulate.weather import wetness

    sim = Simulate()
    days = [date(2020, 1, day) for day in range(1, 29)]
    wet = [wetness(sim.seed, day) for day in days]
    driest, wettest = days[int(np.argmin(wet))], days[int(np.argmax(wet))]
    bare = whole.land_class(2020.05) == 3  # fields in January
    swir = [np.median(colours(whole, sim, day)[bare][:, 10]) for day in (driest, wettest)]
    assert swir[1] < 0.9 * swir[0]


def test_all_reflectance_is_physical(whole: Ground) -> None:
    for month in (1, 4, 7, 10):
        seen = colours(whole, Simulate(), date(2021, month, 15))
        assert seen.min() > 0.0
        assert seen.max() < 0.8
