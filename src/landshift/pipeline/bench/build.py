"""The whole build beside its physical limit: GDAL decodes the input bytes, the codec encodes the output bytes.

24 dates x 10 bands x 2048 x 2048 pixels in 512 px COG tiles, cloud grown by 300 m, 36 virtual dates, no hold-out; once
on the scenes' own grid and once reprojected. The scenes are simulated at a quarter of the side and laid out 4 x 4,
so that they compress as scenes do. Limit and build use the same number of threads.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from landshift.pipeline.bench.row import row
from landshift.plan import cores

__all__ = ["measure", "recipe_for", "write_scenes"]

DATES: Final = 24
BANDS: Final = (
    *("blue", "green", "red", "rededge071", "rededge075"),
    *("rededge078", "nir", "nir08", "swir16", "swir22"),
)
CRS: Final = "EPSG:32633"
CORNER: Final = (500_000.0, 5_400_000.0)


def measure(side: int = 2048, repeats: int = 3) -> list[dict[str, Any]]:
    """Ratios of the build to its limit, without and with reprojection.

    Args:
        side: Rows and columns of the scenes and of the place.
        repeats: Rounds of decoding, building and encoding; the median ratio is given.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        files = write_scenes(home / "scenes", side=side)
        _build(home, side=256, crs=CRS, name="warm")
        for title, crs, bar in (("own grid", CRS, "at most 1.6"), ("reprojected", "EPSG:3035", "at most 3")):
            rounds = sorted((_round(home, files, side=side, crs=crs) for _ in range(repeats)), key=_ratio)
            middle = rounds[len(rounds) // 2]
            spread = f"times decode + encode ({_ratio(rounds[0]):.2f} to {_ratio(rounds[-1]):.2f})"
            found.append(row(f"build, {title}", _ratio(middle), spread, bar))
            seconds, decoding, encoding = middle
            unit = f"s (decode {decoding:.1f}, encode {encoding:.1f})"
            found.append(row(f"  seconds, {title}", seconds, unit))
    return found


_Round: TypeAlias = tuple[float, float, float]
"""Seconds of building, of decoding all that is read, and of encoding all that is written."""


def _round(home: Path, files: Sequence[Path], *, side: int, crs: str) -> _Round:
    """One round, decoding before and encoding after, so that a machine's moods meet all of them."""
    decoding = _decode(files)
    seconds = _build(home, side=side, crs=crs, name="built")
    encoding = _encode(home / "built" / "cubes" / "regular.zarr")
    shutil.rmtree(home / "built")
    return seconds, decoding, encoding


def _ratio(found: _Round) -> float:
    return found[0] / (found[1] + found[2])


def write_scenes(folder: Path, *, side: int) -> list[Path]:
    """Write one scene a date: a COG of ten bands, a quality layer, and the item beside them.

    Args:
        folder: Where.
        side: Side of the scenes in pixels, a multiple of four.

    Returns:
        All rasters.
    """
    files = []
    rng = np.random.default_rng(5)
    for number in range(DATES):
        when = date(2022, 1, 5) + timedelta(days=14 * number)
        bands, codes = _look(rng, side // 4, number)
        for name, values in (*zip(BANDS, bands, strict=True), ("scl", codes)):
            file = folder / f"S2A_{when:%Y%m%d}" / f"{name}.tif"
            _write(file, np.tile(values, (4, 4)))
            files.append(file)
        _item(folder / f"S2A_{when:%Y%m%d}", when, side)
    return files


def recipe_for(folder: Path, *, side: int, crs: str) -> dict[str, Any]:
    """The recipe of a build over a square of ``side`` pixels in the middle of the scenes."""
    return {
        "place": {
            "bbox": [CORNER[0], CORNER[1], CORNER[0] + side * 10.0, CORNER[1] + side * 10.0],
            "bbox_crs": CRS,
            "crs": crs,
            "resolution": 10.0,
        },
        "source": [{"name": "s2", "from": "stac", "url": str(folder / "catalog.json"), "bands": list(BANDS)}],
        "mask": {"grow_m": {"cloud": 300}},
        "product": [{"name": "regular", "kind": "interpolate", "every": "10D", "end": date(2022, 12, 31)}],
        "report": {"holdout": 0.0},
    }


def _build(home: Path, *, side: int, crs: str, name: str) -> float:
    from landshift.config import Recipe
    from landshift.pipeline.run import run

    recipe = Recipe.of(recipe_for(home / "scenes", side=side, crs=crs))
    result = run(recipe, home / name, until="build")
    return next(stage.seconds for stage in result.stages if stage.name == "build")


def _decode(files: Sequence[Path]) -> float:
    """Seconds in which GDAL decodes all files on all cores."""
    import rasterio

    def read(file: Path) -> None:
        with rasterio.open(file) as dataset:
            dataset.read()

    begin = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(read, files))
    return time.perf_counter() - begin


def _encode(store: Path) -> float:
    """Seconds in which the codec encodes every chunk of a store on all cores."""
    from landshift.cube.codec import encode_chunk
    from landshift.cube.store import layout_of, open_cube

    layout = layout_of(store)
    array = layout.arrays[0]
    times, _, rows, cols = array.chunk
    cube = open_cube(store)["reflectance"]
    busy = 0.0
    with ThreadPoolExecutor(cores()) as pool:
        for band in range(cube.sizes["band"]):
            values = cube.isel(band=band).values
            stored = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) * 1e4), -32768).astype(
                np.int16
            )
            chunks = [
                np.ascontiguousarray(stored[t : t + times, y : y + rows, x : x + cols])
                for t in range(0, stored.shape[0], times)
                for y in range(0, stored.shape[1], rows)
                for x in range(0, stored.shape[2], cols)
            ]
            begin = time.perf_counter()
            list(pool.map(encode_chunk, chunks))
            busy += time.perf_counter() - begin
    return busy


