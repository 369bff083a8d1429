"""Maps as pictures: the years side by side, and the year in which ground became a class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift.cube.classes import LandClass
from landshift.cube.maps import map_geobox, read_classes
from landshift.show.figures_style import FAINT, INK, MUTED, WIDTH_IN, canvas, legend_below, tinted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

__all__ = ["Thumbnail", "draw_maps", "draw_years", "thumbnail"]

_MOST: Final = 8
_EMPTY: Final = (0.925, 0.93, 0.935)


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A map small enough to look at."""

    values: NDArray[np.uint8]
    """(y, x), 0 = nodata."""

    classes: tuple[LandClass, ...]
    """What the values mean."""

    metres_per_pixel: float
    """Ground distance along a row at the centre of the thumbnail."""


def thumbnail(path: Path, *, side_px: int) -> Thumbnail:
    """Read a map no larger than ``side_px`` a side, from its overviews, by the most frequent class."""
    import rasterio
    from rasterio.enums import Resampling

    geobox = map_geobox(path)
    rows, cols = (int(size) for size in geobox.shape)
    factor = max(rows / side_px, cols / side_px, 1.0)
    shape = max(round(rows / factor), 1), max(round(cols / factor), 1)
    with rasterio.open(path) as source:
        values = source.read(
            1, out_shape=shape, resampling=Resampling.mode if factor > 1 else Resampling.nearest
        )
    metres = _metres(geobox) * cols / shape[1]
    return Thumbnail(values=values, classes=read_classes(path), metres_per_pixel=metres)


def draw_maps(maps: Mapping[int, Path]) -> Figure:
    """The map of each year, eight at most, with one legend, a scale bar and north."""
    years = _spread(sorted(maps), _MOST)
    across = min(4, len(years))
    down = -(-len(years) // across)
    small = {year: thumbnail(Path(maps[year]), side_px=420 if across > 2 else 800) for year in years}
    first = small[years[0]]
    rows, cols = first.values.shape
    left_out = f" ({len(years)} of {len(maps)} years shown)" if len(years) < len(maps) else ""
    span = f"{years[0]} to {years[-1]}" if len(years) > 1 else f"in {years[0]}"
    height = (
        down * ((WIDTH_IN - 0.2) / across * rows / cols + 0.24) + 0.3 + 0.2 * (-(-len(first.classes) // 5))
    )
    figure, body = canvas(
        min(height, 8.0),
        title=f"Land cover {span}",
        subtitle=f"The class of every pixel{left_out}. Grey: not mapped.",
    )
    grid = body.subplots(down, across, squeeze=False).ravel()
    for ax in grid[len(years) :]:
        ax.set_visible(False)
    for ax, year in zip(grid, years, strict=False):
        _show(ax, _coloured(small[year]))
        ax.set_title(str(year))
    _scale_bar(grid[0], first)
    _legend(body, first.classes)
    return figure


def draw_years(path: Path, *, name: str, background: Path | None = None) -> Figure:
    """When ground became a class, over a pale map of what lies around it.

    Args:
        path: ``first_year_<class>.tif``.
        name: The class.
        background: A class map to show pale below, on the same grid.
    """
    when = thumbnail(path, side_px=1200)
    rows, cols = when.values.shape
    picture = np.ones((rows, cols, 3))
    if background is not None:
        below = thumbnail(background, side_px=1200)
        grey = _coloured(below) @ np.array([0.299, 0.587, 0.114])
        picture[:] = np.where(below.values > 0, 0.74 + 0.26 * grey, _EMPTY[0])[..., None]
    coloured = _coloured(when)
    picture[when.values > 0] = coloured[when.values > 0]
    years = [item for item in when.classes if item.value > 1]
    span = " to ".join(dict.fromkeys((years[0].name, years[-1].name))) if years else when.classes[0].name
    figure, body = canvas(
        min((WIDTH_IN - 0.2) * rows / cols, 5.2) + 0.45,
        title=f"When ground became {name}",
        subtitle=f"Colour: the first year mapped as {name}, {span}, over a pale map of the rest.",
    )
    ax = body.subplots()
    _show(ax, picture)
    _scale_bar(ax, when)
    _legend(body, when.classes)
    return figure


def _metres(geobox: Any) -> float:
    """Ground width of a pixel at the centre of a grid."""
    width = float(abs(geobox.affine.a))
    if geobox.crs is None:
        return width
    unit = float(geobox.crs.proj.axis_info[0].unit_conversion_factor)
    if not geobox.crs.geographic:
        return width * unit
    latitude = geobox.affine.f + geobox.affine.e * geobox.shape[0] / 2
    return float(np.deg2rad(width) * 6_371_000 * math.cos(math.radians(latitude)))


def _coloured(small: Thumbnail) -> NDArray[np.float64]:
    """Classes as colours; float64 (y, x, rgb) in 0-1."""
    table = np.tile(np.array(_EMPTY), (256, 1))
    for item in small.classes:
        table[item.value] = np.array(item.rgb) / 255
    return np.asarray(table[small.values])


def _show(ax: Axes, picture: NDArray[np.float64]) -> None:
    ax.imshow(picture, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set(visible=True, color=FAINT, linewidth=0.5)


def _scale_bar(ax: Axes, small: Thumbnail) -> None:
    """A bar of a round length in the lower left corner, and north in the upper right."""
    from matplotlib.patheffects import Normal, Stroke
    from matplotlib.transforms import blended_transform_factory, offset_copy

    cols = small.values.shape[1]
    metres = _round_length(0.3 * cols * small.metres_per_pixel)
    left, right = 0.04 * cols, 0.04 * cols + metres / small.metres_per_pixel
    halo = [Stroke(linewidth=3.2, foreground="white"), Normal()]
    base = blended_transform_factory(ax.transData, ax.transAxes)
    figure: Any = ax.get_figure()
    ax.plot([left, right], [0, 0], color=INK, lw=2, solid_capstyle="butt", path_effects=[Stroke(linewidth=4.6, foreground="white"), Normal()],
            transform=offset_copy(base, figure, y=7, units="points"))  # fmt: skip
    text = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    ax.text(left, 0, text, ha="left", va="bottom", size=8, path_effects=halo,
            transform=offset_copy(base, figure, y=9.5, units="points"))  # fmt: skip
    for sign, drop, size in (("\N{BLACK UP-POINTING TRIANGLE}", -9, 8), ("N", -18, 7.5)):
        ax.annotate(sign, (1, 1), xytext=(-10, drop), xycoords="axes fraction", textcoords="offset points",
                    ha="center", va="center", size=size, weight="bold", path_effects=halo)  # fmt: skip


def _round_length(metres: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer.

    >>> _round_length(740), _round_length(23_000)
    (500.0, 20000.0)
    """
    power = 10.0 ** math.floor(math.log10(metres))
    return float(max(step * power for step in (1, 2, 5) if step * power <= metres))


def _legend(body: SubFigure, classes: Sequence[LandClass]) -> None:
    from matplotlib.patches import Patch

    shown = [Patch(facecolor=item.colour, edgecolor=tinted(MUTED, 0.6), lw=0.4) for item in classes]
    legend_below(body, shown, [item.name for item in classes])


def _spread(years: Sequence[int], most: int) -> list[int]:
    """At most so many years, evenly chosen, the first and the last among them."""
    if len(years) <= most:
        return list(years)
    chosen = np.linspace(0, len(years) - 1, most).round().astype(int)
    return [years[index] for index in dict.fromkeys(chosen.tolist())]
