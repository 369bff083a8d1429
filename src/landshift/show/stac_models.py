"""The models and the tables of a run in its STAC catalogue."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from landshift.cube.tables import read_table
from landshift.show.stac_parts import FILE, ON_COLLECTION, ON_ITEM, Run, collection, new_asset

if TYPE_CHECKING:
    import pystac

__all__ = ["model_collection", "table_collection"]


def model_collection(run: Run, files: Sequence[Path]) -> pystac.Collection:
    """The models: their own items (Machine Learning Model extension), with links of this catalogue."""
    import pystac

    items = []
    for file in files:
        said = json.loads(file.read_text(encoding="utf-8"))
        item = pystac.Item.from_dict(said, preserve_dict=False)
        item.properties["landshift:simulated"] = run.simulated
        for asset in item.assets.values():
            path = file.parent / asset.href
            asset.href = "../" * ON_ITEM + os.path.relpath(path, run.out).replace(os.sep, "/")
        beside = {
            "metrics": ("metrics.json", "Scores on validation ground"),
            "samples": ("samples.parquet", "Samples it has learned from"),
            "folds": ("folds.tif", "Ground of training, validation and test"),
        }
        for name, (part, title) in beside.items():
            if (file.parent / part).is_file():
                item.add_asset(
                    name, new_asset(run, file.parent / part, ON_ITEM, title=title, roles=["metadata"])
                )
        item.stac_extensions = sorted({*item.stac_extensions, FILE})
        items.append(item)
    return collection(run, "models", "Models", "Models that made the maps, or were compared", items)


def table_collection(run: Run, tables: Sequence[Path], extent: pystac.Extent) -> pystac.Collection:
    """The tables, the report and the list of scenes, as assets of one collection without items."""
    import pystac

    made = pystac.Collection(
        id="tables",
        title="Tables",
        description=run.text("Every figure of the report as a table, its columns documented inside"),
        license="other",
        extent=extent,
    )
    made.extra_fields["landshift:simulated"] = run.simulated
    made.stac_extensions = [FILE]
    for path in tables:
        title = read_table(path).title or path.stem
        for file in (path, path.with_suffix(".csv"), path.with_suffix(".xlsx")):
            if file.is_file():
                asset = new_asset(run, file, ON_COLLECTION, title=title, roles=["data"])
                made.add_asset(f"{path.stem}_{file.suffix[1:]}", asset)
    others = {
        "scenes": (run.out / "scenes.parquet", "Scenes used and left out, stac-geoparquet", "metadata"),
        "report": (run.out / "report.html", "Report", "overview"),
    }
    for name, (file, title, role) in others.items():
        if file.is_file():
            made.add_asset(name, new_asset(run, file, ON_COLLECTION, title=title, roles=[role]))
    return made
