"""The scoreboard of simulated runs: every result beside the truth it should have found.

Truth is the simulator's own: clear-sky reflectance by scene, land cover by year. Nothing of it is seen by the
stages that are scored, except the labels and districts that a recipe names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from landshift.cube.tables import write_table

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from landshift.cube.classes import LandClass
    from landshift.pipeline.stages import Context

__all__ = ["score"]

COLUMNS: Final = {
    "score": "What is scored",
    "method": "By which method",
    "value": "The score",
    "unit": "Its unit",
}
CLEAR_SCALE: Final = 1e-4
"""Reflectance per number of the simulator's clear-sky files."""
SEALED: Final = "impervious"
"""The class whose growth is scored."""


def score(context: Context) -> dict[str, Any]:
    """Write the table ``scoreboard``."""
    truth = context.out.hidden / "simulated" / "truth"
    rows = _cube_rows(context, truth)
    if context.recipe.train is not None:
        rows += _map_rows(context, truth)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    title = "Scoreboard against the truth of the simulated scenes"
    write_table(context.out.path, "scoreboard", frame, title=title, columns=COLUMNS)
    return {"scores": len(frame)}


def _row(what: str, method: str, value: float, unit: str) -> dict[str, Any]:
    return {"score": what, "method": method, "value": round(float(value), 5), "unit": unit}


def _cube_rows(context: Context, truth: Path) -> list[dict[str, Any]]:
    """Clear-sky RMSE of every product on virtual dates, over all pixels and the dates whose truth was kept."""
    from landshift.cube.store import open_cube

    files = sorted((truth / "clear").glob("*.tif"))
    when = {
        scene.id: group.stamp
        for groups in context.survey.passes.values()
        for group in groups
        for scene in group.scenes
    }
    rows = []
    for product in context.recipe.products:
        if not hasattr(product.step, "every"):
            continue
        cube = open_cube(context.cube(product))
        squares = count = 0.0
        for file in files:
            if file.stem not in when:
                continue
            real = _clear(file, [str(band) for band in cube["band"].values], context.survey.geobox)
            said = _at(cube["reflectance"], when[file.stem])
            error = (said - real)[np.isfinite(said) & np.isfinite(real)].astype(np.float64)
            squares, count = squares + float(np.square(error).sum()), count + error.size
        if count:
            rows.append(
                _row(
                    f"clear-sky RMSE of {product.name}",
                    "interpolate",
                    np.sqrt(squares / count),
                    "reflectance",
                )
            )
    return rows


def _clear(file: Path, bands: Sequence[str], geobox: GeoBox) -> NDArray[np.float32]:
    """Clear-sky truth of a scene's granule on the grid of the cube, (band, y, x); NaN beyond the granule."""
    with _on_grid(file, geobox) as dataset:
        names = list(dataset.src_dataset.descriptions)
        values = dataset.read([names.index(band) + 1 for band in bands]).astype(np.float32)
        values[values == dataset.nodata] = np.nan
    return np.asarray(values * np.float32(CLEAR_SCALE), np.float32)


def _at(series: Any, time: np.datetime64) -> NDArray[np.float32]:
    """A cube's reflectance at any time, on the line between the two virtual dates around it."""
    stamps = series["time"].values.astype("datetime64[ns]")
    after = int(np.clip(np.searchsorted(stamps, time), 1, len(stamps) - 1))
    low, high = (series.isel(time=at).values for at in (after - 1, after))
    share = np.clip((time - stamps[after - 1]) / (stamps[after] - stamps[after - 1]), 0.0, 1.0)
    return np.asarray(low + np.float32(share) * (high - low), np.float32)


def _map_rows(context: Context, truth: Path) -> list[dict[str, Any]]:
    """Scores of the maps: mIoU on test ground in all years, F1 of sealing, area error by district."""
    from landshift.learn.evaluate import evaluate
    from landshift.pipeline.stages import classes_of, product_of_training

    classes = classes_of(context)
    cover = _truth_cover(truth, context.years, classes, context.survey.geobox)
    labels = _truth_labels(context, cover, classes)
    rows = []
    cube = context.cube(product_of_training(context))
    baseline = {}
    for name, folder in context.models().items():
        found = evaluate(
            folder,
            cube=cube,
            labels=labels,
            fold="test",
            how=context.recipe.predict,
            progress=context.watch.progress,
        )
        rows.append(_row("mIoU on blocked test areas, all years", name, found.scores.mean_iou, "0 to 1"))
        baseline["majority class"] = found.baseline.mean_iou
    rows += [
        _row("mIoU on blocked test areas, all years", name, value, "0 to 1")
        for name, value in baseline.items()
    ]
    sealed = next((one.value for one in classes if one.name == SEALED), None)
    if sealed is None or len(context.years) < 2:
        return rows
    span = f"{context.years[0]} to {context.years[-1]}"
    for name in context.models():
        first, last = _maps(context, name)
        value = _f1(cover, (first, last), sealed)
        rows.append(_row(f"F1 of new {SEALED}, {span}", name, value, "0 to 1"))
    rows.append(_row(f"F1 of new {SEALED}, {span}", "majority class", 0.0, "0 to 1"))
    return rows + _district_rows(context, cover, sealed)


