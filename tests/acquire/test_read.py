"""Reading scenes onto a grid: against truth, GDAL's warper and odc-stac."""

from __future__ import annotations

import datetime as dt
import pickle
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from landshift.acquire.datasets import Raster
from landshift.acquire.placement import placement_of
from landshift.acquire.read import needed, read
from landshift.acquire.tiles import TileReader
from landshift.errors import ConfigError, NetworkError, SceneError
from landshift.kernel.resample import Method
from landshift.plan import plan_blocks
from landshift.scene import BandFile, Pass, QualityFile, Scene, passes
from loopback_stac import serve

UTM = "EPSG:32633"
CORNER = (500_000.0, 5_200_000.0)
START = dt.datetime(2020, 5, 1, 10, tzinfo=dt.UTC)


def write(
    path: Path, pixels: NDArray[Any], *, resolution: float = 10, crs: str | None = UTM, **more: Any
) -> str:
    """Write a tiled GeoTIFF whose top left corner is CORNER."""
    layers = pixels[None] if pixels.ndim == 2 else pixels
    profile = {
        "driver": "GTiff",
        "dtype": layers.dtype,
        "count": layers.shape[0],
        "height": layers.shape[1],
        "width": layers.shape[2],
        "crs": crs,
        "transform": rasterio.Affine(resolution, 0, CORNER[0], 0, -resolution, CORNER[1]),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
    } | more
    with rasterio.open(path, "w", **profile) as out:
        out.write(layers)
    return str(path)


