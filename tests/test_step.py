"""Steps validate, hash, pickle, print and name themselves."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from collections.abc import Mapping

import pytest

from landshift.errors import ConfigError
from landshift.step import FrozenMap, days, from_table, json_schema, key, registry, step, table


@step(kind="test", version=3)
class Grow:
    """Grow patches."""

    grow_m: Mapping[str, float] = FrozenMap(cloud=300.0, shadow=90.0)
    """Metres by class."""
    hide: tuple[str, ...] = ("cloud",)
    """Classes."""

    def __post_init__(self) -> None:
        if min(self.grow_m.values()) < 0:
            raise ConfigError("grow.grow_m must not be negative")


def test_a_partial_mapping_merges_over_the_default() -> None:
    assert dict(Grow(grow_m={"cloud": 200}).grow_m) == {"cloud": 200.0, "shadow": 90.0}


def test_a_step_hashes_pickles_and_prints_itself() -> None:
    one = Grow(hide=("snow",), grow_m={"cloud": 10})
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes
    assert eval(repr(one)) == one  # noqa: S307 - our own text
    assert hash(one) == hash(dataclasses.replace(one))


def test_mappings_within_mappings_hash_too() -> None:
    one = FrozenMap({"unet": {"widths": [8, 16]}})
    assert hash(one) == hash(FrozenMap({"unet": {"widths": [8, 16]}}))
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes


def test_a_step_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Grow().hide = ()  # type: ignore[misc]  # that it fails is the test


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"grow": 1}, "did you mean 'grow_m'"),
        ({"hide": 5}, "grow.hide"),
        ({"grow_m": {"cloud": "far"}}, "grow.grow_m.cloud"),
        ({"grow_m": {"cloud": -1}}, "must not be negative"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match="grow") as caught:
        from_table(Grow, values, where="grow")
    assert says in str(caught.value)


def test_keys_change_with_fields_inputs_and_nothing_else() -> None:
    assert key(Grow()) == key(Grow(grow_m={"cloud": 300}))
    assert len({key(Grow()), key(Grow(hide=())), key(Grow(), "a"), key(Grow(), "b")}) == 4


def test_the_schema_holds_descriptions_and_defaults() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        properties = json_schema(Grow)["properties"]
    assert properties["grow_m"]["description"] == "Metres by class."
    assert properties["grow_m"]["default"] == {"cloud": 300.0, "shadow": 90.0}


def test_a_step_registers_under_its_name() -> None:
    assert registry("test")["grow"] is Grow
    assert table(Grow()) == {"grow_m": {"cloud": 300, "shadow": 90}, "hide": ["cloud"]}


@pytest.mark.parametrize(
    ("text", "expected"), [("10D", 10), ("P10D", 10), ("2W", 14), ("PT12h", 0.5), ("1y", 365.25)]
)
def test_durations_are_days(text: str, expected: float) -> None:
    assert days(text) == expected


@pytest.mark.parametrize("text", ["", "10", "D", "ten days", "-3D", "PT5M"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        days(text)
