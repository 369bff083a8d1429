"""Six small dated scenes, and recipes over them: for tests of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from tiny_rasters import Tiff, write

BANDS = ("blue", "green", "red", "nir")
DATES = ("20200110", "20200320", "20200525", "20200805", "20201015", "20201220")


def look(number: int) -> NDArray[np.generic]:
    """One date of four bands, numbers of 1e-4: three stripes of cover that change with the season."""
    rng = np.random.default_rng(number)
    spectra = np.array([[300, 500, 400, 2500], [900, 1000, 1100, 1500], [400, 300, 200, 100]])
    rows = np.repeat([0, 1, 2], [14, 12, 10])
    plain = spectra[rows][:, None, :] * (1 + 0.1 * number) + rng.normal(0, 20, (36, 36, 4))
    return np.asarray(np.moveaxis(plain, -1, 0).clip(1, 9999), np.uint16)


def write_scenes(folder: Path) -> Path:
    """Six dated GeoTIFFs of four bands, 36 px of 10 m."""
    for number, date in enumerate(DATES):
        write(folder / f"scene_{date}.tif", Tiff(size=36, bands=4, names=BANDS), look(number))
    return folder


def tables(folder: Path, **changes: Any) -> dict[str, Any]:
    """A recipe over such a folder as plain values; keyword arguments lay tables over it."""
    source = {"name": "s2", "from": "folder", "path": str(folder), "date": "%Y%m%d", "scale": 1e-4}
    base: dict[str, Any] = {
        "time": {"years": "2020"},
        "source": [source | changes.pop("source", {})],
        "product": [{"name": "regular", "kind": "interpolate", "every": "60D", "min_clear": 1}],
        "engine": {"executor": "serial"},
    }
    return base | changes


def write_scenes_and_recipe(folder: Path) -> Path:
    """Scenes and a recipe of two products, in a folder."""
    yearly = {"name": "yearly", "kind": "composite", "period": "year", "indices": ["ndvi"]}
    values = tables(write_scenes(folder / "scenes"), report={"title": "Six scenes"})
    values["product"].append(yearly)
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(values))
    return path
