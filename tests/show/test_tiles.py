"""Tiles against plain arithmetic and pyproj: where they lie, what they hold, what is left out."""

import functools
import io
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image
from pyproj import Transformer
from rasterio import Affine

from landshift.cube.classes import from_names
from landshift.cube.maps import write_map
from landshift.errors import GridError
from landshift.show.png import palette_png
from landshift.show.tiles import (
    HALF_M,
    TILE_PX,
    Pyramid,
    Span,
    TileSet,
    average,
    build_pyramid,
    majority,
    mercator_bounds,
    tile_bounds,
    tile_span,
    zoom_levels,
)

CLASSES = from_names(["water", "forest", "town"])
PALETTE = {one.value: one.colour for one in CLASSES}
LAEA = GeoBox((300, 260), Affine(10, 0, 4_432_000, 0, -10, 2_760_000), "EPSG:3035")
Values = NDArray[np.uint8]


def _patchwork(shape: tuple[int, int]) -> Values:
    """Classes in patches of some pixels, a hole and an empty corner."""
    rng = np.random.default_rng(5)
    small = rng.integers(1, 4, (shape[0] // 5 + 1, shape[1] // 5 + 1), dtype=np.uint8)
    values = small.repeat(5, 0).repeat(5, 1)[: shape[0], : shape[1]]
    values[40:60, 50:90] = 0
    values[-90:, -120:] = 0
    return values


def _indices(content: bytes) -> Values:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def _build(path: Path, geobox: GeoBox) -> tuple[Pyramid, dict[tuple[int, int, int], Values], Span]:
    min_zoom, max_zoom = zoom_levels(geobox)
    span = tile_span(mercator_bounds(geobox), max_zoom)
    tiles = TileSet(
        name="cover/2020",
        sources=((path, 1),),
        encode=functools.partial(_first, palette=PALETTE),
        coarsen=majority,
    )
    found: dict[tuple[int, int, int], Values] = {}

    def store(zoom: int, x: int, y: int, content: bytes) -> None:
        assert (zoom, x, y) not in found
        found[zoom, x, y] = _indices(content)

    return build_pyramid(tiles, span=span, min_zoom=min_zoom, store=store), found, span


def _first(values: Values, *, palette: dict[int, str]) -> bytes:
    return palette_png(values[0], palette)


def _centres(zoom: int, x: int, y: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel centres of a tile by the textbook: 2 pi R / (256 * 2**zoom) metres a pixel, from the upper left."""
    step = 2 * math.pi * 6378137 / (256 * 2**zoom)
    east = -math.pi * 6378137 + (x * 256 + np.arange(256) + 0.5) * step
    north = math.pi * 6378137 - (y * 256 + np.arange(256) + 0.5) * step
    grid: tuple[NDArray[np.float64], NDArray[np.float64]] = tuple(np.meshgrid(east, north))
    return grid


def _pixels(geobox: GeoBox, zoom: int, x: int, y: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of a grid under the pixel centres of a tile, with fractions."""
    assert geobox.crs is not None
    back = Transformer.from_crs(3857, geobox.crs.proj, always_xy=True)
    east, north = back.transform(*_centres(zoom, x, y))
    inverse = ~geobox.affine
    return inverse.a * east + inverse.b * north + inverse.c, inverse.d * east + inverse.e * north + inverse.f


def _sampled(values: Values, geobox: GeoBox, zoom: int, x: int, y: int) -> tuple[Values, NDArray[np.bool_]]:
    """A tile by exact point-in-pixel, and which of its pixels are not within 2 % of a pixel's edge."""
    cols, rows = _pixels(geobox, zoom, x, y)
    inside = (cols >= 0) & (rows >= 0) & (cols < values.shape[1]) & (rows < values.shape[0])
    col = np.clip(cols.astype(int), 0, values.shape[1] - 1)
    row = np.clip(rows.astype(int), 0, values.shape[0] - 1)
    clear = (np.abs(cols - np.rint(cols)) > 0.02) & (np.abs(rows - np.rint(rows)) > 0.02)
    return np.where(inside, values[row, col], 0).astype(np.uint8), clear


@given(st.integers(0, 18), st.data())
def test_the_span_of_a_tile_is_that_tile(zoom: int, data: st.DataObject) -> None:
    x, y = (data.draw(st.integers(0, 2**zoom - 1)) for _ in range(2))
    west, south, east, north = tile_bounds(zoom, x, y)
    inner = (west + 1e-4, south + 1e-4, east - 1e-4, north - 1e-4)
    assert tile_span(inner, zoom) == Span(zoom, (x, x + 1), (y, y + 1))
    assert tile_bounds(zoom, x + 1, y)[0] == pytest.approx(east, abs=1e-6)


def test_a_tile_lies_where_the_world_expects_it() -> None:
    # 14/8716/5700, Bavaria, by the formulas of the OpenStreetMap wiki
    west, south, east, north = tile_bounds(14, 8716, 5700)
    to_degrees = Transformer.from_crs(3857, 4326, always_xy=True)
    lon, lat = to_degrees.transform(west, north)
    assert lon == pytest.approx(8716 / 2**14 * 360 - 180, abs=1e-9)
    assert lat == pytest.approx(
        math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * 5700 / 2**14)))), abs=1e-9
    )
    assert east - west == pytest.approx(2 * HALF_M / 2**14)
    assert north - south == pytest.approx(2 * HALF_M / 2**14)


