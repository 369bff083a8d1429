"""A Dask cluster does every block, a missing one is told."""

from __future__ import annotations

import dask
import pytest
from odc.geo.geobox import GeoBox

from landshift.cluster import DaskExecutor
from landshift.errors import NetworkError
from landshift.plan import Block, plan_blocks

distributed = pytest.importorskip("distributed")


def area(block: Block) -> int:
    return block.shape[0] * block.shape[1]


def test_a_cluster_does_every_block() -> None:
    grid = GeoBox.from_bbox((0, 0, 900, 700), "EPSG:3035", resolution=10)
    blocks = plan_blocks(grid, block_px=20).blocks
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
        ) as cluster,
    ):
        executor = DaskExecutor(address=cluster.scheduler_address)
        assert executor.workers == 2
        assert executor.smallest == (2, 2_000_000_000)
        assert dict(executor.run(area, blocks)) == {block: area(block) for block in blocks}


def test_a_cluster_that_is_not_there_is_told() -> None:
    with pytest.raises(NetworkError, match="does not answer"):
        DaskExecutor(address="tcp://127.0.0.1:9", timeout_s=0.5).workers  # noqa: B018 - asking is the test
