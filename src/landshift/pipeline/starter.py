"""The starter recipe: what ``landshift init`` prints."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["starter"]

_TEMPLATE = """\
# A landshift recipe. Run it with `landshift run recipe.toml`, look ahead with `landshift explain recipe.toml`,
# rehearse it on a small window with `landshift run recipe.toml --try 5km`.

[place]
{place}
{grid}
[time]
years = "{years}"

[[source]]
name = "s2"
{source}
[mask]                      # clouds and shadows are grown by these lengths in metres and hidden
grow_m = {{ cloud = 300, shadow = 90, snow = 30 }}

[[product]]                 # a gap-free series ...
name = "regular"
kind = "interpolate"
every = "1M"

[[product]]                 # ... and one clear image a year
name = "yearly"
kind = "composite"
period = "year"
method = "geometric_median"
indices = ["ndvi", "mndwi"]

# [labels]                  # with labels, landshift trains, maps every year and measures change
# path = "training.gpkg"    # polygons or points with a class, or a raster
# field = "class"
# [train]
# product = "regular"
# model = "unet"            # or "forest"
# compare = ["forest"]
# [change]
# [zonal]
# zones = "districts.gpkg"
# id = "name"

[report]
title = "My place"
"""


def starter(*, place: Path | None, folder: Path | None, catalogue: str, years: str) -> str:
    """A commented starter recipe.

    Args:
        place: Vector file of the place, or None for a bbox to be filled in.
        folder: Folder of local scenes, or None for a catalogue.
        catalogue: Name of a public catalogue.
        years: Years, such as ``"2020..2023"``.

    >>> import tomllib
    >>> sorted(tomllib.loads(starter(place=None, folder=None, catalogue="earth-search", years="2020")))
    ['mask', 'place', 'product', 'report', 'source', 'time']
    """
    if folder is not None:
        source = [
            'from = "folder"',
            f"path = {json.dumps(folder.as_posix())}",
            '# pattern = "*.tif"         # which files',
            '# date = "%Y%m%d"           # how their names hold the date',
            '# bands = ["blue", "green", "red", "nir"]   # in file order; scale, offset and nodata as in the README',
        ]
        grid = "# crs and resolution are the scenes' own; write them here for another grid\n"
    else:
        source = [
            f'from = "{catalogue}"',
            'sensor = "sentinel-2-l2a"',
            'bands = ["blue", "green", "red", "nir", "swir16", "swir22"]',
            "max_cloud = 60              # percent, by the provider",
        ]
        grid = 'crs = "utm"                 # or "EPSG:3035" ...\nresolution = 10\n'
    where = (
        f"geometry = {json.dumps(place.as_posix())}"
        if place is not None
        else "bbox = [14.40, 50.05, 14.45, 50.10]"
    )
    if place is None and folder is not None:
        where = "# bbox = [left, bottom, right, top] in degrees; without one, all that the scenes cover"
    return _TEMPLATE.format(place=where, grid=grid, years=years, source="\n".join(source) + "\n")
