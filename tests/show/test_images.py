"""True colour: which date of a year is drawn, with which stretch."""

from pathlib import Path

import numpy as np
import rasterio
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio import Affine

from landshift.cube import store
from landshift.plan import plan_blocks
from landshift.show.images import year_images

_PLACE = GeoBox((96, 128), Affine(10, 0, 4_500_000, 0, -10, 3_000_000), "EPSG:3035")


def _cube(path: Path, days: list[str], values: NDArray[np.float32], bands: list[str]) -> Path:
    """A store whose pictures are ``values`` (time, band, y, x)."""
    times = np.array(days, "datetime64[ns]")
    store.create(path, geobox=_PLACE, times=times, variable="reflectance", names=bands, product=path.stem)
    for block in plan_blocks(_PLACE).blocks:
        part = values[:, :, slice(*block.y), slice(*block.x)]
        coords = {"time": times, "band": bands}
        cube = xr.Dataset({"reflectance": (("time", "band", "y", "x"), part)}, coords=coords)
        store.write_block(path, block, cube)
    return path


def _ramp(count: int) -> NDArray[np.float32]:
    """Pictures that brighten from left to right."""
    across = np.linspace(0.02, 0.3, 128, dtype=np.float32)
    return np.broadcast_to(across, (count, 3, 96, 128)).copy()


def test_the_fullest_date_nearest_to_midsummer_is_drawn(tmp_path: Path) -> None:
    values = _ramp(4)
    values[1, :, :, 20:90] = np.nan  # the date of midsummer has a cloud
    days = ["2020-02-01", "2020-07-01", "2020-08-01", "2021-07-10"]
    path = _cube(tmp_path / "regular.zarr", days, values, ["blue", "green", "red"])
    found = year_images([path], [2019, 2020, 2021], tmp_path / "work")
    assert dict(found.dates) == {2020: "2020-08-01", 2021: "2021-07-10"}


def test_one_stretch_serves_all_years_and_gaps_stay_empty(tmp_path: Path) -> None:
    values = _ramp(2)
    values[1] += 0.05
    values[:, :, :10, :10] = np.nan
    path = _cube(tmp_path / "yearly.zarr", ["2020-07-01", "2021-07-01"], values, ["red", "green", "blue"])
    found = year_images([path], [2020, 2021], tmp_path / "work")
    drawn = []
    for year in (2020, 2021):
        with rasterio.open(found.files[year]) as source:
            assert source.descriptions == ("red", "green", "blue")
            drawn.append(source.read())
    assert (drawn[0][:, :10, :10] == 0).all()
    assert (drawn[0][:, 10:, 10:] > 0).all()
    assert (np.diff(drawn[0][0, 50].astype(int)) >= 0).all()
    middle = (slice(None), 50, slice(20, 100))
    assert (drawn[1][middle] > drawn[0][middle]).all()


def test_the_product_with_fewest_dates_is_taken_and_others_are_left(tmp_path: Path) -> None:
    many = _cube(tmp_path / "a.zarr", ["2020-06-01", "2020-07-01"], _ramp(2), ["red", "green", "blue"])
    one = _cube(tmp_path / "b.zarr", ["2020-05-05"], _ramp(1), ["red", "green", "blue"])
    index = _cube(tmp_path / "c.zarr", ["2020-05-06"], _ramp(1), ["nir", "swir16", "swir22"])
    assert dict(year_images([many, one, index], [2020], tmp_path / "w").dates) == {2020: "2020-05-05"}
    assert not year_images([index], [2020], tmp_path / "w").files
