"""Resampling against truth and against GDAL's warper.

Tolerances against GDAL (exact transform, float64 output) on fields of amplitude 1 whose steepest slope is 0.3 per
pixel: coordinates are interpolated to 1e-3 px at worst (measured: 2e-4) and rounded to 3e-5 px, so values may
differ by 0.3 x 1e-3; we ask for that, and find 6e-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from landshift.kernel.resample import (
    TOLERANCE,
    Method,
    Patch,
    Stored,
    Warp,
    copy,
    gather,
    gather_codes,
    locate,
)

SHAPE = (90, 110)
METHODS: tuple[Method, ...] = ("nearest", "bilinear", "cubic", "average")
Affine = rasterio.Affine
PLAIN = Stored()


def field(shape: tuple[int, int] = SHAPE, *, seed: int = 0) -> NDArray[np.float64]:
    """A smooth random field between 0 and 1 with a few holes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    waves = [np.sin(a * y + b * x + c) for a, b, c in rng.uniform(-0.2, 0.2, (4, 3))]
    return np.asarray(0.5 + sum(waves) / 10)


def by(affine: Any) -> Any:
    """The way from target to source pixels along an affine transform."""

    def to_source(y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[Any, Any]:
        cols, rows = affine @ (x, y)
        return rows, cols

    return to_source


def resample(
    pixels: NDArray[Any], affine: Any, shape: tuple[int, int], method: Method, stored: Stored = PLAIN
) -> NDArray[np.float32]:
    warp = locate(by(affine), shape, source=(pixels.shape[0], pixels.shape[1]))
    return gather(Patch(pixels=pixels, origin=(0, 0)), warp, method=method, stored=stored)


def gdal(
    pixels: NDArray[Any], affine: Any, shape: tuple[int, int], method: Method, *, step: float
) -> NDArray[np.float64]:
    """The same by GDAL's warper: the source at the origin of a plane, 1 m pixels."""
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "count": 1, "crs": "EPSG:32633", "nodata": 0}
    source = Affine(1, 0, 500_000, 0, -1, 5_000_000)
    with MemoryFile() as memory:
        with memory.open(height=pixels.shape[0], width=pixels.shape[1], transform=source, **profile) as out:
            out.write(pixels, 1)
        with (
            memory.open() as data,
            WarpedVRT(
                data,
                crs="EPSG:32633",
                transform=source @ affine,
                width=shape[1],
                height=shape[0],
                resampling=Resampling[method],
                tolerance=1e-6,
                dtype="float64",
                src_nodata=0,
                nodata=-1,
                XSCALE=1 / step,
                YSCALE=1 / step,
            ) as warped,
        ):
            found = warped.read(1)
    return np.where(found == -1, np.nan, found)


def holed(dtype: str = "float32") -> NDArray[Any]:
    pixels = field() + 0.5
    pixels[20:30, 40:60] = 0
    pixels[5, 7] = pixels[60, 61] = 0
    return (pixels * (1 if dtype == "float32" else 10_000)).astype(dtype)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("affine", "shape"),
    [
        (Affine(1, 0, 0.3, 0, 1, -2.7), (90, 100)),
        (Affine(0.43, 0, 3.1, 0, 0.43, 5.3), (150, 170)),
        (Affine(2.7, 0, 0.9, 0, 2.7, 1.7), (32, 39)),
        (Affine(6, 0, 0, 0, 6, 0), (15, 18)),
    ],
    ids=["shifted", "finer", "coarser", "six times coarser"],
)
def test_resampling_equals_gdal_also_around_holes(
    method: Method, affine: Any, shape: tuple[int, int]
) -> None:
    pixels = holed()
    ours = resample(pixels, affine, shape, method, Stored(nodata=0))
    theirs = gdal(pixels, affine, shape, method, step=max(1.0, affine.a))
    cols, rows = affine @ np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    inside = (rows > 2) & (rows < SHAPE[0] - 2) & (cols > 2) & (cols < SHAPE[1] - 2)
    if method != "average":  # GDAL's averages at the edge of a raster are its own
        inside[:] = True
    assert np.array_equal(np.isnan(ours)[inside], np.isnan(theirs)[inside])
    assert np.nanmax(np.abs(ours - theirs)[inside]) < 3e-4
    assert np.isfinite(ours).mean() > 0.5


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_resampling_equals_gdal_on_a_turned_grid(method: Method) -> None:
    turned = Affine.translation(55, 45) @ Affine.rotation(31) @ Affine.translation(-50, -45)
    ours = resample(holed("uint16"), turned, (90, 100), method, Stored(nodata=0, scale=1e-4))
    theirs = gdal(holed("uint16"), turned, (90, 100), method, step=1) * 1e-4
    differ = ~np.isclose(ours, theirs, atol=3e-4, rtol=0, equal_nan=True)
    assert differ.mean() < (1e-3 if method == "nearest" else 3e-4)  # centres on the very edge of a pixel


