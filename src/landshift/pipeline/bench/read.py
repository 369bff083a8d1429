"""Decode and reproject scenes, beside odc-stac and beside GDAL's decoder alone, in one run.

40 scenes of 2048 x 2048 uint16 pixels in EPSG:32633 (COG, 512 px tiles, deflate) are read bilinearly onto a 10 m
grid in EPSG:3035, by every tool with two threads and in turns, so that a busy machine is busy for all of them.
Both give float32, NaN for missing; we scale to reflectance and give quality besides. What odc-stac takes for the
stored uint16, half the bytes, stands beside it. Processor time says the same as wall time on a busy machine.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift._optional import need
from landshift.pipeline.bench.row import row

if TYPE_CHECKING:
    import pystac
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from landshift.acquire.tiles import TileReader
    from landshift.scene import Pass

__all__ = ["measure"]

SIDE: Final = 2048
CRS: Final = "EPSG:32633"
CORNER: Final = (499_980.0, 5_200_020.0)
START: Final = dt.datetime(2020, 1, 1, 10, tzinfo=dt.UTC)
THREADS: Final = 2
HELD_BYTES: Final = 512 * 2**20
"""Tiles kept: more than one round's, so that some memory is used again from the third on."""
BAR: Final = "odc-stac, at least 4"


def measure(scenes: int = 40, repeats: int = 5) -> list[dict[str, Any]]:
    """Times of decoding, of reading whole and block by block, and of odc-stac; the largest difference to GDAL.

    Args:
        scenes: How many scenes.
        repeats: Rounds; medians are given.

    Raises:
        MissingDependencyError: odc-stac is not installed.
    """
    from landshift.acquire.tiles import TileReader

    need("odc.stac", purpose="the comparison with odc-stac")
    with tempfile.TemporaryDirectory() as folder:
        files = [_write(Path(folder) / f"{number:02d}.tif", number) for number in range(scenes)]
        _whole(files[:2])  # compiles, once
        _theirs(files[:2])
        with TileReader(held_bytes=HELD_BYTES) as reader:
            works: dict[str, Callable[[], object]] = {
                "decode": partial(_decode, files),
                "whole": partial(_whole, files),
                "blocks": partial(_blocks, files, reader, itertools.count()),
                "theirs": partial(_theirs, files),
                "stored": partial(_theirs, files, dtype="uint16", nodata=0),
            }
            found = _in_turns(works, repeats)
        worst, share = _beside_gdal(files[0])
    wall, cpu = found["theirs"]
    rows = [row("read, 512 px blocks", wall / found["blocks"][0], "times faster", BAR)]
    rows += [row("read, whole", wall / found["whole"][0], "times faster", BAR)]
    stored = found["stored"][0] / found["blocks"][0]
    rows += [row("  blocks, odc-stac giving stored uint16", stored, "times faster")]
    rows += [row("  blocks, processor time", cpu / found["blocks"][1], "times less", BAR)]
    rows += [row("  whole, processor time", cpu / found["whole"][1], "times less", BAR)]
    rows += [row("  blocks", found["blocks"][0] / found["decode"][0], "times GDAL's decoding alone")]
    rows += [row("  blocks", scenes * SIDE**2 / 1e6 / found["blocks"][0], "MPix/s of source")]
    rows += [row("  largest difference to GDAL's warper", worst, "of the steepest slope", "under 1e-3 px")]
    rows += [row("  pixels valid in one of both", share * 1e6, "in a million")]
    return rows


def _write(file: Path, number: int) -> Path:
    """A smooth field with sensor noise: it packs about as a real scene does."""
    import rasterio

    rng = np.random.default_rng(number)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / 97.0
    ground = 1800 + 900 * np.sin(x + number) * np.cos(y - number / 3)
    pixels = (ground + rng.normal(0, 25, ground.shape)).clip(1, 10_000).astype(np.uint16)
    with rasterio.open(
        file,
        "w",
        driver="COG",
        dtype="uint16",
        count=1,
        height=SIDE,
        width=SIDE,
        nodata=0,
        crs=CRS,
        transform=rasterio.Affine(10, 0, CORNER[0], 0, -10, CORNER[1]),
        compress="DEFLATE",
        predictor=2,
        blocksize=512,
        overviews="NONE",
    ) as out:
        out.write(pixels, 1)
    return file


