"""Layers of the site: what they take from an output folder, and what their colours mean."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio import Affine

from landshift.cube.classes import LandClass, from_names
from landshift.cube.maps import MapWriter, write_map
from landshift.measure.layers import CHANGE_CLASSES, layer_name
from landshift.measure.layers import change_layer as changed
from landshift.show.tilesets import (
    MOST_SLOTS,
    certainty_layer,
    change_layer,
    cover_layer,
    first_year_layer,
    image_layer,
)

_PLACE = GeoBox((8, 8), Affine(10, 0, 4_500_000, 0, -10, 3_000_000), "EPSG:3035")
_CLASSES = from_names(["water", "bare soil", "town / roads"])


def _layers(folder: Path, classes: tuple[LandClass, ...], before: np.ndarray, after: np.ndarray) -> Path:
    """Change layers as the measure stage names and writes them."""
    for one in classes:
        path = folder / f"2018_2020_new_{layer_name(one.name)}.tif"
        write_map(path, _PLACE, changed(before, after, one.value), classes=CHANGE_CLASSES)
    return folder


@given(st.lists(st.integers(0, 3), min_size=2, max_size=2))
def test_a_change_byte_is_what_was_and_what_became(pair: list[int]) -> None:
    before, after = (np.full((1, 1), value, np.uint8) for value in pair)
    values = np.stack([changed(before, after, one.value) for one in _CLASSES])
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        layer = change_layer(
            _layers(Path(folder), _CLASSES, np.zeros((8, 8)), np.zeros((8, 8))), _CLASSES, {}
        )
    assert layer is not None
    combine = layer.frames[0].tiles.combine
    assert combine is not None
    code = int(combine(values)[0, 0, 0])
    if 0 in pair:
        assert code == 0
    else:
        assert [layer.facts["slots"][one - 1] for one in divmod(code - 1, 4)] == pair


def test_change_is_found_by_the_file_names_of_the_measure_stage(tmp_path: Path) -> None:
    ones, twos = np.ones((8, 8), np.uint8), np.full((8, 8), 2, np.uint8)
    layer = change_layer(_layers(tmp_path, _CLASSES, ones, twos), _CLASSES, {})
    assert layer is not None
    assert [dict(frame.keys) for frame in layer.frames] == [{"from": 2018, "to": 2020}]
    assert layer.facts["slots"] == [1, 2, 3]
    assert change_layer(tmp_path / "nothing", _CLASSES, {}) is None


def test_of_many_classes_those_that_changed_most_are_told_apart(tmp_path: Path) -> None:
    classes = from_names([f"class {number}" for number in range(1, 21)])
    ones = np.ones((8, 8), np.uint8)
    folder = _layers(tmp_path, classes, ones, ones)
    weights = {one.name: float(one.value) for one in classes}
    layer = change_layer(folder, classes, weights)
    assert layer is not None
    assert layer.facts["slots"] == list(range(21 - MOST_SLOTS, 21))


def test_certainty_is_the_second_band_where_it_is_there(tmp_path: Path) -> None:
    values = np.stack([np.ones((8, 8), np.uint8), np.full((8, 8), 73, np.uint8)])
    with MapWriter(tmp_path / "a.tif", _PLACE, classes=_CLASSES, bands=("class", "probability")) as target:
        target.write((slice(None), slice(None)), values)
    write_map(tmp_path / "b.tif", _PLACE, values[0], classes=_CLASSES)
    layer = certainty_layer({2020: tmp_path / "a.tif", 2021: tmp_path / "b.tif"})
    assert layer is not None
    assert [frame.keys["year"] for frame in layer.frames] == [2020]
    assert layer.frames[0].tiles.sources == ((tmp_path / "a.tif", 2),)
    content = layer.frames[0].tiles.encode(np.full((1, 256, 256), 73, np.uint8))
    with Image.open(io.BytesIO(content)) as image:
        assert set(np.unique(np.asarray(image))) == {73}
    assert certainty_layer({2021: tmp_path / "b.tif"}) is None


def test_cover_and_first_years_keep_their_classes(tmp_path: Path) -> None:
    years = (
        LandClass(value=1, name="2018 or before", colour="#aaaaaa"),
        LandClass(value=2, name="2020", colour="#bb0000"),
    )
    write_map(tmp_path / "first_year_bare_soil.tif", _PLACE, np.ones((8, 8), np.uint8), classes=years)
    first = first_year_layer(tmp_path, _CLASSES)
    assert first is not None
    assert [frame.keys["class"] for frame in first.frames] == [2]
    assert [one["name"] for one in first.facts["legend"]] == ["2018 or before", "2020"]
    cover = cover_layer({2018: tmp_path / "2018.tif", 2020: tmp_path / "2020.tif"}, _CLASSES)
    assert [frame.tiles.name for frame in cover.frames] == ["cover/2018", "cover/2020"]


@pytest.mark.parametrize("hole", [False, True])
def test_a_picture_is_see_through_where_nothing_was_seen(tmp_path: Path, hole: bool) -> None:  # noqa: FBT001 - a parameter of the test
    layer = image_layer({2020: tmp_path / "2020.tif"}, {2020: "2020-07-01"})
    assert layer is not None
    values = np.full((3, 256, 256), 120, np.uint8)
    values[:, :64, :64] = 0 if hole else 120
    content = layer.frames[0].tiles.encode(values)
    assert content == layer.frames[0].tiles.encode(values)
    with Image.open(io.BytesIO(content)) as image:
        drawn = np.asarray(image.convert("RGBA"))
    assert (drawn[:60, :60, 3] == (0 if hole else 255)).all()
    assert np.abs(drawn[128:, 128:, :3].astype(int) - 120).max() <= 3
