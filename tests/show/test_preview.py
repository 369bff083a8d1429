"""Previews of cubes: one stretch, hatched gaps, chosen dates and bands."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image

from landshift.cube.store import create, write_block
from landshift.errors import ConfigError
from landshift.plan import plan_blocks
from landshift.show.preview import preview

BANDS = ("blue", "green", "red", "nir")


def cube_at(path: Path, values: NDArray[np.float32], *, ndvi: bool = False) -> Path:
    times, _, rows, cols = values.shape
    box = GeoBox.from_bbox((4e6, 3e6, 4e6 + 10 * cols, 3e6 + 10 * rows), "EPSG:3035", resolution=10)
    when = np.datetime64("2021-03-01", "ns") + np.arange(times) * np.timedelta64(30, "D")
    create(path, geobox=box, times=when, variable="reflectance", names=BANDS, product="p",
           indices=("ndvi",) if ndvi else ())  # fmt: skip
    data = {"reflectance": (("time", "band", "y", "x"), values)}
    if ndvi:
        data["index"] = (("time", "index_name", "y", "x"), values[:, 3:] - values[:, 2:3])
    block = plan_blocks(box).blocks[0]
    write_block(path, block, xr.Dataset(data, coords={"time": when, "band": list(BANDS)}))
    return path


@pytest.fixture
def values() -> NDArray[np.float32]:
    rng = np.random.default_rng(2)
    made = rng.uniform(0.02, 0.3, (5, 4, 40, 60)).astype(np.float32)
    made[2] = np.nan
    made[3, :, 10:20, 20:50] = np.nan
    return made


def test_a_preview_is_the_same_bytes_each_time(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = cube_at(tmp_path / "p.zarr", values)
    first = preview(store, tmp_path / "a.png").read_bytes()
    assert preview(store, tmp_path / "b.png").read_bytes() == first
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["Title"] == "p: red, green, blue"


def test_gaps_are_grey_and_hatched_not_black(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = cube_at(tmp_path / "p.zarr", values)
    path = preview(store, tmp_path / "a.png", dates=["2021-04-30"])
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    panel = pixels[400:-100, 200:-200].reshape(-1, 3)
    assert {int(value) for value in np.unique(panel)} <= {230, 184, 229, 183}


def test_one_index_is_drawn_with_its_scale(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = cube_at(tmp_path / "p.zarr", values, ndvi=True)
    path = preview(store, tmp_path / "a.png", bands=["ndvi"], dates=2, columns=2)
    with Image.open(path) as picture:
        assert picture.info["Title"] == "p: ndvi"


def test_a_band_that_is_not_there_is_named(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = cube_at(tmp_path / "p.zarr", values)
    with pytest.raises(ConfigError, match="no band 'rde'") as caught:
        preview(store, tmp_path / "a.png", bands=["rde"])
    assert "did you mean 'red'" in str(caught.value)
    with pytest.raises(ConfigError, match="one band, or three"):
        preview(store, tmp_path / "a.png", bands=["red", "nir"])
    with pytest.raises(ConfigError, match="not a date"):
        preview(store, tmp_path / "a.png", dates=["June"])


def test_a_cube_without_any_data_is_hatched_all_over(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = cube_at(tmp_path / "p.zarr", np.full_like(values, np.nan))
    assert preview(store, tmp_path / "a.png", bands=["nir"]).stat().st_size > 0


def test_a_build_under_way_is_drawn_and_what_is_not_there_yet_is_hatched(
    tmp_path: Path, values: NDArray[np.float32]
) -> None:
    begun = cube_at(tmp_path / "begun" / "p.zarr", values)
    for file in begun.glob("reflectance/c/*/*/*/*"):
        file.unlink()
    empty = cube_at(tmp_path / "empty" / "p.zarr", np.full_like(values, np.nan))
    assert preview(begun, tmp_path / "a.png").read_bytes() == preview(empty, tmp_path / "b.png").read_bytes()


def test_dates_that_hold_values_come_before_empty_ones(tmp_path: Path) -> None:
    from landshift.cube.store import open_cube
    from landshift.show.preview import _choose, _positions

    rng = np.random.default_rng(2)
    made = rng.uniform(0.02, 0.3, (20, 4, 12, 12)).astype(np.float32)
    made[[0, 5, 10, 19]] = np.nan
    cube = open_cube(cube_at(tmp_path / "p.zarr", made))
    chosen = _positions(cube, 6, _choose(cube, ()))
    assert len(chosen) == 6
    assert not {0, 5, 10, 19} & {*chosen.tolist()}
