"""Benchmarks that ship with the package: every figure is a ratio against a peer or a limit, taken in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Final

from landshift.errors import ConfigError, did_you_mean

__all__ = ["BENCHMARKS", "bench"]

BENCHMARKS: Final = ("imports", "interpolate", "read", "build", "memory")
"""Benchmarks by name; each is a module with a function ``measure() -> rows``."""


def bench(names: Sequence[str] = (), *, say: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Run benchmarks, each in a process of its own: none feels the memory that another one used.

    Those processes import the calling script: call this under ``if __name__ == "__main__"``.

    Args:
        names: Which ones; all by default.
        say: Told which one is at work.

    Returns:
        Rows: ``benchmark``, ``figure``, ``value``, ``unit`` and ``bar``, what it is measured against.

    Raises:
        ConfigError: There is no such benchmark.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise ConfigError(f"there is no benchmark {name!r}", hint=did_you_mean(name, BENCHMARKS))
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in names or BENCHMARKS:
            say(f"bench {name}")
            rows += [{"benchmark": name, **row} for row in pool.submit(_measure, name).result()]
    return rows


def _measure(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = import_module(f"landshift.pipeline.bench.{name}").measure()
    return rows
