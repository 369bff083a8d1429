"""From satellite scenes to analysis-ready cubes, deep-temporal models, and maps of how land and water change."""

from __future__ import annotations

__version__ = "0.1.0"
