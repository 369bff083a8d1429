"""The starter recipe: what ``landshift init`` prints."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["starter"]

INDICES: Final = ("ndvi", "mndwi")
"""Indices of the starter's yearly product, as far as the bands go."""

_SHORT: Final = {"sentinel-2": "s2", "sentinel-1": "s1", "landsat": "landsat"}
"""Names of sources by the beginning of their sensors'."""

_TEMPLATE = """\
# A landshift recipe. Run it with `landshift run recipe.toml`, look ahead with `landshift explain recipe.toml`,
# rehearse it on a small window with `landshift run recipe.toml --try 5km`.

[place]
{place}
{grid}
[time]
{years}

[[source]]
name = "{name}"
{source}
[mask]                      # clouds and shadows are grown by these lengths in metres and hidden
grow_m = {{ cloud = 300, shadow = 90, snow = 30 }}

{series}[[product]]                 # one clear image a year
name = "yearly"
kind = "composite"
period = "year"
method = "geometric_median"
{indices}

# [labels]                  # with labels, landshift trains, maps every year and measures change
# path = "training.gpkg"    # polygons or points with a class, or a raster
# field = "class"
# [train]
# product = "{product}"
# model = "unet"            # or "forest"
# compare = ["forest"]
# [change]
# [zonal]
# zones = "districts.gpkg"
# id = "name"

{engine}[report]
title = "My place"
"""

_SERIES = """\
[[product]]                 # a gap-free series ...
name = "regular"
kind = "interpolate"
every = "1M"

"""

_ENGINE = """\
[engine]
on_error = "skip"           # files that are no scenes are left out and counted; else they stop the run

"""

_LISTED: Final = 5
"""Files that are no scenes, named in the recipe."""

_FEW: Final = 3
"""Dates below which there is nothing to interpolate between: the least number of clear looks by default."""


def starter(*, place: Path | None, folder: Path | None, catalogue: str, years: str | None) -> str:
    """A commented starter recipe; for a folder it tells what lies there.

    Args:
        place: Vector file of the place, or None for a bbox to be filled in.
        folder: Folder of local scenes, or None for a catalogue.
        catalogue: Name of a public catalogue.
        years: Years, such as ``"2020..2023"``; by default those of the folder, else some recent ones.

    Raises:
        ConfigError: A file or folder is not there, the catalogue is not known, or the years are none.

    >>> import tomllib
    >>> sorted(tomllib.loads(starter(place=None, folder=None, catalogue="earth-search", years="2020")))
    ['mask', 'place', 'product', 'report', 'source', 'time']
    """
    _refuse(place, folder, catalogue, years)
    indices: tuple[str, ...] = INDICES
    name, series, engine = "s2", _SERIES, ""
    if folder is not None:
        held = _look(folder)
        source = [
            'from = "folder"',
            f"path = {json.dumps(folder.as_posix())}",
            *held.told,
            '# pattern = "*.tif"         # which files',
            '# date = "%Y%m%d"           # how their names hold the date',
            '# bands = ["blue", "green", "red", "nir"]   # in file order; scale, offset and nodata as in the README',
        ]
        grid = "# crs and resolution are the scenes' own; write them here for another grid\n"
        years, indices, name = years or held.years, held.indices, held.name
        series, engine = _SERIES if held.dates >= _FEW else "", _ENGINE if held.skips else ""
    else:
        source = [
            f'from = "{catalogue}"',
            'sensor = "sentinel-2-l2a"',
            'bands = ["blue", "green", "red", "nir", "swir16", "swir22"]',
            "max_cloud = 60              # percent, by the provider",
        ]
        grid = 'crs = "utm"                 # or "EPSG:3035" ...\nresolution = 10\n'
        years = years or "2020..2023"
    where = (
        f"geometry = {json.dumps(place.as_posix())}"
        if place is not None
        else "bbox = [14.40, 50.05, 14.45, 50.10]"
    )
    if place is None and folder is not None:
        where = "# bbox = [left, bottom, right, top] in degrees; without one, all that the scenes cover"
    return _TEMPLATE.format(
        place=where,
        grid=grid,
        name=name,
        series=series,
        engine=engine,
        product="regular" if series else "yearly",
        years=f'years = "{years}"' if years else '# years = "2020..2023"     # without it, all there are',
        source="\n".join(source) + "\n",
        indices=f"indices = {json.dumps(list(indices))}"
        if indices
        else '# indices = ["ndvi"]        # of named bands',
    )


