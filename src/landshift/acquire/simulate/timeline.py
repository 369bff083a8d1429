"""The history of parcels: who was what, when it was cleared, built, greened, felled or flooded.

A history has a first state and up to two changes. It follows from the parcel's key and place alone, and
reaches over a fixed span of years, so that a longer simulation never rewrites a shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.ground import LAKE, RIVER, ROAD, SAND, URBAN
from landshift.acquire.simulate.noise import draw

__all__ = [
    "BUILT",
    "CLEARED",
    "FLOODED",
    "GREEN",
    "OPEN",
    "PLANTED",
    "TILLED",
    "History",
    "history",
    "year_of",
]

OPEN: Final = 0
"""Fields, meadows, woods: the countryside as it was."""
BUILT: Final = 1
CLEARED: Final = 2
GREEN: Final = 3
PLANTED: Final = 4
FLOODED: Final = 5
TILLED: Final = 6
START: Final = 2017.0
"""Year in which what lies inside a town's first radius is built."""
_ROTATIONS: Final = (
    ("cereal", "rape", "cereal", "maize", "cereal", "beet"),
    ("cereal", "maize", "maize", "cereal", "ley", "ley"),
    ("cereal", "cereal", "rape", "cereal", "maize", "cereal"),
    ("beet", "cereal", "cereal", "maize", "cereal", "rape"),
)


def year_of(day: date) -> float:
    """A date as a decimal year.

    >>> year_of(date(2020, 7, 1)) > 2020.49
    True
    """
    start = date(day.year, 1, 1)
    return day.year + (day - start).days / (date(day.year + 1, 1, 1) - start).days


@dataclass(frozen=True, kw_only=True)
class History:
    """What parcels are, one entry per parcel."""

    keys: NDArray[np.uint64]
    """Their keys."""
    land: NDArray[np.int16]
    """Material of their open ground; -1 for arable land, whose crop changes by year."""
    tree: NDArray[np.int16]
    """Material of their woods."""
    roof: NDArray[np.int16]
    """Material of their houses, once built."""
    yard: NDArray[np.int16]
    """Material of their streets and yards, once built."""
    rotation: NDArray[np.int16]
    """Which crop rotation they follow."""
    state: NDArray[np.int16]
    """States (3, n): at first, after the first change, after the second."""
    when: NDArray[np.float64]
    """Decimal years (2, n) of the changes; infinite for never."""
    place: NDArray[np.float64]
    """What :func:`ground.describe` says of them (n, 9)."""

    def state_at(self, when: float) -> NDArray[np.int16]:
        """State of every parcel at a decimal year."""
        stage = (self.when[0] <= when).astype(np.intp) + (self.when[1] <= when)
        found: NDArray[np.int16] = np.take_along_axis(self.state, stage[np.newaxis], axis=0)[0]
        return found

    def crop(self, year: int) -> NDArray[np.int16]:
        """Material of the crop harvested in a year, of every parcel."""
        table = np.array([[facts.material(name) for name in row] for row in _ROTATIONS], np.int16)
        turn = (year + (draw(self.keys, "turn") * 6).astype(np.int64)) % 6
        found: NDArray[np.int16] = table[self.rotation, turn]
        return found

    def material(
        self, parcel: NDArray[Any], element: NDArray[Any], when: float, harvest: int
    ) -> NDArray[np.int16]:
        """Material that elements of parcels show.

        Args:
            parcel: Places in these arrays (n,).
            element: Elements of the ground (n,).
            when: Decimal year.
            harvest: Year whose harvest stands on arable land.

        Returns:
            Numbers of materials (n,).
        """
        number = facts.material
        crop = self.crop(harvest)[parcel]
        land, tree = self.land[parcel], self.tree[parcel]
        state = self.state_at(when)[parcel]
        rural, urban = element // 4, element % 4
        field = np.where(land < 0, crop, land)
        grass = np.full(parcel.shape, number("meadow"), np.int16)
        open_ = np.select([rural == 1, rural == 2], [tree, grass], field)
        built = np.select(
            [urban == 0, urban == 1, urban == 2],
            [self.roof[parcel], self.yard[parcel], np.int16(number("lawn"))],
            np.int16(number("broadleaf")),
        )
        green = np.where(rural == 1, tree, grass)
        tilled = np.select([rural == 1, rural == 2], [tree, grass], crop)
        bare = np.where(land == number("sand"), number("sand"), number("building_ground"))
        young, lake = np.int16(number("young")), np.int16(number("lake"))
        choices = [built, bare, green, young, lake, tilled]
        shown = np.select([state == n for n in range(BUILT, TILLED + 1)], choices, open_)
        fixed = {ROAD: "asphalt", RIVER: "river", LAKE: "lake", SAND: "sand"}
        for code, name in fixed.items():
            shown = np.where(element == code, number(name), shown)
        found: NDArray[np.int16] = shown.astype(np.int16)
        return found

    def land_class(self, parcel: NDArray[Any], element: NDArray[Any], when: float) -> NDArray[np.uint8]:
        """Land class that elements of parcels belong to at a decimal year."""
        table = np.array([one.class_value for one in facts.materials()], np.uint8)
        found: NDArray[np.uint8] = table[self.material(parcel, element, when, int(np.floor(when)))]
        return found


