"""The recipe: read, laid over, validated, written back."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from landshift.config import Recipe, reference, schema
from landshift.errors import ConfigError
from landshift.place import Place

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))

TEXT = """
[time]
start = 2020-01-01
end = 2020-12-31
months = [4, 10]

[[source]]
name = "s2"
from = "folder"
path = "scenes"
bands = ["red", "nir"]
max_cloud = 40

[[source]]
name = "ls"
from = "folder"
path = "landsat"

[mask]
grow_m = { cloud = 200 }

[[product]]
name = "regular"
kind = "interpolate"
every = "10D"
from = ["s2"]
indices = ["ndvi"]

[[product]]
name = "yearly"
kind = "composite"
period = "year"

[labels]
path = "training.gpkg"

[train]
model = "forest"

[train.forest]
trees = 7

[report]
title = "A place"
holdout = 0.2
"""


def load(tmp_path: Path, text: str = TEXT, *overrides: str) -> Recipe:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    return Recipe.load(file, overrides)


def values() -> dict[str, Any]:
    return tomllib.loads(TEXT)


def test_every_table_becomes_its_step(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert [source.name for source in recipe.sources] == ["s2", "ls"]
    assert recipe.source("s2").max_cloud == 40
    assert recipe.source("s2").bands == ("red", "nir")
    assert recipe.time.month_list == (4, 5, 6, 7, 8, 9, 10)
    assert recipe.time.start == date(2020, 1, 1)
    assert recipe.product("regular").step.every == "10D"
    assert recipe.product("regular").indices == ("ndvi",)
    assert recipe.report.holdout == 0.2
    assert recipe.base == tmp_path


def test_a_product_takes_its_own_sources_or_all(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert [source.name for source in recipe.sources_of(recipe.product("regular"))] == ["s2"]
    assert [source.name for source in recipe.sources_of(recipe.product("yearly"))] == ["s2", "ls"]


def test_a_partial_map_merges_over_the_default(tmp_path: Path) -> None:
    from landshift.ard.mask import Mask

    grown = load(tmp_path).mask.grow_m
    assert grown["cloud"] == 200
    assert {**grown, "cloud": Mask().grow_m["cloud"]} == dict(Mask().grow_m)


def test_the_mask_is_on_unless_it_is_switched_off() -> None:
    bare = {name: part for name, part in values().items() if name != "mask"}
    assert Recipe.of(bare).mask is not None
    assert Recipe.of(bare | {"mask": False}).mask is None


def test_training_brings_features_samples_and_split_with_it(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert None not in {recipe.features, recipe.samples, recipe.split}


def test_indices_of_their_own_table_go_to_products_that_list_none() -> None:
    made = Recipe.of(values() | {"indices": {"names": ["mndwi"]}})
    assert made.product("regular").indices == ("ndvi",)
    assert made.product("yearly").indices == ("mndwi",)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("mask.grow_m.cloud=50", lambda recipe: recipe.mask.grow_m["cloud"] == 50),
        ("report.title=Town hall", lambda recipe: recipe.report.title == "Town hall"),
        ("product.regular.every=5D", lambda recipe: recipe.product("regular").step.every == "5D"),
        ("product.1.period=month", lambda recipe: recipe.product("yearly").step.period == "month"),
        ('source.s2.bands=["blue"]', lambda recipe: recipe.source("s2").bands == ("blue",)),
        ("train.forest.trees=3", lambda recipe: recipe.train.settings["forest"]["trees"] == 3),
        ("engine.workers=1", lambda recipe: recipe.engine.workers == 1),
        ("mask=false", lambda recipe: recipe.mask is None),
        ("time.end=2020-06-30", lambda recipe: recipe.time.end == date(2020, 6, 30)),
    ],
)
def test_an_override_changes_one_setting(tmp_path: Path, override: str, read: Any) -> None:
    assert read(load(tmp_path, TEXT, override))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("mask.grow_m", "takes table.key=value"),
        ("product.yearli.period=month", "there is no 'yearli'"),
        ("mask.grow=3", "did you mean 'grow_m'"),
        ("report.title.deep=1", "report"),
        ("product.regular=5", "product"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, TEXT, override)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"zonall": {}}, "did you mean 'zonal'"),
        ({"report": {"titel": "x"}}, "did you mean 'title'"),
        ({"report": {"holdout": 1.5}}, "0 <= holdout < 1"),
        ({"engine": {"memory": "much"}}, "8GB"),
        ({"engine": {"workers": 0}}, "1 or more"),
        ({"engine": {"executor": "thread"}}, "threads"),
        ({"train": {"model": "unett"}}, "unet"),
        ({"train": {"model": "forest", "forest": {"tres": 3}}}, "did you mean 'trees'"),
        ({"train": {"compare": ["forrest"]}}, "forest"),
        ({"train": {"product": "yearli"}}, "yearly"),
        ({"mask": {"grow_m": {"clouds": 300}}}, "cloud"),
        ({"time": {"years": "2020-2021"}}, "2017..2024"),
        ({"time": {"start": date(2021, 1, 1), "end": date(2020, 1, 1)}}, "ends before it starts"),
        ({"place": {"bbox": [1, 2, 0, 3]}}, "empty"),
        ({"place": {"bbox": [5e5, 5e6, 6e5, 6e6]}}, "not in degrees"),
        ({"place": {"bbox": [1, 2, 3]}}, "place.bbox"),
        ({"source": []}, "at least one [[source]]"),
        ({"product": []}, "at least one [[product]]"),
        ({"product": [{"kind": "interpolat"}]}, "did you mean 'interpolate'"),
        ({"product": [{"kind": "interpolate", "evry": "1D"}]}, "did you mean 'every'"),
        ({"product": [{"kind": "interpolate", "every": "ten days"}]}, "duration"),
        ({"product": [{"kind": "composite", "from": ["s3"]}]}, "unknown source"),
        ({"product": [{"kind": "composite"}, {"kind": "composite"}]}, "same name"),
        ({"product": [{"kind": "composite", "indices": ["ndvii"]}]}, "ndvi"),
        ({"report": "A title"}, "write it as [report]"),
        ({"source": "earth-search"}, "[[source]]"),
        ({"source": ["earth-search"]}, "[[source]]"),
        ({"product": ["composite"]}, "[[product]]"),
        ({"source": [{"name": "s2", "from": "folder", "path": "a", "bands": "red"}]}, "bands"),
        ({"source": [{"name": "s2", "from": "folder", "path": "a", "max_cloud": "little"}]}, "max_cloud"),
        ({"source": [{"name": "s2", "from": "folder", "path": "a", "max_cloud": 140}]}, "max_cloud"),
        (
            {"source": [{"name": "s2", "from": "folder", "path": "a", "sensor": "sentinel-2"}]},
            "sentinel-2-l2a",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.of(values() | changed)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("table", [{"zonal": {"zones": "a.gpkg"}}, {"change": {}}, {"split": {}}])
def test_a_table_that_nothing_would_read_is_refused(table: dict[str, Any]) -> None:
    untaught = {name: value for name, value in values().items() if name in {"time", "source", "product"}}
    Recipe.of(untaught)
    with pytest.raises(ConfigError, match=r"add \[labels\] and \[train\]"):
        Recipe.of(untaught | table)


def test_the_environment_fills_in_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENES", "/data/here")
    recipe = load(tmp_path, TEXT.replace('"scenes"', '"${SCENES}/s2"'))
    assert recipe.source("s2").origin.path == "/data/here/s2"
    assert "${SCENES}/s2" in recipe.to_toml()
    assert "/data/here" not in recipe.to_toml()


def test_a_name_the_environment_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCENES", raising=False)
    with pytest.raises(ConfigError, match="SCENES is not set"):
        load(tmp_path, TEXT.replace('"scenes"', '"${SCENES}"'))


@pytest.mark.parametrize("text", ["[place", "\x00", "a = "])
def test_what_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path, text)


def test_a_recipe_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes('title = "Küste"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="not valid TOML"):
        Recipe.load(tmp_path / "recipe.toml")


def test_a_folder_in_the_place_of_a_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Recipe.load(tmp_path)


def test_what_is_written_reads_back_as_an_equal_recipe(tmp_path: Path) -> None:
    first = load(tmp_path)
    again = load(tmp_path, first.to_toml())
    assert again == first
    assert again.to_toml() == first.to_toml()


def test_a_recipe_with_all_tables_reads_back_as_an_equal_one(tmp_path: Path) -> None:
    more = {
        "place": {"bbox": [14.0, 50.0, 14.1, 50.1], "crs": "utm", "resolution": 10},
        "mask": False,
        "features": {},
        "samples": {"size": 16},
        "split": {"block_m": 500},
        "change": {"pairs": "consecutive"},
        "zonal": {"zones": "districts.gpkg", "id": "name"},
        "cache": {"max": "1GB"},
        "engine": {"workers": 2},
    }
    first = Recipe.of(values() | more, base=tmp_path)
    again = load(tmp_path, first.to_toml())
    assert again.to_toml() == first.to_toml()
    for name in (
        "place",
        "time",
        "sources",
        "products",
        "mask",
        "samples",
        "split",
        "train",
        "change",
        "zonal",
    ):
        assert getattr(again, name) == getattr(first, name), name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads_and_reads_back(
    path: Path, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDSHIFT_DATA", str(shared_data))
    recipe = Recipe.load(path)
    assert load(tmp_path, recipe.to_toml()) == recipe


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_example(path: Path) -> None:
    plain = json.loads(json.dumps(tomllib.loads(path.read_text()), default=str))
    jsonschema.validate(plain, schema(), format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(
    "changed",
    [
        {"zonall": {}},
        {"report": {"titel": "x"}},
        {"engine": {"executor": "thread"}},
        {"time": {"months": "4"}},
    ],
)
def test_the_schema_refuses_what_the_recipe_refuses(changed: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(values(), default=str))
    jsonschema.validate(plain, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain | changed, schema())


@pytest.mark.parametrize(
    "list_changed",
    [
        {"product": [{"name": "a", "kind": "interpolate", "evry": "1D"}]},
        {"product": [{"name": "a", "kind": "interpolat"}]},
        {"source": [{"name": "a", "from": "folder", "paht": "x"}]},
    ],
)
def test_the_schema_refuses_misspelt_settings_of_lists(list_changed: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(values(), default=str)) | list_changed
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, schema())


def test_the_reference_in_the_docs_is_the_one_the_steps_print() -> None:
    said = (ROOT / "docs" / "recipe.md").read_text().rstrip("\n")
    assert said == reference().rstrip("\n"), "print it anew: landshift schema --markdown > docs/recipe.md"


def test_the_reference_documents_every_setting() -> None:
    lines = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(lines) > 60
    assert [line for line in lines if line.rstrip().endswith("|  |")] == []


def test_a_recipe_made_in_python_needs_no_file() -> None:
    made = Recipe.of(values(), overrides=["report.title=Python"])
    assert made.report.title == "Python"
    assert isinstance(made.place, Place)


def test_the_values_given_are_not_changed_by_overrides() -> None:
    given = values()
    Recipe.of(given, overrides=["mask.grow_m.cloud=1", "product.regular.every=1D"])
    assert given == values()