def noise(shape: tuple[int, int] = (200, 240), seed: int = 0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    waves = sum(np.sin(a * y + b * x + c) for a, b, c in rng.uniform(-0.3, 0.3, (4, 3)))
    return np.asarray(5000 + 1000 * waves, np.uint16)


def scene(
    name: str = "a", *, day: int = 0, quality: QualityFile | None = None, bands: Any = None, **files: Any
) -> Scene:
    named = (bands or files).items()
    bands = {band: file if isinstance(file, BandFile) else BandFile(href=file) for band, file in named}
    return Scene(
        id=name,
        source="s",
        sensor="sentinel-2-l2a",
        quantity="reflectance",
        time=START + dt.timedelta(days=day),
        bands=bands,
        quality=quality,
    )


def grid(
    shape: tuple[int, int] = (200, 240), *, resolution: float = 10, row: int = 0, col: int = 0
) -> GeoBox:
    """A grid on the source's own pixels."""
    corner = (CORNER[0] + col * resolution, CORNER[1] - row * resolution)
    return GeoBox(shape, rasterio.Affine(resolution, 0, corner[0], 0, -resolution, corner[1]), UTM)


def laea(*, resolution: float = 10) -> GeoBox:
    """A grid in EPSG:3035 around the source."""
    around = grid().footprint("EPSG:3035").boundingbox
    return GeoBox.from_bbox(around, "EPSG:3035", resolution=resolution)


def warped(path: str, geobox: GeoBox, method: Method, *, step: float = 1) -> NDArray[np.float64]:
    """What GDAL's warper makes of a file, exact transform."""
    with (
        rasterio.open(path) as data,
        WarpedVRT(
            data,
            crs=str(geobox.crs),
            transform=geobox.affine,
            width=geobox.shape[1],
            height=geobox.shape[0],
            resampling=Resampling[method],
            tolerance=1e-6,
            dtype="float64",
            src_nodata=0,
            nodata=-1,
            XSCALE=1 / step,
            YSCALE=1 / step,
        ) as view,
    ):
        found = view.read(1)
    return np.where(found == -1, np.nan, found)


def one(cube: xr.Dataset, band: int = 0, time: int = 0) -> NDArray[np.float32]:
    values: NDArray[np.float32] = cube["reflectance"].values[time, band]
    return values


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_reprojection_equals_gdal(tmp_path: Path, method: Method) -> None:
    """Numbers of up to 9000 and slopes of up to 900 per pixel: 1e-3 px is 0.9, 2e-4 px, as measured, 0.2."""
    pixels = noise()
    pixels[40:60, 50:90] = 0
    file = write(tmp_path / "a.tif", pixels, nodata=0)
    ours = one(read(passes([scene(red=file)]), laea(), bands=["red"], resampling=method))
    theirs = warped(file, laea(), method)
    differ = ~np.isclose(ours, theirs, rtol=0, atol=0.3, equal_nan=True)
    assert differ.sum() <= (8 if method == "nearest" else 2)  # centres on the very edge between two pixels


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
def test_coarser_grids_equal_gdal(tmp_path: Path, method: Method) -> None:
    file = write(tmp_path / "a.tif", noise(), nodata=0)
    coarse = grid((30, 36), resolution=60)
    ours = one(read(passes([scene(red=file)]), coarse, bands=["red"], resampling=method))
    assert np.abs(ours - warped(file, coarse, method, step=6))[1:-1, 1:-1].max() < 0.05


def test_odc_stac_sees_the_same(tmp_path: Path) -> None:
    odc_stac = pytest.importorskip("odc.stac")
    import pystac

    file = write(tmp_path / "a.tif", noise(), nodata=0)
    item = pystac.Item("a", None, None, START, {"proj:code": UTM})
    item.add_asset("red", pystac.Asset(file, media_type="image/tiff", roles=["data"]))
    footprint = grid().footprint("EPSG:4326")
    item.geometry, item.bbox = footprint.json, list(footprint.boundingbox.bbox)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        found = odc_stac.load([item], bands=["red"], geobox=laea(), resampling="nearest", nodata=0)
    theirs = found["red"].values[0].astype(float)
    ours = one(read(passes([scene(red=file)]), laea(), bands=["red"], resampling="nearest"))
    same = np.isclose(np.nan_to_num(ours), theirs, atol=0.5)
    assert same.mean() > 0.99  # odc-stac approximates its transform to 0.125 px by default


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(-70, 180), col=st.integers(-70, 200), height=st.integers(1, 90), width=st.integers(1, 90)
)
def test_coinciding_grids_are_copied_bit_by_bit(
    tmp_path: Path, row: int, col: int, height: int, width: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (200, 240), dtype=np.uint16)
    file = tmp_path / "a.tif"
    if not file.exists():
        write(file, pixels)
    part = grid((height, width), row=row, col=col)
    found = one(read(passes([scene(red=str(file))]), part, bands=["red"], resampling="cubic"))
    padded = np.pad(pixels.astype(np.float32), 160, constant_values=np.nan)
    assert np.array_equal(found, padded[row + 160 :, col + 160 :][:height, :width], equal_nan=True)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.integers(60, 150), method=st.sampled_from(["nearest", "bilinear", "cubic", "average"]))
def test_blocks_of_any_size_have_the_bytes_of_the_whole(tmp_path: Path, block: int, method: Method) -> None:
    file, mask = tmp_path / "a.tif", tmp_path / "q.tif"
    if not file.exists():
        write(file, noise(), nodata=0)
        write(mask, np.random.default_rng(0).integers(0, 12, (100, 120), dtype=np.uint8), resolution=20)
    dates = passes([scene(red=str(file), quality=QualityFile(href=str(mask), rule="scl"))])
    whole = read(dates, laea(), bands=["red"], resampling=method)
    with TileReader(threads=2, held_bytes=100_000) as reader:
        for part in plan_blocks(laea(), block_px=block).blocks:
            found = read(dates, part.geobox(laea()), bands=["red"], resampling=method, reader=reader)
            assert np.array_equal(
                found["reflectance"].values, whole["reflectance"].values[..., *part.slices], equal_nan=True
            )
            assert np.array_equal(found["quality"].values, whole["quality"].values[..., *part.slices])


