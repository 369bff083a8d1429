from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from landshift.acquire.folder import Folder, adopt
from landshift.acquire.query import Query
from landshift.acquire.source import search
from landshift.errors import ConfigError, DataQualityWarning, NoScenesError, SceneError
from landshift.scene import passes, scene_from_item
from tiny_rasters import Tiff, write

FOUR = ("blue", "green", "red", "nir")


def test_one_item_per_dated_file(tmp_path: Path) -> None:
    for day in ("20200301", "20200401"):
        write(tmp_path / f"field_{day}.tif", Tiff(bands=4))
    items = adopt(Folder(path=str(tmp_path), bands=FOUR, scale=0.001))
    scenes = [scene_from_item(item, source="f") for item in items]
    assert [scene.id for scene in scenes] == ["field_20200301", "field_20200401"]
    assert tuple(scenes[0].bands) == FOUR
    assert scenes[0].quantity == "reflectance"
    red = scenes[0].bands["red"]
    assert (red.index, red.scale, red.nodata) == (3, 0.001, 0.0)
    assert Path(red.href) == tmp_path / "field_20200301.tif"


def test_items_say_where_their_pixels_lie(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=1, size=32))
    (item,) = adopt(Folder(path=str(tmp_path), bands=("red",)))
    fields = item.assets["red"].extra_fields
    assert fields["proj:code"] == "EPSG:32633"
    assert fields["proj:shape"] == [32, 32]
    assert fields["proj:transform"] == [10.0, 0.0, 500_000.0, 0.0, -10.0, 5_600_000.0]
    assert item.bbox is not None
    assert item.bbox[0] == pytest.approx(15.0, abs=1e-6)
    assert fields["eo:bands"] == [{"name": "red", "common_name": "red"}]


def test_described_bands_need_no_names_and_may_be_chosen(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=3, names=["B02", "B04", "B8A"]))
    scene = scene_from_item(adopt(tmp_path)[0], source="f")
    assert {name: file.index for name, file in scene.bands.items()} == {"blue": 1, "red": 2, "nir08": 3}
    chosen = scene_from_item(adopt(Folder(path=str(tmp_path), bands=("red",)))[0], source="f", bands=["red"])
    assert chosen.bands["red"].index == 2


def test_described_bands_are_taken_by_name_and_not_by_their_order(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=2, names=["B08", "B04"]))
    scene = scene_from_item(adopt(Folder(path=str(tmp_path), bands=("red", "nir")))[0], source="f")
    assert {name: file.index for name, file in scene.bands.items()} == {"nir": 1, "red": 2}
    assert scene.quantity == "reflectance"


def test_a_file_with_some_of_the_bands_gives_those_by_name(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=2, names=["nir", "red"]))
    asked = Folder(path=str(tmp_path), bands=("red", "nir", "swir16"))
    scene = scene_from_item(adopt(asked)[0], source="f")
    assert {name: file.index for name, file in scene.bands.items()} == {"nir": 1, "red": 2}


@pytest.mark.parametrize(
    ("described", "asked"),
    [(["red", "green"], ("red", "nir")), (["B04", "B03"], ("red", "nir")), (["green"], ("red",))],
)
def test_descriptions_that_contradict_what_is_asked_are_refused(
    tmp_path: Path, described: list[str], asked: tuple[str, ...]
) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=len(described), names=described))
    with pytest.raises(SceneError, match="described as others") as caught:
        adopt(Folder(path=str(tmp_path), bands=asked))
    assert (caught.value.got, caught.value.allowed) == (list(asked), described)


def test_a_file_name_that_its_description_contradicts_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301_B04.tif", Tiff(names=["B08"]))
    with pytest.raises(SceneError, match="described as others"):
        adopt(tmp_path)


def test_descriptions_that_name_no_band_leave_the_order_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=2, names=["at 665 nm", "at 842 nm"]))
    scene = scene_from_item(adopt(Folder(path=str(tmp_path), bands=("red", "nir")))[0], source="f")
    assert {name: file.index for name, file in scene.bands.items()} == {"red": 1, "nir": 2}


