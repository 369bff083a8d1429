"""A Dask cluster does every block, a missing one is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dask
import pytest
from odc.geo.geobox import GeoBox

from landshift.cluster import DaskExecutor
from landshift.errors import NetworkError
from landshift.plan import Block, plan_blocks

distributed = pytest.importorskip("distributed")


def area(block: Block) -> int:
    return block.shape[0] * block.shape[1]


@contextmanager
def cluster() -> Iterator[DaskExecutor]:
    """Two threads in this process, as a cluster."""
    calm = dict.fromkeys(
        (f"distributed.worker.memory.{what}" for what in ("target", "spill", "pause")), False
    )
    with (
        dask.config.set(calm),
        distributed.LocalCluster(  # the worker's memory is that of all tests so far
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            dashboard_address=None,
            host="127.0.0.1",
            protocol="tcp",
            memory_limit=2_000_000_000,
        ) as made,
    ):
        yield DaskExecutor(address=made.scheduler_address)


def test_a_cluster_does_every_block() -> None:
    grid = GeoBox.from_bbox((0, 0, 900, 700), "EPSG:3035", resolution=10)
    blocks = plan_blocks(grid, block_px=20).blocks
    with cluster() as executor:
        assert executor.workers == 2
        assert executor.smallest == (2, 2_000_000_000)
        assert dict(executor.run(area, blocks)) == {block: area(block) for block in blocks}


BEGUN: list[Block] = []
ENDED: list[Block] = []


def fail_while_another_works(block: Block) -> None:
    """The first block fails while the second one is at work; the workers live in this process."""
    BEGUN.append(block)
    if block.col == 0:
        time.sleep(0.3)
        raise ValueError(block.name)
    time.sleep(1.5)
    ENDED.append(block)


def test_after_a_failure_what_runs_ends_first_and_what_waits_never_begins() -> None:
    BEGUN.clear()
    ENDED.clear()
    blocks = [Block(row=0, col=col, y=(0, 1), x=(col, col + 1)) for col in range(8)]
    with cluster() as executor:
        with pytest.raises(ValueError, match="r0000c0000"):
            list(executor.run(fail_while_another_works, blocks))
        begun = list(BEGUN)
        assert sorted(ENDED) == sorted(begun)[1:], "a block is still at work"
        time.sleep(1)
        assert begun == BEGUN
        assert len(begun) <= 4


def test_a_cluster_that_is_not_there_is_told() -> None:
    with pytest.raises(NetworkError, match="does not answer"):
        DaskExecutor(address="tcp://127.0.0.1:9", timeout_s=0.5).workers  # noqa: B018 - asking is the test
