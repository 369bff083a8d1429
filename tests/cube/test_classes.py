from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landshift.cube.classes import LandClass, as_records, colours_of, from_names, from_records
from landshift.errors import ConfigError

names = st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=20, unique=True)


@given(names=names)
def test_classes_survive_attributes(names: list[str]) -> None:
    classes = from_names(names)
    assert [one.name for one in classes] == names
    assert from_records(as_records(classes)) == classes


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 0, "name": "a", "colour": "#000000"},
        {"value": 256, "name": "a", "colour": "#000000"},
        {"value": 1, "name": " ", "colour": "#000000"},
        {"value": 1, "name": "a", "colour": "red"},
    ],
)
def test_a_class_that_no_raster_can_hold_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        LandClass(**wrong)  # type: ignore[arg-type]  # wrong values are the point


def test_a_name_suggests_a_colour_by_the_beginning_of_its_words() -> None:
    known = colours_of(["ice", "sea", "crop", "forest", "urban"])
    names = ["Sea_ice", "Croplands", "mixed-forests", "peri-urban"]
    assert [colours_of([name])[name] for name in names] == [
        known[word] for word in ("sea", "crop", "forest", "urban")
    ]
    suggested = set(colours_of(["ice", "sea", "road", "other", "sand", "tree"]).values())
    for name in ("Rice", "Seasonal", "Abroad", "Mother", "thousand", "street", "Iceberg lettuce"):
        assert colours_of([name])[name] not in suggested


def test_records_with_and_without_colours_share_a_map() -> None:
    given = [{"value": 1, "name": "lake", "colour": "#2B83BA"}, {"value": 2, "name": "water"}]
    lake, water = from_records(given)
    assert lake.colour == "#2B83BA"
    assert water.colour.lower() != lake.colour.lower()
    with pytest.raises(ConfigError, match="not a colour"):
        from_records([{"value": 1, "name": "a", "colour": "red"}, {"value": 2, "name": "quarry"}])
    same = [{"value": 1, "name": "a", "colour": "#123456"}, {"value": 2, "name": "a"}]
    assert [one.value for one in from_records(same)] == [1, 2]


def test_two_classes_cannot_share_a_number() -> None:
    with pytest.raises(ConfigError, match="share a number"):
        from_names({"water": 1, "sea": 1})
