"""Items become scenes: the right files, the right numbers, the offset neither forgotten nor doubled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pystac
import pytest

from landshift import sensor
from landshift.errors import SceneError
from landshift.scene import Scene, passes, scene_from_item

NOON = datetime(2023, 6, 1, 10, 30, tzinfo=UTC)


def item(properties: dict[str, Any] | None = None, raster: dict[str, Any] | None = None) -> pystac.Item:
    made = pystac.Item("one", None, None, NOON, {"platform": "sentinel-2a", **(properties or {})})
    made.collection_id = "sentinel-2-l2a"
    for key in ("red", "nir", "nir08"):
        asset = pystac.Asset(f"https://host/{key}.tif", roles=["data"])
        asset.extra_fields = {"raster:bands": [raster]} if raster else {}
        made.add_asset(key, asset)
    made.add_asset("scl", pystac.Asset("https://host/scl.tif"))
    return made


@pytest.mark.parametrize(
    ("properties", "raster", "offset"),
    [
        ({"s2:processing_baseline": "02.14"}, None, 0.0),
        ({"s2:processing_baseline": 2.14}, None, 0.0),
        ({"s2:processing_baseline": "04.00"}, None, -0.1),
        ({"s2:processing_baseline": "05.10"}, {"scale": 1e-4, "offset": -0.1}, -0.1),
        ({"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": True}, {"offset": -0.1}, 0.0),
        ({"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": True}, None, 0.0),
        ({"s2:processing_baseline": "03.01"}, {"offset": -0.1}, 0.0),
        ({"processing:version": "N0214"}, None, 0.0),
        ({"processing:version": "N0509"}, None, -0.1),
        ({"processing:version": "05.09"}, None, -0.1),
        ({}, {"scale": 1e-4, "offset": 0}, 0.0),
        ({}, None, 0.0),
    ],
)
def test_the_offset_is_taken_off_exactly_once(
    properties: dict[str, Any], raster: dict[str, Any] | None, offset: float
) -> None:
    scene = scene_from_item(item(properties, raster), source="s2")
    assert {band.offset for band in scene.bands.values()} == {offset}


def test_broad_and_narrow_nir_are_kept_apart() -> None:
    scene = scene_from_item(item(), source="s2", bands=["nir08", "nir"])
    assert [band.href for band in scene.bands.values()] == ["https://host/nir08.tif", "https://host/nir.tif"]
    assert scene.quality is not None
    assert scene.quality.rule == "scl"


def test_a_missing_band_is_named() -> None:
    with pytest.raises(SceneError, match="swir16") as caught:
        scene_from_item(item(), source="s2", bands=["swir16"])
    assert "nir08" in str(caught.value)


def scene(name: str, minutes: float, platform: str = "sentinel-2a") -> Scene:
    return Scene(
        id=name,
        source="s2",
        sensor="sentinel-2-l2a",
        quantity="reflectance",
        time=NOON + timedelta(minutes=minutes),
        bands={},
        platform=platform,
    )


def test_granules_of_one_overpass_are_one_date() -> None:
    groups = passes([scene("b", 0.3), scene("a", 0), scene("c", 0.2, "sentinel-2b"), scene("d", 14400)])
    assert [group.item_ids for group in groups] == ["a;b", "c", "d"]
    assert groups[0].time == NOON


def test_scl_and_qa_pixel_decode_as_specified() -> None:
    names = {code: name for name, code in sensor.QUALITY.items()}
    scl = [names[int(code)] for code in sensor.quality_table("scl")[:12]]
    assert scl == [
        *("nodata", "saturated", "clear", "shadow", "clear", "clear"),
        *("water", "clear", "cloud", "cloud", "thin_cloud", "snow"),
    ]
    # Codes of USGS LSDS-1619, table 6-3: fill, clear, water, cloud with dilation, cirrus, shadow, snow.
    codes = np.array([1, 21824, 21952, 22280, 54596, 23888, 30048], np.uint16)
    decoded = [names[int(code)] for code in sensor.quality_table("qa_pixel")[codes]]
    assert decoded == ["nodata", "clear", "water", "cloud", "thin_cloud", "shadow", "snow"]


def test_every_sensor_file_loads_and_no_name_stands_twice() -> None:
    for name in sensor.names():
        known = sensor.get(name)
        called = [alias for band in known.bands for alias in {band.name, band.native, *band.aliases}]
        assert len(called) == len(set(called)), name