@pytest.mark.parametrize(
    "geobox",
    [
        LAEA,
        GeoBox((60, 60), Affine(30, 0, 600_000, 0, -30, 9_100_000), "EPSG:32737"),
        GeoBox((50, 70), Affine(0.0001, 0, 12.0, 0, -0.0001, 61.0), "EPSG:4326"),
        GeoBox((50, 50), Affine(20, 0, 3_100_000, 0, -20, 4_700_000), "EPSG:3035"),
    ],
    ids=["laea", "utm-south", "degrees", "laea-turned"],
)
def test_the_finest_zoom_misses_no_pixel_of_the_map_and_the_next_would_be_too_coarse(geobox: GeoBox) -> None:
    finest = zoom_levels(geobox)[1]

    def seen(zoom: int) -> float:
        hit = np.zeros(geobox.shape, bool)
        span = tile_span(mercator_bounds(geobox), zoom)
        for x in range(*span.x):
            for y in range(*span.y):
                cols, rows = _pixels(geobox, zoom, x, y)
                inside = (cols >= 0) & (rows >= 0) & (cols < hit.shape[1]) & (rows < hit.shape[0])
                hit[rows[inside].astype(int), cols[inside].astype(int)] = True
        return float(hit.mean())

    assert seen(finest) == 1
    assert seen(finest - 1) < 1


def test_tiles_hold_the_class_under_the_centre_of_each_of_their_pixels(tmp_path: Path) -> None:
    values = _patchwork((300, 260))
    _, found, span = _build(write_map(tmp_path / "map.tif", LAEA, values, classes=CLASSES), LAEA)
    finest = {tile: held for tile, held in found.items() if tile[0] == span.zoom}
    assert len(finest) > 3
    for tile, held in finest.items():
        expected, clear = _sampled(values, LAEA, *tile)
        np.testing.assert_array_equal(held[clear], expected[clear])
        assert np.mean(held == expected) > 0.998


def test_tiles_agree_with_gdals_warper(tmp_path: Path) -> None:
    from rasterio.warp import Resampling, reproject

    values = _patchwork((300, 260))
    _, found, span = _build(write_map(tmp_path / "map.tif", LAEA, values, classes=CLASSES), LAEA)
    step = 2 * HALF_M / 2**span.zoom / TILE_PX
    for (zoom, x, y), held in found.items():
        if zoom == span.zoom:
            west, _, _, north = tile_bounds(zoom, x, y)
            expected = np.zeros((TILE_PX, TILE_PX), np.uint8)
            reproject(
                values,
                expected,
                src_transform=LAEA.affine,
                src_crs="EPSG:3035",
                dst_transform=rasterio.Affine(step, 0, west, 0, -step, north),
                dst_crs="EPSG:3857",
                src_nodata=0,
                dst_nodata=0,
                resampling=Resampling.nearest,
                tolerance=0.001,
            )
            assert np.mean(held == expected) > 0.999


