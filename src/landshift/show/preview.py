"""A cube at a glance: a strip of its dates as one PNG.

All panels share one stretch, so that a bright panel is a bright date and not another contrast. Missing
pixels are hatched grey, a colour and a pattern that no stretch gives. A cube of any size is read in strips
of rows and averaged down, so memory does not grow with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from landshift.cube.store import open_cube
from landshift.errors import ConfigError, counted, did_you_mean
from landshift.sensor import BAND_DIM
from landshift.show.figures_style import FAINT, MUTED, WIDTH_IN, canvas, drawing, save

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

__all__ = ["preview"]

_NATURAL: Final = (("red", "green", "blue"), ("nir", "red", "green"), ("nir08", "red", "green"))
_MOST: Final = 12
_STRIP_ROWS: Final = 512
_WIDTH_PX: Final = 1540
_SCALES: Final[Mapping[str, str]] = {
    "ndvi": "YlGn",
    "evi": "YlGn",
    "evi2": "YlGn",
    "savi": "YlGn",
    "ndwi": "BrBG",
    "mndwi": "BrBG",
    "ndmi": "BrBG",
    "nbr": "BrBG",
    "ndbi": "PuOr_r",
    "bsi": "PuOr_r",
}
"""Colour maps of known indices: one hue for amounts, two for signs; the rest gets viridis."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What is drawn: which variable and bands, and the colours of a single one."""

    variable: str
    dim: str
    bands: tuple[str, ...]
    colours: str

    @property
    def words(self) -> str:
        return ", ".join(self.bands)


