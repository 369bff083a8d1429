from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odc.geo.geom import box

from landshift.acquire import catalogue as catalogues
from landshift.acquire.catalogue import AccessWarning, Catalogue
from landshift.acquire.query import Query
from landshift.acquire.source import Source, Stac, origin_of, search
from landshift.errors import ConfigError, DataQualityWarning, NetworkError, SceneError
from landshift.scene import passes, scene_from_item
from loopback_stac import Loopback, serve
from tiny_rasters import Tiff, write

HERE = Query(outline=box(15.0, 50.0, 15.1, 50.6, crs="EPSG:4326"), sensor="sentinel-2-l2a")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDSHIFT_BACKOFF", "0.01")


def item(name: str, month: int, **properties: Any) -> dict[str, Any]:
    ring = [[14.99, 50.5], [15.02, 50.5], [15.02, 50.56], [14.99, 50.56], [14.99, 50.5]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [14.99, 50.5, 15.02, 50.56],
        "properties": {"datetime": f"2020-{month:02d}-01T10:00:00Z", "platform": "sentinel-2a", **properties},
        "links": [],
        "assets": {
            "red": {"href": f"{name}/B04.tif", "roles": ["data"]},
            "nir": {"href": f"{name}/B08.tif", "roles": ["data"]},
            "scl": {"href": f"{name}/SCL.tif", "roles": ["data"]},
        },
    }


def scene_files(folder: Path, name: str, value: int) -> None:
    for band, size in (("B04", 512), ("B08", 512), ("SCL", 256)):
        kind = Tiff(
            driver="COG",
            size=size,
            block=128,
            pixel=5120 / size,
            dtype="uint8" if band == "SCL" else "uint16",
        )
        pixels = np.full((1, size, size), 4 if band == "SCL" else value, kind.dtype)
        pixels[0, : size // 2] += band != "SCL"
        write(folder / name / f"{band}.tif", kind, pixels)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Loopback]:
    with serve(tmp_path) as state:
        for month in range(1, 8):
            state.add(item(f"s{month}", month, **{"eo:cloud_cover": month * 10}))
        yield state


def test_all_pages_are_read_and_every_scene_is_accounted_for(server: Loopback) -> None:
    query = Query(outline=HERE.outline, max_cloud=40, months=(1, 2, 3, 5, 6))
    found = search(Stac(url=server.api, collection="sentinel-2-l2a"), query)
    assert [scene.id for scene in found.items] == ["s1", "s2", "s3"]
    assert {scene.id: scene.reason for scene in found.skipped} == {
        "s4": "outside the months",
        "s5": "more than 40 % cloud",
        "s6": "more than 40 % cloud",
        "s7": "outside the months",
    }
    assert server.asked("/api/search", "POST") == 4, "seven scenes, two a page"


def test_an_api_without_post_is_searched_with_get(tmp_path: Path) -> None:
    with serve(tmp_path, post=False) as state:
        for month in range(1, 6):
            state.add(item(f"s{month}", month))
        found = search(Stac(url=state.api, collection="sentinel-2-l2a"), HERE)
        assert len(found.items) == 5
        assert state.asked("/api/search", "GET") == 3
        assert state.asked("/api/search", "POST") == 0


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Loopback, status: int) -> None:
    server.fail("/api", status)
    server.fail("/api/search", status, status)
    assert len(search(Stac(url=server.api, collection="sentinel-2-l2a"), HERE).items) == 7


def test_a_server_that_stays_busy_is_given_up_with_words(server: Loopback) -> None:
    server.fail("/api/search", *[503] * 20)
    with pytest.raises(NetworkError, match="gave up after 5 retries") as caught:
        search(Stac(url=server.api, collection="sentinel-2-l2a"), HERE)
    assert caught.value.hint == "try again later; what is done is kept"
    assert server.asked("/api/search") == 6


@pytest.mark.parametrize(
    ("status", "message"), [(403, "refuses"), (404, "nothing at this address"), (400, "not accept")]
)
def test_a_refusal_is_not_repeated(server: Loopback, status: int, message: str) -> None:
    server.fail("/api/search", status)
    with pytest.raises(NetworkError, match=message):
        search(Stac(url=server.api, collection="sentinel-2-l2a"), HERE)
    assert server.asked("/api/search") == 1


def test_no_network_says_so_and_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError, match="is there a network") as caught:
        search(Stac(url=f"http://127.0.0.1:{port}/api", collection="c"), HERE)
    assert 'from = "folder"' in str(caught.value.hint)


def test_a_search_becomes_pixels_over_range_requests(server: Loopback, tmp_path: Path) -> None:
    from landshift.acquire.read import read

    for name, value in (("s1", 1000), ("s2", 3000)):
        scene_files(tmp_path, name, value)
    found = search(
        Stac(url=server.api, collection="sentinel-2-l2a"), Query(outline=HERE.outline, months=(1, 2))
    )
    scenes = passes(scene_from_item(one, source="s2") for one in found.items)
    server.fail("/files/s1/B04.tif", 503)
    cube = read(scenes, grid(), bands=["red", "nir"])
    np.testing.assert_allclose(cube.reflectance.sel(band="red").values[:, 0, 0], [0.1001, 0.3001], atol=1e-6)
    assert (cube.quality.values == 1).all()
    ranges = [asked for _, path, asked in server.requests if path.endswith("B04.tif") and asked]
    assert ranges, "COGs are read in parts"