def test_threads_change_no_byte(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.tif", noise(seed=n), nodata=0) for n in range(6)]
    dates = passes(scene(f"d{n}", day=n, red=file, nir=files[0]) for n, file in enumerate(files))
    serial = read(dates, laea(), bands=["red", "nir"])
    with TileReader(threads=3) as reader:
        assert read(dates, laea(), bands=["red", "nir"], reader=reader).identical(serial)
        assert read(dates, laea(), bands=["red", "nir"], reader=reader).identical(serial)


def test_scale_offset_and_nodata_are_applied_once(tmp_path: Path) -> None:
    pixels = np.array([[0, 1000, 5000]], np.uint16)
    file = BandFile(href=write(tmp_path / "a.tif", pixels), scale=1e-4, offset=-0.1, nodata=0)
    found = one(read(passes([scene(red=file)]), grid((1, 3)), bands=["red"]))
    assert found.dtype == np.float32
    assert np.allclose(found, [[np.nan, 0, 0.4]], atol=1e-7, equal_nan=True)


def test_coarser_bands_are_read_bilinear_and_masks_nearest(tmp_path: Path) -> None:
    swir = write(tmp_path / "b.tif", noise((100, 120)), resolution=20, nodata=0)
    codes = np.random.default_rng(0).integers(4, 7, (100, 120), dtype=np.uint8)
    mask = QualityFile(href=write(tmp_path / "q.tif", codes, resolution=20), rule="scl")
    cube = read(passes([scene(swir16=swir, quality=mask)]), grid(), bands=["swir16"])
    assert np.abs(one(cube) - warped(swir, grid(), "bilinear")).max() < 0.05
    truth = np.array([0, 0, 0, 0, 1, 1, 2], np.uint8)[codes].repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(cube["quality"].values[0], truth)


def test_a_pixel_that_lacks_one_band_or_its_quality_lacks_all(tmp_path: Path) -> None:
    red, nir = np.full((2, 4), 100, np.uint16), np.full((2, 4), 200, np.uint16)
    red[0, 0] = nir[0, 1] = 0
    codes = np.array([[4, 4, 0, 9], [4, 6, 3, 1]], np.uint8)
    files = {n: write(tmp_path / f"{n}.tif", p, nodata=0) for n, p in (("red", red), ("nir", nir))}
    mask = QualityFile(href=write(tmp_path / "q.tif", codes), rule="scl")
    cube = read(passes([scene(bands=files, quality=mask)]), grid((2, 4)), bands=["red", "nir"])
    assert cube["quality"].values[0].tolist() == [[0, 0, 0, 6], [1, 2, 4, 7]]
    assert np.array_equal(np.isnan(cube["reflectance"].values[0]).all(axis=0), cube["quality"].values[0] == 0)
    assert np.array_equal(np.isnan(cube["reflectance"].values[0]).any(axis=0), cube["quality"].values[0] == 0)


def test_without_a_quality_layer_valid_pixels_are_clear(tmp_path: Path) -> None:
    pixels = np.array([[0, 7]], np.uint16)
    cube = read(passes([scene(red=write(tmp_path / "a.tif", pixels, nodata=0))]), grid((1, 4)), bands=["red"])
    assert cube["quality"].values[0].tolist() == [[0, 1, 0, 0]]


def test_granules_of_a_pass_are_fused_first_clear_then_first_valid(tmp_path: Path) -> None:
    def granule(name: str, value: int, codes: list[int]) -> Scene:
        layer = write(tmp_path / f"q{name}.tif", np.array([codes], np.uint8))
        pixels = np.where(np.array([codes]) == 0, 0, value).astype(np.uint16)
        file = write(tmp_path / f"{name}.tif", pixels, nodata=0)
        return scene(name, red=file, quality=QualityFile(href=layer, rule="scl"))

    group = passes([granule("b", 20, [4, 4, 9, 0, 8]), granule("a", 10, [4, 9, 8, 0, 0])])
    assert len(group) == 1
    cube = read(group, grid((1, 5)), bands=["red"])
    assert cube["item_ids"].item() == "a;b"
    assert np.nan_to_num(one(cube)).tolist() == [[10, 20, 10, 0, 20]]
    assert cube["quality"].values[0].tolist() == [[1, 1, 6, 0, 6]]


def test_bands_of_one_file_are_read_together(tmp_path: Path) -> None:
    layers = np.stack([noise(seed=n) for n in range(4)])
    file = write(tmp_path / "all.tif", layers, interleave="pixel", nodata=0)
    bands = {name: BandFile(href=file, index=n) for n, name in ((3, "red"), (1, "nir"))}
    with TileReader() as reader:
        cube = read(passes([scene(bands=bands)]), grid(), bands=["nir", "red"], reader=reader)
    assert np.array_equal(cube["reflectance"].values[0], layers[[0, 2]])


def test_overviews_serve_coarse_grids_but_never_masks(tmp_path: Path) -> None:
    red = write(tmp_path / "a.tif", noise())
    mask = write(tmp_path / "q.tif", np.full((200, 240), 4, np.uint8))
    for file, value in ((red, 1234), (mask, 9)):
        with rasterio.open(file, "r+") as data:
            data.build_overviews([2, 4], Resampling.nearest)
        with rasterio.open(file, "r+", overview_level=1) as data:
            data.write(np.full((1, *data.shape), value, data.dtypes[0]))
    dates = passes([scene(red=red, quality=QualityFile(href=mask, rule="scl"))])
    cube = read(dates, grid((40, 48), resolution=50), bands=["red"])
    assert (one(cube) == 1234).all()
    assert (cube["quality"].values == 1).all()
    full = read(dates, grid((40, 48), resolution=50), bands=["red"], resampling="nearest")
    assert (one(full) != 1234).any()


def test_all_blocks_take_the_same_overview_in_the_next_utm_zone(tmp_path: Path) -> None:
    """There the scale differs by 0.2 % from one side of a tile to the other."""
    file = tmp_path / "a.tif"
    transform = rasterio.Affine(100, 0, 300_000, 0, -100, 5_600_040)
    write(file, np.ones((1098, 1098), np.uint8), transform=transform)
    with rasterio.open(file, "r+") as data:
        data.build_overviews([2], Resampling.average)
        extent = GeoBox(data.shape, data.transform, UTM).extent
    whole = GeoBox.from_geopolygon(extent, crs="EPSG:32632", resolution=200)
    with TileReader() as reader:
        placed = [
            placement_of(reader, Raster(href=str(file)), block.geobox(whole), "bilinear", whole=whole)
            for block in plan_blocks(whole, block_px=64, geometry=extent).blocks
        ]
    assert {found.level for found in placed if found is not None} == {1}


def test_a_place_where_the_scale_drifts_gives_the_same_pixels_however_it_is_cut(tmp_path: Path) -> None:
    """EPSG:3857 spans two source pixels at 60 degrees north, more south of it: the overview must not follow."""
    file = tmp_path / "a.tif"
    transform = rasterio.Affine(500, 0, 400_000, 0, -500, 6_800_000)
    write(file, noise((600, 400)), transform=transform, nodata=0)
    with rasterio.open(file, "r+") as data:
        data.build_overviews([2, 4], Resampling.average)
        extent = GeoBox(data.shape, data.transform, UTM).extent
    whole = GeoBox.from_geopolygon(extent, crs="EPSG:3857", resolution=2000)
    blocks = plan_blocks(whole, block_px=64).blocks
    dates = passes([scene(red=str(file))])
    with TileReader() as reader:
        raster = Raster(href=str(file))
        alone = [placement_of(reader, raster, block.geobox(whole), "bilinear") for block in blocks]
        assert {found.level for found in alone if found} == {0, 1}, "the test's scale crosses the threshold"
        once = read(dates, whole, bands=["red"])
        for block in blocks:
            part = read(dates, block.geobox(whole), whole=whole, bands=["red"], reader=reader)
            rows, cols = slice(*block.y), slice(*block.x)
            assert np.array_equal(one(part), one(once)[rows, cols], equal_nan=True)
    assert np.isfinite(one(once)).any()


def test_the_cube_says_what_is_known_of_every_date(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif", noise(), nodata=0)
    known = Scene(
        id="a",
        source="s",
        sensor="sentinel-2-l2a",
        quantity="reflectance",
        time=START,
        bands={"red": BandFile(href=file)},
        platform="sentinel-2a",
        orbit_state="descending",
        relative_orbit=22,
        angles={"sun_zenith": 31.5},
    )
    cube = read([Pass(scenes=(known,))], grid(), bands=["red"])
    assert cube["reflectance"].dims == ("time", "band", "y", "x")
    assert cube["time"].values[0] == np.datetime64("2020-05-01T10:00:00", "ns")
    assert (cube["platform"].item(), cube["relative_orbit"].item(), cube["sun_zenith"].item()) == (
        "sentinel-2a",
        22,
        31.5,
    )
    assert cube.odc.geobox == grid()
    assert cube.sel(band="red")["reflectance"].shape == (1, 200, 240)
    assert cube["quality"].attrs["flag_meanings"].split()[6] == "cloud"
    empty = read([], grid(), bands=["red"])
    assert empty["reflectance"].shape == (0, 1, 200, 240)


def test_a_global_raster_is_read_across_the_date_line(tmp_path: Path) -> None:
    lon = np.broadcast_to(np.arange(-180, 180) + 0.5, (180, 360))
    pixels = (1000 + lon).astype(np.float32)
    file = write(
        tmp_path / "a.tif", pixels, crs="EPSG:4326", transform=rasterio.Affine(1, 0, -180, 0, -1, 90)
    )
    box = GeoBox.from_bbox((-400_000, -300_000, 400_000, 300_000), "EPSG:3832", resolution=20_000)
    pacific = GeoBox.from_bbox((3_000_000, -300_000, 3_800_000, 300_000), "EPSG:3832", resolution=20_000)
    for part, low, high in ((box, 1145, 1155), (pacific, 820, 1180)):
        found = one(read(passes([scene(red=file)]), part, bands=["red"], resampling="nearest"))
        assert np.isfinite(found).all()
        assert found.min() > low
        assert found.max() < high
    assert (np.diff(found, axis=1) < -300).sum() == found.shape[0]  # one jump a row: the date line


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_without_a_reference_system_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif", noise(), crs=None)
    with pytest.raises(SceneError, match=r"no coordinate reference system(.|\n)*a.tif(.|\n)*gdal_edit"):
        read(passes([scene(red=file)]), grid(), bands=["red"])


def test_files_of_one_scene_in_different_systems_are_refused(tmp_path: Path) -> None:
    files = {
        "red": write(tmp_path / "a.tif", noise()),
        "nir": write(tmp_path / "b.tif", noise(), crs="EPSG:32634"),
    }
    with pytest.raises(SceneError, match=r"different coordinate reference systems(.|\n)*EPSG:3263"):
        read(passes([scene(bands=files)]), grid(), bands=["red", "nir"])


@pytest.mark.parametrize("threads", [1, 3])
def test_which_file_is_blamed_does_not_depend_on_the_order_of_reading(tmp_path: Path, threads: int) -> None:
    files = {
        "red": write(tmp_path / "b.tif", noise()),
        "nir": write(tmp_path / "c.tif", noise()),
        "blue": write(tmp_path / "d.tif", noise(), crs="EPSG:32634"),
    }
    dates = passes([scene(bands=files), scene("b", day=3, bands={**files, "blue": files["red"]})])
    with TileReader(threads=threads) as reader:
        cubes = [
            read(dates, grid(), bands=list(files), reader=reader, on_error="skip") for _ in range(8)
        ]  # each call has an order of its own
    [blamed] = {str(cube.attrs["read_errors"]) for cube in cubes}
    assert "d.tif" in blamed
    assert "b.tif" not in blamed.partition("'error'")[0]
    assert all(
        cube.reflectance.isnull().all(("band", "y", "x")).values.tolist() == [True, False] for cube in cubes
    )


@pytest.mark.parametrize(
    ("dtypes", "got"), [(["complex64"], "complex64"), (["uint16", "float32"], "float32, uint16")]
)
def test_numbers_that_are_not_real_or_of_several_types_are_refused(
    tmp_path: Path, dtypes: list[str], got: str
) -> None:
    if len(dtypes) == 1:
        file = write(tmp_path / "a.tif", noise().astype(dtypes[0]))
    else:
        parts = [write(tmp_path / f"{kind}.tif", noise().astype(kind)) for kind in dtypes]
        file = str(tmp_path / "a.vrt")
        gdal_vrt(file, parts)
    bands = {"red": BandFile(href=file), "nir": BandFile(href=file, index=len(dtypes))}
    with pytest.raises(SceneError, match=f"one real type(.|\n)*{got}"):
        read(passes([scene(bands=bands)]), grid(), bands=["red", "nir"])


def gdal_vrt(path: str, files: Sequence[str]) -> None:
    """One raster of several files, a band each, every band in its own type."""
    with rasterio.open(files[0]) as first:
        transform = ", ".join(map(repr, first.transform.to_gdal()))
        size, crs = first.shape, first.crs.to_string()
    layers = ""
    for number, file in enumerate(files, 1):
        with rasterio.open(file) as source:
            kind = {"uint16": "UInt16", "float32": "Float32"}[source.dtypes[0]]
        layers += (
            f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource>'
            f'<SourceFilename relativeToVRT="0">{file}</SourceFilename><SourceBand>1</SourceBand>'
            "</SimpleSource></VRTRasterBand>"
        )
    Path(path).write_text(
        f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{transform}</GeoTransform>{layers}</VRTDataset>"
    )


def damaged(tmp_path: Path) -> str:
    """A file cut off in the middle."""
    file = Path(
        write(tmp_path / "cut.tif", np.random.default_rng(0).integers(0, 9999, (200, 240), np.uint16))
    )
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return str(file)


def test_a_truncated_file_is_named_with_its_window(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"cannot read pixels(.|\n)*cut.tif, band 1, rows(.|\n)*fetch"):
        read(passes([scene(red=damaged(tmp_path))]), grid(), bands=["red"])


def test_what_cannot_be_read_is_skipped_and_listed_on_wish(tmp_path: Path) -> None:
    good = write(tmp_path / "a.tif", noise(), nodata=0)
    other = write(tmp_path / "b.tif", noise(), nodata=0)
    mask = QualityFile(href=write(tmp_path / "q.tif", np.full((200, 240), 4, np.uint8)), rule="scl")
    dates = passes(
        [
            scene("good", red=good, nir=other, quality=mask),
            scene("cut", day=1, red=good, nir=damaged(tmp_path), quality=mask),
            scene("gone", day=2, red=str(tmp_path / "none.tif"), nir=other, quality=mask),
            scene("poor", day=3, red=good, quality=mask),
        ]
    )
    with TileReader(threads=2) as reader:
        cube = read(dates, grid(), bands=["red", "nir"], on_error="skip", reader=reader)
    assert [record["item"] for record in cube.attrs["read_errors"]] == ["cut", "gone", "poor"]
    files = [str(tmp_path / name) for name in ("cut.tif", "none.tif")]
    assert [record["where"] for record in cube.attrs["read_errors"]] == [*files, "poor"]
    assert np.isfinite(cube["reflectance"].values[0]).all()
    assert np.isnan(cube["reflectance"].values[1:]).all()
    assert (cube["quality"].values[1:] == 0).all()
    with pytest.raises(SceneError, match="no band 'nir'"):
        read(dates[3:], grid(), bands=["red", "nir"])


def test_a_band_beyond_the_files_last_is_refused(tmp_path: Path) -> None:
    file = BandFile(href=write(tmp_path / "a.tif", noise()), index=3)
    with pytest.raises(SceneError, match=r"no band 3 in the file(.|\n)*1 bands"):
        read(passes([scene(red=file)]), grid(), bands=["red"])


def test_arguments_are_checked(tmp_path: Path) -> None:
    dates = passes([scene(red=write(tmp_path / "a.tif", noise()))])
    with pytest.raises(ConfigError, match=r"resampling 'bilinar'(.|\n)*did you mean 'bilinear'"):
        read(dates, grid(), bands=["red"], resampling="bilinar")  # type: ignore[arg-type]  # the point
    with pytest.raises(ConfigError, match="has no CRS"):
        read(dates, GeoBox((5, 5), grid().affine, None), bands=["red"])


def test_a_tile_is_decoded_once_for_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.tif", noise((256, 256)), nodata=0)
    decoded: list[int] = []
    original = TileReader._decode

    def counted(self: TileReader, job: Any, rows: slice, cols: slice) -> Any:
        decoded.append((rows.stop - rows.start) * (cols.stop - cols.start))
        return original(self, job, rows, cols)

    monkeypatch.setattr(TileReader, "_decode", counted)
    whole = grid((256, 256), resolution=10).translate_pix(0.5, 0.5)[:255, :255]
    blocks = [block.geobox(whole) for block in plan_blocks(whole, block_px=50).blocks]
    dates = passes([scene(red=file)])
    with TileReader() as reader, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda block: read(dates, block, bands=["red"], reader=reader), blocks))
    assert sum(decoded) == 256 * 256