def _truth_cover(
    truth: Path, years: Sequence[int], classes: Sequence[LandClass], geobox: GeoBox
) -> dict[int, NDArray[np.uint8]]:
    """True land cover by year, (y, x), in the numbers of the labels' classes; 0 where they know no such class."""
    from landshift.cube.maps import read_classes

    found = {}
    number = {one.name: one.value for one in classes}
    for year in years:
        file = truth / f"landcover_{year}.tif"
        table = np.zeros(256, np.uint8)
        for one in read_classes(file):
            table[one.value] = number.get(one.name, 0)
        with _on_grid(file, geobox) as dataset:
            found[year] = table[dataset.read(1)]
    return found


@contextmanager
def _on_grid(file: Path, geobox: GeoBox) -> Iterator[Any]:
    """A truth raster as it lies on the cube's grid, read nearest."""
    import rasterio
    from rasterio.vrt import WarpedVRT

    height, width = geobox.shape
    where = {"crs": str(geobox.crs), "transform": geobox.affine, "height": height, "width": width}
    with rasterio.open(file) as source, WarpedVRT(source, nodata=source.nodata, **where) as dataset:
        yield dataset


def _truth_labels(
    context: Context, cover: Mapping[int, NDArray[np.uint8]], classes: Sequence[LandClass]
) -> Path:
    """Truth as a store of labels, so that the models are scored on it exactly as on labels."""
    import xarray as xr

    from landshift.cube.classes import as_records
    from landshift.cube.store import create, write_block
    from landshift.plan import plan_blocks

    path = context.out.hidden / "score" / "truth.zarr"
    grid = context.survey.geobox
    stamps = np.array([f"{year}-01-01" for year in cover], "datetime64[ns]")
    attrs = {"classes": as_records(classes)}
    create(path, geobox=grid, times=stamps, variable="labels", names=(), product="truth", attrs=attrs)
    whole = np.stack(list(cover.values()))
    for block in plan_blocks(grid).blocks:
        part = xr.Dataset({"labels": (("time", "y", "x"), whole[(slice(None), *block.slices)])})
        write_block(path, block, part)
    return path


def _maps(context: Context, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A model's maps of the first and the last year; those of compared models are made for the score alone."""
    from landshift.cube.maps import read_map
    from landshift.learn.predict import predict_years
    from landshift.pipeline.stages import product_of_training

    files = context.maps()
    if name != next(iter(context.models())):
        folder = context.out.hidden / "score" / name
        files = {year: folder / f"{year}.tif" for year in (context.years[0], context.years[-1])}
        predict_years(
            context.models()[name],
            files,
            cube=context.cube(product_of_training(context)),
            how=context.recipe.predict,
            progress=context.watch.progress,
        )
    return read_map(files[context.years[0]]), read_map(files[context.years[-1]])


def _f1(
    cover: Mapping[int, NDArray[np.uint8]], maps: tuple[NDArray[np.uint8], NDArray[np.uint8]], sealed: int
) -> float:
    """F1 of "became impervious between the first and the last year", over all mapped pixels."""
    first, *_, last = cover.values()
    seen = (maps[0] > 0) & (maps[1] > 0) & (first > 0) & (last > 0)
    real = ((first != sealed) & (last == sealed))[seen]
    said = ((maps[0] != sealed) & (maps[1] == sealed))[seen]
    hits = float((real & said).sum())
    return 2 * hits / max(float(real.sum() + said.sum()), 1.0)


def _district_rows(
    context: Context, cover: Mapping[int, NDArray[np.uint8]], sealed: int
) -> list[dict[str, Any]]:
    """Mean absolute error of the impervious area by district and year, in hectares and as a share of the truth."""
    from landshift.cube.classes import LandClass
    from landshift.cube.maps import write_map
    from landshift.cube.tables import read_table
    from landshift.measure.zonal import zonal
    from landshift.pipeline.stages import truth_path

    if context.recipe.zonal is None:
        return []
    folder = context.out.hidden / "score" / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    classes = (LandClass(value=sealed, name=SEALED, colour="#d7191c"),)
    files = {}
    for year, values in cover.items():
        files[year] = folder / f"{year}.tif"
        write_map(
            files[year],
            context.survey.geobox,
            np.where(values == sealed, values, 0).astype(np.uint8),
            classes=classes,
        )
    real = zonal(files, truth_path(context, str(context.recipe.zonal.zones)), id=context.recipe.zonal.id)
    said = read_table(context.out.path / "tables" / "zonal.parquet").frame
    both = real[real["class"] == SEALED].merge(
        said[said["class"] == SEALED], on=["zone", "year"], suffixes=("_true", "_said")
    )
    error = (both["area_ha_said"] - both["area_ha_true"]).abs()
    share = float(error.sum() / both["area_ha_true"].sum())
    model = next(iter(context.models()))
    what = f"error of {SEALED} area by district and year"
    return [_row(what, model, float(error.mean()), "ha"), _row(what, model, share, "share of the true area")]
