"""How many files are kept open at once."""

from __future__ import annotations

import pytest

from landshift.acquire.tiles import TileReader

resource = pytest.importorskip("resource")


@pytest.mark.parametrize(
    ("allowed", "open_files"), [(16, 32), (1024, 512), (10**6, 2048), (resource.RLIM_INFINITY, 2048)]
)
def test_as_many_files_stay_open_as_are_wise(
    monkeypatch: pytest.MonkeyPatch, allowed: int, open_files: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    with TileReader() as reader:
        assert reader.max_open == open_files


def test_the_first_block_is_read_as_given_and_each_of_the_others_in_an_order_of_its_own() -> None:
    tasks = list(range(100))
    with TileReader() as reader:
        first, second, third = (reader.ordered(tasks) for _ in range(3))
    assert first == tasks
    assert second != third
    assert sorted(second) == sorted(third) == tasks
