from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from landshift.acquire.cache import DiskCache
from landshift.acquire.fetch import Fetched, fetch
from landshift.acquire.read import read
from landshift.acquire.tiles import TileReader
from landshift.errors import SceneError
from landshift.plan import plan_blocks
from landshift.scene import Pass, passes, scene_from_item
from loopback_stac import Loopback, serve
from tiny_rasters import Tiff, write


def scenes(state: Loopback, folder: Path) -> tuple[Pass, ...]:
    """Two dates of two bands, 1024 px with tiles of 128 px, of which the place needs a few."""
    import pystac

    rng = np.random.default_rng(1)
    made = []
    for month in (1, 2):
        assets: dict[str, Any] = {}
        for band in ("B04", "B08"):
            pixels = rng.integers(1, 9999, (1, 1024, 1024), dtype=np.uint16)
            write(folder / f"{month}_{band}.tif", Tiff(driver="COG", block=128), pixels)
            assets[band] = {"href": f"{state.url}/files/{month}_{band}.tif", "roles": ["data"]}
        fields: dict[str, Any] = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"s{month}",
            "geometry": None,
            "links": [],
            "assets": assets,
        }
        fields["properties"] = {"datetime": f"2020-0{month}-01T10:00:00Z", "platform": "sentinel-2a"}
        made.append(scene_from_item(pystac.Item.from_dict(fields), source="s2"))
    return passes(made)


def grid() -> GeoBox:
    return GeoBox((200, 200), Affine(10, 0, 500_000 + 3000, 0, -10, 5_600_000 - 3000), "EPSG:32633")


def test_fetched_tiles_make_the_network_needless(tmp_path: Path) -> None:
    with serve(tmp_path / "files") as state:
        groups = scenes(state, tmp_path / "files")
        plan, cache = plan_blocks(grid(), block_px=96), DiskCache(tmp_path / "cache")
        truth = read(groups, grid(), bands=["red", "nir"])
        told: list[tuple[int, int, str]] = []
        counts = fetch(
            groups, plan, bands=["red", "nir"], cache=cache, progress=lambda *said: told.append(said)
        )
        assert counts.files == 4
        assert counts.fetched == 16, "only the tiles under the place: 2 x 2 in each of 4 files"
        assert told[-1][0] == told[-1][1]
        again = fetch(groups, plan, bands=["red", "nir"], cache=cache)
        assert again.fetched == 0
        state.requests.clear()
        state.fail("/files", *[503] * 1000)
        with TileReader(cache=DiskCache(tmp_path / "cache")) as reader:
            cube = read(groups, grid(), bands=["red", "nir"], reader=reader)
        np.testing.assert_array_equal(cube.reflectance.values, truth.reflectance.values)
        assert state.requests == []


def test_local_files_are_not_fetched(tmp_path: Path) -> None:
    from landshift.acquire.folder import Folder, adopt

    write(tmp_path / "a_20200301.tif")
    groups = passes(scene_from_item(i, source="f") for i in adopt(Folder(path=str(tmp_path), bands=("red",))))
    counts = fetch(groups, plan_blocks(grid()), bands=["red"], cache=DiskCache(tmp_path / "cache"))
    assert counts == Fetched(files=1, local=1)


def test_scenes_of_one_id_in_two_collections_are_both_fetched(tmp_path: Path) -> None:
    with serve(tmp_path / "files") as state:
        first, second = (scene for group in scenes(state, tmp_path / "files") for scene in group.scenes)
        groups = passes([replace(first, collection="a"), replace(second, id=first.id, collection="b")])
        cache = DiskCache(tmp_path / "cache")
        counts = fetch(groups, plan_blocks(grid()), bands=["red", "nir"], cache=cache)
    assert (counts.files, counts.fetched) == (4, 16)


def test_a_file_that_was_missing_is_found_once_it_is_there(tmp_path: Path) -> None:
    with serve(tmp_path / "files") as state:
        groups = scenes(state, tmp_path / "files")
        hidden = (tmp_path / "files" / "1_B08.tif").rename(tmp_path / "hidden.tif")
        cache = DiskCache(tmp_path / "cache")
        with pytest.raises(SceneError, match="404"):
            fetch(groups, plan_blocks(grid()), bands=["nir"], cache=cache)
        hidden.rename(tmp_path / "files" / "1_B08.tif")
        assert fetch(groups, plan_blocks(grid()), bands=["nir"], cache=cache).fetched == 8


def test_a_damaged_file_stops_fetching_or_is_left_out_and_told(tmp_path: Path) -> None:
    with serve(tmp_path / "files") as state:
        groups = scenes(state, tmp_path / "files")
        (tmp_path / "files" / "1_B08.tif").write_bytes(b"not a raster")
        plan, cache = plan_blocks(grid(), block_px=96), DiskCache(tmp_path / "cache")
        with pytest.raises(SceneError, match="cannot open"):
            fetch(groups, plan, bands=["red", "nir"], cache=cache)
        counts = fetch(groups, plan, bands=["red", "nir"], cache=cache, on_error="skip")
        again = fetch(groups, plan, bands=["red", "nir"], cache=cache, on_error="skip")
    assert list(counts.skipped) == [f"{state.url}/files/1_B08.tif"]
    assert "cannot open" in counts.skipped[f"{state.url}/files/1_B08.tif"]
    assert again.fetched == 0
    assert again.tiles >= 12, "the tiles of the other three files are there"
