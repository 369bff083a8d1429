"""One figure of a benchmark."""

from __future__ import annotations

from typing import Any

__all__ = ["row"]


def row(figure: str, value: float, unit: str, bar: str = "") -> dict[str, Any]:
    """A figure, rounded to three significant digits, and the bar it is held against."""
    return {"figure": figure, "value": float(f"{value:.3g}"), "unit": unit, "bar": bar}