def test_a_reader_pickles_with_its_settings() -> None:
    copy = pickle.loads(pickle.dumps(TileReader(threads=3, held_bytes=77)))  # noqa: S301 - our own bytes
    assert (copy.threads, copy.held_bytes) == (3, 77)


def test_all_blocks_of_another_process_share_one_reader() -> None:
    sent = [pickle.dumps(reader) for reader in [TileReader()] * 2 + [TileReader()]]
    first, second, other = (pickle.loads(block) for block in sent)  # noqa: S301 - our own bytes
    assert first is second
    assert other is not first


def test_costs_are_told_from_headers(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif", noise((256, 256)), nodata=0)
    dates = passes([scene(red=file), scene("b", day=1, red=file)])
    cost = needed(dates, grid((64, 64), row=32, col=32), bands=["red"])
    assert (cost.tiles, cost.bytes_decoded, cost.bytes_needed) == (8, 2 * 4 * 64 * 64 * 2, 2 * 64 * 64 * 2)
    assert needed(dates, grid((9, 9), row=900), bands=["red"]).tiles == 0
    large = needed(dates, laea(resolution=0.5), bands=["red"])
    assert large.tiles == 32


def test_scenes_far_away_are_not_opened(tmp_path: Path) -> None:
    far = scene(red=str(tmp_path / "none.tif"))
    outline = {"type": "Polygon", "coordinates": [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]]}
    moved = Scene(**{name: getattr(far, name) for name in far.__dataclass_fields__} | {"footprint": outline})
    cube = read(passes([moved]), grid(), bands=["red"])
    assert np.isnan(cube["reflectance"].values).all()
    assert (cube["quality"].values == 0).all()


