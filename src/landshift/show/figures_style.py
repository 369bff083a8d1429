"""One look for all figures: a canvas with a headline, quiet axes, colours that everyone can tell apart.

A figure is drawn on matplotlib's own Agg canvas with a font that comes with the package, from matplotlib's
defaults and never from the user's settings, and saved without clock or version: the same table gives the same bytes.
Its headline says what the figure shows in words, so that a colour is never the only carrier of a meaning.
"""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "ACCENT",
    "FAINT",
    "GRID",
    "INK",
    "MUTED",
    "SERIES",
    "WARM",
    "WIDTH_IN",
    "canvas",
    "class_axes",
    "count",
    "drawing",
    "legend_below",
    "legible",
    "number",
    "quiet",
    "save",
    "tinted",
]

INK: Final = "#1d2730"
MUTED: Final = "#65717c"
FAINT: Final = "#aeb7bf"
GRID: Final = "#e6e9ec"
ACCENT: Final = "#0b66a8"
WARM: Final = "#d1571b"

SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito (2008): told apart with every kind of colour vision."""

_DPI: Final = 220
WIDTH_IN: Final = 1600 / _DPI
"""Width of every figure, inches."""

_SETTINGS: Final[dict[Any, Any]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": False,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "figure.facecolor": "white",
    "font.family": ["Inter", "DejaVu Sans"],
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0.0,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with this look and none of the user's settings, and put theirs back afterwards."""
    import matplotlib as mpl

    _add_fonts()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@functools.cache
def _add_fonts() -> None:
    """Make the package's fonts known to matplotlib, once in a process."""
    from matplotlib import font_manager

    for path in sorted(Path(str(files("landshift") / "_data" / "report" / "fonts")).glob("*.ttf")):
        font_manager.fontManager.addfont(path)


def canvas(height_in: float, *, title: str, subtitle: str = "") -> tuple[Figure, SubFigure]:
    """A figure with a headline on top and a body to draw in.

    Args:
        height_in: Height of the body, inches; the headline comes on top of it.
        title: What the figure says, as a sentence.
        subtitle: What is drawn, with units.

    Returns:
        The whole figure, and the part of it that takes axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    headline, below = textwrap.wrap(title, 80), textwrap.wrap(subtitle, 116)
    lines = [(line, 11.5, "bold", INK, 0.21) for line in headline] + [
        (line, 8.5, "normal", MUTED, 0.17) for line in below
    ]
    head_in = 0.14 + sum(line[-1] for line in lines)
    engine = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.07)
    figure = Figure(figsize=(WIDTH_IN, height_in + head_in), dpi=_DPI, layout=engine)
    FigureCanvasAgg(figure)
    figure.set_label(title)
    parts: Any = figure.subfigures(2, 1, height_ratios=[head_in, height_in], hspace=0)
    head, body = parts
    top = head_in - 0.06
    for text, size, weight, colour, step in lines:
        head.text(0.012, top / head_in, text, size=size, weight=weight, color=colour, va="top", ha="left")
        top -= step
    return figure, body


def save(figure: Figure, path: Path, *, caption: str) -> Path:
    """Write a figure as PNG, with its headline and caption inside and no clock, host or version.

    Args:
        figure: What :func:`canvas` gave.
        path: The PNG file.
        caption: How to read it; kept in the file as ``Description``, its headline as ``Title``: there the
            report finds them.
    """
    import io

    from landshift.plan import write_atomic

    sink = io.BytesIO()
    said = {"Software": None, "Title": str(figure.get_label()), "Description": caption}
    figure.savefig(sink, format="png", dpi=_DPI, metadata=said)
    write_atomic(path, sink.getvalue())
    return path


def quiet(axes: Axes, *, grid: str = "") -> None:
    """Leave only what helps reading: no frame, and lines along one axis."""
    for side in axes.spines.values():
        side.set_visible(False)
    if grid:
        axes.grid(visible=True, axis=grid)  # type: ignore[arg-type] # "x", "y" or "both", by the caller


def number(value: float) -> str:
    """A number for reading: three significant digits, two below one, thin spaces between thousands.

    >>> number(12345.6), number(0.01234), number(87.65), number(0)
    ('12\u2009346', '0.012', '87.7', '0')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    digits = 3 if abs(value) >= 1 else 2
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{places}f}".replace(",", "\u2009").replace("-", "\N{MINUS SIGN}")


def count(value: int) -> str:
    """A whole number for reading.

    >>> count(1234567)
    '1\u2009234\u2009567'
    """
    return f"{value:,}".replace(",", "\u2009")


def tinted(colour: str, strength: float) -> tuple[float, float, float]:
    """A colour mixed with white: 1 is the colour itself, 0 is white.

    >>> tinted("#000000", 0.25)
    (0.75, 0.75, 0.75)
    """
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (1 - strength * (1 - channel) for channel in channels)
    return red, green, blue


def class_axes(axes: Axes, names: Sequence[str]) -> None:
    """Name the columns (on top) and rows of a matrix of classes; long or many names are turned."""
    axes.set(xticks=range(len(names)), yticks=range(len(names)))
    axes.set_yticklabels(names, color=INK)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    if max(map(len, names)) * len(names) <= 78:
        axes.set_xticklabels(names, color=INK)
    else:
        axes.set_xticklabels(names, color=INK, rotation=38, ha="left", rotation_mode="anchor")


def legend_below(body: SubFigure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend below the body, in as many columns as fit."""
    across = max(min(int(100 / (max(map(len, labels)) + 7)), len(labels)), 1)
    body.legend(
        list(handles), list(labels), loc="outside lower left", ncols=across, handlelength=1.1, handleheight=1.0,
        columnspacing=1.5, handletextpad=0.5,
    )  # fmt: skip


def legible(background: Sequence[float]) -> str:
    """Ink or white, whichever reads better on a colour (relative luminance as in WCAG 2.1).

    >>> legible((1, 1, 1)) == INK, legible((0, 0, 0.4))
    (True, 'white')
    """
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in background[:3]]
    luminance: Any = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.3 else "white"