def test_numbered_descriptions_are_none(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(bands=2, names=["Band 1", "Band 2"]))
    assert list(scene_from_item(adopt(tmp_path)[0], source="f").bands) == ["band1", "band2"]


def test_files_of_one_band_each_become_one_item(tmp_path: Path) -> None:
    for band in ("B04", "B08"):
        write(tmp_path / f"field_20200301_{band}.tif")
    (item,) = adopt(tmp_path)
    scene = scene_from_item(item, source="f")
    assert item.id == "field_20200301"
    assert {name: Path(file.href).name for name, file in scene.bands.items()} == {
        "red": "field_20200301_B04.tif",
        "nir": "field_20200301_B08.tif",
    }


def test_numbered_bands_of_one_scene_are_one_item_and_only_the_sensor_says_what_they_are(
    tmp_path: Path,
) -> None:
    for band in ("B1", "B4", "B5", "B11", "BQA"):  # B11 alone would be taken for Sentinel-2's
        write(tmp_path / f"LC08_L1TP_014031_20180106_{band}.TIF")
    (item,) = adopt(tmp_path)
    assert sorted(item.assets) == ["B1", "B11", "B4", "B5", "BQA"]
    assert item.id == "LC08_L1TP_014031_20180106"
    folder = Folder(path=str(tmp_path), bands=("red", "nir08"))
    (item,) = folder.find(Query(sensor="landsat-8-9-c2l2")).items
    assert sorted(item.assets) == ["nir08", "red"]


def test_numbers_of_plots_that_look_like_bands_part_files_of_many_bands(tmp_path: Path) -> None:
    for plot in ("B1", "B2"):
        write(tmp_path / f"{plot}_20200101.tif", pixels=np.ones((3, 8, 8), np.uint16))
    assert [item.id for item in adopt(tmp_path)] == ["B1_20200101", "B2_20200101"]


def test_files_of_many_bands_in_two_folders_stay_as_many_items(tmp_path: Path) -> None:
    for date in ("20200101", "20200201"):
        for band in ("B1", "B2"):
            write(tmp_path / date / f"tile_{band}.tif", Tiff(bands=2))
    found = search(Folder(path=str(tmp_path)), Query())
    names = ["20200101_tile_B1", "20200101_tile_B2", "20200201_tile_B1", "20200201_tile_B2"]
    assert [item.id for item in found.items] == names
    assert found.skipped == ()


def test_tiles_of_one_date_are_one_pass(tmp_path: Path) -> None:
    for tile in range(3):
        write(
            tmp_path / f"mosaic_20200301_tile{tile}.tif", Tiff(origin=(500_000.0 + 320 * tile, 5_600_000.0))
        )
    items = adopt(Folder(path=str(tmp_path), bands=("red",)))
    assert len(items) == 3
    assert len(passes(scene_from_item(item, source="f") for item in items)) == 1


def test_a_mask_is_a_file_or_a_band(tmp_path: Path) -> None:
    write(tmp_path / "files" / "a_20200301.tif")
    write(tmp_path / "files" / "a_20200301_mask.tif", Tiff(dtype="uint8"))
    write(tmp_path / "bands" / "a_20200301.tif", Tiff(bands=2))
    beside = Folder(path=str(tmp_path / "files"), bands=("red",), mask="*_mask.tif")
    inside = Folder(path=str(tmp_path / "bands"), bands=("red", "clear"), mask="clear", mask_rule="valid")
    first = scene_from_item(adopt(beside)[0], source="f").quality
    second = scene_from_item(adopt(inside)[0], source="f")
    assert first is not None
    assert (Path(first.href).name, first.rule) == ("a_20200301_mask.tif", "mask")
    assert second.quality is not None
    assert (second.quality.index, second.quality.rule) == (2, "valid")
    assert list(second.bands) == ["red"]


def test_what_the_files_say_of_scale_is_used_and_the_user_knows_better(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(tags={"SCALE": "0.001"}))
    write(tmp_path / "b_20200401.tif", Tiff(dtype="float32", nodata=None))
    said = [
        scene_from_item(item, source="f").bands["red"].scale
        for item in adopt(Folder(path=str(tmp_path), bands=("red",)))
    ]
    told = adopt(Folder(path=str(tmp_path), bands=("red",), scale=0.5, offset=-1.0))
    assert said == [0.001, 1.0]
    assert scene_from_item(told[0], source="f").bands["red"].offset == -1.0