def grid() -> Any:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    return GeoBox((64, 64), Affine(10, 0, 500_000 + 10 * 64, 0, -10, 5_600_000 - 10 * 64), "EPSG:32633")


def test_collections_follow_from_the_sensor_and_a_paying_reader_is_warned(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = Catalogue(
        name="mine",
        title="",
        url=server.api,
        collections={"sentinel-2-l2a": "sentinel-2-l2a"},
        requester_pays={"sentinel-2-l2a": "bring your purse"},
    )
    monkeypatch.setattr(catalogues, "catalogues", lambda: {"mine": facts})
    with pytest.warns(AccessWarning, match="bring your purse"):
        assert len(search(Stac(catalogue="mine"), HERE).items) == 7
    with pytest.raises(ConfigError, match="no collection for landsat"):
        search(Stac(catalogue="mine"), Query(outline=HERE.outline, sensor="landsat-8-9-c2l2"))
    assert Stac(catalogue="mine").note("sentinel-2-l2a") == "bring your purse"


def test_an_api_wants_a_place_and_a_collection(server: Loopback) -> None:
    with pytest.raises(ConfigError, match="needs a place"):
        search(Stac(url=server.api, collection="c"), Query())
    with pytest.raises(ConfigError, match="which collection"):
        search(Stac(url=server.api), HERE)


def static(folder: Path) -> Path:
    """A catalogue of two levels with relative addresses."""
    for name, month in (("a", 1), ("b", 2)):
        (folder / "c" / name).mkdir(parents=True)
        (folder / "c" / name / f"{name}.json").write_text(json.dumps(item(name, month)), encoding="utf-8")
    links = [{"rel": "item", "href": f"./{name}/{name}.json"} for name in "ab"]
    write_json(
        folder / "c" / "collection.json", {**catalog("Collection", links), "extent": {}, "license": "x"}
    )
    root = [{"rel": "child", "href": "./c/collection.json"}, {"rel": "root", "href": "./catalog.json"}]
    return write_json(folder / "catalog.json", catalog("Catalog", root))


def catalog(kind: str, links: list[dict[str, str]]) -> dict[str, Any]:
    return {"type": kind, "id": "c", "stac_version": "1.0.0", "description": "d", "links": links}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_static_catalogue_is_walked_on_disk_and_over_http(tmp_path: Path) -> None:
    root = static(tmp_path)
    local = search(Stac(url=str(root)), Query())
    assert [scene.id for scene in local.items] == ["a", "b"]
    assert Path(local.items[0].assets["red"].href) == tmp_path / "c" / "a" / "a" / "B04.tif"
    with serve(tmp_path) as state:
        remote = search(Stac(url=f"{state.url}/files/catalog.json"), Query())
        assert [scene.id for scene in remote.items] == ["a", "b"]
        assert remote.items[0].assets["red"].href == f"{state.url}/files/c/a/a/B04.tif"


def test_one_item_and_an_item_collection_are_sources(tmp_path: Path) -> None:
    one = write_json(tmp_path / "one.json", item("a", 1))
    many = write_json(
        tmp_path / "many.geojson", {"type": "FeatureCollection", "features": [item("a", 1), item("b", 2)]}
    )
    assert len(search(Stac(url=str(one)), Query()).items) == 1
    assert len(search(Stac(url=str(many)), Query()).items) == 2
    assert len(search(Stac(url="many.geojson", collection="other"), Query(base=tmp_path)).items) == 0


def test_a_damaged_item_stops_or_is_counted(tmp_path: Path) -> None:
    path = write_json(
        tmp_path / "x.json", [item("a", 1), {"type": "Feature", "id": "b", "stac_version": "1.0.0"}]
    )
    with pytest.raises(SceneError, match="damaged item"):
        search(Stac(url=str(path)), Query())
    found = search(Stac(url=str(path)), Query(on_error="skip"))
    assert [scene.reason for scene in found.skipped] == ["damaged item"]


def test_a_broken_link_stops_or_is_counted(tmp_path: Path) -> None:
    root = static(tmp_path)
    (tmp_path / "c" / "b" / "b.json").unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        search(Stac(url=str(root)), Query())
    found = search(Stac(url=str(root)), Query(on_error="skip"))
    assert [scene.id for scene in found.items] == ["a"]
    assert len(found.skipped) == 1


@pytest.mark.parametrize(("content", "message"), [("{", "not JSON"), ('{"a": 1}', "not a STAC document")])
def test_what_is_no_stac_says_so(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises((SceneError, ConfigError), match=message):
        search(Stac(url=str(tmp_path / "x.json")), Query())


def test_a_table_of_the_recipe_becomes_a_source() -> None:
    assert origin_of({"from": "planetary-computer", "bands": ["red"]}, where="s") == Stac(
        catalogue="planetary-computer"
    )
    assert origin_of({"from": "stac", "url": "x.json"}, where="s") == Stac(url="x.json")
    folder = origin_of({"from": "folder", "path": "p", "bands": ["red"]}, where="s")
    assert isinstance(folder, Source)
    with pytest.raises(ConfigError, match="did you mean 'earth-search'"):
        origin_of({"from": "earthsearch"}, where="source.s2")
    with pytest.raises(ConfigError, match=r"source\.s2\.from is missing"):
        origin_of({}, where="source.s2")
    with pytest.raises(ConfigError, match=r"source\.s2\.patern is not a setting"):
        origin_of({"from": "folder", "path": "p", "patern": "x"}, where="source.s2")
    with pytest.raises(ConfigError, match="one of them"):
        origin_of({"from": "stac"}, where="s")


def test_local_items_that_do_not_say_where_they_lie_ask_their_files(tmp_path: Path) -> None:
    root = static(tmp_path)
    for name in "ab":
        for band in ("B04", "B08", "SCL"):
            write(tmp_path / "c" / name / name / f"{band}.tif", Tiff(nodata=-32768, dtype="int16"))
    found = search(Stac(url=str(root)), Query())
    fields = found.items[0].assets["red"].extra_fields
    assert (fields["proj:code"], fields["proj:shape"]) == ("EPSG:32633", [32, 32])
    assert scene_from_item(found.items[0], source="s").bands["red"].nodata == -32768
    (tmp_path / "c" / "b" / "b" / "B08.tif").write_bytes(b"broken")
    with pytest.raises(SceneError, match="corrupt"):
        search(Stac(url=str(root)), Query())
    left = search(Stac(url=str(root)), Query(on_error="skip"))
    assert [(scene.id, scene.reason) for scene in left.skipped] == [("b", "corrupt or not a raster")]


def test_without_a_network_the_answer_kept_last_time_holds(server: Loopback, tmp_path: Path) -> None:
    query = Query(outline=HERE.outline, max_cloud=40, remember=tmp_path / "cache")
    source = Stac(url=server.api, collection="sentinel-2-l2a")
    first = search(source, query)
    server.fail("/api", *[503] * 100)
    with pytest.warns(DataQualityWarning, match="taking the 7 scenes it listed"):
        again = search(source, query)
    assert [scene.id for scene in again.items] == [scene.id for scene in first.items]
    assert [scene_from_item(scene, source="s") for scene in again.items] == [
        scene_from_item(scene, source="s") for scene in first.items
    ]
    elsewhere = Query(outline=box(15.0, 50.0, 15.2, 50.6, crs="EPSG:4326"), remember=tmp_path / "cache")
    with pytest.raises(NetworkError):
        search(source, elsewhere)


def test_the_user_knows_better_about_the_offset(tmp_path: Path) -> None:
    said = {"s2:processing_baseline": "05.00", "earthsearch:boa_offset_applied": True}
    path = write_json(tmp_path / "x.json", item("a", 1, **said))
    offsets = [
        scene_from_item(search(Stac(url=str(path), offset=offset), Query()).items[0], source="s")
        .bands["red"]
        .offset
        for offset in (None, -0.1)
    ]
    assert offsets == [0.0, -0.1]


def test_jpeg_2000_items_of_cdse_give_each_band_at_its_finest(tmp_path: Path) -> None:
    base = "s3://eodata/Sentinel-2/MSI/L2A/x.SAFE/IMG_DATA"
    fields = item("cdse", 1, **{"processing:version": "05.10"})
    fields["stac_version"] = "1.1.0"
    fields["assets"] = {
        f"{band}_{metres}m": {
            "href": f"{base}/R{metres}m/{band}_{metres}m.jp2",
            "gsd": metres,
            "roles": ["data"],
            "bands": [{"name": band}],
            "raster:scale": 0.0001,
            "raster:offset": -0.1,
            "nodata": 0,
        }
        for band, sizes in {"B04": (60, 20, 10), "B8A": (60, 20)}.items()
        for metres in sizes
    }
    fields["assets"]["SCL_20m"] = {"href": f"{base}/R20m/SCL_20m.jp2", "roles": ["data"]}
    fields["assets"]["TCI_10m"] = {
        "href": f"{base}/R10m/TCI_10m.jp2",
        "roles": ["visual"],
        "bands": [{"name": "B04"}],
    }
    path = write_json(tmp_path / "x.json", fields)
    scene = scene_from_item(search(Stac(url=str(path)), Query()).items[0], source="s")
    assert {name: file.href.rsplit("_", maxsplit=1)[1] for name, file in scene.bands.items()} == {
        "red": "10m.jp2",
        "nir08": "20m.jp2",
    }
    assert (scene.bands["red"].offset, scene.bands["red"].nodata) == (-0.1, 0.0)
    assert scene.quality is not None
    assert scene.quality.rule == "scl"
