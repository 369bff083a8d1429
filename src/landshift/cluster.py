"""An existing Dask cluster as executor, by its address: the only file that imports ``distributed``.

Blocks go out as plain futures, a bounded number at a time; no graph grows with dates and bands, and the scheduler
holds nothing but small records. The workers need the same landshift and the same paths.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from landshift._optional import need
from landshift.errors import NetworkError
from landshift.plan import Block

__all__ = ["DaskExecutor"]

Result = TypeVar("Result")
_UNLIMITED: Final = 4 * 2**30
"""What is taken for the memory of a worker that was started without a limit."""


@dataclass(frozen=True, kw_only=True)
class DaskExecutor:
    """Workers of a Dask cluster; see :class:`landshift.plan.Executor`."""

    address: str
    """Address of the scheduler, such as ``tcp://10.0.0.1:8786``."""
    timeout_s: float = 10.0
    """How long the scheduler may take to answer."""

    @property
    def workers(self) -> int:
        """Threads of the whole cluster."""
        client = self._client()
        try:
            return max(1, int(sum(client.nthreads().values())))
        finally:
            client.close()

    @property
    def smallest(self) -> tuple[int, int]:
        """Threads and bytes of memory of the worker with the least memory per thread.

        Raises:
            NetworkError: The scheduler does not answer, or has no worker yet.
        """
        client = self._client()
        try:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
        finally:
            client.close()
        found = [(int(one["nthreads"]), int(one["memory_limit"] or _UNLIMITED)) for one in workers]
        if not found:
            raise NetworkError(
                "the Dask cluster has no worker", where=self.address, hint="start one, then run again"
            )
        return min(found, key=lambda one: one[1] / one[0])

    def run(self, work: Callable[[Block], Result], blocks: Iterable[Block]) -> Iterator[tuple[Block, Result]]:
        """Do all blocks; yield each with its result as soon as it is done.

        Args:
            work: Called with a block; must pickle.
            blocks: Blocks.

        Raises:
            NetworkError: The scheduler does not answer.
            MissingDependencyError: ``distributed`` is not installed.
        """
        distributed = need("distributed", purpose="a Dask cluster")
        waiting = iter(blocks)
        client = self._client()
        flying: dict[Any, Block] = {}
        try:
            shared, stop = client.scatter(work, broadcast=True), distributed.Event(client=client)
            try:
                done = distributed.as_completed(loop=client.loop)
                for block in _first(waiting, 2 * max(1, sum(client.nthreads().values()))):
                    _send(client, (shared, stop), block, flying, done)
                for future in done:
                    yield flying.pop(future), future.result()
                    for block in _first(waiting, 1):
                        _send(client, (shared, stop), block, flying, done)
            finally:
                _end(flying, stop)
        finally:
            client.close()

    def _client(self) -> Any:
        distributed = need("distributed", purpose="a Dask cluster")
        try:
            return distributed.Client(self.address, timeout=self.timeout_s, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise NetworkError(
                "the Dask scheduler does not answer",
                where=self.address,
                hint="check the address, or leave engine.cluster out to work on this machine",
            ) from error


def _first(blocks: Iterator[Block], count: int) -> Iterator[Block]:
    for _, block in zip(range(count), blocks, strict=False):
        yield block


def _send(client: Any, job: tuple[Any, Any], block: Block, flying: dict[Any, Block], done: Any) -> None:
    future = client.submit(_call, *job, block, pure=False)
    flying[future] = block
    done.add(future)


def _end(flying: Iterable[Any], stop: Any) -> None:
    """Let no block begin that waits at a worker, and wait for those at work: cancelled ones would write on unseen."""
    if flying:
        with contextlib.suppress(OSError):  # a scheduler that is gone has nothing left to stop
            stop.set()
        for future in flying:
            future.exception()
        with contextlib.suppress(OSError):
            stop.clear()  # the scheduler forgets it


def _call(work: Callable[[Block], Result], stop: Any, block: Block) -> Result | None:
    return None if stop.is_set() else work(block)