def _refuse(place: Path | None, folder: Path | None, catalogue: str, years: str | None) -> None:
    """Refuse arguments that would make a recipe which cannot be run."""
    from landshift.acquire.catalogue import catalogues
    from landshift.errors import ConfigError, did_you_mean
    from landshift.place import Time

    for name, path in (("place", place), ("folder", folder)):
        if path is not None and not path.exists():
            raise ConfigError(f"--{name} is not there", got=str(path), hint="give a path from where you are")
    if folder is not None and not folder.is_dir():
        raise ConfigError(
            "--folder is not a folder", got=str(folder), hint="give the folder that holds the scenes"
        )
    if catalogue not in catalogues():
        raise ConfigError(
            f"there is no catalogue {catalogue!r}",
            where="--catalogue",
            hint=did_you_mean(catalogue, catalogues()),
        )
    if years is not None:
        Time(years=years)


@dataclass(frozen=True, kw_only=True)
class _Held:
    """What a folder holds, for its recipe."""

    told: tuple[str, ...] = (
        "# nothing was recognised there: say below which files, dates and bands there are",
    )
    """Comments."""
    years: str = ""
    """First and last year."""
    indices: tuple[str, ...] = ()
    """Indices that its bands allow."""
    name: str = "scenes"
    """Name of the source: short for the sensor, where all scenes are of one."""
    dates: int = _FEW
    """How many dates there are."""
    skips: bool = False
    """Whether some files are no scenes."""


def _look(folder: Path) -> _Held:
    """Adopt a folder's files as they are; a folder that needs explaining leaves the recipe's comments to do so."""
    from landshift.acquire.folder import Folder
    from landshift.acquire.query import Query
    from landshift.ard.indices import known
    from landshift.errors import DataQualityWarning, LandshiftError, counted
    from landshift.scene import scene_from_item

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataQualityWarning)
            found = Folder(path=str(folder)).find(Query(on_error="skip"))
            scenes = [scene_from_item(item, source="folder") for item in found.items]
    except LandshiftError:
        return _Held()
    if not scenes:
        return _Held()
    shared = sorted(set.intersection(*({*scene.bands} for scene in scenes)))
    nir = {"nir", "nir08"} & {*shared} and {"nir", "nir08"}
    first, last = scenes[0].time, scenes[-1].time
    bands = ", ".join(shared) or "none that all of them have"
    return _Held(
        told=(
            f"# {counted(len(scenes), 'scene')}, {first:%Y-%m-%d} to {last:%Y-%m-%d}; bands: {bands}",
            *(f"# not a scene: {left.id} ({left.reason})" for left in found.skipped[:_LISTED]),
            *([f"# and {len(found.skipped) - _LISTED} more"] if len(found.skipped) > _LISTED else []),
        ),
        skips=bool(found.skipped),
        dates=len({scene.time.date() for scene in scenes}),
        years=f"{first.year}..{last.year}",
        name=_named({scene.sensor for scene in scenes}),
        indices=tuple(name for name in INDICES if {*known()[name].bands} <= {*shared, *nir}),
    )


def _named(sensors: set[str]) -> str:
    """A short name of a source.

    >>> _named({"landsat-4-7-c2l2", "landsat-8-9-c2l2"}), _named({"index"})
    ('landsat', 'scenes')
    """
    found = {name for sensor in sensors for start, name in _SHORT.items() if sensor.startswith(start)}
    return found.pop() if len(found) == 1 else "scenes"
