from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox

from landshift.cube.export import export
from landshift.cube.store import create, open_cube, write_block
from landshift.errors import ConfigError
from landshift.plan import plan_blocks

GRID = GeoBox.from_bbox((4_000_000, 3_000_000, 4_006_000, 3_001_000), "EPSG:3035", resolution=10)
TIMES = np.array(["2020-01-01T10", "2020-01-01T11", "2020-02-01T10"], "datetime64[ns]")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "yearly.zarr"
    dims = ("time", "y", "x")
    extra = {"quality": dims, "n_clear": ("y", "x")}
    create(
        path,
        geobox=GRID,
        times=TIMES,
        variable="reflectance",
        names=["red", "nir"],
        indices=["ndvi"],
        product="yearly",
        extra=extra,
    )
    rng = np.random.default_rng(0)
    for block in plan_blocks(GRID).blocks:
        values = rng.random((3, 3, *block.shape), dtype=np.float32)
        values[rng.random(values.shape) < 0.1] = np.nan
        quality = rng.integers(0, 8, (3, *block.shape), np.uint8)
        cube = {
            "reflectance": (("time", "band", "y", "x"), values[:, :2]),
            "index": (("time", "index_name", "y", "x"), values[:, 2:]),
            "quality": (dims, quality),
            "n_clear": (("y", "x"), quality[0].astype(np.uint16)),
        }
        write_block(path, block, xr.Dataset(cube))
    return path


def test_a_file_per_date_holds_all_bands_described(store: Path, tmp_path: Path) -> None:
    files = export(store, tmp_path / "cogs")
    assert [file.name for file in files] == [
        "yearly_20200101T100000.tif",
        "yearly_20200101T110000.tif",
        "yearly_20200201.tif",
    ]
    cube = open_cube(store)
    with rasterio.open(files[1]) as made:
        assert made.descriptions == ("red", "nir", "ndvi")
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert made.tags()["time"] == "2020-01-01T11:00:00Z"
        assert (made.scales, made.offsets, made.nodata) == ((1e-4,) * 3, (0.0,) * 3, -32768)
        assert GeoBox(made.shape, made.transform, str(made.crs)) == GRID
        stored = made.read(masked=True)
    truth = np.concatenate([cube.reflectance.values[1], cube["index"].values[1]])
    assert np.array_equal((stored * 1e-4).filled(np.nan).astype(np.float32), truth, equal_nan=True)


def test_a_file_per_band_holds_all_dates_described(store: Path, tmp_path: Path) -> None:
    files = export(store, tmp_path / "cogs", per="band", extras=True)
    assert [file.name for file in files] == [
        "yearly_red.tif",
        "yearly_nir.tif",
        "yearly_ndvi.tif",
        "yearly_quality.tif",
        "yearly_n_clear.tif",
    ]
    with rasterio.open(files[1]) as made:
        assert made.descriptions == ("2020-01-01T10:00:00", "2020-01-01T11:00:00", "2020-02-01T10:00:00")
        stored = made.read(masked=True)
    truth = open_cube(store).reflectance.sel(band="nir").values
    assert np.array_equal((stored * 1e-4).filled(np.nan).astype(np.float32), truth, equal_nan=True)
    with rasterio.open(files[3]) as made:
        assert np.array_equal(made.read(), open_cube(store).quality.values)
    with rasterio.open(files[4]) as made:
        assert np.array_equal(made.read(1), open_cube(store).n_clear.values)


def test_an_export_has_the_same_bytes_and_goes_on_where_it_stopped(store: Path, tmp_path: Path) -> None:
    first = {file.name: file.read_bytes() for file in export(store, tmp_path / "a")}
    files = export(store, tmp_path / "b")
    assert {file.name: file.read_bytes() for file in files} == first
    files[0].unlink()
    files[1].write_bytes(b"torn")
    before = files[2].stat().st_mtime_ns
    told: list[tuple[int, int, str]] = []
    again = export(store, tmp_path / "b", progress=lambda *now: told.append(now))
    assert {file.name: file.read_bytes() for file in again} == first
    assert files[2].stat().st_mtime_ns == before
    assert told[-1] == (3, 3, "files")


def test_a_changed_cube_is_exported_anew(store: Path, tmp_path: Path) -> None:
    (file, *_) = export(store, tmp_path / "a")
    before = file.read_bytes()
    block = plan_blocks(GRID).blocks[0]
    cube = open_cube(store).isel(y=block.slices[0], x=block.slices[1]).load()
    cube.reflectance.values[0] = 0.25
    write_block(store, block, cube)
    assert export(store, tmp_path / "a")[0].read_bytes() != before


def test_an_unknown_kind_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown kind"):
        export(store, tmp_path / "a", per="year")  # type: ignore[arg-type]  # the point of the test