def test_a_server_that_does_not_answer_is_a_network_error() -> None:
    dates = passes([scene(red="http://127.0.0.1:9/a.tif?sig=secret")])
    with rasterio.Env(GDAL_HTTP_MAX_RETRY=0), pytest.raises(NetworkError, match="network") as caught:
        read(dates, grid(), bands=["red"])
    assert "secret" not in str(caught.value.where)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second tries."""
    from landshift.acquire import datasets

    monkeypatch.setitem(datasets.REMOTE_OPTIONS, "GDAL_HTTP_MAX_RETRY", 0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [403, 503])
def test_a_passing_failure_is_never_skipped(tmp_path: Path, status: int) -> None:
    """It would leave a hole that lasts: on opening a file and in the middle of it."""
    write(tmp_path / "a.tif", noise((256, 256)), nodata=0)
    with serve(tmp_path) as server, TileReader(held_bytes=0) as reader:
        for known in (False, True):
            dates = passes([scene(red=f"{server.url}/files/a.tif?{status}{known}")])
            if known:
                read(dates, grid((8, 8)), bands=["red"], reader=reader)
            server.fail("/files/a.tif", *[status] * 20)
            with pytest.raises(NetworkError, match="network"):
                read(dates, grid((256, 256)), bands=["red"], on_error="skip", reader=reader)
            server.failures.clear()
        dates = passes([scene(red=f"{server.url}/files/a.tif")])
        cube = read(dates, grid((256, 256)), bands=["red"], on_error="skip")
        assert "read_errors" not in cube.attrs
        assert np.isfinite(one(cube)).all()


@pytest.mark.usefixtures("impatient")
def test_a_damaged_file_is_told_from_a_failing_network(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 9000, (256, 256), np.uint16)
    content = bytearray(Path(write(tmp_path / "a.tif", pixels, nodata=0)).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 30_000] = bytes(30_000)
    (tmp_path / "bad.tif").write_bytes(content)
    with serve(tmp_path) as server:
        dates = passes(
            [scene(name, day=k, red=f"{server.url}/files/{name}.tif") for k, name in enumerate(("bad", "no"))]
        )
        with pytest.raises(SceneError, match="cannot read pixels"):
            read(dates[:1], grid((256, 256)), bands=["red"])
        cube = read(dates, grid((256, 256)), bands=["red"], on_error="skip")
    assert [record["item"] for record in cube.attrs["read_errors"]] == ["bad", "no"]


def test_a_reader_of_its_own_is_closed_when_reading_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[TileReader] = []

    def close(self: TileReader) -> None:
        closed.append(self)

    monkeypatch.setattr(TileReader, "close", close)
    with pytest.raises(SceneError):
        read(passes([scene(red=str(tmp_path / "none.tif"))]), grid(), bands=["red"])
    assert len(closed) == 1


@pytest.mark.data
def test_netcdf_variables_are_read_by_time_step(shared_data: Path) -> None:
    file = shared_data / "s2-cloud-lulc-slovenia" / "ndvi_cloud_cube.nc"
    with xr.open_dataset(file, engine="h5netcdf") as data:
        truth = data["NDVI"].values[[4, 30]]
        cloud = data["CLM"].values[[4, 30]]
        step_x, step_y = np.diff(data.x.values)[0], np.diff(data.y.values)[0]
        corner = (data.x.values[0] - step_x / 2, data.y.values[0] - step_y / 2)
    box = GeoBox(truth.shape[1:], rasterio.Affine(step_x, 0, corner[0], 0, step_y, corner[1]), UTM)
    dates = passes(
        Scene(
            id=f"t{step}",
            source="s",
            sensor="index",
            quantity="index",
            time=START + dt.timedelta(days=step),
            bands={"ndvi": BandFile(href=str(file), variable="NDVI", index=step + 1)},
            quality=QualityFile(href=str(file), variable="CLM", index=step + 1, rule="mask"),
        )
        for step in (4, 30)
    )
    with TileReader(threads=2) as reader:
        cube = read(dates, box, bands=["ndvi"], reader=reader)
    assert cube["index"].dims == ("time", "index_name", "y", "x")
    assert np.array_equal(cube["index"].values[:, 0], truth, equal_nan=True)
    assert np.array_equal(cube["quality"].values == 6, (cloud != 0) & np.isfinite(truth))


@pytest.mark.data
def test_a_real_scene_of_three_resolutions_comes_onto_one_grid(shared_data: Path) -> None:
    folder = shared_data / "s2-l2a-cog-29RKH"
    files = {"blue": folder / "B02.tif", "rededge071": folder / "B05.tif", "coastal": folder / "B01.tif"}
    mask = QualityFile(href=str(folder / "SCL.tif"), rule="scl")
    dates = passes([scene(bands={name: str(file) for name, file in files.items()}, quality=mask)])
    with rasterio.open(files["blue"]) as data:
        box = GeoBox(data.shape, data.transform, str(data.crs))
        blue = data.read(1)
    cube = read(dates, box, bands=list(files))
    valid = cube["quality"].values[0] != 0
    assert valid.mean() > 0.3
    assert np.array_equal(one(cube)[valid], blue[valid])
    for number, name in ((1, "rededge071"), (2, "coastal")):
        theirs = warped(str(files[name]), box, "bilinear")
        assert np.abs(one(cube, number) - theirs)[valid].max() < 0.2