def _source() -> GeoBox:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    return GeoBox((SIDE, SIDE), Affine(10, 0, CORNER[0], 0, -10, CORNER[1]), CRS)


def _target() -> GeoBox:
    from odc.geo.geobox import GeoBox

    return GeoBox.from_bbox(_source().footprint("EPSG:3035").boundingbox, "EPSG:3035", resolution=10)


def _dates(files: Sequence[Path], *, scale: float = 1e-4) -> tuple[Pass, ...]:
    from landshift.scene import BandFile, Scene, passes

    return passes(
        Scene(
            id=file.stem,
            source="bench",
            sensor="sentinel-2-l2a",
            quantity="reflectance",
            time=START + dt.timedelta(days=number),
            bands={"red": BandFile(href=str(file), nodata=0, scale=scale)},
        )
        for number, file in enumerate(files)
    )


def _decode(files: Sequence[Path]) -> None:
    import rasterio

    def one(file: Path) -> None:
        with rasterio.open(file) as dataset:
            dataset.read(1)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, files))


def _whole(files: Sequence[Path]) -> object:
    from landshift.acquire.read import read
    from landshift.acquire.tiles import TileReader

    with TileReader(threads=THREADS, held_bytes=0) as reader:
        return read(_dates(files), _target(), bands=["red"], reader=reader)


def _blocks(files: Sequence[Path], reader: TileReader, rounds: Iterator[int]) -> None:
    """As in the middle of a run: two blocks at a time, one thread each, tiles and memory shared.

    Every round gives the files new names, so that nothing is known of them; the reader keeps its memory, as it
    does from block to block.
    """
    from landshift.acquire.read import read
    from landshift.plan import Block, ThreadExecutor, plan_blocks

    folder = files[0].parent / f"round-{next(rounds)}"
    folder.mkdir()
    for file in files:
        os.link(file, folder / file.name)
    whole, dates = _target(), _dates([folder / file.name for file in files])

    def work(block: Block) -> int:
        return read(dates, block.geobox(whole), bands=["red"], reader=reader)["quality"].size

    for _ in ThreadExecutor(workers=THREADS).run(work, plan_blocks(whole).blocks):
        pass


def _theirs(files: Sequence[Path], *, dtype: str = "float32", nodata: float = math.nan) -> object:
    stac = need("odc.stac", purpose="the comparison with odc-stac")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stac.load(
            _items(files),
            bands=["red"],
            geobox=_target(),
            resampling="bilinear",
            pool=THREADS,
            groupby="id",
            nodata=nodata,
            dtype=dtype,
        )


def _items(files: Sequence[Path]) -> list[pystac.Item]:
    import pystac

    source = _source()
    outline = source.footprint("EPSG:4326")
    grid = {"proj:code": CRS, "proj:shape": [SIDE, SIDE], "proj:transform": list(source.affine)[:6]}
    made = []
    for number, file in enumerate(files):
        moment = START + dt.timedelta(days=number)
        item = pystac.Item(file.stem, outline.json, list(outline.boundingbox.bbox), moment, dict(grid))
        item.add_asset("red", pystac.Asset(str(file), media_type="image/tiff", roles=["data"]))
        made.append(item)
    return made


def _in_turns(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: (statistics.median(wall for wall, _ in runs), statistics.median(cpu for _, cpu in runs))
        for name, runs in taken.items()
    }


def _beside_gdal(file: Path) -> tuple[float, float]:
    """Largest difference to GDAL's warper, in pixels along the steepest slope; share of pixels only one has."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    from landshift.acquire.read import read

    grid = _target()
    ours = read(_dates([file], scale=1.0), grid, bands=["red"])["reflectance"].values[0, 0]
    with (
        rasterio.open(file) as data,
        WarpedVRT(
            data,
            crs="EPSG:3035",
            transform=grid.affine,
            width=grid.shape[1],
            height=grid.shape[0],
            resampling=Resampling.bilinear,
            tolerance=1e-6,
            dtype="float64",
            src_nodata=0,
            nodata=-1,
        ) as view,
    ):
        source, theirs = data.read(1).astype(np.float64), view.read(1)
    slope = max(np.abs(np.diff(source, axis=axis)).max() for axis in (0, 1))
    both: NDArray[np.bool_] = np.isfinite(ours) & (theirs != -1)
    one = np.isfinite(ours) != (theirs != -1)
    return float(np.abs(ours - theirs)[both].max() / slope), float(one.mean())
