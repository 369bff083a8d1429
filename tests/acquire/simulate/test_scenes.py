"""Scenes: complete, deterministic, restartable, and honest about what they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from landshift.acquire.simulate import Simulate, clear_sky, write_scenes
from landshift.errors import ConfigError, StoreError
from landshift.scene import Scene, passes, scene_from_item
from landshift.sensor import QUALITY

SIM = Simulate(start=date(2021, 12, 1), end=date(2022, 2, 28), revisit="15D", truth="all", polygons=6)


def grid(side: int = 60) -> GeoBox:
    box = (501_240, 5_403_000, 501_240 + 10 * side, 5_403_000 + 10 * side)
    return GeoBox.from_bbox(box, "EPSG:32633", resolution=10, tight=True)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(SIM, grid(), tmp_path_factory.mktemp("scenes")).parent


def scenes(folder: Path) -> list[Scene]:
    catalogue = pystac.Catalog.from_file(str(folder / "catalog.json"))
    return [scene_from_item(item, source="s2") for item in catalogue.get_items(recursive=True)]


def read(path: str | Path) -> np.ndarray:
    with rasterio.open(path) as file:
        found: np.ndarray = file.read()
    return found


def test_the_same_simulation_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_scenes(SIM, grid(), tmp_path)
    assert digest(tmp_path) == digest(written)


def test_what_is_missing_is_written_again_and_what_is_there_is_left(written: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(written, copy)
    items = sorted(copy.glob("sentinel-2-c1-l2a/*/*.json"))
    items[0].unlink()
    (items[1].parent / "B04.tif").unlink()
    (copy / "truth" / "mask" / f"{items[2].stem}.tif").unlink()
    kept = items[3].parent / "B02.tif"
    before = kept.stat().st_mtime_ns
    told: list[tuple[int, int, str]] = []
    write_scenes(SIM, grid(), copy, progress=lambda *what: told.append(what))
    assert digest(copy) == digest(written)
    assert kept.stat().st_mtime_ns == before
    assert told[-1] == (len(items), len(items), "scenes")


def test_a_longer_span_keeps_the_scenes_of_the_shorter(written: Path, tmp_path: Path) -> None:
    longer = replace(SIM, end=date(2022, 3, 10))
    write_scenes(longer, grid(), tmp_path)
    old, new = digest(written), digest(tmp_path)
    same = [name for name in old if name.startswith("sentinel-2-c1-l2a/S2")]
    assert same
    assert all(new[name] == old[name] for name in same)


def test_the_offset_comes_with_the_baseline(written: Path) -> None:
    baselines = {}
    for path in sorted(written.glob("sentinel-2-c1-l2a/*/*.json")):
        item = json.loads(path.read_text())
        raster = item["assets"]["red"]["raster:bands"][0]
        late = item["properties"]["datetime"] >= "2022-01-25"
        assert (item["properties"]["s2:processing_baseline"] >= "04.00") is late
        assert raster["offset"] == (-0.1 if late else 0.0)
        baselines[late] = path
    assert set(baselines) == {False, True}


def on_place(path: str | Path, place: GeoBox) -> np.ndarray:
    """A scene's 10 m layer on the place's grid; 0 where the scene does not reach."""
    found = np.zeros(place.shape, np.int64)
    with rasterio.open(path) as file:
        top = round((file.transform.f - place.affine.f) / 10)
        left = round((file.transform.c - place.affine.c) / 10)
        values = file.read(1)
    for row in range(place.shape[0]):
        if 0 <= row + top < values.shape[0]:
            found[row] = values[row + top, -left : -left + place.shape[1]]
    return found


def test_the_offset_is_in_the_numbers_and_readers_take_it_off(written: Path) -> None:
    compared = set()
    for group in passes(scenes(written)):
        scene = group.scenes[0]
        with rasterio.open(written / "truth" / "clear" / f"{scene.id}.tif") as truth:
            wanted = truth.read(truth.descriptions.index("red") + 1) * truth.scales[0]
        quality = on_place(written / "truth" / "mask" / f"{scene.id}.tif", grid())
        file = scene.bands["red"]
        stored = on_place(file.href, grid())
        good = (quality == QUALITY["clear"]) & (stored > 0)
        if good.sum() > 200:
            assert abs(np.median(stored[good] * file.scale + file.offset - wanted[good])) < 0.02
            compared.add(file.offset)
    assert compared == {0.0, -0.1}


def test_without_difficulties_a_scene_is_the_truth(tmp_path: Path) -> None:
    easy = Simulate(cloud=0.0, atmosphere=0.0, noise=0.0, shift=0.0, directional=0.0)
    sim = replace(easy, start=date(2020, 5, 1), end=date(2020, 5, 31), truth="all", polygons=2)
    folder = write_scenes(sim, grid(36), tmp_path).parent
    one = passes(scenes(folder))[0].scenes[0]
    stored = on_place(one.bands["red"].href, grid(36))
    inside = stored > 0
    assert inside.any()
    with rasterio.open(folder / "truth" / "clear" / f"{one.id}.tif") as file:
        truth = file.read(file.descriptions.index("red") + 1)
    assert np.abs(stored[inside] - truth[inside]).max() <= 1
    wanted = clear_sky(sim, grid(36), [one.time.date()], bands=["red"])[0, 0]
    assert np.abs(stored[inside] * 1e-4 - wanted[inside]).max() < 1.5e-4


def test_granules_of_a_pass_agree_where_they_overlap(written: Path) -> None:
    together = [group.scenes for group in passes(scenes(written)) if len(group.scenes) == 2]
    assert together
    for upper, lower in together:
        with rasterio.open(upper.bands["nir"].href) as a, rasterio.open(lower.bands["nir"].href) as b:
            start = round((a.transform.f - b.transform.f) / 10)
            both = a.height - start
            assert 0 < both < a.height
            np.testing.assert_array_equal(a.read(1)[start:], b.read(1)[:both])


def test_one_orbit_misses_a_corner_of_the_place(written: Path) -> None:
    shares: dict[int, list[float]] = {}
    for scene in scenes(written):
        shares.setdefault(scene.relative_orbit, []).append(float((read(scene.bands["nir"].href) == 0).mean()))
    assert max(shares[122]) == 0.0
    assert 0.05 < min(shares[79]) <= max(shares[79]) < 0.6


def test_every_item_says_that_it_is_simulated(written: Path) -> None:
    catalogue = pystac.Catalog.from_file(str(written / "catalog.json"))
    items = list(catalogue.get_items(recursive=True))
    assert items
    for item in items:
        assert item.properties["landshift:simulated"] is True
        assert "imulated" in item.properties["title"]
        assert {"blue", "rededge1", "nir", "nir08", "swir16", "scl"} <= set(item.assets)
        with rasterio.open(item.assets["nir"].get_absolute_href()) as file:
            assert file.tags()["SIMULATED"] == "yes"
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert list(file.transform)[:6] == item.properties["proj:transform"]
            assert list(file.shape) == item.assets["nir"].extra_fields["proj:shape"]


def test_landsat_lies_on_its_own_grid_and_in_its_own_numbers(tmp_path: Path) -> None:
    sim = Simulate(
        start=date(2022, 5, 1),
        end=date(2022, 6, 8),
        sensors=("landsat-8-9-c2l2",),
        cloud=0.05,
        truth="none",
        polygons=2,
    )
    folder = write_scenes(sim, grid(36), tmp_path).parent
    found = scenes(folder)
    assert {scene.platform for scene in found} == {"landsat-8", "landsat-9"}
    assert not (folder / "truth" / "clear").exists()
    with rasterio.open(found[0].bands["nir08"].href) as file:
        assert (file.transform.c % 30, file.transform.f % 30, file.transform.a) == (15, 15, 30)
        values = file.read(1) * found[0].bands["nir08"].scale + found[0].bands["nir08"].offset
    assert 0.02 < np.median(values) < 0.6


@pytest.mark.parametrize(
    "foreign",
    [
        GeoBox.from_bbox((4_640_040, 2_859_960, 4_640_400, 2_860_320), "EPSG:3035", resolution=10),
        GeoBox.from_bbox((15.0, 48.75, 15.004, 48.753), "EPSG:4326", resolution=0.0001),
    ],
)
def test_truth_lies_on_any_grid_and_scenes_on_their_own(foreign: GeoBox, tmp_path: Path) -> None:
    sim = Simulate(start=date(2020, 5, 1), end=date(2020, 5, 20), truth="all", polygons=2)
    folder = write_scenes(sim, foreign, tmp_path).parent
    with rasterio.open(folder / "truth" / "landcover_2020.tif") as file:
        assert file.crs == rasterio.crs.CRS.from_user_input(str(foreign.crs))
        assert file.read(1).min() >= 1
    one = passes(scenes(folder))[0].scenes[0]
    with rasterio.open(folder / "truth" / "clear" / f"{one.id}.tif") as file:
        assert file.shape == foreign.shape
        assert 0 < file.read(4).min() < file.read(4).max() < 6000
    with rasterio.open(one.bands["red"].href) as file:
        assert file.crs.to_epsg() == 32633


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        write_scenes(SIM, grid(36), tmp_path / "file" / "below")


@pytest.mark.parametrize(
    "wrong",
    [
        {"cloud": 1.2},
        {"revisit": "12h"},
        {"start": date(2020, 2, 1), "end": date(2020, 1, 1)},
        {"noise": -1.0},
        {"sensors": ("modis",)},
        {"clouds": 0.2},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"simulate"):
        Simulate(**wrong)  # type: ignore[arg-type]  # that is the point
