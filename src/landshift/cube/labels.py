"""Labels beside the bands: polygons, points or a raster, on the cube's grid, by year.

A label has a year. A pixel that two classes claim is left unlabelled and counted, values that the mapping
does not know are left out and reported: nothing is guessed. Rasters are reclassified first and then brought
to the grid by mode where they are finer than it, so the most frequent *final* class wins.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass, as_records, from_records
from landshift.cube.reclass import Reclass, from_mapping, load
from landshift.errors import ConfigError, DataQualityWarning, LabelError, StoreError
from landshift.plan import Block, Plan, plan_blocks
from landshift.step import step

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["LabelSource", "Labels", "label_classes", "labels", "open_labels", "read_labels"]

_RASTERS = frozenset({".tif", ".tiff", ".vrt", ".img", ".jp2", ".kea", ".asc", ".nc"})


@step(kind="labels")
class Labels:
    """Where labels come from and how they become pixels.

    >>> Labels(path="training.gpkg", year=2021).rule
    'centre'
    """

    path: str
    """Polygons or points (any OGR file), a raster, or a folder or pattern (``*``) of OGR files."""
    field: str = "class"
    """Field of polygons and points that holds the class; files without it are one class, named by the file."""
    year_field: str | None = None
    """Field that holds the year, or a date."""
    year: int | None = None
    """The year of all labels, where there is no such field."""
    until_field: str | None = None
    """Field that holds the last year for which a label is true; by default its own year alone."""
    until: int | None = None
    """The last year for which all labels are true, where there is no such field."""
    layer: str | None = None
    """Layer of a file that has several; by default the first."""
    classes: Mapping[str, str | int] | None = None
    """Class name or number of every source value; by default the values as they are."""
    colours: Mapping[str, str] | None = None
    """Colours by class name, ``#rrggbb``."""
    reclass: str | None = None
    """A reclass table instead: ``s2glc-3``, ``s2glc``, or a TOML file."""
    rule: Literal["centre", "all_touched", "majority"] = "centre"
    """Which pixels a polygon labels: by their centre, all it touches, or those it covers by more than half."""
    resampling: Literal["mode", "nearest"] = "mode"
    """How a raster finer than the grid is brought to it; a coarser one is always read nearest."""

    def __call__(self, geobox: GeoBox, *, out: Path) -> dict[str, Any]:
        """Make the labels; see :func:`labels`."""
        return labels(self, geobox, out=out)


class LabelSource(Protocol):
    """Labels that can be brought to the grid block by block."""

    years: tuple[int, ...]
    """Their years, ascending."""

    @property
    def table(self) -> Reclass:
        """Their classes."""
        ...

    @property
    def known(self) -> tuple[LandClass, ...] | None:
        """Their classes, as far as they are known before any pixel is read."""
        ...

    def block(self, year: int, geobox: GeoBox) -> NDArray[np.uint8]:
        """Labels of a year over a block, 0 = unlabelled."""
        ...

    def counts(self) -> dict[str, Any]:
        """What was left out so far."""
        ...


def labels(source: Labels, geobox: GeoBox, *, out: Path) -> dict[str, Any]:
    """Bring labels to a grid and keep them as ``labels.zarr``; one that is there is replaced.

    Args:
        source: Where they come from.
        geobox: The cube's grid.
        out: The ``.zarr`` folder: uint8 (time, y, x), 0 = unlabelled, time = 1 January of the year.

    Returns:
        What was counted: ``pixels`` by year and class, ``conflicts`` (pixels claimed by two classes),
        ``unmapped`` (source values that no class takes), ``missing`` (classes without a pixel); of vector files
        ``features`` used, ``outside`` the place and in ``total``, and ``repaired`` (self-crossing shapes).

    Raises:
        LabelError: The labels do not overlap the place, have no CRS, no such field, or no pixel got one.
        ConfigError: There is no year, or the mapping does not hold.
        StoreError: The folder cannot be written.
    """
    from landshift.cube.store import create

    opened = open_labels(source, geobox)
    plan = plan_blocks(geobox)
    records = as_records(opened.table.classes)
    shutil.rmtree(out, ignore_errors=True)
    create(
        out,
        geobox=geobox,
        times=np.array([f"{year}-01-01" for year in opened.years], "datetime64[ns]"),
        variable="labels",
        names=(),
        product="labels",
        attrs={"classes": records},
    )
    counted = _write(opened, plan, out)
    found = opened.counts()
    if not counted.any():
        shutil.rmtree(out)
        raise LabelError(
            "no pixel got a label",
            where=source.path,
            got=_in_words(found),
            hint="polygons smaller than a pixel need rule = 'all_touched'; otherwise look at field, classes and reclass",
        )
    bare = [one.name for one in opened.table.classes if not counted[:, one.value].any()]
    found["missing"] = [*bare, *found.pop("elsewhere", ())]
    _warn(source, found)
    pixels = {
        str(year): {one.name: int(row[one.value]) for one in opened.table.classes}
        for year, row in zip(opened.years, counted, strict=True)
    }
    return {"pixels": pixels, **found}


