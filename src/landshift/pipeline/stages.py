"""The stages of a run: what each depends on, what it makes, and the function that does it."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landshift.config import Product, Recipe
from landshift.errors import DataQualityWarning
from landshift.pipeline.mark import input_mark
from landshift.pipeline.output import Output, Stage, hash_of
from landshift.pipeline.survey import Survey, plain_grid, survey
from landshift.pipeline.watch import Watch
from landshift.step import table

if TYPE_CHECKING:
    from landshift.cube.classes import LandClass

__all__ = [
    "Context",
    "build",
    "change",
    "evaluate",
    "find",
    "inventory",
    "labels",
    "predict",
    "publish",
    "score",
    "train",
    "zonal",
]

Keys = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every stage may need."""

    recipe: Recipe
    """The recipe."""
    out: Output
    """The output folder."""
    survey: Survey
    """What the survey found."""
    watch: Watch
    """Who is told how it goes."""

    @property
    def simulated(self) -> bool:
        """Whether any source or scene is simulated; whatever is made of them says so."""
        return self.has_truth or self.survey.simulated

    @property
    def has_truth(self) -> bool:
        """Whether a source is simulated for this run, so that its truth lies beside its scenes."""
        return any(source.simulated for source in self.recipe.sources)

    @property
    def years(self) -> tuple[int, ...]:
        """Years to map: those asked for, else the whole years of the time span that have dates."""
        if self.recipe.train is not None and self.recipe.train.years:
            return self.recipe.train.years
        seen = {group.time.year for groups in self.survey.passes.values() for group in groups}
        wanted = self.recipe.time.year_list
        return tuple(sorted(seen & set(wanted))) if wanted else tuple(sorted(seen))

    def cube(self, product: Product) -> Path:
        """Where a product's store is."""
        return self.out.path / "cubes" / f"{product.name}.zarr"

    def file(self, text: str) -> Path:
        """A path of the recipe, from the recipe's folder."""
        path = Path(text).expanduser()
        return path if path.is_absolute() else self.recipe.base / path

    def maps(self) -> dict[int, Path]:
        """Yearly maps by year."""
        return {year: self.out.path / "maps" / f"{year}.tif" for year in self.years}

    def models(self) -> dict[str, Path]:
        """Model folders by name; the first is the one whose maps are published."""
        train = self.recipe.train
        if train is None:
            return {}
        compared = {name: self.out.path / "models" / name for name in train.compare if name != train.model}
        return {train.model: self.out.path / "model"} | compared


def find(recipe: Recipe, output: Output, watch: Watch, *, crop_m: float | None = None) -> Context:
    """Make the survey; a folder of another place is refused before a simulator fills it with scenes.

    Args:
        recipe: The recipe.
        output: The output folder.
        watch: Who is told how it goes.
        crop_m: Side of a trial's window in metres.
    """
    if any(source.simulated for source in recipe.sources):
        from landshift.place import grid_of

        output.expect(plain_grid(grid_of(recipe.place, base=recipe.base)))
    found = survey(recipe, out=output.path, crop_m=crop_m, progress=watch.progress)
    return Context(recipe=recipe, out=output, survey=found, watch=watch)


def inventory(context: Context) -> Stage:
    """``scenes.parquet``: every scene that is used, and those that are not with their reasons."""
    from landshift.acquire.inventory import write_inventory
    from landshift.acquire.offset import warn_of_offsets
    from landshift.acquire.tiles import TileReader
    from landshift.pipeline.cache import cache_of

    found = context.survey

    def work() -> dict[str, Any]:
        for sentence in found.warnings:
            warnings.warn(sentence, DataQualityWarning, stacklevel=2)
        with TileReader(held_bytes=0, cache=cache_of(context.recipe)) as reader:
            for groups in found.passes.values():
                warn_of_offsets(groups, reader)
        write_inventory(context.out.path / "scenes.parquet", items=found.items, skipped=found.skipped)
        dates = {name: len(groups) for name, groups in found.passes.items()}
        return {"scenes": found.scenes, "dates": dates, "skipped": found.reasons()}

    return Stage(
        name="survey",
        settings={
            "scenes": {name: found.fingerprint(name) for name in found.passes},
            "ids": {name: sorted(item.id for item in items) for name, items in found.items.items()},
            "skipped": sorted([left.source, left.id, left.reason] for left in found.skipped),
            "place": found.place,
        },
        inputs=(),
        work=work,
        outputs=("scenes.parquet",),
    )


def build(context: Context, keys: Keys) -> Stage:
    """``cubes/*.zarr`` and tables of clear looks, hold-out and read errors: one pass over the blocks for all products."""
    from landshift.pipeline.build import Build

    work = Build(context)
    return Stage(
        name="build",
        settings={
            "products": {
                product.name: table(work.timed(product)) | {"indices": list(product.indices)}
                for product in context.recipe.products
            },
            "mask": None if context.recipe.mask is None else table(context.recipe.mask),
            "holdout": context.recipe.report.holdout,
            "on_error": context.recipe.engine.on_error,
            "seed": context.recipe.report.seed,
        },
        inputs=(keys["survey"], *work.keys.values()),
        work=work,
        outputs=tuple(f"cubes/{product.name}.zarr" for product in context.recipe.products),
        tables=("clear", "holdout", "read_errors"),
        lost=work.lost,
        clears=False,
    )


