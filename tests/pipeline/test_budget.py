"""The memory limit is shared out: kept tiles, programs and blocks together stay below it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landshift.acquire.tiles import WARP_BYTES, TileReader
from landshift.pipeline.budget import PROGRAM, SLACK, Budget, Load, Room, _free

GB = 10**9
loads = st.builds(
    Load,
    block=st.just((512, 512)),
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
    reader = TileReader(held_bytes=found.held_bytes)
    taken = PROGRAM * (readers + parent) + readers * (
        found.held_bytes + reader.memory.idle_bytes + WARP_BYTES
    )
    taken += found.at_once * load.bytes(found.tile_px, found.threads)
    assert 1 <= found.at_once <= min(workers, math.ceil(load.blocks))
    assert found.threads <= load.tiles(found.tile_px)
    assert found.busy <= workers
    assert taken <= (1 - SLACK) * room.memory + 1 or not found.fits
    assert found.fits or found.at_once == 1


@given(load=loads, workers=st.integers(1, 64))
def test_more_memory_never_means_smaller_tiles_or_fewer_blocks(load: Load, workers: int) -> None:
    budgets = [Budget.of(Room(memory=size * GB, workers=workers), load) for size in (1, 4, 16, 64, 256, 1024)]
    assert [one.at_once for one in budgets] == sorted(one.at_once for one in budgets)
    assert budgets[-1].at_once == min(workers, math.ceil(load.blocks))


def test_a_limit_below_the_programs_is_said_to_be_too_little() -> None:
    found = Budget.of(
        Room(memory=GB // 10, workers=4), Load(block=(512, 512), blocks=4, tile=100, strip=0, stored=10)
    )
    assert (found.fits, found.at_once) == (False, 1)
    assert "least that works" in str(found)


def test_a_cluster_keeps_all_its_threads_and_gets_smaller_tiles() -> None:
    load = Load(block=(512, 512), blocks=40, tile=8_000, strip=0, stored=1_000)
    wide, narrow = (Budget.of(Room(memory=size, workers=4, fixed=True), load) for size in (64 * GB, 4 * GB))
    assert (wide.at_once, wide.tile_px) == (4, 512)
    assert narrow.at_once == 4
    assert narrow.tile_px < 512


@pytest.mark.parametrize(("blocks", "threads"), [(1.0, 8), (3.0, 3), (40.0, 1)])
def test_fewer_blocks_than_workers_are_cut_so_that_all_have_something_to_do(
    blocks: float, threads: int
) -> None:
    found = Budget.of(
        Room(memory=64 * GB, workers=8), Load(block=(512, 512), blocks=blocks, tile=100, strip=0, stored=10)
    )
    assert found.threads == threads


def test_threads_and_blocks_that_do_not_exist_are_not_counted() -> None:
    """One block and many workers: as many tiles at once as it has, and as many blocks as there are."""
    load = Load(block=(512, 512), blocks=1.0, tile=5_000, strip=8 * 12 * 2**20, stored=36 * 22)
    for memory in (64, 32, 16, 12, 8):
        found = Budget.of(Room(memory=memory * GB, workers=16), load)
        assert found.at_once == 1
        assert found.busy == found.threads <= (512 // found.tile_px) ** 2
    narrow = Load(block=(60, 512), blocks=1.0, tile=5_000, strip=0, stored=36 * 22)
    assert Budget.of(Room(memory=64 * GB, workers=16), narrow).threads == 4


def machine(root: Path, lines: str, files: dict[str, str]) -> Path:
    """What a machine says of its memory and of the groups of a process; 10 GB are free."""
    said = {"proc/meminfo": "MemTotal: 1 kB\nMemAvailable: 10000000 kB\n", "proc/self/cgroup": lines, **files}
    for name, text in said.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def group(folder: str, names: tuple[str, str, str], limit: float, used: int, cached: int) -> dict[str, str]:
    """The files of a control group; GB."""
    most = "max" if limit == math.inf else str(int(limit * GB))
    stat = f"anon 1\n{names[2]} {cached * GB}\n"
    return {
        f"{folder}/{names[0]}": most,
        f"{folder}/{names[1]}": str(used * GB),
        f"{folder}/memory.stat": stat,
    }


NEW = ("memory.max", "memory.current", "inactive_file")
OLD = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@pytest.mark.parametrize(
    ("lines", "files", "free"),
    [
        ("0::/\n", {}, 10),
        ("0::/job\n", group("sys/fs/cgroup/job", NEW, math.inf, 3, 0), 10),
        ("0::/job\n", group("sys/fs/cgroup/job", NEW, 5, 3, 0), 2),
        ("0::/job\n", group("sys/fs/cgroup/job", NEW, 5, 4, 3), 4),
        ("0::/job/step\n", group("sys/fs/cgroup/job", NEW, 6, 1, 0), 5),
        ("0::/../seen/from/elsewhere\n", group("sys/fs/cgroup", NEW, 6, 1, 0), 5),
        ("4:cpu,memory:/job\n0::/\n", group("sys/fs/cgroup/memory/job", OLD, 5, 3, 1), 3),
        ("4:memory:/docker/abc\n", group("sys/fs/cgroup/memory", OLD, 7, 1, 0), 6),
        ("1:name=systemd:/job\n", group("sys/fs/cgroup/memory/job", OLD, 5, 3, 1), 10),
        ("0::/job\n", group("sys/fs/cgroup/job", NEW, 2, 3, 0), 0),
    ],
)
def test_free_is_what_the_groups_of_the_process_leave(
    tmp_path: Path, lines: str, files: dict[str, str], free: int
) -> None:
    assert _free(machine(tmp_path, lines, files)) // GB == free
