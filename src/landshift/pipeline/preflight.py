"""Before the long work: what the recipe says of labels, classes, zones and indices, held against what is there.

Only headers, attributes and shapes near the place are read. What is wrong is refused with the errors that the stages
themselves would give after hours of building.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import numpy as np

from landshift.errors import LabelError
from landshift.pipeline.build import Build
from landshift.pipeline.mark import input_mark
from landshift.pipeline.stages import (
    Context,
    classes_of,
    label_path,
    labels,
    product_of_training,
    split_of,
    truth_path,
)
from landshift.sensor import BAND_DIM

if TYPE_CHECKING:
    import xarray as xr

    from landshift.cube.classes import LandClass

__all__ = ["preflight"]

_ANY_STATISTICS: Final = ("mean",)
"""What models make of many dates is their own matter; whether the bands are there is not."""


def preflight(context: Context, *, stages: Collection[str]) -> None:
    """Refuse what a later stage would refuse.

    Args:
        context: The run, after its survey.
        stages: Names of the stages that are going to be done; the needs of others do not count.

    Raises:
        LandshiftError: As the stage concerned raises it.
    """
    recipe = context.recipe
    if "build" in stages:
        _indices(context)
    if "train" in stages and recipe.train is not None and recipe.labels is None:
        raise LabelError("there is nothing to learn from", where="[train]", hint="add a [labels] table")
    if "labels" in stages and recipe.labels is not None:
        classes = _labels(context)
        if "change" in stages and recipe.change is not None and classes:
            from landshift.measure.transitions import classes_of_change

            classes_of_change(recipe.change, classes)
    if "zonal" in stages and recipe.zonal is not None:
        from landshift.measure.zonal import check_zones

        zones = truth_path(context, str(recipe.zonal.zones))
        input_mark(zones)
        check_zones(dataclasses.replace(recipe.zonal, zones=zones), context.survey.geobox)


def _indices(context: Context) -> None:
    """Every product has bands, and every index of it finds its own among them."""
    from landshift.ard.indices import check_bands

    for job in Build(context).jobs:
        check_bands(job.indices, job.bands)


def _labels(context: Context) -> tuple[LandClass, ...] | None:
    """The labels lie on the place, in years that the cube will have; gives their classes where they are known."""
    from landshift.cube.labels import open_labels

    stage, held = labels(context), context.out.status().get("labels", {})
    if stage is not None and (held.get("key"), held.get("state")) == (stage.key, "done"):
        return classes_of(context) if (context.out.path / "labels.zarr").exists() else None
    source = dataclasses.replace(context.recipe.labels, path=str(label_path(context)))
    opened = open_labels(source, context.survey.geobox)
    if context.recipe.train is not None:
        years = np.array([f"{year}-01-01" for year in opened.years], "datetime64[ns]")
        _teachable(context, _on_axis(years)["time"])
    return opened.known


def _teachable(context: Context, labelled: xr.DataArray) -> None:
    """The cube will have the labelled years and all features; groups of the split can be read."""
    from landshift.learn.dataset import years_in_common

    features, cube = context.recipe.features, _coming(context)
    shared = years_in_common(features, cube, labelled)
    features.resolve(cube, years=shared, statistics=_ANY_STATISTICS)
    split_of(context).check(context.survey.geobox)


def _coming(context: Context) -> xr.Dataset:
    """The cube of the models as it will be, without pixels."""
    import xarray as xr

    build, product = Build(context), product_of_training(context)
    job = next(job for job in build.jobs if job.name == product.name)
    times = build.times(product)
    layers = {job.variable: job.bands} | ({"index": job.indices} if job.indices else {})
    return xr.Dataset(
        {
            name: (("time", BAND_DIM[name], "y", "x"), np.empty((len(times), len(held), 0, 0), np.float32))
            for name, held in layers.items()
        },
        coords={"time": times} | {BAND_DIM[name]: list(held) for name, held in layers.items()},
    )


def _on_axis(times: np.ndarray) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset(coords={"time": times})
