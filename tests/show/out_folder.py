"""A small output folder as a run leaves it: maps of a growing town, and every table, without a run."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio import Affine

from landshift.cube.classes import LandClass, from_names
from landshift.cube.maps import write_map
from landshift.cube.tables import write_table
from landshift.measure.transitions import (
    AREA_COLUMNS,
    GAIN_COLUMNS,
    TRANSITION_COLUMNS,
    Change,
    class_areas,
    gains,
    transitions,
)
from landshift.measure.zonal import ZONAL_CHANGE_COLUMNS, ZONAL_COLUMNS, Zonal, zonal_tables

YEARS = tuple(range(2018, 2025))
CLASSES: tuple[LandClass, ...] = from_names(
    ["water", "forest", "grassland", "cropland", "bare soil", "impervious"]
)
METHODS = ("interpolate", "nearest", "mean")
_SEED = 11


def make(out: Path, *, size: int = 192) -> Path:
    """Fill ``out`` with maps, tables and a run record, and give it back."""
    maps = _maps(out, size)
    place = GeoBox((size, size), Affine(10, 0, 4_500_000, 0, -10, 3_000_000), "EPSG:3035")
    moved = transitions(maps, out / "change", change=Change())
    _table(out, "transitions", moved, TRANSITION_COLUMNS)
    _table(out, "gains", gains(moved), GAIN_COLUMNS)
    _table(out, "area", class_areas(maps), AREA_COLUMNS)
    zones = zonal_tables(maps, Zonal(zones=_districts(out, place), id="district"))
    _table(out, "zonal", zones.area, ZONAL_COLUMNS)
    _table(out, "zonal_change", zones.change, ZONAL_CHANGE_COLUMNS)
    for name, frame in _quality().items():
        _table(out, name, frame, {str(column): f"{column} of {name}" for column in frame})
    record = {
        "title": "Sealed soil of Example Valley",
        "simulated": True,
        "recipe_hash": "3f9c2d41a7b80e56",
        "versions": {"landshift": "0.1.0", "numpy": "2.4.6", "python": "3.11"},
        "counts": {
            "survey": {
                "scenes": 341,
                "dates": {"sentinel-2": 232, "landsat": 116},
                "skipped": {"cloud cover above 80 %": 7, "no overlap with the place": 2},
            },
            "zonal": {"zones": 9, "outside": ["District X"]},
        },
        "warnings": ["1 of 10 zones lie outside the map: District X"],
    }
    (out / "run.json").write_text(json.dumps(record))
    return out


def _table(out: Path, name: str, frame: pd.DataFrame, columns: dict[str, str]) -> None:
    write_table(out, name, frame, title=f"The table {name}", columns=columns)


def _maps(out: Path, size: int) -> dict[int, Path]:
    geobox = GeoBox((size, size), Affine(10, 0, 4_500_000, 0, -10, 3_000_000), "EPSG:3035")
    row, col = np.mgrid[0:size, 0:size] / size
    noise = np.random.default_rng(_SEED).random((size // 8, size // 8)).repeat(8, 0).repeat(8, 1)
    base = np.select([noise < 0.3, noise < 0.52], [2, 3], default=4).astype(np.uint8)
    base[np.abs(row - 0.3 - 0.1 * np.sin(6 * col)) < 0.025] = 1
    paths = {}
    for step, year in enumerate(YEARS):
        distance = np.hypot(row - 0.62, col - 0.55) + 0.12 * (noise - 0.5)
        values: NDArray[np.uint8] = base.copy()
        values[(distance < 0.17 + 0.021 * (step + 1.4)) & (base != 1)] = 5
        values[(distance < 0.17 + 0.021 * step) & (base != 1)] = 6
        values[:6, :20] = 0
        paths[year] = write_map(out / "maps" / f"{year}.tif", geobox, values, classes=CLASSES)
    return paths


def _districts(out: Path, place: GeoBox) -> Path:
    west, south, east, north = place.boundingbox.bbox
    x, y = np.linspace(west + 111, east - 77, 4), np.linspace(south + 95, north - 33, 4)
    names = [f"District {letter}" for letter in "ABCDEFGHI"]
    boxes = [shapely.box(x[i], y[j], x[i + 1], y[j + 1]) for j in range(3) for i in range(3)]
    path = out / "districts.gpkg"
    gpd.GeoDataFrame({"district": names}, geometry=boxes, crs="EPSG:3035").to_file(path)
    return path


def _quality() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(_SEED)
    times = pd.date_range("2018-01-04", "2024-12-28", freq="11D")
    season = 0.55 - 0.3 * np.cos(2 * np.pi * times.day_of_year / 365)
    clear = [
        ("regular", source, time, float(np.clip(mean + spread, 0, 1)))
        for source, every in (("sentinel-2", 1), ("landsat", 2))
        for time, mean, spread in zip(
            times[::every], season[::every], rng.normal(0, 0.28, times.size), strict=False
        )
    ]
    bands = {"blue": 0.011, "green": 0.012, "red": 0.015, "nir": 0.028, "swir16": 0.024, "swir22": 0.021}
    factor = dict(zip(METHODS, (1.0, 1.45, 2.1), strict=True))
    holdout = [
        ("regular", band, method, error * factor[method], error * factor[method] * 0.68, 181_220)
        for band, error in bands.items()
        for method in METHODS
    ]
    return {
        "clear": pd.DataFrame(clear, columns=["product", "source", "time", "clear_share"]),
        "holdout": pd.DataFrame(holdout, columns=["product", "band", "method", "rmse", "mae", "n"]),
        **_learning(rng),
    }


def _learning(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    epochs = np.arange(1, 31)
    history = [
        (
            "unet",
            int(epoch),
            split,
            float(loss),
            float(0.82 - 0.5 * np.exp(-epoch / 7) - 0.03 * (split == "val")),
        )
        for split, floor in (("train", 0.28), ("val", 0.42))
        for epoch, loss in zip(
            epochs, floor + 1.2 * np.exp(-epochs / 6) + rng.normal(0, 0.02, 30), strict=True
        )
    ]
    names = [item.name for item in CLASSES]
    confusion, accuracy = [], []
    for model, right in (("unet", 0.86), ("forest", 0.79), ("majority class", 0.0)):
        matrix = rng.integers(5, 220, (6, 6)) + np.diag([900, 5200, 2600, 7400, 800, 1900]) * right
        if model == "majority class":
            matrix = np.zeros((6, 6))
            matrix[:, 3] = [900, 5200, 2600, 7400, 800, 1900]
        matrix = matrix.astype(int)
        for i, reference in enumerate(names):
            for j, predicted in enumerate(names):
                if model != "majority class":
                    confusion.append((model, "test", reference, predicted, int(matrix[i, j])))
            hit = matrix[i, i]
            users, producers = hit / max(matrix[:, i].sum(), 1), hit / matrix[i].sum()
            iou = hit / (matrix[i].sum() + matrix[:, i].sum() - hit)
            accuracy.append(
                (model, "test", reference, users, producers, 2 * iou / (1 + iou), iou, int(matrix[i].sum()))
            )
        mean_iou = float(np.mean([row[6] for row in accuracy if row[0] == model]))
        accuracy.append((model, "test", "all", np.nan, np.nan, np.nan, mean_iou, int(matrix.sum())))
    scores = [
        ("clear-sky RMSE", "interpolate", 0.019, "reflectance"),
        ("clear-sky RMSE", "nearest", 0.027, "reflectance"),
        ("mIoU", "unet", 0.78, ""),
        ("mIoU", "forest", 0.71, ""),
        ("mIoU", "majority class", 0.07, ""),
        ("change F1", "unet", 0.69, ""),
        ("change F1", "majority class", 0.0, ""),
        ("district area error", "unet", 1.9, "ha"),
    ]
    return {
        "history": pd.DataFrame(history, columns=["model", "epoch", "split", "loss", "miou"]),
        "confusion": pd.DataFrame(confusion, columns=["model", "fold", "reference", "mapped", "pixels"]),
        "accuracy": pd.DataFrame(
            accuracy,
            columns=["model", "fold", "class", "users_accuracy", "producers_accuracy", "f1", "iou", "pixels"],
        ),
        "scoreboard": pd.DataFrame(scores, columns=["score", "method", "value", "unit"]),
    }
