"""``--set``: what it reaches, and what it says of a path that leads nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from landshift.config.parse import override
from landshift.errors import ConfigError


def tables() -> dict[str, Any]:
    return {
        "source": [{"name": "s2", "max_cloud": 10}],
        "place": {"bbox": [0, 0, 1, 1]},
        "mask": False,
    }


@pytest.mark.parametrize("path", ["source.s2.max_cloud", "source.0.max_cloud"])
def test_an_entry_of_a_list_goes_by_its_name_or_its_number(path: str) -> None:
    assert override(tables(), [f"{path}=20"])["source"] == [{"name": "s2", "max_cloud": 20}]


def test_a_number_of_a_list_can_be_set() -> None:
    assert override(tables(), ["place.bbox.2=5"])["place"] == {"bbox": [0, 0, 5, 1]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source.max_cloud=20", "there is no 'max_cloud'"),
        ("source.l8.max_cloud=20", "there is no 'l8'"),
        ("mask.grow_m.cloud=20", "below a value that is no table"),
        ("place.bbox.0.x=20", "below a value that is no table"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        override(tables(), [text])
