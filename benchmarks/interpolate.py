"""How fast virtual dates are made, beside a loop of `numpy.interp`: `python benchmarks/interpolate.py`.

24 looks x 10 bands x 1024 x 1024 pixels with two looks of five hidden become 36 dates, in one process and on one
thread. The loop calls `numpy.interp` for every pixel and band; it is timed on evenly spread pixels and scaled to
all. The bound is memory: the kernel reads every look once and writes every date once, so it is set beside a copy
that moves as many bytes; both write into memory that is there already, and again into fresh memory, which the
system has to clear first (on virtual machines that can take longer than the work). All in turns in the same run.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from landshift.ard.interpolate import lines

LOOKS, BANDS, DATES = 24, 10, 36
THREADS = 2
SAMPLE = 2048
"""Pixels that the loop is timed on."""

Values = NDArray[np.float32]
Times = NDArray[np.datetime64]


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


def measure(side: int = 1024, repeats: int = 5) -> dict[str, float]:
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


def main(side: int = 1024, repeats: int = 5) -> None:
    """Print times and ratios."""
    found = measure(side, repeats)
    print(f"{LOOKS} looks x {BANDS} bands x {side} x {side} -> {DATES} dates, one process, one thread")
    print(f"  numpy.interp is timed on {SAMPLE} pixels and scaled; largest difference {found['worst']:.1e}")
    for clock, title in (("wall", "wall"), ("cpu", "processor")):
        for which, word in (("", "median"), ("_best", "best")):
            slow = found[f"loop_{clock}{which}"]
            print(f"  {title}, {word}: numpy.interp {slow:.1f} s")
            for memory in ("", "fresh "):
                fast, copy = (found[f"{memory}{name}_{clock}{which}"] for name in ("kernel", "copy"))
                print(
                    f"    {memory + 'memory':<13} kernel {fast:5.2f} s {slow / fast:5.0f} x   "
                    f"{found['gigabytes'] / fast:5.1f} GB/s, {100 * copy / fast:3.0f} % of a copy of as many bytes"
                )
    for which, word in (("", "median"), ("_best", "best")):
        slow, fast = found[f"loop_wall{which}"], found[f"threads_wall{which}"]
        print(
            f"  wall      {word:<7} kernel on {THREADS} threads, a block each {fast:5.2f} s   {slow / fast:4.0f} x"
        )


if __name__ == "__main__":
    main(*(int(part) for part in sys.argv[1:]))
