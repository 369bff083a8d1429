"""How fast virtual dates are made, beside a loop of ``numpy.interp``.

24 looks x 10 bands x 1024 x 1024 pixels with two looks of five hidden become 36 dates, in one process and on one
thread. The loop calls `numpy.interp` for every pixel and band; it is timed on evenly spread pixels and scaled to
all. The bound is memory: the kernel reads every look once and writes every date once, so it is set beside a copy
that moves as many bytes; both write into memory that is there already, and again into fresh memory, which the
system has to clear first (on virtual machines that can take longer than the work). All in turns in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landshift.ard.interpolate import lines
from landshift.pipeline.bench.row import row

__all__ = ["measure"]

LOOKS, BANDS, DATES = 24, 10, 36
THREADS = 2
SAMPLE = 2048
"""Pixels that the loop is timed on."""

Values = NDArray[np.float32]
Times = NDArray[np.datetime64]


def measure(side: int = 1024, repeats: int = 5) -> list[dict[str, Any]]:
    """Ratios to the loop and to a copy of as many bytes, by median wall time on one thread and on two."""
    found = _timed(side, repeats)
    loop_s, bar = found["loop_wall"], "at least 68, aim 100"
    rows = []
    for memory, title in (("", "memory reused"), ("fresh ", "fresh memory")):
        kernel_s, copy_s = (found[f"{memory}{name}_wall"] for name in ("kernel", "copy"))
        rows.append(row(f"virtual dates, one thread, {title}", loop_s / kernel_s, "times numpy.interp", bar))
        rows.append(
            row(f"  memory bandwidth, {title}", 100 * copy_s / kernel_s, "% of a copy of as many bytes")
        )
    rows.append(
        row(f"virtual dates, {THREADS} threads", loop_s / found["threads_wall"], "times numpy.interp", bar)
    )
    rows.append(row("  largest difference", found["worst"], "reflectance", "float32 rounding"))
    return rows


def series(side: int) -> tuple[Values, Times, Times]:
    """Looks with gaps, their times, and the dates wanted."""
    rng = np.random.default_rng(7)
    values = rng.random((LOOKS, BANDS, side, side), dtype=np.float32)
    for look in range(LOOKS):
        values[look][:, rng.random((side, side)) < 0.4] = np.nan
    days = np.sort(rng.choice(DATES * 10, LOOKS, replace=False))
    looks = np.datetime64("2020-01-01T10:30", "ns") + days.astype("timedelta64[D]")
    dates = np.datetime64("2020-01-01", "ns") + np.arange(DATES) * np.timedelta64(10, "D")
    return values, looks, dates


def loop(values: Values, looks: Times, dates: Times, pixels: NDArray[np.intp]) -> Values:
    """What one would write first: one call per pixel and band."""
    when, wanted = ((part - looks[0]).astype(np.int64) / 86_400e9 for part in (looks, dates))
    flat = values.reshape(LOOKS, BANDS, -1)
    made = np.empty((DATES, BANDS, pixels.size), np.float32)
    for place, pixel in enumerate(pixels):
        for band in range(BANDS):
            of_pixel = flat[:, band, pixel]
            clear = np.isfinite(of_pixel)
            made[:, band, place] = np.interp(wanted, when[clear], of_pixel[clear])
    return made


def in_threads(parts: list[Values], looks: Times, dates: Times) -> None:
    """The kernel as a run calls it: a block per thread."""
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: lines(part, looks=looks, times=dates), parts))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _timed(side: int, repeats: int) -> dict[str, float]:
    """Figures by name: medians of wall and processor seconds, their ratios, and the worst difference."""
    values, looks, dates = series(side)
    pixels = np.linspace(0, side * side - 1, SAMPLE).astype(np.intp)
    made = lines(values, looks=looks, times=dates)[0]
    said = loop(values, looks, dates, pixels)
    worst = float(np.nanmax(np.abs(made.reshape(DATES, BANDS, -1)[:, :, pixels] - said)))
    moved = values.nbytes + made.nbytes
    half, copied = np.ones(moved // 8, np.float32), np.ones(moved // 8, np.float32)
    parts = [np.ascontiguousarray(part) for part in np.array_split(values, THREADS, axis=2)]
    works: dict[str, Callable[[], object]] = {
        "loop": partial(loop, values, looks, dates, pixels),
        "kernel": partial(lines, values, looks=looks, times=dates, out=made),
        "copy": partial(np.copyto, copied, half),
        "fresh kernel": partial(lines, values, looks=looks, times=dates),
        "fresh copy": half.copy,
        "threads": partial(in_threads, parts, looks, dates),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name].append(seconds(work))
    found = {"worst": worst, "gigabytes": moved / 1e9, "pixels": float(side * side)}
    for name, runs in taken.items():
        scale = side * side / SAMPLE if name == "loop" else 1.0
        for clock, part in (("wall", 0), ("cpu", 1)):
            found[f"{name}_{clock}"] = statistics.median(run[part] for run in runs) * scale
            found[f"{name}_{clock}_best"] = min(run[part] for run in runs) * scale
    return found
