"""What landshift promises to the outside: its names, a light import, a tree without heaps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import landshift

SOURCE = Path(landshift.__file__).parent
HEAVY = (
    "torch",
    "rasterio",
    "dask",
    "distributed",
    "xarray",
    "geopandas",
    "zarr",
    "numba",
    "sklearn",
    "matplotlib",
)


def test_public_names_are_pinned() -> None:
    assert landshift.__all__ == [
        *("Composite", "Interpolate", "Mask", "Patches", "Recipe", "Split"),
        *("adopt", "explain", "index", "load", "open", "predict", "run", "search"),
        *("simulate", "train", "transitions", "zonal"),
    ]


@pytest.mark.parametrize("name", landshift.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    assert getattr(landshift, name).__doc__


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(AttributeError, match="did you mean 'Composite'"):
        landshift.Compsite  # noqa: B018 - asking is the test


@pytest.mark.parametrize("code", ["import landshift", "import landshift.cli.app"])
def test_import_and_help_load_nothing_heavy(code: str) -> None:
    asked = f"{code}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {*HEAVY, "fastapi", "uvicorn", "pandas", "scipy"}


def test_no_module_is_a_heap() -> None:
    found = [path for path in SOURCE.rglob("*.py") if path.stem in {"utils", "helpers", "common", "misc"}]
    assert not found


def test_files_stay_small() -> None:
    long = {
        path.name: count
        for path in SOURCE.rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert not long, "split by idea"