def test_floats_are_values_already_whatever_the_sensor_says(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301.tif", Tiff(dtype="float32", nodata=None, names=["B04"]))
    scene = scene_from_item(adopt(tmp_path)[0], source="f", sensor="sentinel-2-l2a")
    assert scene.bands["red"].scale == 1.0


def cube(path: Path, *, band: bool = False, names: tuple[str, str] = ("B04", "B08")) -> Path:
    times = np.array(["2020-01-01T10:00", "2020-01-01T10:05", "2020-02-01T10:00"], "datetime64[ns]")
    x, y = 500_005.0 + 10 * np.arange(6), 5_600_000.0 - 5 - 10 * np.arange(5)
    coords: dict[str, Any] = {"time": times, "y": y, "x": x}
    dims, shape = ("time", "y", "x"), (3, 5, 6)
    if band:
        coords["band"] = list(names)
        dims, shape = ("time", "band", "y", "x"), (3, 2, 5, 6)  # type: ignore[assignment]
    data = xr.Dataset(
        {
            "NDVI": (dims, np.arange(np.prod(shape), dtype="float32").reshape(shape)),
            "CLM": (("time", "y", "x"), np.zeros((3, 5, 6), "uint8")),
            "crs": ((), 0, {"spatial_ref": _wkt(), "crs_wkt": _wkt()}),
        },
        coords=coords,
    )
    data.x.attrs["standard_name"], data.y.attrs["standard_name"] = (
        "projection_x_coordinate",
        "projection_y_coordinate",
    )
    data.NDVI.attrs["grid_mapping"] = data.CLM.attrs["grid_mapping"] = "crs"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_netcdf(path, engine="h5netcdf")
    return path


def _wkt() -> str:
    from pyproj import CRS

    return str(CRS.from_epsg(32633).to_wkt("WKT1_GDAL"))


def test_a_time_coordinate_gives_an_item_per_date(tmp_path: Path) -> None:
    cube(tmp_path / "ndvi.nc")
    items = adopt(Folder(path=str(tmp_path), bands=("NDVI",), mask="CLM"))
    scenes = [scene_from_item(item, source="f") for item in items]
    assert [scene.time.isoformat()[:16] for scene in scenes] == [
        "2020-01-01T10:00",
        "2020-01-01T10:05",
        "2020-02-01T10:00",
    ]
    assert [scene.bands["NDVI"].index for scene in scenes] == [1, 2, 3]
    assert {scene.quantity for scene in scenes} == {"index"}
    quality = scenes[1].quality
    assert quality is not None
    assert (quality.variable, quality.index, quality.rule) == ("CLM", 2, "mask")
    assert len(passes(scenes)) == 3, "planes of one file stay dates of their own"


def test_the_plane_of_a_four_dimensional_variable_is_the_one_gdal_counts(tmp_path: Path) -> None:
    import rasterio

    path = cube(tmp_path / "bands.nc", band=True)
    with xr.open_dataset(path, engine="h5netcdf") as data:
        truth = data.NDVI.sel(band="B08").isel(time=1).values
    scene = scene_from_item(adopt(Folder(path=str(path), bands=("nir",)))[1], source="f")
    file = scene.bands["nir"]
    with rasterio.open(f"netcdf:{file.href}:{file.variable}") as opened:
        np.testing.assert_array_equal(opened.read(file.index), truth)


def test_bands_of_a_netcdf_go_by_the_names_of_the_recipes_sensor(tmp_path: Path) -> None:
    path = cube(tmp_path / "bands.nc", band=True, names=("SR_B4", "SR_B5"))
    found = Folder(path=str(path), bands=("nir08",)).find(Query(sensor="landsat-8-9-c2l2"))
    assert [scene_from_item(item, source="f").bands["nir08"].index for item in found.items] == [2, 4, 6]


def test_a_netcdf_without_the_wanted_variable_names_those_it_has(tmp_path: Path) -> None:
    cube(tmp_path / "ndvi.nc")
    with pytest.raises(SceneError, match=r"band evi is missing[\s\S]*NDVI"):
        adopt(Folder(path=str(tmp_path), bands=("evi",)))
    with pytest.raises(SceneError, match="no such mask variable"):
        adopt(Folder(path=str(tmp_path), mask="SCL"))


def landsat(folder: Path, product: str, *, mtl: bool = True) -> None:
    for band in ("SR_B4", "SR_B5", "QA_PIXEL"):
        write(folder / f"{product}_{band}.TIF", Tiff(pixel=30))
    if mtl:
        inner = {"SCENE_CENTER_TIME": "14:34:35.97Z", "CLOUD_COVER": "54.65", "SUN_ELEVATION": "40.0"}
        text = json.dumps({"LANDSAT_METADATA_FILE": {"IMAGE_ATTRIBUTES": inner}})
        (folder / f"{product}_MTL.json").write_text(text, encoding="utf-8")


def test_a_landsat_product_is_known_by_its_name_and_mtl(tmp_path: Path) -> None:
    landsat(tmp_path / "a", "LC08_L2SP_005009_20150710_20200908_02_T2")
    landsat(tmp_path / "b", "LE07_L2SP_005009_20150711_20200908_02_T1", mtl=False)
    first, second = (scene_from_item(item, source="l") for item in adopt(tmp_path))
    assert (first.sensor, first.platform, first.cloud_cover) == ("landsat-8-9-c2l2", "landsat-8", 54.65)
    assert first.time.isoformat() == "2015-07-10T14:34:35.970000+00:00"
    assert first.angles["sun_zenith"] == 50.0
    assert list(first.bands) == ["red", "nir08"]
    assert list(second.bands) == ["nir08", "swir16"], "ETM+ counts its bands otherwise"
    assert second.sensor == "landsat-4-7-c2l2"
    assert first.quality is not None
    assert first.quality.rule == "qa_pixel"


def sentinel2(folder: Path) -> Path:
    for band in ("B04", "B08", "SCL"):
        write(folder / f"{band}.tif", Tiff(pixel=20 if band == "SCL" else 10))
    return folder


def test_a_sentinel_2_folder_says_tile_date_and_satellite(tmp_path: Path) -> None:
    sentinel2(tmp_path / "S2A_29RKH_20200219_0_L2A")
    (scene,) = (scene_from_item(item, source="s") for item in adopt(tmp_path))
    assert (scene.sensor, scene.platform, scene.time.date().isoformat()) == (
        "sentinel-2-l2a",
        "sentinel-2a",
        "2020-02-19",
    )
    assert scene.bands["red"].scale == 1e-4
    assert scene.quality is not None


def test_a_sentinel_2_folder_of_unknown_baseline_is_warned_about(tmp_path: Path) -> None:
    folder = sentinel2(tmp_path / "S2A_29RKH_20220301_0_L2A")
    with pytest.warns(DataQualityWarning, match=r"baseline 04\.00"):
        adopt(folder)


def test_the_item_beside_the_files_speaks_for_them(tmp_path: Path) -> None:
    folder = sentinel2(tmp_path / "S2A_29RKH_20220301_0_L2A")
    fields = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "the-item",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [[[15, 50], [16, 50], [16, 51], [15, 50]]]},
        "bbox": [15, 50, 16, 51],
        "properties": {
            "datetime": "2022-03-01T10:00:00Z",
            "platform": "sentinel-2a",
            "s2:processing_baseline": "04.00",
            "proj:epsg": 1,
        },
        "links": [],
        "assets": {
            "red": {
                "href": "https://bucket.example/x/B04.tif?sig=1",
                "proj:shape": [10980, 10980],
                "roles": ["data"],
            },
            "nir": {"href": "https://bucket.example/x/B08.tif", "roles": ["data"]},
            "blue": {"href": "https://bucket.example/x/B02.tif", "roles": ["data"]},
            "scl": {"href": "https://bucket.example/x/SCL.tif"},
        },
    }
    (folder / "item.json").write_text(json.dumps(fields), encoding="utf-8")
    (item,) = adopt(tmp_path)
    scene = scene_from_item(item, source="s")
    assert item.id == "the-item"
    assert list(scene.bands) == ["red", "nir"], "what is not here is left out"
    assert scene.bands["red"].offset == pytest.approx(-0.1)
    assert item.assets["red"].extra_fields["proj:shape"] == [32, 32], "the file is believed, not the item"
    assert Path(scene.bands["red"].href) == folder / "B04.tif"


