"""Blocks cover the grid once; executors do all of them in any order; the journal remembers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.geom import box

from landshift.plan import (
    Block,
    Executor,
    Journal,
    ProcessExecutor,
    SerialExecutor,
    ThreadExecutor,
    partial_name,
    plan_blocks,
    tiles_of,
    write_atomic,
)


def grid(rows: int, cols: int) -> GeoBox:
    return GeoBox.from_bbox((0, 0, cols * 10, rows * 10), "EPSG:3035", resolution=10)


@given(rows=st.integers(1, 90), cols=st.integers(1, 90), side=st.integers(1, 40), tile=st.integers(1, 40))
def test_blocks_and_their_tiles_cover_every_pixel_once(rows: int, cols: int, side: int, tile: int) -> None:
    seen = np.zeros((rows, cols), int)
    for block in plan_blocks(grid(rows, cols), block_px=side).blocks:
        for part in tiles_of(block, side=tile):
            seen[part.slices] += 1
    assert (seen == 1).all()


def test_an_outline_selects_the_blocks_it_touches() -> None:
    plan = plan_blocks(grid(100, 100), block_px=50, geometry=box(10, 10, 20, 20, "EPSG:3035"))
    assert [block.name for block in plan.blocks] == ["r0001c0000"]


def test_a_halo_grows_the_block_on_all_sides() -> None:
    block = plan_blocks(grid(100, 100), block_px=50).blocks[0]
    assert block.geobox(grid(100, 100), halo=3).shape == (56, 56)


def area(block: Block) -> int:
    return block.shape[0] * block.shape[1]


@pytest.mark.parametrize(
    "executor", [SerialExecutor(), ThreadExecutor(workers=3), ProcessExecutor(workers=2)]
)
def test_every_executor_does_every_block(executor: Executor) -> None:
    blocks = plan_blocks(grid(70, 90), block_px=20).blocks
    assert dict(executor.run(area, blocks)) == {block: area(block) for block in blocks}


def test_a_failure_stops_the_run() -> None:
    started: list[str] = []
    lock = threading.Lock()

    def work(block: Block) -> None:
        with lock:
            started.append(block.name)
        if block.row == 1:
            raise ValueError(block.name)

    blocks = plan_blocks(grid(400, 10), block_px=10).blocks
    with pytest.raises(ValueError, match="r0001"):
        list(ThreadExecutor(workers=2).run(work, blocks))
    assert len(started) < 8


def test_the_journal_remembers_by_key(tmp_path: Path) -> None:
    one, other = Journal(folder=tmp_path, key="a"), Journal(folder=tmp_path, key="b")
    one.finish("r1", {"pixels": 3})
    assert one.done("r1")
    assert (sorted(one.names()), sorted(other.names())) == (["r1"], [])
    assert not other.done("r1")
    assert one.records() == {"r1": {"pixels": 3}}


def test_threads_that_write_one_file_leave_it_whole_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    texts = [bytes([65 + number]) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(write_atomic, path), texts * 20))
    assert path.read_bytes() in texts
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_what_is_half_written_has_a_name_of_its_own_that_a_resumed_run_knows(tmp_path: Path) -> None:
    names = {partial_name(tmp_path / "cube.zarr").name for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith("cube.zarr.") and name.endswith(".partial") for name in names)