def read_labels(path: Path) -> xr.DataArray:
    """Labels as (time, y, x), read lazily; ``attrs["classes"]`` lists the classes.

    Raises:
        StoreError: There are no labels.
    """
    import xarray as xr

    from landshift.cube.store import open_cube

    try:
        found = open_cube(path)
    except StoreError:
        try:
            found = xr.open_zarr(path, chunks=None, consolidated=False)
        except (OSError, ValueError, KeyError) as error:
            raise StoreError("there are no labels", where=path, got=str(error), hint="run first") from error
    array = found["labels"]
    array.attrs.setdefault("classes", found.attrs.get("classes"))
    return array


def label_classes(path: Path) -> tuple[LandClass, ...]:
    """Classes of ``labels.zarr``.

    Raises:
        StoreError: There are no labels.
    """
    return from_records(read_labels(path).attrs["classes"])


def table_of(source: Labels) -> Reclass | None:
    """The mapping that a recipe gives, None where values are taken as they come.

    Raises:
        ConfigError: Both a mapping and a table are given.
    """
    if source.classes is not None and source.reclass is not None:
        raise ConfigError(
            "labels.classes and labels.reclass say the same thing twice", hint="keep one of them"
        )
    if source.reclass is not None:
        return load(source.reclass)
    return None if source.classes is None else from_mapping(source.classes, source.colours or {})


def open_labels(source: Labels, geobox: GeoBox) -> LabelSource:
    """The reader for a file: raster by its ending, else vector. No pixel is read yet.

    Raises:
        LabelError: The labels do not overlap the place, have no CRS, no such field or no shape.
        ConfigError: There is no year, or the mapping does not hold.
    """
    if source.year is None and source.year_field is None:
        raise ConfigError(
            "labels need a year",
            where="[labels]",
            hint="set labels.year, or labels.year_field for one per label",
        )
    if source.year is not None and source.until is not None and source.until < source.year:
        raise ConfigError(
            "labels.until lies before labels.year", got=source.until, allowed=f"{source.year} or later"
        )
    table = table_of(source)
    if Path(source.path).suffix.lower() in _RASTERS:
        from landshift.cube.label_raster import RasterLabels

        return RasterLabels(source, geobox, table)
    from landshift.cube.label_vector import VectorLabels

    return VectorLabels(source, geobox, table)


def _write(opened: LabelSource, plan: Plan, out: Path) -> NDArray[np.int64]:
    """Write all blocks; give pixels per year and class number."""
    import xarray as xr

    from landshift.cube.store import write_block

    counted = np.zeros((len(opened.years), 256), np.int64)
    for block in plan.blocks:
        planes = np.stack([opened.block(year, _grid(plan, block)) for year in opened.years])
        counted += np.stack([np.bincount(plane.ravel(), minlength=256) for plane in planes])
        write_block(out, block, xr.Dataset({"labels": (("time", "y", "x"), planes)}))
    counted[:, 0] = 0
    return counted


def _grid(plan: Plan, block: Block) -> GeoBox:
    return block.geobox(plan.geobox)


def _in_words(found: Mapping[str, Any]) -> str:
    """What was counted, as a sentence."""
    said = []
    if "features" in found:
        said.append(f"{found['features']} features of a class at the place")
    if found.get("outside"):
        said.append(f"{found['outside']} of {found['total']} features outside it")
    if found.get("conflicts"):
        said.append(f"{found['conflicts']} pixels claimed by two classes")
    if found.get("unmapped"):
        said.append(f"no class for the values {_listed(found['unmapped'])}")
    return "; ".join(said) or "no value of a class"


def _listed(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:10])) + (", ..." if len(names) > 10 else "")


def _warn(source: Labels, found: Mapping[str, Any]) -> None:
    said = []
    if found.get("unmapped"):
        name = Path(source.path).name
        said.append(f"no class takes the values {_listed(found['unmapped'])} of {name}: left unlabelled")
    if found.get("conflicts"):
        said.append(f"{found['conflicts']} pixels are claimed by two classes: left unlabelled")
    if found.get("repaired"):
        one = found["repaired"] == 1
        crossing = "shape crosses itself or is" if one else "shapes cross themselves or are"
        said.append(f"{found['repaired']} {crossing} otherwise broken: repaired, which may change its ground")
    if found.get("missing"):
        away, names = found.get("outside"), _listed(found["missing"])
        lead = f"{away} of {found['total']} features lie outside the place; " if away else ""
        said.append(
            lead
            + (f"classes {names} have" if len(found["missing"]) > 1 else f"class {names} has")
            + " no pixel here"
        )
    for text in said:
        warnings.warn(f"labels: {text}", DataQualityWarning, stacklevel=3)
