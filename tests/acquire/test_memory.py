"""Memory that is used again must never be shared."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.memory import Recycler

if TYPE_CHECKING:
    from _typeshed import TraceFunction

SHAPE = (600, 700)


def test_arrays_that_live_never_share_memory() -> None:
    memory = Recycler(idle_bytes=2**26)
    held = [memory.empty(SHAPE, np.float32)[5:] for _ in range(5)]
    for number, part in enumerate(held):
        part[:] = number
    assert [float(part.min()) for part in held] == [0, 1, 2, 3, 4]
    assert [float(part.max()) for part in held] == [0, 1, 2, 3, 4]


def test_idle_memory_is_bounded() -> None:
    memory = Recycler(idle_bytes=4_000_000)
    held = [memory.empty(SHAPE, np.float32) for _ in range(5)]
    held.clear()
    gc.collect()
    assert sum(piece.nbytes for piece in memory._idle.values()) <= 4_000_000
    memory.clear()
    assert not memory._idle


def test_memory_that_comes_back_while_some_is_looked_for_is_not_forgotten() -> None:
    moment = met = 0
    while met == moment:  # the garbage collector may come at any of them
        moment, met = moment + 1, 0
        memory = Recycler(idle_bytes=2**26)
        held = [memory.empty(SHAPE, np.float32), memory.empty(SHAPE, np.float32)]
        held.pop()

        def bring_back(
            frame: FrameType, event: str, _: object, held: list[NDArray[Any]] = held, moment: int = moment
        ) -> TraceFunction | None:
            nonlocal met
            frame.f_trace_opcodes = True
            if event == "opcode" and met < moment:
                met += 1
                if met == moment:
                    held.clear()
            return bring_back

        before = sys.gettrace()
        sys.settrace(bring_back)
        try:
            memory.empty(SHAPE, np.float32)
        finally:
            sys.settrace(before)
        held.clear()
        assert len(memory._idle) == 2
    assert moment > 50


def test_small_arrays_and_no_bound_go_to_the_allocator() -> None:
    assert Recycler(idle_bytes=2**26).empty((3, 0), np.uint8).shape == (3, 0)
    assert Recycler(idle_bytes=0).empty(SHAPE, np.uint8).base is None


def test_threads_get_memory_of_their_own() -> None:
    memory = Recycler(idle_bytes=2**26)

    def work(number: int) -> bool:
        array = memory.empty(SHAPE, np.int32)
        array[:] = number
        return bool((array == number).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(200)))
