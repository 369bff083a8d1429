"""Districts and training polygons of a simulated place.

Training polygons are drawn as an analyst draws them: inside land that is clearly of one class for the whole year,
a few pixels wide with rounded corners, several per class, spread over the place, for three of the years.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.noise import key_of
from landshift.acquire.simulate.simulation import Simulate

if TYPE_CHECKING:
    import geopandas as gpd
    from odc.geo.geobox import GeoBox

    from landshift.acquire.simulate.truth import Years

__all__ = ["write_districts", "write_labels"]

_NAMES: Final = (
    "Northfield",
    "Millbrook",
    "Ashgrove",
    "Westwood",
    "Old Town",
    "Eastmere",
    "Southgate",
    "Hillcrest",
    "Riverside",
)
_SIDE: Final = 3
"""Districts down and across."""
_CELLS: Final = 6
"""The place is searched for training polygons in this many cells down and across, one after the other."""
_PURE: Final = 80
"""Percent of a pixel that its class must fill to be drawn into a polygon."""


def write_districts(sim: Simulate, geobox: GeoBox, folder: Path) -> None:
    """Write ``districts.gpkg``: nine districts that cover the place without gaps."""
    import geopandas as gpd
    import shapely
    from rasterio.features import shapes
    from rasterio.transform import Affine

    height, width = geobox.shape
    random = np.random.default_rng(int(key_of(sim.seed, "districts")))
    step = max(1, min(height, width) // 120)
    rows, cols = -(-height // step), -(-width // step)
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(cols) + 0.5) / cols, indexing="ij")
    middle = (np.indices((_SIDE, _SIDE)).reshape(2, -1).T + 0.5 + random.uniform(-0.26, 0.26, (9, 2))) / _SIDE
    wave = random.uniform(0.0, 6.28, 4)
    v = y + 0.018 * np.sin(11.0 * x + wave[0]) + 0.008 * np.sin(31.0 * x + wave[1])
    u = x + 0.018 * np.sin(12.0 * y + wave[2]) + 0.008 * np.sin(29.0 * y + wave[3])
    near = ((v[..., None] - middle[:, 0]) ** 2 + (u[..., None] - middle[:, 1]) ** 2).argmin(axis=2)
    affine = geobox.affine
    scaled = Affine(affine.a * width / cols, 0.0, affine.c, 0.0, affine.e * height / rows, affine.f)
    parts: dict[int, list[Any]] = {}
    for shape, number in shapes(near.astype(np.uint8), transform=scaled):
        parts.setdefault(int(number), []).append(shapely.geometry.shape(shape))
    found = [shapely.union_all(parts[number]) for number in sorted(parts)]
    smooth = shapely.coverage_simplify(found, 2.0 * step * abs(affine.a), simplify_boundary=False)
    frame = gpd.GeoDataFrame(
        {"district": [_NAMES[number] for number in sorted(parts)]}, geometry=list(smooth), crs=str(geobox.crs)
    )
    _write(frame, folder / "districts.gpkg", "districts")


def write_labels(sim: Simulate, geobox: GeoBox, years: Years, folder: Path) -> None:
    """Write ``labels.gpkg``: training polygons with ``class`` and ``year``."""
    import geopandas as gpd

    listed = sorted(years.cover)
    chosen = sorted({listed[round(part * (len(listed) - 1))] for part in (0.0, 0.5, 1.0)})
    rows: list[dict[str, Any]] = []
    for year in chosen:
        for one in facts.classes():
            clear = (years.cover[year] == one.value) & (years.pure[year] >= _PURE)
            random = np.random.default_rng(int(key_of(sim.seed, "labels", one.name, year)))
            drawn = _polygons(clear, geobox, random, sim.polygons)
            rows += [{"class": one.name, "year": year, "geometry": shape} for shape in drawn]
    frame = gpd.GeoDataFrame(
        rows, columns=["class", "year", "geometry"], geometry="geometry", crs=str(geobox.crs)
    )
    _write(frame, folder / "labels.gpkg", "labels")


def _polygons(
    clear: NDArray[np.bool_], geobox: GeoBox, random: np.random.Generator, count: int
) -> Iterator[Any]:
    """Polygons inside clear land of one class, at most ``count``, spread over the place."""
    free = clear.copy()
    for cell in _turns(clear, random, count):
        inside = np.argwhere(free[cell])
        if inside.size == 0:
            continue
        row, col = inside[random.integers(len(inside))] + np.array([cell[0].start, cell[1].start])
        shape = _grown(free, (int(row), int(col)), geobox, random)
        around = tuple(slice(max(0, at - 12), at + 13) for at in (int(row), int(col)))
        free[around] = False
        if shape is not None:
            yield shape
            count -= 1
            if count == 0:
                return


def _turns(
    clear: NDArray[np.bool_], random: np.random.Generator, count: int
) -> Iterator[tuple[slice, slice]]:
    """Cells of the place in a random order, over and over."""
    edges = [np.linspace(0, side, _CELLS + 1).astype(int) for side in clear.shape]
    cells = [
        (slice(int(top), int(bottom)), slice(int(left), int(right)))
        for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True)
        for left, right in zip(edges[1][:-1], edges[1][1:], strict=True)
    ]
    for _ in range(max(2, 4 * count // len(cells) + 1)):
        for number in random.permutation(len(cells)):
            yield cells[int(number)]


def _grown(
    free: NDArray[np.bool_], seed: tuple[int, int], geobox: GeoBox, random: np.random.Generator
) -> Any | None:
    """A rounded polygon around a pixel inside its class, or None where there is no room."""
    import shapely
    from rasterio.features import shapes
    from scipy import ndimage

    reach = int(random.integers(3, 8))
    window = tuple(slice(max(0, at - reach), at + reach + 1) for at in seed)
    part = free[window]
    y, x = np.indices(part.shape)
    at = (seed[0] - window[0].start, seed[1] - window[1].start)
    stretch = random.uniform(0.6, 1.6)
    disc = (y - at[0]) ** 2 * stretch + (x - at[1]) ** 2 / stretch <= reach**2
    named, _ = ndimage.label(part & disc)
    body = named == named[at]
    if body.sum() < 5:
        return None
    corner = geobox[window].affine
    outlines = [
        shapely.geometry.shape(shape)
        for shape, value in shapes(body.astype(np.uint8), mask=body, transform=corner)
        if value == 1
    ]
    size = abs(geobox.resolution.x)
    drawn: Any = max(outlines, key=lambda one: one.area).buffer(-0.55 * size).buffer(0.35 * size)
    drawn = max(getattr(drawn, "geoms", [drawn]), key=lambda one: one.area).simplify(0.3 * size)
    return shapely.Polygon(drawn.exterior) if drawn.area > 3.0 * size**2 else None


def _write(frame: gpd.GeoDataFrame, path: Path, layer: str) -> None:
    """Write a layer, without a trace of the clock."""
    import pyogrio

    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})
    try:
        path.unlink(missing_ok=True)
        frame.to_file(path, layer=layer, driver="GPKG", engine="pyogrio")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