def history(keys: NDArray[np.uint64], place: NDArray[np.float64], *, growth: float) -> History:
    """Histories of parcels.

    Args:
        keys: Their keys (n,).
        place: What :func:`ground.describe` says of them (n, 9).
        growth: How fast towns grow, 1 for the usual pace.
    """
    number = facts.material
    town, forest = place[:, 0], place[:, 1]
    wet = (place[:, 2] < 220.0) | (place[:, 3] > -0.07)
    chance = np.select([wet, place[:, 7] > 0.2], [0.8, 0.5], 0.17)
    meadow = (draw(keys, "meadow") < chance) | (forest > 0.12)
    mown = draw(keys, "mown") < 0.6
    quarry = (draw(keys, "quarry") < 0.022) & (forest < 0.12) & (town > 1.3)
    park = (town < 1.0) & (draw(keys, "park") < 0.06)
    land = np.where(meadow, np.where(mown, number("meadow"), number("pasture")), -1)
    land = np.select([quarry, park], [number("sand"), number("lawn")], land)
    roof = draw(keys, "roof")
    large = draw(keys, "yard") < 0.35
    state, when = _changes(keys, place, land, growth=growth)
    return History(
        keys=keys,
        land=land.astype(np.int16),
        tree=np.where(
            (forest > 0.08) & (draw(keys, "tree") < 0.35 + 0.5 * place[:, 7]),
            number("conifer"),
            number("broadleaf"),
        ).astype(np.int16),
        roof=np.select([roof < 0.58, roof < 0.88], [number("tile"), number("slate")], number("metal")).astype(
            np.int16
        ),
        yard=np.where(large, number("concrete"), number("asphalt")).astype(np.int16),
        rotation=(draw(keys, "rotation") * len(_ROTATIONS)).astype(np.int16),
        state=state,
        when=when,
        place=place,
    )


def _changes(
    keys: NDArray[np.uint64], place: NDArray[np.float64], land: NDArray[Any], *, growth: float
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """States (3, n) and the decimal years (2, n) of the changes between them; the first rule that fits holds."""
    town, forest, river = place[:, 0], place[:, 1], place[:, 2]
    chance, moment = draw(keys, "change"), draw(keys, "moment")
    wooded, arable = forest > 0.12, land < 0
    front = START + (town - 1.0) / (0.05 * max(growth, 1e-6)) + 2.5 * (moment - 0.5)
    spread = START - 3.0 + 14.0 * moment
    park = land == facts.material("lawn")
    site = place[:, 8] > 0
    begun = (town >= 1.0) & (town < URBAN) & (growth > 0)
    rules: list[tuple[Any, tuple[int, int, int], Any, Any]] = [
        ((town < 1.0) & ~park & (chance < 0.06), (BUILT, CLEARED, GREEN), spread, 0.5 + moment),
        ((town < 1.0) & ~park, (BUILT, BUILT, BUILT), np.inf, 0.0),
        (park, (OPEN, OPEN, OPEN), np.inf, 0.0),
        (begun & (chance < 0.55), (OPEN, CLEARED, BUILT), front, 0.6 + 0.9 * draw(keys, "building")),
        (~wooded & site & (moment < 0.35), (BUILT, BUILT, BUILT), np.inf, 0.0),
        (~wooded & site & (growth > 0), (OPEN, CLEARED, BUILT), spread, 1.1),
        (wooded & (chance > 0.82), (OPEN, CLEARED, PLANTED), spread, 1.6 + moment),
        (~wooded & (river < 450.0) & (chance > 0.96), (OPEN, CLEARED, FLOODED), spread, 1.2),
        (land == facts.material("sand"), (OPEN, GREEN, GREEN), np.where(chance < 0.25, spread, np.inf), 50.0),
        (arable & (chance > 0.94), (OPEN, GREEN, GREEN), spread, 50.0),
        (~arable & ~wooded & (chance > 0.92), (OPEN, TILLED, TILLED), spread, 50.0),
        (~arable & ~wooded & (chance > 0.89), (OPEN, PLANTED, PLANTED), spread, 50.0),
    ]
    state = np.zeros((3, keys.size), np.int16)
    when = np.full((2, keys.size), np.inf)
    free = np.ones(keys.size, bool)
    for fits, states, first, later in rules:
        now = free & fits
        state[:, now] = np.array(states, np.int16)[:, np.newaxis]
        start = np.broadcast_to(first, keys.shape)
        when[0, now] = start[now]
        when[1, now] = (start + later)[now]
        free &= ~now
    return state, when