def test_every_pixel_with_a_class_is_on_a_tile_and_empty_tiles_are_not_there(tmp_path: Path) -> None:
    values = _patchwork((300, 260))
    made, found, span = _build(write_map(tmp_path / "map.tif", LAEA, values, classes=CLASSES), LAEA)
    to_web = Transformer.from_crs(3035, 3857, always_xy=True)
    rows, cols = np.nonzero(values)
    east, north = to_web.transform(4_432_000 + 10 * (cols + 0.5), 2_760_000 - 10 * (rows + 0.5))
    side = 2 * HALF_M / 2**span.zoom
    needed = set(
        zip(((east + HALF_M) // side).astype(int), ((HALF_M - north) // side).astype(int), strict=True)
    )
    assert needed <= set(made.tiles[span.zoom])
    assert all(held.any() for held in found.values())
    assert {(zoom, *tile) for zoom, tiles in made.tiles.items() for tile in tiles} == set(found)
    everything = (span.x[1] - span.x[0]) * (span.y[1] - span.y[0])
    assert len(made.tiles[span.zoom]) < everything


def test_a_coarser_tile_is_the_majority_of_the_four_below(tmp_path: Path) -> None:
    values = _patchwork((300, 260))
    made, found, span = _build(write_map(tmp_path / "map.tif", LAEA, values, classes=CLASSES), LAEA)
    nothing = np.zeros((TILE_PX, TILE_PX), np.uint8)
    for zoom in range(made.min_zoom, span.zoom):
        for x, y in made.tiles[zoom]:
            below = [[found.get((zoom + 1, 2 * x + i, 2 * y + j), nothing) for i in (0, 1)] for j in (0, 1)]
            np.testing.assert_array_equal(found[zoom, x, y], majority(np.block(below)[np.newaxis])[0])


def test_the_coarsest_tile_holds_the_whole_map(tmp_path: Path) -> None:
    made, _, _ = _build(write_map(tmp_path / "map.tif", LAEA, _patchwork((300, 260)), classes=CLASSES), LAEA)
    assert len(made.tiles[made.min_zoom]) <= 4


def test_runs_list_every_tile_once() -> None:
    tiles = [(3, 1), (4, 1), (7, 1), (3, 2)]
    assert Pyramid(min_zoom=2, max_zoom=2, tiles={2: tiles}).rows() == {
        "2": [[1, 3, 4], [1, 7, 7], [2, 3, 3]]
    }


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_the_majority_is_the_most_frequent_value_that_is_not_empty(four: list[int]) -> None:
    found = int(majority(np.array(four, np.uint8).reshape(1, 2, 2))[0, 0, 0])
    counts = {value: four.count(value) for value in four if value}
    assert counts.get(found, 0) == max(counts.values(), default=0)
    assert (found == 0) == (not counts)


def test_a_tie_goes_to_change() -> None:
    prefer = np.zeros(256, np.uint8)
    prefer[7] = 1
    assert majority(np.array([[[2, 2], [7, 7]]], np.uint8), prefer)[0, 0, 0] == 7
    assert majority(np.array([[[2, 2], [7, 2]]], np.uint8), prefer)[0, 0, 0] == 2


@given(st.lists(st.integers(0, 255), min_size=4, max_size=4))
def test_the_average_leaves_out_what_is_empty(four: list[int]) -> None:
    seen = [value for value in four if value]
    found = int(average(np.array(four, np.uint8).reshape(1, 2, 2))[0, 0, 0])
    assert found == (math.floor(sum(seen) / len(seen) + 0.5) if seen else 0)


@pytest.mark.parametrize("colours", [1, 3, 4, 15, 16, 100, 255])
def test_a_palette_image_keeps_indices_and_colours(colours: int) -> None:
    rng = np.random.default_rng(colours)
    values = rng.integers(0, colours + 1, (256, 256), dtype=np.uint8)
    palette = {index: f"#{index:02x}40{255 - index:02x}" for index in range(1, colours + 1)}
    content = palette_png(values, palette)
    assert content == palette_png(values, palette)
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(np.asarray(image), values)
        drawn = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(drawn[..., 3] == 0, values == 0)
    there = values > 0
    np.testing.assert_array_equal(drawn[there][:, 0], values[there])
    np.testing.assert_array_equal(drawn[there][:, 2], 255 - values[there])


@pytest.mark.parametrize("crs", [None, "EPSG:3031"])
def test_a_map_that_the_web_cannot_show_is_refused(crs: str | None) -> None:
    geobox = GeoBox((100, 100), Affine(100, 0, -5_000, 0, -100, 5_000), crs)
    with pytest.raises(GridError, match="web m"):
        mercator_bounds(geobox)