def _look(rng: np.random.Generator, side: int, number: int) -> tuple[list[Any], Any]:
    """One date: smooth ground, texture, noise and a few clouds, with their classes."""
    from scipy.ndimage import gaussian_filter, zoom

    ground = gaussian_filter(np.random.default_rng(1).random((side, side)), 3, mode="wrap")
    field = np.random.default_rng(2).random((side // 32, side // 32)).repeat(32, 0).repeat(32, 1)
    season = 0.5 + 0.5 * np.sin(number / DATES * 2 * np.pi)
    cover = zoom(rng.random((side // 64 + 1, side // 64 + 1)), 64, order=1)[:side, :side] > 0.62
    bands = []
    for band in range(len(BANDS)):
        values = 0.05 + 0.02 * band + 0.3 * (ground - 0.5) + 0.1 * field * season
        values = values + rng.normal(0, 0.004, values.shape) + 0.4 * cover
        bands.append(np.clip(np.rint(values * 1e4), 1, 65535).astype(np.uint16))
    return bands, np.where(cover, 9, 4).astype(np.uint8)


def _write(file: Path, values: Any) -> None:
    import rasterio
    from rasterio.transform import from_origin

    file.parent.mkdir(parents=True, exist_ok=True)
    top = CORNER[1] + values.shape[0] * 10.0
    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": values.dtype,
        "crs": CRS,
        "nodata": 0,
        "height": values.shape[0],
        "width": values.shape[1],
        "transform": from_origin(CORNER[0], top, 10, 10),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "DEFLATE",
        "predictor": 2,
    }
    with rasterio.open(file, "w", **profile) as target:
        target.write(values, 1)


def _item(folder: Path, when: date, side: int) -> None:
    """The item of a scene, and its link in the catalogue."""
    import pystac
    from odc.geo.geom import box

    right, top = CORNER[0] + side * 10.0, CORNER[1] + side * 10.0
    outline = box(*CORNER, right, top, CRS).to_crs("EPSG:4326")
    moment = pystac.utils.str_to_datetime(f"{when:%Y-%m-%d}T10:00:00Z")
    said = {"platform": "sentinel-2a", "proj:epsg": 32633, "s2:processing_baseline": "03.01"}
    item = pystac.Item(folder.name, outline.json, list(outline.boundingbox.bbox), moment, said)
    for name in (*BANDS, "scl"):
        asset = pystac.Asset(f"./{name}.tif", media_type=pystac.MediaType.COG, roles=["data"])
        asset.extra_fields = {"proj:shape": [side, side], "proj:transform": [10, 0, CORNER[0], 0, -10, top]}
        item.add_asset(name, asset)
    record = item.to_dict(include_self_link=False) | {"collection": "sentinel-2-l2a"}
    (folder / "item.json").write_text(json.dumps(record))
    catalogue = folder.parent / "catalog.json"
    root: dict[str, Any] = {
        "type": "Catalog",
        "id": "bench",
        "stac_version": "1.0.0",
        "description": "bench",
        "links": [],
    }
    held = json.loads(catalogue.read_text()) if catalogue.is_file() else root
    held["links"].append(
        {"rel": "item", "href": f"./{folder.name}/item.json", "type": "application/geo+json"}
    )
    catalogue.write_text(json.dumps(held))
