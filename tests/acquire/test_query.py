from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pystac
from odc.geo.geom import box

from landshift.acquire.query import Query, SearchResult, Skipped, count_reasons, narrow
from landshift.scene import passes, scene_from_item


def item(name: str, day: str = "2020-06-01", properties: Mapping[str, Any] | None = None) -> pystac.Item:
    square = {"type": "Polygon", "coordinates": [[[15, 50], [16, 50], [16, 51], [15, 51], [15, 50]]]}
    return pystac.Item(
        id=name,
        geometry=square,
        bbox=[15, 50, 16, 51],
        datetime=datetime.fromisoformat(f"{day}T10:00:00+00:00"),
        properties=dict(properties or {}),
    )


def reasons(items: list[pystac.Item], query: Query) -> dict[str, str]:
    found = narrow(SearchResult(items=tuple(items)), query)
    return {scene.id: "" for scene in found.items} | {scene.id: scene.reason for scene in found.skipped}


def test_every_scene_left_out_has_its_reason() -> None:
    query = Query(
        outline=box(15.2, 50.2, 15.4, 50.4, crs="EPSG:4326"),
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 1, tzinfo=UTC),
        months=(5, 6, 7),
        max_cloud=40,
    )
    far = item("far")
    far.geometry = {"type": "Polygon", "coordinates": [[[1, 5], [2, 5], [2, 6], [1, 6], [1, 5]]]}
    items = [
        item("good"),
        item("silent", properties={"eo:cloud_cover": None}),
        item("cloudy", properties={"eo:cloud_cover": 41.0}),
        item("edge", properties={"eo:cloud_cover": 40}),
        item("winter", "2020-01-15"),
        item("late", "2021-06-01"),
        far,
    ]
    assert reasons(items, query) == {
        "good": "",
        "silent": "",
        "edge": "",
        "cloudy": "more than 40 % cloud",
        "winter": "outside the months",
        "late": "outside the time",
        "far": "outside the place",
    }


def test_the_end_is_exclusive_and_the_start_is_not() -> None:
    moment = datetime(2020, 6, 1, 10, tzinfo=UTC)
    assert reasons([item("a")], Query(end=moment)) == {"a": "outside the time"}
    assert reasons([item("a")], Query(start=moment)) == {"a": ""}


def test_the_same_scene_twice_counts_once_and_is_told() -> None:
    found = narrow(SearchResult(items=(item("a"), item("a"))), Query())
    assert [scene.id for scene in found.items] == ["a"]
    assert [(scene.id, scene.reason) for scene in found.skipped] == [("a", "listed twice")]
    assert found.skipped[0].item is not None


def test_one_id_in_two_collections_is_two_scenes() -> None:
    one, other = item("a"), item("a")
    one.collection_id, other.collection_id = "surface", "top"
    one.add_asset("red", pystac.Asset("s.tif", roles=["data"]))
    other.add_asset("red", pystac.Asset("t.tif", roles=["data"]))
    found = narrow(SearchResult(items=(other, one, one)), Query())
    assert [scene.collection_id for scene in found.items] == ["surface", "top"]
    assert [scene.reason for scene in found.skipped] == ["listed twice"]
    (group,) = passes(scene_from_item(scene, source="s") for scene in found.items)
    assert [scene.bands["red"].href for scene in group.scenes] == ["s.tif", "t.tif"]


def test_of_two_processings_the_newest_is_used() -> None:
    common = {"grid:code": "MGRS-33UVR", "platform": "sentinel-2a"}
    old = item("S2A_33UVR_20200601_0_L2A", properties={**common, "s2:processing_baseline": "02.14"})
    new = item("S2A_33UVR_20200601_1_L2A", properties={**common, "s2:processing_baseline": "05.00"})
    assert reasons([new, old], Query()) == {
        "S2A_33UVR_20200601_1_L2A": "",
        "S2A_33UVR_20200601_0_L2A": "older processing of the same scene",
    }


def test_neighbouring_tiles_of_one_pass_are_both_used() -> None:
    tiles = [
        item(f"t{k}", properties={"grid:code": f"MGRS-33UV{k}", "platform": "sentinel-2a"}) for k in "RS"
    ]
    assert set(reasons(tiles, Query()).values()) == {""}


def test_items_come_by_time() -> None:
    found = narrow(SearchResult(items=(item("b", "2020-07-01"), item("c"), item("a"))), Query())
    assert [scene.id for scene in found.items] == ["a", "c", "b"]


def test_reasons_are_counted() -> None:
    listed = [Skipped(id=str(number), reason="no CRS" if number else "corrupt") for number in range(3)]
    assert count_reasons(listed) == {"no CRS": 2, "corrupt": 1}


def test_another_satellite_of_the_same_collection_is_left_out() -> None:
    items = [item(name, properties={"platform": name}) for name in ("landsat-7", "LANDSAT_9", "unheard-of")]
    assert reasons(items, Query(sensor="landsat-8-9-c2l2")) == {
        "LANDSAT_9": "",
        "unheard-of": "",
        "landsat-7": "not of landsat-8-9-c2l2",
    }
