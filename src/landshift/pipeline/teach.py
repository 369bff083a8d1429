"""From labels to maps: train the models, score them on the test fold, map every year."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landshift.config import model_of
from landshift.cube.tables import write_table
from landshift.errors import ConfigError

if TYPE_CHECKING:
    from landshift.pipeline.stages import Context

__all__ = ["examine", "map_years", "teach"]


def teach(context: Context) -> dict[str, Any]:
    """Train every model of the recipe and write the table ``history``; a model that is finished is kept."""
    from landshift.learn.checkpoint import load
    from landshift.learn.evaluate import write_history
    from landshift.learn.train import train
    from landshift.pipeline.stages import split_of

    recipe = context.recipe
    settings = recipe.train
    if settings is None:
        raise ConfigError("the recipe has no [train] table")
    cube, truth = context.cube(recipe.product(settings.product)), context.out.path / "labels.zarr"
    made = {}
    for name, folder in context.models().items():
        if not (folder / "model.json").is_file():
            train(
                model_of(name, settings.settings.get(name, {})),
                cube=cube,
                labels=truth,
                features=recipe.features,
                patches=recipe.samples,
                split=split_of(context),
                out=folder,
                work=context.out.hidden / "train" / name,
                progress=context.watch.progress,
            )
        made[name] = load(folder)
    write_history(context.out.path, made)
    return {"models": list(made)}


def examine(context: Context) -> dict[str, Any]:
    """Score every model on test ground, as its maps show it, and write the tables of accuracy."""
    from landshift.learn.checkpoint import load
    from landshift.learn.evaluate import write_accuracy
    from landshift.pipeline.stages import product_of_training

    scores = write_accuracy(
        {name: load(folder) for name, folder in context.models().items()},
        cube=context.cube(product_of_training(context)),
        labels=context.out.path / "labels.zarr",
        out=context.out.path,
        how=context.recipe.predict,
        progress=context.watch.progress,
    )
    return {"scores": scores}


def map_years(context: Context) -> dict[str, Any]:
    """Make the map of every year that has none yet, and the table ``area`` of all."""
    from landshift.learn.predict import predict_years
    from landshift.measure.transitions import AREA_COLUMNS, class_areas
    from landshift.pipeline.budget import memory_of
    from landshift.pipeline.stages import product_of_training

    recipe, maps = context.recipe, context.maps()
    around = recipe.predict.years_around
    if around:
        context.watch.say(f"predict: the map of a year looks at up to {around} before and {around} after it")
    missing = {year: path for year, path in maps.items() if not path.is_file()}
    if missing:
        predict_years(
            next(iter(context.models().values())),
            missing,
            cube=context.cube(product_of_training(context)),
            how=recipe.predict,
            memory_bytes=memory_of(recipe.engine.memory),
            tags={"simulated": "true"} if context.simulated else None,
            progress=context.watch.progress,
        )
    area = class_areas(maps, within=context.survey.outline)
    title = "Area of every class by year"
    write_table(context.out.path, "area", area, title=title, columns=AREA_COLUMNS, xlsx=True)
    return {"maps": len(maps), "years_around": around}
