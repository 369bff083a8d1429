"""A small place with known land cover, as stores on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from landshift.cube.classes import LandClass, as_records
from landshift.cube.store import create, write_block
from landshift.plan import plan_blocks

CLASSES = (
    LandClass(value=1, name="water", colour="#2b83ba"),
    LandClass(value=2, name="forest", colour="#1a7f37"),
    LandClass(value=4, name="impervious", colour="#d7191c"),
)
SPECTRA = {1: (0.06, 0.04, 0.02), 2: (0.05, 0.03, 0.35), 4: (0.16, 0.18, 0.24)}
BANDS = ("green", "red", "nir")


@dataclass(frozen=True)
class Land:
    """What the fixture wrote, and the truth."""

    cube: Path
    labels: Path
    truth: NDArray[np.uint8]
    geobox: GeoBox


def landscape(shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Patches of three classes a few pixels wide."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.normal(size=shape), 4) for _ in range(3)])
    return np.array([1, 2, 4], np.uint8)[fields.argmax(axis=0)]


def write_land(
    folder: Path,
    *,
    shape: tuple[int, int] = (160, 200),
    years: tuple[int, ...] = (2020, 2021),
    dates: int = 6,
) -> Land:
    """Write a cube of noisy seasonal looks and labels of every third pixel."""
    rng = np.random.default_rng(7)
    geobox = GeoBox.from_bbox(
        (4000000, 3000000, 4000000 + shape[1] * 10, 3000000 + shape[0] * 10), "EPSG:3035", resolution=10
    )
    truth = np.stack([landscape(shape, seed=year) for year in years])
    spectra = np.zeros((256, 3))
    spectra[list(SPECTRA)] = list(SPECTRA.values())
    times, looks = [], []
    for i, year in enumerate(years):
        for k in range(dates):
            times.append(np.datetime64(f"{year}-01-15") + np.timedelta64(k * (330 // dates), "D"))
            season = 1 + 0.2 * np.sin(2 * np.pi * k / dates)
            look = np.moveaxis(spectra[truth[i]], -1, 0) * season + rng.normal(0, 0.03, (3, *shape))
            look[:, rng.random(shape) < 0.05] = np.nan
            looks.append(look)
    values = np.stack(looks).astype(np.float32)
    values[:, :, :20, :20] = np.nan  # a corner without any data
    cube = folder / "cubes" / "regular.zarr"
    cube.parent.mkdir(parents=True, exist_ok=True)
    create(cube, geobox=geobox, times=np.array(times), variable="reflectance", names=BANDS, product="regular")
    for block in plan_blocks(geobox).blocks:
        part = xr.Dataset(
            {"reflectance": (("time", "band", "y", "x"), values[:, :, block.slices[0], block.slices[1]])}
        )
        write_block(cube, block, part)
    labels = folder / "labels.zarr"
    kept = np.where(rng.random(truth.shape) < 0.33, truth, 0).astype(np.uint8)
    write_labels(labels, kept, geobox, years)
    return Land(cube=cube, labels=labels, truth=truth, geobox=geobox)


def write_labels(path: Path, values: NDArray[np.uint8], geobox: GeoBox, years: tuple[int, ...]) -> None:
    """Labels as ``cube.labels`` keeps them."""
    times = np.array([f"{year}-01-01" for year in years], "datetime64[ns]")
    array = xr.DataArray(
        values,
        dims=("time", "y", "x"),
        coords={"time": times, **xr_coords(geobox)},
        name="labels",
        attrs={"classes": as_records(CLASSES)},
    )
    array.to_dataset().to_zarr(path, mode="w", consolidated=False)


@pytest.fixture(scope="session")
def land(tmp_path_factory: pytest.TempPathFactory) -> Land:
    return write_land(tmp_path_factory.mktemp("land"))
