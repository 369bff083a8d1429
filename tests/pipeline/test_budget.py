"""The memory limit is shared out: kept tiles, programs and blocks together stay below it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landshift.pipeline.budget import PROGRAM, Budget, Load, Room

GB = 10**9
loads = st.builds(
    Load,
    block_px=st.just(512),
    blocks=st.floats(1, 200),
    tile=st.integers(100, 20_000),
    strip=st.integers(0, 10**8),
    stored=st.integers(10, 4_000),
)


@given(
    load=loads, memory=st.integers(2, 200), workers=st.integers(1, 64), parent=st.sampled_from([True, False])
)
def test_all_parts_together_stay_below_the_limit(
    *, load: Load, memory: int, workers: int, parent: bool
) -> None:
    room = Room(memory=memory * GB, workers=workers, processes=workers if parent else 1, parent=parent)
    found = Budget.of(room, load)
    readers = min(room.processes, found.at_once)
    taken = PROGRAM * (readers + parent) + readers * found.held_bytes
    taken += min(found.at_once, max(1, round(load.blocks))) * load.bytes(found.tile_px, found.threads)
    assert 1 <= found.at_once <= workers
    assert taken <= room.memory or not found.fits
    assert found.fits or found.at_once == 1


@given(load=loads, workers=st.integers(1, 64))
def test_more_memory_never_means_smaller_tiles_or_fewer_blocks(load: Load, workers: int) -> None:
    budgets = [Budget.of(Room(memory=size * GB, workers=workers), load) for size in (1, 4, 16, 64, 256, 1024)]
    assert [one.at_once for one in budgets] == sorted(one.at_once for one in budgets)
    assert budgets[-1].at_once == workers


def test_a_limit_below_the_programs_is_said_to_be_too_little() -> None:
    found = Budget.of(
        Room(memory=GB // 10, workers=4), Load(block_px=512, blocks=4, tile=100, strip=0, stored=10)
    )
    assert (found.fits, found.at_once) == (False, 1)
    assert "least that works" in str(found)


def test_a_cluster_keeps_all_its_threads_and_gets_smaller_tiles() -> None:
    load = Load(block_px=512, blocks=40, tile=8_000, strip=0, stored=1_000)
    wide, narrow = (Budget.of(Room(memory=size, workers=4, fixed=True), load) for size in (64 * GB, 4 * GB))
    assert (wide.at_once, wide.tile_px) == (4, 512)
    assert narrow.at_once == 4
    assert narrow.tile_px < 512


@pytest.mark.parametrize(("blocks", "threads"), [(1.0, 8), (3.0, 3), (40.0, 1)])
def test_fewer_blocks_than_workers_are_cut_so_that_all_have_something_to_do(
    blocks: float, threads: int
) -> None:
    found = Budget.of(
        Room(memory=64 * GB, workers=8), Load(block_px=512, blocks=blocks, tile=100, strip=0, stored=10)
    )
    assert found.threads == threads