def test_average_is_the_mean_over_the_covered_area() -> None:
    pixels = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8)
    found = resample(pixels, Affine(1.5, 0, 0.5, 0, 2, 0), (1, 2), "average")
    first = (0.5 * (1 + 5) + 1.0 * (2 + 6)) / 3
    assert found[0, 0] == pytest.approx(first)
    assert found[0, 1] == pytest.approx((3 + 7 + 0.5 * (4 + 8)) / 3 * 1.0)


def test_average_leaves_missing_pixels_out() -> None:
    pixels = np.array([[1, 0], [0, 4]], np.uint16)
    assert resample(pixels, Affine.scale(2), (1, 1), "average", Stored(nodata=0))[0, 0] == 2.5
    assert np.isnan(resample(pixels * 0, Affine.scale(2), (1, 1), "average", Stored(nodata=0))[0, 0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [0.5, 1.0, 3.3])
def test_a_constant_stays_that_constant_up_to_the_edge(method: Method, step: float) -> None:
    pixels = np.full((40, 50), 7, np.int16)
    found = resample(pixels, Affine(step, 0, 0.2, 0, step, 0.4), (int(39 / step), int(49 / step)), method)
    assert np.allclose(found, 7, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_nan_is_missing_in_floats(method: Method) -> None:
    pixels = field()
    pixels[10:20, 10:20] = np.nan
    found = resample(pixels, Affine.translation(0.25, 0.25), SHAPE, method)
    assert np.isnan(found[12:18, 12:18]).all()
    assert np.isfinite(found[:9, :9]).all()


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_a_plane_is_interpolated_exactly(method: Method) -> None:
    y, x = np.mgrid[0:50, 0:60].astype(np.float64)
    found = resample(3 * y + 2 * x, Affine(0.5, 0, 4.25, 0, 0.75, 5.5), (40, 80), method)
    rows, cols = np.mgrid[0:40, 0:80] + 0.5
    truth = 3 * (rows * 0.75 + 5.5 - 0.5) + 2 * (cols * 0.5 + 4.25 - 0.5)
    assert np.abs(found - truth).max() < 1e-4 * 5


def test_coordinates_are_right_to_a_thousandth_of_a_pixel_on_a_real_projection() -> None:
    from pyproj import Transformer

    to_utm = Transformer.from_crs(3035, 32633, always_xy=True).transform

    def to_source(y: Any, x: Any) -> tuple[Any, Any]:
        east, north = to_utm(4_600_000 + 10 * x, 2_900_000 - 10 * y)
        return (5_400_000 - north) / 10, (east - 300_000) / 10

    shape = (700, 900)
    warp = locate(to_source, shape, source=(40_000, 40_000))
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    rows, cols = to_source(y, x)
    for fixed, origin, exact in ((warp.rows, warp.origin[0], rows), (warp.cols, warp.origin[1], cols)):
        error = np.abs(fixed / 2**14 + origin + 0.5 - exact)
        assert error.max() < 3e-4 < TOLERANCE


def test_strongly_curved_cells_are_computed_exactly() -> None:
    def to_source(y: Any, x: Any) -> tuple[Any, Any]:
        return 5e-3 * y**2, x + 0 * y

    warp = locate(to_source, (64, 32), source=(100, 100))
    exact = 5e-3 * (np.arange(64) + 0.5) ** 2
    assert np.abs(warp.rows[:, 3] / 2**14 + warp.origin[0] + 0.5 - exact).max() < 1e-4


def test_pixels_without_a_place_on_the_source_are_missing() -> None:
    def to_source(y: Any, x: Any) -> tuple[Any, Any]:
        return np.where(x > 20, np.inf, y), np.where(x > 20, np.inf, x)

    warp = locate(to_source, (40, 40), source=(100, 100))
    found = gather(Patch(pixels=np.ones((100, 100), np.uint8), origin=(0, 0)), warp)
    assert np.isfinite(found[:, :20]).all()
    assert np.isnan(found[:, 20:]).all()


def test_a_target_beside_the_source_needs_no_window() -> None:
    warp = locate(by(Affine.translation(500, 0)), (10, 10), source=(100, 100))
    assert all(warp.window(method) is None for method in METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [0.4, 1.0, 2.6])
def test_the_window_holds_all_that_gathering_needs(method: Method, step: float) -> None:
    pixels = field((200, 220))
    affine = Affine(step, 0, 60.4, 0, step, 50.7)
    warp = locate(by(affine), (30, 25), source=(200, 220))
    window = warp.window(method)
    assert window is not None
    rows, cols = window
    part = gather(Patch(pixels=pixels[window], origin=(rows.start, cols.start)), warp, method=method)
    assert np.array_equal(part, gather(Patch(pixels=pixels, origin=(0, 0)), warp, method=method))
    assert (rows.stop - rows.start) < 30 * step + 14


def test_codes_are_looked_up_and_outside_is_left_alone() -> None:
    codes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    warp = locate(by(Affine.translation(-1, 1)), (3, 4), source=(3, 4))
    found = np.full((3, 4), 99, np.uint8)
    gather_codes(Patch(pixels=codes, origin=(0, 0)), warp, table=np.arange(20, 50, dtype=np.uint8), out=found)
    assert found.tolist() == [[99, 24, 25, 26], [99, 28, 29, 30], [99, 99, 99, 99]]


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_a_shift_is_added_to_the_coordinates(method: Method) -> None:
    pixels = field()
    warp = locate(by(Affine.identity()), (50, 60), source=SHAPE)
    patch = Patch(pixels=pixels, origin=(0, 0))
    moved = gather(patch, warp.shifted(2.25, -0.5), method=method)
    direct = resample(pixels, Affine.translation(-0.5, 2.25), (50, 60), method)
    assert np.array_equal(moved, direct, equal_nan=True)
    ramp = np.broadcast_to(np.linspace(0, 3, 60), (50, 60))
    bent = gather(patch, warp.shifted(0, ramp), method=method)
    assert (
        np.nanmax(np.abs(bent[:, 20] - gather(patch, warp.shifted(0, ramp[0, 20]), method=method)[:, 20]))
        == 0
    )


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_stored_type_is_scaled_on_the_way(dtype: str) -> None:
    pixels = (field() * 100 + 1).astype(dtype)
    stored = Stored(nodata=0, scale=0.01, offset=-0.1)
    found = resample(pixels, Affine.translation(0.5, 0), (80, 100), "bilinear", stored)
    truth = (pixels[:80, :100].astype(float) + pixels[:80, 1:101]) / 2 * 0.01 - 0.1
    assert np.abs(found - truth).max() < 1e-6
    assert np.allclose(copy(pixels, stored=stored), pixels * 0.01 - 0.1, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    cut_y=st.integers(1, 69),
    cut_x=st.integers(1, 79),
    first=st.tuples(st.integers(-100, 100), st.integers(-100, 100)),
    method=st.sampled_from(METHODS),
    step=st.sampled_from([0.7, 1.0, 1.3]),
)
def test_pieces_have_the_bytes_of_the_whole(
    cut_y: int, cut_x: int, first: tuple[int, int], method: Method, step: float
) -> None:
    pixels = field()
    patch = Patch(pixels=pixels, origin=(0, 0))

    def warp(y: tuple[int, int], x: tuple[int, int]) -> Warp:
        start = (first[0] + y[0], first[1] + x[0])

        def to_source(row: Any, col: Any) -> tuple[Any, Any]:
            row, col = (row - first[0]) * step, (col - first[1]) * step
            return row + 3e-4 * col**2, col + 2e-4 * row * col + 0.3

        return locate(to_source, (y[1] - y[0], x[1] - x[0]), source=SHAPE, first=start)

    whole = gather(patch, warp((0, 70), (0, 80)), method=method)
    rows = [
        np.hstack([gather(patch, warp(y, x), method=method) for x in ((0, cut_x), (cut_x, 80))])
        for y in ((0, cut_y), (cut_y, 70))
    ]
    assert np.array_equal(np.vstack(rows), whole, equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(row=st.integers(-30, 30), col=st.integers(-30, 30), method=st.sampled_from(["nearest", "bilinear"]))
def test_whole_pixel_offsets_change_no_bit(row: int, col: int, method: Method) -> None:
    pixels = np.random.default_rng(1).integers(1, 60_000, SHAPE, dtype=np.uint16)
    found = resample(pixels, Affine.translation(col, row), (40, 40), method)
    padded = np.pad(pixels.astype(np.float32), 30, constant_values=np.nan)
    assert np.array_equal(found, padded[30 + row : 70 + row, 30 + col : 70 + col], equal_nan=True)


def test_a_target_too_large_to_count_is_refused() -> None:
    with pytest.raises(ValueError, match="cut it smaller"):
        locate(by(Affine.scale(2000)), (200, 200), source=(400_000, 400_000))
