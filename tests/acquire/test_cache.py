from __future__ import annotations

import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landshift.acquire.cache import DiskCache, tile_key
from landshift.errors import DataQualityWarning
from loopback_stac import serve
from tiny_rasters import Tiff, write

KEY = "s3://bucket/a.tif|None|(1,)|0|{}|0"


def tile(seed: int, size: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10_000, (1, size, size), dtype=np.uint16)


@settings(max_examples=30)
@given(
    array=hnp.arrays(
        st.sampled_from(["u1", "u2", "i2", "f4"]), hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)
    )
)
def test_a_tile_comes_back_as_it_went_in(array: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = DiskCache(tmp_path_factory.mktemp("cache"))
    cache.put(KEY, array)
    found = cache.get(KEY)
    assert found is not None
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)


def test_another_signature_hits_and_another_tile_misses(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.put("s3://a/b.tif?sig=1|None|(1,)|0|0|0", tile(1))
    assert cache.has("s3://a/b.tif?sig=2|None|(1,)|0|0|0")
    assert not cache.has("s3://a/b.tif|None|(1,)|0|0|1")
    assert not cache.has("s3://a/b.tif|None|(2,)|0|0|0")
    assert tile_key("https://a?x", "e", "1", 0, 0, 0) != tile_key("https://a", "f", "1", 0, 0, 0)


def test_local_files_are_left_to_the_disk(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.put("/data/a.tif|None|(1,)|0|0|0", tile(1))
    assert cache.size() == 0
    assert DiskCache(tmp_path, local=True).get("/data/a.tif|None|(1,)|0|0|0") is None


def test_a_changed_file_is_another_file(tmp_path: Path) -> None:
    source = write(tmp_path / "files" / "a.tif")
    with serve(tmp_path / "files") as state:
        key = f"{state.url}/files/a.tif|None|(1,)|0|0|0"
        first = DiskCache(tmp_path / "cache")
        first.put(key, tile(1))
        assert DiskCache(tmp_path / "cache").has(key)
        assert state.asked("/files/a.tif", "HEAD") == 1, "the version is asked for once, then remembered"
        write(source, Tiff(size=48))
        noted = next((tmp_path / "cache" / "versions").rglob("*.json"))
        noted.write_text(noted.read_text().replace('"asked": ', '"asked": -'), encoding="utf-8")
        assert not DiskCache(tmp_path / "cache").has(key)
        noted.write_text(noted.read_text().replace('"asked": ', '"asked": -'), encoding="utf-8")
        state.fail("/files", *[404] * 3)
        offline = DiskCache(tmp_path / "cache")
        offline.put(key, tile(2))
        assert offline.has(key), "without an answer the last version known holds"


def test_the_longest_unused_go_first_and_the_bound_holds(tmp_path: Path) -> None:
    one = DiskCache(tmp_path)
    one.put(KEY.format("first"), tile(0))
    cache = DiskCache(tmp_path, max_bytes=20 * one.size())
    for number in range(60):
        cache.put(KEY.format(number), tile(number))
        if number == 10:
            used = cache._path(KEY.format("first"), "tile")
            os.utime(used, (time.time() + 60, time.time() + 60))
        assert cache.size() <= cache.max_bytes
    assert cache.has(KEY.format("first")), "used lately"
    assert cache.has(KEY.format(59))
    assert not cache.has(KEY.format(0))


def test_a_damaged_tile_is_a_miss_and_goes(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    cache.put(KEY, tile(1))
    path = cache._path(KEY, "tile")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert cache.get(KEY) is None
    assert not path.exists()
    assert (cache.hits, cache.misses) == (0, 1)


def fill(folder: str) -> int:
    cache = DiskCache(folder, max_bytes=200_000)
    for number in range(40):
        cache.put(KEY.format(number), tile(number))
        found = cache.get(KEY.format(number % 7))
        if found is not None:
            np.testing.assert_array_equal(found, tile(number % 7))
    return cache.size()


def test_processes_share_a_folder(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        sizes = list(pool.map(fill, [str(tmp_path)] * 3))
    assert max(sizes) <= 200_000 * 1.5, "writers overlap for a moment"
    DiskCache(tmp_path, max_bytes=200_000).put(KEY, tile(0))
    assert DiskCache(tmp_path).size() <= 200_000
    assert not list(tmp_path.rglob("*.partial"))


def test_a_cache_that_cannot_be_written_warns_once_and_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    cache = DiskCache(tmp_path / "file")
    with pytest.warns(DataQualityWarning, match="reading goes on without it"):
        cache.put(KEY, tile(1))
    cache.put(KEY, tile(1))
    assert cache.get(KEY) is None


def test_it_pickles_to_the_same_folder(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, max_bytes=10**6)
    cache.put(KEY, tile(1))
    assert pickle.loads(pickle.dumps(cache)).has(KEY)  # noqa: S301 - our own object
