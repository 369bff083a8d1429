"""The recipe: one TOML file, each table one step."""

from __future__ import annotations

from landshift.config.parse import model_of, schema
from landshift.config.recipe import Recipe
from landshift.config.reference import reference
from landshift.config.tables import Cache, Engine, Product, Report, Source, Train, bytes_of

__all__ = [
    "Cache",
    "Engine",
    "Product",
    "Recipe",
    "Report",
    "Source",
    "Train",
    "bytes_of",
    "model_of",
    "reference",
    "schema",
]