def labels(context: Context) -> Stage | None:
    """``labels.zarr``: the labels on the cube's grid."""
    step = context.recipe.labels
    if step is None:
        return None
    from landshift.cube.labels import labels as make

    absolute = dataclasses.replace(step, path=str(label_path(context)))
    settings = table(step) | {"path": input_mark(Path(absolute.path)), "place": context.survey.place}

    def work() -> dict[str, Any]:
        return make(absolute, context.survey.geobox, out=context.out.path / "labels.zarr")

    return Stage(name="labels", settings=settings, inputs=(), work=work, outputs=("labels.zarr",))


def label_path(context: Context) -> Path:
    """The labels' file; ``truth:labels.gpkg`` is one of the simulator's."""
    return truth_path(context, context.recipe.labels.path)


def truth_path(context: Context, text: str) -> Path:
    """A file of the recipe, or with ``truth:`` before it one of the simulator's truth."""
    if text.startswith("truth:"):
        return context.out.hidden / "simulated" / "truth" / text.removeprefix("truth:")
    return context.file(text)


def train(context: Context, keys: Keys) -> Stage | None:
    """``model/``, ``models/`` and the table ``history``."""
    recipe = context.recipe
    if recipe.train is None:
        return None
    from landshift.pipeline.teach import teach

    steps = {"features": recipe.features, "samples": recipe.samples, "split": recipe.split}
    return Stage(
        name="train",
        settings={name: table(step) for name, step in steps.items()} | {"train": table(recipe.train)},
        inputs=(product_key(context, keys), keys["labels"]),
        work=partial(teach, context),
        outputs=("model", "models") if len(context.models()) > 1 else ("model",),
        tables=("history",),
    )


def evaluate(context: Context, keys: Keys) -> Stage | None:
    """The tables ``accuracy`` and ``confusion``: the models on test ground, as their maps show it."""
    if context.recipe.train is None:
        return None
    from landshift.pipeline.teach import examine

    return Stage(
        name="evaluate",
        settings={"predict": table(context.recipe.predict)},
        inputs=(keys["train"], product_key(context, keys), keys["labels"]),
        work=partial(examine, context),
        outputs=(),
        tables=("accuracy", "confusion"),
    )


def product_key(context: Context, keys: Keys) -> str:
    """Key of the product that models learn from, with its holes: other products may change without a new training."""
    from landshift.pipeline.build import Build
    from landshift.pipeline.tally import holes
    from landshift.plan import Journal

    key = Build(context).keys[product_of_training(context).name]
    left_out = holes(Journal(folder=context.out.hidden / "journal" / "build", key=key))
    return hash_of([key, left_out, keys["survey"]])


def product_of_training(context: Context) -> Product:
    """The product that models learn from."""
    train_on = context.recipe.train.product if context.recipe.train else None
    return context.recipe.product(train_on)


def predict(context: Context, keys: Keys) -> Stage | None:
    """``maps/<year>.tif``: one map a year, and the table ``area``."""
    if context.recipe.train is None:
        return None
    from landshift.pipeline.teach import map_years

    return Stage(
        name="predict",
        settings={"years": list(context.years), "predict": table(context.recipe.predict)},
        inputs=(keys["train"], product_key(context, keys)),
        work=partial(map_years, context),
        outputs=("maps",),
        tables=("area",),
    )


def change(context: Context, keys: Keys) -> Stage | None:
    """``change/*.tif`` and the tables ``transitions`` and ``gains``."""
    step = context.recipe.change
    if context.recipe.train is None or step is None:
        return None
    from landshift.pipeline.findings import find_change

    return Stage(
        name="change",
        settings=table(step),
        inputs=(keys["predict"],),
        work=partial(find_change, context),
        outputs=("change",),
        tables=("transitions", "gains"),
    )


def zonal(context: Context, keys: Keys) -> Stage | None:
    """The table ``zonal``: hectares by zone, year and class."""
    step = context.recipe.zonal
    if context.recipe.train is None or step is None:
        return None
    from landshift.pipeline.findings import find_zones

    zones = truth_path(context, step.zones)
    return Stage(
        name="zonal",
        settings=table(step) | {"zones": input_mark(zones)},
        inputs=(keys["predict"], keys.get("change", "")),
        work=partial(find_zones, context, zones),
        outputs=(),
        tables=("zonal", "zonal_change"),
    )


def score(context: Context, keys: Keys) -> Stage | None:
    """The table ``scoreboard``: results beside the truth of simulated scenes."""
    if not context.has_truth:
        return None
    from landshift.pipeline.score import score as work

    return Stage(
        name="score",
        settings={},
        inputs=tuple(keys.values()),
        work=partial(work, context),
        outputs=(),
        tables=("scoreboard",),
    )


def publish(context: Context, keys: Keys) -> Stage:
    """``figures/``, ``report.html``, ``stac/`` and ``site/``."""
    from landshift.pipeline.publish import publish as work

    outputs = ("figures", "report.html", "stac") + (("site",) if "predict" in keys else ())
    return Stage(
        name="publish",
        settings={"report": table(context.recipe.report)},
        inputs=tuple(keys.values()),
        work=partial(work, context),
        outputs=outputs,
    )


def split_of(context: Context) -> Any:
    """The recipe's split, with ``groups`` as a path; ``"labels"`` takes the training polygons themselves."""
    split = context.recipe.split
    if split.groups is None:
        return split
    path = label_path(context) if split.groups == "labels" else truth_path(context, split.groups)
    return dataclasses.replace(split, groups=str(path))


def classes_of(context: Context) -> tuple[LandClass, ...]:
    """The classes of the labels."""
    from landshift.cube.labels import label_classes

    return label_classes(context.out.path / "labels.zarr")
