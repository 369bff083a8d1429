"""Small simulated places and what is run on them, shared by the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from landshift.config import Recipe
from landshift.pipeline.run import run
from small_runs import Heard, Town, place, town_recipe


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """One run of the small town, from nothing to the site."""
    heard, values = Heard(), town_recipe()
    result = run(Recipe.of(values), tmp_path_factory.mktemp("town") / "out", watch=heard)
    return Town(values=values, result=result, lines=tuple(heard.lines))


@pytest.fixture(scope="session")
def strip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Recipes over scenes of a strip of two blocks, written once: ``strip(engine={...})`` lays tables over it."""
    from landshift.acquire.simulate import Simulate, write_scenes
    from landshift.place import Place, Time, grid_of

    where = place(60, 528)
    begin, end = Time(years="2020").span
    sim = Simulate(seed=3, start=begin.date(), end=end.date(), revisit="50D", truth="none")
    catalogue = write_scenes(sim, grid_of(Place(**where), base=Path()), tmp_path_factory.mktemp("strip"))
    base: dict[str, Any] = {
        "place": where,
        "time": {"years": "2020"},
        "source": [
            {
                "name": "s2",
                "from": "stac",
                "url": str(catalogue),
                "sensor": "sentinel-2-l2a",
                "bands": ["blue", "red", "nir"],
            }
        ],
        "product": [
            {"name": "regular", "kind": "interpolate", "every": "90D", "min_clear": 1, "indices": ["ndvi"]},
            {"name": "yearly", "kind": "composite", "period": "year"},
            {"name": "seen", "kind": "observed"},
        ],
        "mask": {"grow_m": {"cloud": 100, "shadow": 40}},
        "engine": {"executor": "serial"},
    }

    def values(**tables: Any) -> dict[str, Any]:
        return {**base, **tables}

    return values
