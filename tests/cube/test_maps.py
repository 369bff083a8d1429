from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from landshift.cube.classes import from_names
from landshift.cube.maps import MapWriter, map_geobox, read_classes, read_map, write_map
from landshift.errors import GridError, StoreError

GRID = GeoBox.from_bbox((4_000_000, 3_000_000, 4_007_000, 3_009_000), "EPSG:3035", resolution=10)
CLASSES = from_names(["water", "forest", "built"])


def picture(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 4, (2, *GRID.shape), dtype=np.uint8)


def test_a_map_written_by_windows_comes_back(tmp_path: Path) -> None:
    truth, path = picture(), tmp_path / "maps" / "2020.tif"
    with MapWriter(
        path, GRID, classes=CLASSES, bands=("class", "probability"), tags={"year": "2020"}
    ) as target:
        for rows in (slice(0, 333), slice(333, None)):
            for cols in (slice(0, 512), slice(512, None)):
                target.write((rows, cols), truth[:, rows, cols])
    assert np.array_equal(read_map(path), truth[0])
    assert np.array_equal(read_map(path, (slice(10, 20), slice(600, None)), band=2), truth[1, 10:20, 600:])
    assert map_geobox(path) == GRID
    assert read_classes(path) == CLASSES
    assert sorted(file.name for file in path.parent.iterdir()) == ["2020.tif", "2020.tif.aux.xml"]


def test_the_order_of_windows_does_not_change_the_bytes(tmp_path: Path) -> None:
    truth, made = picture()[0], []
    for name, step in (("a", 1), ("b", -1)):
        path = tmp_path / name / "map.tif"
        with MapWriter(path, GRID, classes=CLASSES) as target:
            for start in range(0, 900, 100)[::step]:
                window = (slice(start, start + 100), slice(None))
                target.write(window, truth[window])
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_gdal_sees_a_cog_with_colours_names_and_overviews(tmp_path: Path) -> None:
    path = write_map(tmp_path / "m.tif", GRID, picture()[0], classes=CLASSES)
    with rasterio.open(path) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.nodata == 0
        assert source.overviews(1) == [2]
        assert source.colormap(1)[1] == (*CLASSES[0].rgb, 255)
        assert source.descriptions == ("class",)
    root = ET.fromstring((tmp_path / "m.tif.aux.xml").read_text())  # noqa: S314 - our own file
    assert [part.text for part in root.iter("Category")] == ["no data", "water", "forest", "built"]


def test_overviews_of_classes_hold_the_most_frequent(tmp_path: Path) -> None:
    land = np.ones(GRID.shape, np.uint8)
    land[::2, ::2] = 2
    path = write_map(tmp_path / "m.tif", GRID, land, classes=CLASSES)
    with rasterio.open(path, overview_level=0) as coarse:
        assert np.unique(coarse.read(1)).tolist() == [1]


def test_a_failing_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), MapWriter(tmp_path / "m.tif", GRID, classes=CLASSES):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_data_must_fill_their_window(tmp_path: Path) -> None:
    with (
        pytest.raises(GridError, match="do not fill"),
        MapWriter(tmp_path / "m.tif", GRID, classes=CLASSES) as target,
    ):
        target.write((slice(0, 10), slice(0, 10)), np.zeros((9, 10), np.uint8))


def test_an_unwritable_folder_and_a_missing_map_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match="cannot write"),
        MapWriter(tmp_path / "file" / "m.tif", GRID, classes=CLASSES),
    ):
        pass
    with pytest.raises(StoreError, match="cannot be opened"):
        read_map(tmp_path / "none.tif")


def test_a_layer_of_numbers_needs_no_classes(tmp_path: Path) -> None:
    years = np.full(GRID.shape, 2021, np.int16)
    with MapWriter(tmp_path / "y.tif", GRID, dtype="int16", bands=("year of change",), nodata=0) as target:
        target.write((slice(None), slice(None)), years)
    assert np.array_equal(read_map(tmp_path / "y.tif"), years)
    with pytest.raises(StoreError, match="nothing of its classes"):
        read_classes(tmp_path / "y.tif")
