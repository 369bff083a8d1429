"""The shared satellite data, as a user would point at it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pystac
import pytest

from landshift.acquire.folder import Folder, adopt
from landshift.acquire.inventory import read_inventory, write_inventory
from landshift.acquire.query import Query
from landshift.acquire.source import Stac, search
from landshift.errors import SceneError
from landshift.scene import Scene, passes, scene_from_item

pytestmark = pytest.mark.data

TEN = ("blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "swir16", "swir22")


def scenes_of(items: Sequence[pystac.Item], sensor: str | None = None) -> list[Scene]:
    return [scene_from_item(item, source="x", sensor=sensor) for item in items]


@pytest.mark.parametrize(
    ("name", "count", "sensor", "offset"),
    [
        ("LC08_L2SP_028030_20200114_20200824_02_T1_SR.json", 1, "landsat-8-9-c2l2", -0.2),
        ("LE07_L2SP_044033_20210329_20210424_02_T1_SR.json", 1, "landsat-4-7-c2l2", -0.2),
        ("S2A_28QCH_20200714_0_L2A.json", 1, "sentinel-2-l2a", 0.0),
        ("S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json", 1, "sentinel-2-l2a", 0.0),
        ("ga_ls8c_ard_3-1-0_088080_2020-05-25_final.stac-item.json", 1, "landsat-8-9-ga-ard3", 0.0),
        ("landsat-c2-l2-pc.json", 4, "landsat-8-9-c2l2", -0.2),
        ("sentinel-2-l2a-pc.json", 4, "sentinel-2-l2a", -0.1),
        ("site1-20200606-tall-strip-africa.geojson", 9, "sentinel-2-l2a", 0.0),
    ],
)
def test_items_of_the_public_catalogues_become_scenes(
    shared_data: Path, name: str, count: int, sensor: str, offset: float
) -> None:
    found = search(Stac(url=str(shared_data / "stac-items" / name)), Query())
    scenes = scenes_of(found.items)
    assert (len(scenes), {scene.sensor for scene in scenes}) == (count, {sensor})
    for scene in scenes:
        assert {"blue", "green", "red", "nir08", "swir16", "swir22"} <= set(scene.bands)
        assert {scene.bands[band].offset for band in ("red", "nir08")} == {offset}
        assert scene.quality is not None
        assert len({file.href for file in scene.bands.values()}) == len(scene.bands), (
            "each band from its own file"
        )
        assert not any("TCI" in file.href or "preview" in file.href for file in scene.bands.values())


def test_a_strip_of_one_overpass_is_one_date(shared_data: Path) -> None:
    found = search(
        Stac(url=str(shared_data / "stac-items" / "site1-20200606-tall-strip-africa.geojson")), Query()
    )
    assert [len(group.scenes) for group in passes(scenes_of(found.items))] == [9]


def test_a_dem_is_a_layer_of_its_own(shared_data: Path) -> None:
    found = search(Stac(url=str(shared_data / "stac-items" / "cop-dem-glo-30-pc.json")), Query())
    assert [list(scene.bands) for scene in scenes_of(found.items)] == [["data"]] * 4


def test_the_static_catalogue_is_read_without_network(shared_data: Path) -> None:
    found = search(Stac(url=str(shared_data / "stac-static-catalog-s2" / "collection.json")), Query())
    scenes = scenes_of(found.items, sensor="sentinel-2-l2a")
    assert [scene.time.day for scene in scenes] == [1, 4, 6]
    assert {name: file.index for name, file in scenes[0].bands.items()} == {"blue": 3, "green": 2, "red": 1}
    assert Path(scenes[0].bands["red"].href).exists()


def test_landsat_products_are_adopted_with_their_mtl(shared_data: Path) -> None:
    cloudy, half = scenes_of(adopt(shared_data / "landsat-c2l2-scenes"))
    assert (cloudy.cloud_cover, half.cloud_cover) == (100.0, 54.65)
    assert cloudy.time.isoformat(timespec="seconds") == "2013-04-19T16:01:51+00:00"
    assert {"blue", "green", "red", "nir08", "swir16", "swir22"} <= set(half.bands)
    assert half.bands["lwir11"].offset == 149.0
    assert half.angles["sun_zenith"] == pytest.approx(90 - 40.0015903, abs=1e-4)
    assert half.quality is not None


def test_a_fully_cloudy_scene_is_left_out_with_its_reason(shared_data: Path) -> None:
    found = search(Folder(path=str(shared_data / "landsat-c2l2-scenes")), Query(max_cloud=80))
    assert [(scene.id[10:16], scene.reason) for scene in found.skipped] == [
        ("017036", "more than 80 % cloud")
    ]


def test_sentinel_2_cogs_lie_where_the_files_say(shared_data: Path) -> None:
    (item,) = adopt(shared_data / "s2-l2a-cog-29RKH")
    (scene,) = scenes_of([item])
    assert (scene.sensor, len(scene.bands)) == ("sentinel-2-l2a", 12)
    pixels = {
        name: item.assets[key].extra_fields["proj:transform"][0]
        for name, key in (("red", "red"), ("nir08", "nir08"), ("coastal", "coastal"))
    }
    assert pixels == {"red": 100.0, "nir08": 200.0, "coastal": 600.0}, (
        "reduced copies: not the 10, 20, 60 m of the item"
    )
    assert scene.bands["red"].offset == 0.0, "baseline 02.14"
    assert scene.quality is not None
    assert scene.quality.rule == "scl"


def test_rufiji_is_a_series_by_its_names(shared_data: Path) -> None:
    folder = Folder(
        path=str(shared_data / "s2-sr-timeseries-rufiji"), date="%Y%m%d", bands=TEN, scale=0.001, nodata=0
    )
    scenes = scenes_of(adopt(folder))
    assert len(passes(scenes)) == 21
    assert (scenes[0].time.date().isoformat(), scenes[-1].time.date().isoformat()) == (
        "2016-03-12",
        "2020-01-01",
    )
    assert tuple(scenes[0].bands) == TEN
    assert (scenes[0].bands["nir"].index, scenes[0].bands["nir"].scale, scenes[0].bands["nir"].nodata) == (
        7,
        0.001,
        0.0,
    )
    own = scenes_of(adopt(shared_data / "s2-sr-timeseries-rufiji"))
    assert own[0].bands == scenes[0].bands, "the files say as much themselves"


def test_aberystwyth_is_sixteen_tiles_of_one_pass(shared_data: Path) -> None:
    folder = Folder(path=str(shared_data / "s2-aberystwyth-2021" / "tiles"), bands=TEN, scale=0.001, nodata=0)
    (group,) = passes(scenes_of(adopt(folder)))
    assert len(group.scenes) == 16
    assert group.time.date().isoformat() == "2021-05-27"


def test_slovenia_is_68_dates_of_ndvi_with_its_cloud_mask(shared_data: Path) -> None:
    folder = Folder(
        path=str(shared_data / "s2-cloud-lulc-slovenia"), pattern="ndvi*.nc", bands=("NDVI",), mask="CLM"
    )
    groups = passes(scenes_of(adopt(folder)))
    assert len(groups) == 68
    scene = groups[-1].scenes[0]
    assert (scene.quantity, scene.bands["NDVI"].index, scene.time.year) == ("index", 68, 2017)
    assert scene.quality is not None
    assert (scene.quality.variable, scene.quality.rule) == ("CLM", "mask")


def test_what_is_adopted_is_read_as_the_files_hold_it(shared_data: Path) -> None:
    import rasterio
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from landshift.acquire.read import read

    path = shared_data / "s2-cloud-lulc-slovenia" / "ndvi_cloud_cube.nc"
    items = adopt(Folder(path=str(path), bands=("NDVI",), mask="CLM"))
    with rasterio.open(f"netcdf:{path}:NDVI") as file, xr.open_dataset(path) as truth:
        geobox = GeoBox((file.height, file.width), file.transform, file.crs.to_wkt())
        cube = read(passes(scenes_of(items))[:5], geobox, bands=["NDVI"])
        np.testing.assert_array_equal(cube["index"].values[:, 0], truth.NDVI.values[:5])
        np.testing.assert_array_equal(cube.quality.values == 6, truth.CLM.values[:5] == 1)


def test_five_scenes_of_thirteen_bands_are_planes_of_one_variable(shared_data: Path) -> None:
    folder = Folder(path=str(shared_data / "s2-cloud-lulc-slovenia"), pattern="l1c*.nc")
    scenes = scenes_of(adopt(folder), sensor="sentinel-2-l1c")
    assert len(scenes) == 5
    assert scenes[1].bands["red"].index == 13 + 4
    assert scenes[1].bands["red"].scale == 1.0, "floats are reflectance already"


def test_too_few_names_for_the_bands_are_refused(shared_data: Path) -> None:
    folder = Folder(path=str(shared_data / "s2-aberystwyth-2021" / "tiles"), bands=TEN[:4])
    with pytest.raises(SceneError, match="10 bands, but 4 names are given"):
        adopt(folder)


def test_a_run_over_all_of_them_is_recorded(shared_data: Path, tmp_path: Path) -> None:
    items = [*adopt(shared_data / "landsat-c2l2-scenes"), *adopt(shared_data / "s2-l2a-cog-29RKH")]
    for name in (
        "sentinel-2-l2a-pc.json",
        "LC08_L2SP_028030_20200114_20200824_02_T1_SR.json",
        "S2A_28QCH_20200714_0_L2A.json",
    ):
        items += search(Stac(url=str(shared_data / "stac-items" / name)), Query()).items
    write_inventory(tmp_path / "scenes.parquet", {"x": items})
    before = {scene.id: scene for scene in scenes_of(items)}
    after = {scene.id: scene for scene in scenes_of(read_inventory(tmp_path / "scenes.parquet").items)}
    assert after == before
