"""A recipe's mistakes are told when it is read, before any work."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from landshift.config import Recipe, schema
from landshift.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples"

GOOD: dict[str, Any] = {
    "place": {"bbox": [14, 50, 14.1, 50.1], "crs": "EPSG:3035", "resolution": 10},
    "source": [{"name": "s2", "from": "earth-search"}],
    "product": [{"kind": "interpolate"}],
}


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"source": [{"name": "s2", "from": "earth-search", "bands": "red"}]}, "s2.bands"),
        ({"source": [{"name": "s2", "from": "earth-search", "max_cloud": "few"}]}, "s2.max_cloud"),
        ({"source": ["s2"]}, "a source is a table"),
        ({"product": [{"kind": "interpolate", "from": "s2"}]}, "from is a list"),
        ({"product": [{"kind": "interpolate", "indices": ["ndvx"]}]}, "no index 'ndvx'"),
        ({"product": [{"kind": "interpolate", "indices": "ndvi"}]}, "product.interpolate"),
        ({"indices": {"name": ["ndvi"]}}, "indices.name is not a setting"),
        ({"train": {"product": "yearly"}}, "no product 'yearly'"),
        ({"train": {"model": "unnet"}}, "no model 'unnet'"),
        ({"train": {"compare": ["tree"]}}, "no model 'tree'"),
        ({"train": {"unet": {"epoch": 3}}}, "train.unet.epoch is not a setting"),
        ({"cache": {"max": "lots"}}, "cache.max is not a size"),
    ],
)
def test_a_mistake_is_refused_when_the_recipe_is_read(tables: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Recipe.of(GOOD | tables)


def test_products_take_the_indices_of_the_table_unless_they_list_their_own() -> None:
    products = [{"name": "a", "kind": "interpolate"}, {"name": "b", "kind": "composite", "indices": ["evi"]}]
    made = Recipe.of(GOOD | {"product": products, "indices": {"names": ["ndvi"]}})
    assert [product.indices for product in made.products] == [("ndvi",), ("evi",)]


@pytest.mark.parametrize("recipe", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_schema_takes_every_example(recipe: Path) -> None:
    values = json.loads(json.dumps(tomllib.loads(recipe.read_text()), default=str))
    jsonschema.validate(values, schema())


@pytest.mark.parametrize(
    "tables",
    [
        {"mask": False},
        {"indices": {"names": ["ndvi"]}},
        {"train": {"model": "forest", "forest": {"trees": 10}}},
        {"source": [{"from": "folder", "path": "scenes", "bands": ["red"], "mask": "CLM"}]},
    ],
)
def test_the_schema_takes_what_a_recipe_takes(tables: dict[str, Any]) -> None:
    Recipe.of(GOOD | tables)
    jsonschema.validate(GOOD | tables, schema())


@pytest.mark.parametrize(
    "tables",
    [
        {"source": [{"from": "earth-search", "path": "scenes"}]},
        {"product": [{"kind": "interpolate", "period": "year"}]},
        {"maskk": {}},
    ],
)
def test_the_schema_refuses_what_a_recipe_refuses(tables: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Recipe.of(GOOD | tables)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(GOOD | tables, schema())
