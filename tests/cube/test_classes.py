from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landshift.cube.classes import LandClass, as_records, from_names, from_records
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


def test_two_classes_cannot_share_a_number() -> None:
    with pytest.raises(ConfigError, match="share a number"):
        from_names({"water": 1, "sea": 1})
