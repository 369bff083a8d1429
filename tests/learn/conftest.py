"""A small place with known land cover, as stores on disk, and models trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import gaussian_filter

from landshift.cube.classes import LandClass, as_records
from landshift.cube.store import create, write_block
from landshift.learn.checkpoint import Checkpoint, Model
from landshift.learn.features import Features
from landshift.learn.models.forest import RandomForest
from landshift.learn.models.unet import UNet
from landshift.learn.patches import Patches
from landshift.learn.split import Split
from landshift.learn.train import train
from landshift.plan import plan_blocks

CLASSES = (
    LandClass(value=1, name="water", colour="#2b83ba"),
    LandClass(value=2, name="forest", colour="#1a7f37"),
    LandClass(value=4, name="impervious", colour="#d7191c"),
)
SPECTRA = {1: (0.06, 0.04, 0.02), 2: (0.05, 0.03, 0.35), 4: (0.16, 0.18, 0.24)}
BANDS = ("green", "red", "nir")
SHAPE = (150, 203)
YEARS = (2020, 2021)
DATES = 6


@dataclass(frozen=True)
class Land:
    """What the fixture wrote, the truth, and how models are trained on it."""

    cube: Path
    labels: Path
    truth: NDArray[np.uint8]
    geobox: GeoBox
    classes: tuple[LandClass, ...] = CLASSES
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "features": Features(),
            "patches": Patches(size=16, per_class=30, pixels_per_class=400),
            "split": Split(buffer_m=40),
        }
    )

    def train(self, model: Model, folder: Path, **changes: Any) -> Checkpoint:
        """Train with the fixture's settings."""
        settings: dict[str, Any] = {"out": folder / "model", "work": folder / "work", "threads": 1}
        return train(model, cube=self.cube, labels=self.labels, **(self.settings | settings | changes))


def _landscape(seed: int) -> NDArray[np.uint8]:
    """Patches of three classes a few pixels wide."""
    rng = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(rng.normal(size=SHAPE), 4) for _ in range(3)])
    cover: NDArray[np.uint8] = np.array([1, 2, 4], np.uint8)[fields.argmax(axis=0)]
    return cover


def write_store(path: Path, geobox: GeoBox, data: xr.Dataset, **layout: Any) -> None:
    create(path, geobox=geobox, times=data["time"].to_numpy(), product=path.stem, **layout)
    for block in plan_blocks(geobox).blocks:
        write_block(path, block, data.isel(y=block.slices[0], x=block.slices[1]), threads=2)


def _looks(truth: NDArray[np.uint8], rng: np.random.Generator) -> xr.Dataset:
    """Noisy seasonal looks with gaps; a corner that was never seen."""
    spectra = np.zeros((256, 3))
    spectra[list(SPECTRA)] = list(SPECTRA.values())
    times, looks = [], []
    for year, cover in zip(YEARS, truth, strict=True):
        for k in range(DATES):
            times.append(np.datetime64(f"{year}-01-15", "ns") + np.timedelta64(k * 55, "D"))
            season = 1 + 0.2 * np.sin(2 * np.pi * k / DATES)
            look = np.moveaxis(spectra[cover], -1, 0) * season + rng.normal(0, 0.03, (3, *SHAPE))
            look[:, rng.random(SHAPE) < 0.05] = np.nan
            looks.append(look)
    values = np.stack(looks).astype(np.float32)
    values[:, :, :20, :20] = np.nan
    return xr.Dataset({"reflectance": (("time", "band", "y", "x"), values)}, coords={"time": np.array(times)})


@pytest.fixture(scope="session")
def land(tmp_path_factory: pytest.TempPathFactory) -> Land:
    folder, rng = tmp_path_factory.mktemp("land"), np.random.default_rng(7)
    geobox = GeoBox.from_bbox(
        (4e6, 3e6, 4e6 + SHAPE[1] * 10, 3e6 + SHAPE[0] * 10), "EPSG:3035", resolution=10
    )
    truth = np.stack([_landscape(year) for year in YEARS])
    write_store(folder / "regular.zarr", geobox, _looks(truth, rng), variable="reflectance", names=BANDS)
    labels = np.where(rng.random(truth.shape) < 0.4, truth, 0).astype(np.uint8)
    times = np.array([f"{year}-01-01" for year in YEARS], "datetime64[ns]")
    marked = xr.Dataset({"labels": (("time", "y", "x"), labels)}, coords={"time": times})
    attrs = {"classes": as_records(CLASSES)}
    write_store(folder / "labels.zarr", geobox, marked, variable="labels", names=(), attrs=attrs)
    return Land(cube=folder / "regular.zarr", labels=folder / "labels.zarr", truth=truth, geobox=geobox)


@pytest.fixture(scope="session")
def unet(land: Land, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return land.train(UNet(widths=(8, 16), epochs=4, batch=4), tmp_path_factory.mktemp("unet"))


@pytest.fixture(scope="session")
def forest(land: Land, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return land.train(RandomForest(trees=15), tmp_path_factory.mktemp("forest"))


@pytest.fixture
def labelled() -> Callable[..., tuple[xr.DataArray, GeoBox]]:
    """Labels in memory, of any size: ``labelled(values)`` gives them with their grid of 10 m."""

    def make(values: NDArray[np.uint8]) -> tuple[xr.DataArray, GeoBox]:
        years, height, width = values.shape
        geobox = GeoBox.from_bbox((0, 0, width * 10, height * 10), "EPSG:3035", resolution=10)
        times = np.array([f"{2018 + i}-01-01" for i in range(years)], "datetime64[ns]")
        return xr.DataArray(values, dims=("time", "y", "x"), coords={"time": times}), geobox

    return make