def preview(
    store: Path,
    png: Path,
    *,
    bands: Sequence[str] | None = None,
    dates: int | Sequence[str] | None = None,
    columns: int | None = None,
) -> Path:
    """Draw dates of a cube side by side.

    Args:
        store: A cube's store.
        png: The picture to write.
        bands: Three bands as red, green and blue, or one band or index; by default true colour where the
            cube has it, else its first band.
        dates: How many dates, evenly chosen, the first and last among those that hold values; or dates as text, of
            each of which the nearest in the cube is drawn. By default up to 12.
        columns: Panels in a row.

    Returns:
        The picture.

    Raises:
        ConfigError: A band is not in the cube, or two or more than three are asked for.
        StoreError: There is no cube.
    """
    cube = open_cube(store, partly=True)
    shown = _choose(cube, tuple(bands or ()))
    at = _positions(cube, dates, shown)
    across = columns or _columns(len(at), cube.sizes["x"] / cube.sizes["y"])
    side = max(_WIDTH_PX // across, 64)
    panels = [_read(cube, shown, int(index), side) for index in at]
    with drawing():
        figure = _draw(cube, shown, at, panels, across)
        name = store.stem
        figure.set_label(f"{name}: {shown.words}")
        return save(
            figure,
            png,
            caption=f"The cube {name} at a glance. All panels share one stretch; hatched pixels hold no data.",
        )


def _choose(cube: xr.Dataset, bands: tuple[str, ...]) -> _Shown:
    held = {
        variable: tuple(map(str, cube[dim].to_numpy()))
        for variable, dim in BAND_DIM.items()
        if variable in cube
    }
    if not held:
        raise ConfigError("the cube has nothing to draw", got=list(cube.data_vars))
    if not bands:
        names = next(iter(held.values()))
        bands = next((want for want in _NATURAL if set(want) <= set(names)), names[:1])
    if len(bands) not in {1, 3}:
        raise ConfigError("a preview shows one band, or three as red, green and blue", got=bands)
    for variable, names in held.items():
        if set(bands) <= set(names):
            grey = "gray" if variable == "backscatter" else "viridis"
            return _Shown(
                variable=variable, dim=BAND_DIM[variable], bands=bands, colours=_SCALES.get(bands[0], grey)
            )
    known = [name for names in held.values() for name in names]
    unknown = next((name for name in bands if name not in known), bands[0])
    raise ConfigError(f"no band {unknown!r} in the cube", hint=did_you_mean(unknown, known))


def _positions(cube: xr.Dataset, dates: int | Sequence[str] | None, shown: _Shown) -> NDArray[np.intp]:
    times = cube["time"].to_numpy()
    if dates is None or isinstance(dates, int):
        count = min(_MOST if dates is None else max(dates, 1), times.size)
        if count == times.size:
            return np.arange(count)
        valued = [index for index in range(times.size) if _has_values(cube, shown, index)]
        among = np.array(valued or range(times.size), np.intp)
        return np.unique(
            among[np.linspace(0, among.size - 1, min(count, among.size)).round().astype(np.intp)]
        )
    try:
        wanted = np.array(list(dates), dtype="datetime64[ns]")
    except ValueError as error:
        raise ConfigError("not a date", where="dates", got=list(dates), allowed="2021-06-30") from error
    return np.unique([int(np.abs(times - time).argmin()) for time in wanted])


def _has_values(cube: xr.Dataset, shown: _Shown, time: int) -> bool:
    """Whether a date holds any value of the first band shown; read in strips until one is found."""
    plane = cube[shown.variable].isel(time=time).sel({shown.dim: shown.bands[0]})
    strips = range(0, cube.sizes["y"], _STRIP_ROWS)
    return any(bool(np.isfinite(plane.isel(y=slice(row, row + _STRIP_ROWS)).values).any()) for row in strips)


def _columns(panels: int, aspect: float) -> int:
    """Panels in a row: all of a few, else such that the whole is somewhat wider than high.

    >>> _columns(3, 1.2), _columns(12, 1.0), _columns(21, 1.2)
    (3, 4, 5)
    """
    return panels if panels <= 3 else min(panels, max(2, round(math.sqrt(panels * 1.4 / aspect))), 6)


def _read(cube: xr.Dataset, shown: _Shown, time: int, side: int) -> NDArray[np.float32]:
    """One date of the chosen bands, averaged down to at most ``side`` pixels a side; (band, y, x)."""
    plane = cube[shown.variable].isel(time=time).sel({shown.dim: list(shown.bands)})
    plane = plane.transpose(shown.dim, "y", "x")
    factor = max(math.ceil(max(cube.sizes["x"], cube.sizes["y"]) / side), 1)
    step = max(_STRIP_ROWS // factor, 1) * factor
    strips = [
        _shrink(np.asarray(plane.isel(y=slice(row, row + step)).values, dtype=np.float32), factor)
        for row in range(0, cube.sizes["y"], step)
    ]
    return np.concatenate(strips, axis=1)


def _shrink(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Means of squares of pixels, of those that hold data; squares at the far edges may be smaller.

    >>> _shrink(np.array([[[1, 3, 5], [np.nan, 2, 7]]], np.float32), 2)
    array([[[2., 6.]]], dtype=float32)
    """
    if factor == 1:
        return values
    rows, cols = (-(-size // factor) for size in values.shape[1:])
    padding = ((0, 0), (0, rows * factor - values.shape[1]), (0, cols * factor - values.shape[2]))
    padded = np.pad(values, padding, constant_values=np.nan)
    squares = padded.reshape(len(values), rows, factor, cols, factor)
    valid = np.isfinite(squares)
    total = np.where(valid, squares, 0).sum(axis=(2, 4), dtype=np.float64)
    count = valid.sum(axis=(2, 4))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total / count, dtype=np.float32)


def _limits(panels: Sequence[NDArray[np.float32]], shown: _Shown) -> list[tuple[float, float]]:
    """Stretch of each band, the same for all panels; true colour has one for all bands."""
    bands = [
        np.concatenate([panel[band][np.isfinite(panel[band])] for panel in panels])
        for band in range(len(panels[0]))
    ]
    if shown.bands == _NATURAL[0]:
        return [_stretch(np.concatenate(bands), shown.colours)] * 3
    return [_stretch(values, shown.colours) for values in bands]


def _stretch(values: NDArray[np.float32], colours: str) -> tuple[float, float]:
    """The 2nd and 98th percentile, widened to round figures."""
    if not values.size:
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.percentile(values, [2, 98]))
    if colours in {"BrBG", "PuOr_r"}:
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    unit = 10.0 ** math.floor(math.log10(max(high - low, 1e-9))) / 10
    low, high = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    return round(low, 9), round(max(high, low + unit), 9)


def _draw(
    cube: xr.Dataset,
    shown: _Shown,
    at: NDArray[np.intp],
    panels: Sequence[NDArray[np.float32]],
    across: int,
) -> Figure:
    down = -(-len(at) // across)
    limits = _limits(panels, shown)
    times = cube["time"].to_numpy()
    total = f"{len(at)} of {times.size} dates" if len(at) < times.size else counted(times.size, "date")
    height = down * ((WIDTH_IN - 0.25) / across * cube.sizes["y"] / cube.sizes["x"] + 0.22) + 0.1
    stretch = ", ".join(f"{low:g} to {high:g}" for low, high in dict.fromkeys(limits))
    figure, body = canvas(
        min(height, 11.0) + 0.3,
        title=f"{_title(shown)}, {_day(times[at[0]])} to {_day(times[at[-1]])}",
        subtitle=f"{total}. The same stretch for all ({stretch}). Hatched: no data; the"
        " percentage is the share of pixels with data where it is not 100.",
    )
    grid = body.subplots(down, across, squeeze=False).ravel()
    for ax in grid[len(at) :]:
        ax.set_visible(False)
    for ax, index, panel in zip(grid, at, panels, strict=False):
        _panel(ax, panel, shown, limits)
        share = float(np.isfinite(panel).all(axis=0).mean())
        ax.set_title(
            _day(times[index]) + (f"  {share:.0%}" if share < 0.995 else ""), size=8, weight="normal"
        )
    if len(shown.bands) == 1:
        _bar(body, shown, limits[0])
    return figure


def _title(shown: _Shown) -> str:
    if len(shown.bands) == 1:
        return shown.words.upper()
    return "True colour" if shown.bands == ("red", "green", "blue") else f"False colour ({shown.words})"


def _panel(
    ax: Axes, panel: NDArray[np.float32], shown: _Shown, limits: Sequence[tuple[float, float]]
) -> None:
    from matplotlib import colormaps

    low, high = (np.array(edge)[:, None, None] for edge in zip(*limits, strict=True))
    missing = ~np.isfinite(panel).all(axis=0)
    scaled = np.clip((np.where(np.isfinite(panel), panel, low) - low) / (high - low), 0, 1)
    if len(shown.bands) == 3:
        picture = np.moveaxis(scaled, 0, -1) ** 0.85
    else:
        picture = colormaps[shown.colours](scaled[0])[..., :3]
    picture[missing] = _hatching(missing.shape)[missing]
    ax.imshow(picture, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set(visible=True, color=FAINT, linewidth=0.5)


def _hatching(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Grey with diagonal lines; (y, x, rgb)."""
    rows, cols = np.indices(shape)
    period = max(min(shape) // 24, 4)
    line = (rows + cols) % period < max(period // 4, 1)
    return np.where(line[..., None], 0.72, 0.9) * np.ones(3)


def _bar(body: SubFigure, shown: _Shown, limits: tuple[float, float]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(*limits), cmap=shown.colours)
    axes: Any = [ax for ax in body.axes if ax.get_visible()]
    bar = body.colorbar(
        scale, ax=axes, location="bottom", shrink=0.45, aspect=38, pad=0.02, anchor=(0.0, 0.0)
    )
    bar.outline.set_visible(False)
    bar.set_label(shown.words.upper(), color=MUTED, loc="left")


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[D]"))
