"""Coordinates asked of one thread are those that any thread would get."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import pytest
from odc.geo.crs import CRS
from pyproj import Transformer

from landshift.projection import LARGE, Floats, Project, projection

UTM, LAEA = CRS("EPSG:32633"), CRS("EPSG:3035")
WANTED = Transformer.from_crs(32633, 3035, always_xy=True)


@pytest.mark.parametrize("count", [1, 1000, LARGE - 1, LARGE])
def test_points_are_where_pyproj_puts_them_whatever_their_number(count: int) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.uniform(4e5, 6e5, count), rng.uniform(5e6, 6e6, count)
    np.testing.assert_array_equal(projection(UTM, LAEA)(x, y), WANTED.transform(x, y))


def test_shape_and_points_without_a_place_are_kept() -> None:
    x = np.array([[500_000.0, np.inf], [np.nan, 500_000.0]])
    found_x, found_y = projection(UTM, CRS("EPSG:4326"))(x, np.full((2, 2), 5e6))
    assert found_x.shape == (2, 2)
    assert np.isfinite(found_x).tolist() == np.isfinite(found_y).tolist() == [[True, False], [False, True]]


class Told:
    """A reference system that tells which thread asked."""

    def transformer_to_crs(self, _target: CRS) -> Project:
        def ask(x: Floats, _y: Floats) -> tuple[Floats, Floats]:
            self.asked = threading.current_thread()
            return x, x

        return ask


@pytest.mark.parametrize(("count", "own"), [(1, False), (LARGE - 1, False), (LARGE, True)])
def test_few_points_are_asked_by_the_one_thread_and_many_by_the_caller(count: int, *, own: bool) -> None:
    told, points = Told(), np.zeros(count)
    way = projection(cast("CRS", told), LAEA)
    threads = set()
    for _ in range(2):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(way, points, points).result()
        threads.add(told.asked)
    assert len(threads) == (2 if own else 1)
    assert threading.current_thread() not in threads


def test_a_thread_that_outlives_the_main_one_still_gets_its_answer() -> None:
    code = """
import threading, time
import numpy as np
from odc.geo.crs import CRS
from landshift.projection import projection
way = projection(CRS("EPSG:32633"), CRS("EPSG:4326"))
def late():
    threading.main_thread().join()
    time.sleep(0.2)
    print(way(np.array([500_000.0]), np.array([0.0]))[0][0])
threading.Thread(target=late).start()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) == pytest.approx(15)


def test_many_threads_ask_at_once() -> None:
    def one(number: int) -> bool:
        x, y = np.full(50, 4e5 + number), np.linspace(5e6, 6e6, 50)
        return bool(np.array_equal(projection(UTM, LAEA)(x, y), WANTED.transform(x, y)))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(200)))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_a_thread_of_its_own() -> None:
    way, x, y = projection(UTM, LAEA), np.array([5e5]), np.array([5e6])
    way(x, y)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(float(way(x, y)[0][0])))
    child.start()
    child.join(30)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0
    assert answers.get() == WANTED.transform(x, y)[0][0]