def broken(folder: Path, kind: str) -> Path:
    """A folder with one good file and one that cannot be used."""
    good = write(folder / "good_20200301.tif", Tiff(size=64))
    bad = folder / "bad_20200401.tif"
    if kind == "corrupt":
        bad.write_bytes(b"not a tiff at all")
    elif kind == "cut off":
        content = good.read_bytes()
        bad.write_bytes(content[: len(content) * 2 // 3])
    elif kind == "no CRS":
        write(bad, Tiff(crs=None))
    elif kind == "no date":
        shutil.copy(good, folder / "bad.tif")
    else:
        write(bad, Tiff(bands=2))
    return folder


@pytest.mark.parametrize("kind", ["corrupt", "cut off", "no CRS", "no date", "bands"])
def test_a_file_that_cannot_be_used_stops_or_is_counted(tmp_path: Path, kind: str) -> None:
    folder = Folder(path=str(broken(tmp_path, kind)), bands=("red",))
    with pytest.raises(SceneError, match=kind) as caught:
        adopt(folder)
    assert "bad" in str(caught.value.where)
    assert caught.value.hint
    found = search(folder, Query(on_error="skip"))
    assert [item.id for item in found.items] == ["good_20200301"]
    assert len(found.skipped) == 1
    assert kind in found.skipped[0].reason
    with pytest.warns(DataQualityWarning, match="1 files left out: bad"):
        adopt(folder, on_error="skip")


def test_a_truncated_netcdf_is_corrupt(tmp_path: Path) -> None:
    path = cube(tmp_path / "ndvi.nc")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SceneError, match="corrupt or not NetCDF"):
        adopt(tmp_path)


def test_bands_of_one_item_in_different_crs_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a_20200301_B04.tif")
    write(tmp_path / "a_20200301_B08.tif", Tiff(crs="EPSG:32634"))
    with pytest.raises(SceneError, match=r"different CRS[\s\S]*EPSG:32634"):
        adopt(tmp_path)


def test_a_missing_folder_and_an_empty_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        adopt(tmp_path / "nowhere")
    with pytest.raises(NoScenesError, match=r"no file fits[\s\S]*\*\.tif"):
        adopt(tmp_path)


def test_a_pattern_chooses_files(tmp_path: Path) -> None:
    for name in ("a_20200301.tif", "deep/b_20200401.tif", "c_20200501.img.tif"):
        write(tmp_path / name)
    anywhere = adopt(Folder(path=str(tmp_path), pattern="b_*.tif", bands=("red",)))
    here = adopt(Folder(path=str(tmp_path), pattern="./a*.tif", bands=("red",)))
    assert [item.id for item in anywhere] == ["b_20200401"]
    assert [item.id for item in here] == ["a_20200301"]


def test_files_of_one_name_in_two_folders_stay_two_items(tmp_path: Path) -> None:
    for folder in ("north", "south"):
        write(tmp_path / folder / "a_20200301.tif")
    items = adopt(Folder(path=str(tmp_path), bands=("red",)))
    assert sorted(item.id for item in items) == ["north_a_20200301", "south_a_20200301"]


def test_what_is_adopted_is_valid_stac(tmp_path: Path) -> None:
    import pystac
    from pystac.validation import JsonSchemaSTACValidator

    landsat(tmp_path / "l", "LC08_L2SP_005009_20150710_20200908_02_T2")
    sentinel2(tmp_path / "s" / "S2A_29RKH_20200219_0_L2A")
    write(tmp_path / "t" / "a_20200301.tif", Tiff(names=["B04"]))
    cube(tmp_path / "n" / "ndvi.nc")
    for item in adopt(tmp_path):
        fields = item.to_dict(include_self_link=False, transform_hrefs=False)
        fields["stac_extensions"] = []
        version = str(fields["stac_version"])
        JsonSchemaSTACValidator().validate_core(fields, pystac.STACObjectType.ITEM, version)
