"""From labels to maps: train the models, score them on the test fold, map every year."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landshift.config import model_of
from landshift.errors import ConfigError

if TYPE_CHECKING:
    from landshift.pipeline.stages import Context

__all__ = ["map_years", "teach"]


def teach(context: Context) -> dict[str, Any]:
    """Train every model of the recipe and write the tables of accuracy; a model that is finished is kept."""
    from landshift.learn.checkpoint import load
    from landshift.learn.evaluate import write_accuracy
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
    scores = write_accuracy(
        {name: made[name] for name in context.models()},
        cube=cube,
        labels=truth,
        out=context.out.path,
        progress=context.watch.progress,
    )
    return {"models": list(made), "scores": scores}


def map_years(context: Context) -> dict[str, Any]:
    """Make the map of every year that has none yet."""
    from landshift.learn.predict import predict
    from landshift.pipeline.budget import memory_of

    recipe = context.recipe
    product = recipe.product(recipe.train.product if recipe.train else None)
    folder = next(iter(context.models().values()))
    for year, path in context.maps().items():
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        predict(
            folder,
            cube=context.cube(product),
            year=year,
            out=path,
            memory_bytes=memory_of(recipe.engine.memory),
            progress=context.watch.progress,
        )
    return {"maps": len(context.maps())}
