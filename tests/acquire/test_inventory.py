from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from landshift.acquire.folder import Folder, adopt
from landshift.acquire.inventory import read_inventory, write_inventory
from landshift.acquire.query import Query, Skipped
from landshift.acquire.source import Stac, search
from landshift.errors import ConfigError, SceneError, StoreError
from landshift.scene import scene_from_item
from tiny_rasters import Tiff, write


def remote(name: str, **properties: Any) -> pystac.Item:
    item = pystac.Item(
        id=name,
        geometry={"type": "Polygon", "coordinates": [[[15, 50], [16, 50], [16, 51], [15, 50]]]},
        bbox=[15, 50, 16, 51],
        datetime=datetime(2020, 6, 1, 10, tzinfo=UTC),
        properties={"platform": "sentinel-2a", **properties},
        collection="sentinel-2-l2a",
    )
    for key in ("red", "nir"):
        raster = [{"scale": 0.0001, "nodata": 0}]
        item.add_asset(
            key,
            pystac.Asset(
                f"https://host/{name}/{key}.tif", roles=["data"], extra_fields={"raster:bands": raster}
            ),
        )
    return item


def folder_items(folder: Path) -> list[pystac.Item]:
    for day in ("20200301", "20200401"):
        write(folder / f"a_{day}.tif", Tiff(bands=2))
    return adopt(Folder(path=str(folder), bands=("red", "nir"), scale=0.001))


def test_scenes_come_back_as_they_were_with_those_left_out(tmp_path: Path) -> None:
    items = [*folder_items(tmp_path / "data"), remote("s2", **{"eo:cloud_cover": 3})]
    left = [
        Skipped(id="bad.tif", reason="corrupt", source="f"),
        Skipped(id="c", reason="more than 40 % cloud", item=remote("c")),
    ]
    write_inventory(tmp_path / "out" / "scenes.parquet", {"f": items[:2], "s2": items[2:]}, left)
    found = read_inventory(tmp_path / "out" / "scenes.parquet")
    before = {item.id: scene_from_item(item, source="x") for item in items}
    after = {item.id: scene_from_item(item, source="x") for item in found.items}
    assert after == before
    assert {scene.id: scene.reason for scene in found.skipped} == {
        "bad.tif": "corrupt",
        "c": "more than 40 % cloud",
    }


def test_the_inventory_is_geoparquet_that_others_open(tmp_path: Path) -> None:
    import geopandas

    path = write_inventory(
        tmp_path / "scenes.parquet", {"s2": [remote("a"), remote("b")]}, [Skipped(id="x", reason="no CRS")]
    )
    frame = geopandas.read_parquet(path)
    assert (
        list(frame.columns.intersection(["id", "datetime", "geometry", "landshift:used", "landshift:reason"]))
        != []
    )
    assert frame.set_index("id")["landshift:reason"].to_dict() == {"a": "", "b": "", "x": "no CRS"}
    assert frame.crs == "EPSG:4326"
    assert frame.set_index("id").loc["a", "landshift:used"]


def test_the_same_scenes_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    items, left = [remote("a"), remote("b")], [Skipped(id="x", reason="r"), Skipped(id="y", reason="r")]
    digests = set()
    for number, step in enumerate((1, -1)):
        path = write_inventory(tmp_path / str(number) / "scenes.parquet", {"s2": items[::step]}, left[::step])
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_writing_changes_no_item(tmp_path: Path) -> None:
    item = remote("a")
    before = item.to_dict()
    write_inventory(tmp_path / "scenes.parquet", {"s2": [item]})
    assert item.to_dict() == before


def test_a_run_can_be_moved_with_its_own_scenes(tmp_path: Path) -> None:
    items = folder_items(tmp_path / "old" / "data")
    write_inventory(tmp_path / "old" / "scenes.parquet", {"f": items})
    (tmp_path / "old").rename(tmp_path / "new")
    found = read_inventory(tmp_path / "new" / "scenes.parquet")
    assert Path(found.items[0].assets["data"].href).exists()


def test_an_inventory_is_a_frozen_source(tmp_path: Path) -> None:
    write_inventory(
        tmp_path / "scenes.parquet", {"s2": [remote("a"), remote("b")]}, [Skipped(id="x", reason="r")]
    )
    found = search(Stac(url="scenes.parquet"), Query(base=tmp_path))
    assert [item.id for item in found.items] == ["a", "b"]
    assert [scene.reason for scene in found.skipped] == ["r"]


def test_providers_that_disagree_on_types_share_a_table(tmp_path: Path) -> None:
    items = [
        remote("a", path="028", gsd=10, odd=1, deep={"x": 1}),
        remote("b", path=28, gsd=10.5, odd=None, deep="flat", empty={}, none=[]),
    ]
    write_inventory(tmp_path / "scenes.parquet", {"s2": items})
    said = {item.id: item.properties for item in read_inventory(tmp_path / "scenes.parquet").items}
    assert (said["a"]["path"], said["b"]["path"]) == ("028", "28")
    assert (said["a"]["gsd"], said["b"]["gsd"]) == (10.0, 10.5)


def test_no_scenes_make_an_empty_inventory(tmp_path: Path) -> None:
    path = write_inventory(tmp_path / "scenes.parquet", {}, [])
    assert read_inventory(path).items == ()


def test_what_is_no_inventory_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(SceneError, match="not a parquet file"):
        read_inventory(tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="does not exist"):
        read_inventory(tmp_path / "y.parquet")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        write_inventory(tmp_path / "file" / "scenes.parquet", {})
