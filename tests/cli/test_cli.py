"""Every command: its help, its JSON, its exit code, and what it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tomli_w
from typer.main import get_command

from landshift.cli.app import app
from landshift.config import Recipe
from six_scenes import write_scenes_and_recipe

Command = Callable[..., Any]
Make = Callable[..., Path]
NAMES = sorted(get_command(app).commands)  # type: ignore[attr-defined]  # typer gives a group
WANTED = [
    "demo",
    "init",
    "search",
    "adopt",
    "fetch",
    "explain",
    "run",
    "status",
    "info",
    "check",
    "export",
    "preview",
    "labels",
    "train",
    "predict",
    "change",
    "zonal",
    "serve",
    "simulate",
    "schema",
    "clean",
]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over six small scenes: an output folder with two cubes and a report."""
    from landshift.pipeline.run import run

    folder = tmp_path_factory.mktemp("finished")
    run(Recipe.load(write_scenes_and_recipe(folder)), folder / "out")
    return folder / "out"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_every_command_of_the_plan_is_there() -> None:
    assert set(WANTED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_help_has_an_example_of_its_command(landshift: Command, name: str) -> None:
    answer = landshift(name, "--help")
    assert answer.code == 0
    assert f"Example: landshift {name}" in " ".join(answer.out.split())


def test_help_without_arguments_lists_the_commands(landshift: Command) -> None:
    answer = landshift("--help")
    assert answer.code == 0
    assert all(name in answer.out for name in WANTED)


def test_the_version_is_printed(landshift: Command) -> None:
    import landshift as package

    assert landshift("--version").out.strip() == package.__version__


def test_an_unknown_command_exits_2(landshift: Command) -> None:
    assert landshift("rum").code == 2


def test_an_unknown_option_exits_2(landshift: Command) -> None:
    assert landshift("run", "recipe.toml", "--otu", "x").code == 2


@pytest.mark.parametrize(
    "options",
    [(), ("--catalogue", "planetary-computer"), ("--years", "2019..2020"), ("--place", "town.gpkg")],
)
def test_what_init_prints_is_a_recipe(
    landshift: Command, tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "town.gpkg").touch()
    monkeypatch.chdir(tmp_path)
    answer = landshift("init", *options)
    assert answer.code == 0
    (tmp_path / "recipe.toml").write_text(answer.out)
    recipe = Recipe.load(tmp_path / "recipe.toml")
    assert {product.name for product in recipe.products} == {"regular", "yearly"}


def test_what_init_prints_for_a_folder_runs(landshift: Command, scenes: Path, tmp_path: Path) -> None:
    answer = landshift("init", "--folder", scenes)
    (tmp_path / "recipe.toml").write_text(answer.out)
    assert "# 6 scenes, 2020-" in answer.out
    said = landshift("explain", tmp_path / "recipe.toml", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["scenes"] == 6


def test_init_for_a_folder_that_says_nothing_leaves_the_rest_to_the_user(
    landshift: Command, tmp_path: Path
) -> None:
    text = landshift("init", "--folder", tmp_path).out
    assert "nothing was recognised there" in text
    assert "years" not in tomllib.loads(text)["time"]


def test_the_comments_of_init_are_recipes_too(landshift: Command, tmp_path: Path) -> None:
    """A user uncomments the tables of training: they must be understood."""
    text = landshift("init").out
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and ("[" in line[:4] or " = " in line) else line
        for line in text.splitlines()
    ]
    (tmp_path / "recipe.toml").write_text("\n".join(lines))
    assert Recipe.load(tmp_path / "recipe.toml").train is not None


def test_init_writes_paths_that_toml_understands(
    landshift: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path('my "place".gpkg').touch()
    said = tomllib.loads(landshift("init", "--place", 'my "place".gpkg').out)
    assert said["place"]["geometry"] == 'my "place".gpkg'


def test_explain_tells_scenes_bytes_disk_memory_and_time(landshift: Command, recipe: Make) -> None:
    answer = landshift("explain", recipe(), "--json")
    said = json.loads(answer.out)
    assert answer.code == 0
    assert said["scenes"] == 6
    assert said["place"].startswith("36 x 36 px of 10")
    assert {"blocks", "dates", "bands", "left out", "to decode", "of it needed", "products"} <= set(said)
    assert {"disk free", "memory limit", "build time", "accounts"} <= set(said)


def test_explain_of_a_simulation_writes_nothing(
    landshift: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from landshift.pipeline.demo import demo_recipe

    monkeypatch.chdir(tmp_path)
    Path("recipe.toml").write_text(tomli_w.dumps(demo_recipe(size_px=60, years="2020", seed=1)))
    answer = landshift("explain", "recipe.toml", "--json")
    assert answer.code == 0, answer.err
    assert "simulated" in json.loads(answer.out)["scenes"]
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.toml"]


def test_search_lists_used_and_left_out_scenes(landshift: Command, recipe: Make) -> None:
    rows = json.loads(landshift("search", recipe(time={"years": "2020", "months": [1, 6]}), "--json").out)
    assert [row["used"] == "yes" for row in rows].count(True) == 3
    assert len(rows) == 6
    assert all(row["used"].startswith("no: ") for row in rows if row["used"] != "yes")


def test_adopt_lists_what_files_would_be(landshift: Command, scenes: Path) -> None:
    answer = landshift("adopt", scenes, "--date", "%Y%m%d", "--json")
    rows = json.loads(answer.out)
    assert [row["time"][:10] for row in rows][:2] == ["2020-01-10", "2020-03-20"]
    assert "nir" in rows[0]["used"]


def test_fetch_of_local_files_has_nothing_to_do(landshift: Command, recipe: Make) -> None:
    answer = landshift("fetch", recipe(), "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)


def test_a_run_tells_its_stages_as_json(landshift: Command, recipe: Make, tmp_path: Path) -> None:
    answer = landshift("run", recipe(), "--out", tmp_path / "out", "--until", "build", "--json")
    assert answer.code == 0, answer.err
    assert set(json.loads(answer.out)) == {"survey", "build", "total", "output"}


def test_a_trial_takes_metres_and_kilometres(landshift: Command, recipe: Make, tmp_path: Path) -> None:
    made, out = recipe(), tmp_path / "out"
    assert landshift("run", made, "--out", out, "--try", "0.12km", "--until", "build").code == 0
    said = json.loads(landshift("info", out / "try" / "120m" / "cubes" / "regular.zarr", "--json").out)
    assert said["grid"].startswith("12 x 12 px")
    assert landshift("run", made, "--out", out, "--try", "five").code == 2
    assert landshift("run", made, "--out", out, "--try", "0km").code == 2
    other = landshift("run", made, "--out", out, "--try", "180m", "--until", "build")
    assert (other.code, "try/180m" in other.out) == (0, True), other.err
    assert landshift("run", made, "--out", out, "--until", "build").code == 0, (
        "a trial must not block the run"
    )


def test_a_shard_builds_and_finish_does_the_rest(landshift: Command, recipe: Make, tmp_path: Path) -> None:
    made, out = recipe(), tmp_path / "out"
    assert landshift("run", made, "-o", out, "--shard", "1/2", "--until", "build").code == 2
    assert landshift("run", made, "-o", out, "--shard", "3/2").code == 2
    answer = landshift("run", made, "-o", out, "--shard", "1/2", "--json")
    assert (answer.code, json.loads(answer.out)["built"]) == (0, 1), answer.err
    assert not (out / "report.html").exists()
    assert landshift("finish", out).code == 0
    assert (out / "report.html").is_file()
    assert landshift("finish", made, "--out", out).code == 0
    assert landshift("finish", tmp_path / "nothing.toml").code != 0


def test_finish_refuses_what_a_folder_cannot_heed(landshift: Command, recipe: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert landshift("run", recipe(), "--out", out, "--shard", "1/1").code == 0
    for option in (("--out", tmp_path / "other"), ("--set", "mask.grow_m.cloud=0")):
        answer = landshift("finish", out, *option)
        assert answer.code == 2
        assert str(option[1]) in answer.err
        assert "finish recipe.toml" in answer.err
    assert not (tmp_path / "other").exists()


def test_finish_of_a_folder_that_is_not_there_speaks_of_shards(landshift: Command, tmp_path: Path) -> None:
    answer = landshift("finish", tmp_path / "nothing")
    assert answer.code != 0
    assert "no shard" in answer.err
    assert "recipe.toml --shard" in answer.err


def test_status_and_info_tell_what_is_there(landshift: Command, finished: Path) -> None:
    said = json.loads(landshift("status", finished, "--json").out)
    assert [(row["stage"], row["state"]) for row in said["stages"]][:2] == [
        ("survey", "done"),
        ("build", "done"),
    ]
    assert said["stages"][0]["record"]["scenes"] == 6
    assert "finished" in said["run"]
    printed = landshift("status", finished).out
    assert "yearly: 1 of 1 block\n" in printed
    assert "{" not in printed
    assert json.loads(landshift("info", finished, "--json").out)["title"] == "Six scenes"
    cube = json.loads(landshift("info", finished / "cubes" / "yearly.zarr", "--json").out)
    assert cube["holds"].startswith("reflectance: blue, green, red, nir")
    assert cube["indices"] == "ndvi"


def test_info_of_something_else_says_what_it_wants(landshift: Command, tmp_path: Path) -> None:
    answer = landshift("info", tmp_path)
    assert answer.code == 1
    assert "neither a cube nor an output folder" in answer.err


def test_check_of_a_whole_folder_exits_0(landshift: Command, finished: Path) -> None:
    answer = landshift("check", finished)
    assert (answer.code, "whole" in answer.out) == (0, True), answer.out


@pytest.mark.parametrize("damage", ["truncated", "flipped", "gone"])
def test_check_of_a_damaged_chunk_exits_1_and_names_the_cube(
    landshift: Command, copy: Path, damage: str
) -> None:
    chunk = max((copy / "cubes" / "regular.zarr" / "reflectance" / "c").rglob("*"))
    content = bytearray(chunk.read_bytes())
    if damage == "gone":
        chunk.unlink()
    else:
        content[len(content) // 3] ^= 0xFF
        chunk.write_bytes(bytes(content[: len(content) // 2]) if damage == "truncated" else bytes(content))
    answer = landshift("check", copy, "--json")
    assert answer.code == 1
    assert {row["cube"] for row in json.loads(answer.out)} == {"regular"}


def test_a_date_that_was_never_seen_is_noted_and_one_that_was_lost_is_a_problem(
    landshift: Command, recipe: Make, scenes: Path, tmp_path: Path
) -> None:
    from landshift.cube.store import open_cube, write_block
    from landshift.plan import plan_blocks

    hidden = sorted(scenes.glob("*.tif"))[2]
    with rasterio.open(hidden, "r+") as image:
        image.write(np.zeros_like(image.read()))
    out = tmp_path / "out"
    made = recipe(product=[{"name": "seen", "kind": "observed"}])
    assert landshift("run", made, "-o", out, "--until", "build").code == 0
    answer = landshift("check", out)
    assert (answer.code, "whole" in answer.out, "no value" in answer.out) == (0, True, True), answer.out
    assert {row["kind"] for row in json.loads(landshift("check", out, "--json").out)} == {"note"}
    store = out / "cubes" / "seen.zarr"
    cube = open_cube(store).load()
    cube["reflectance"][4] = np.nan
    write_block(store, plan_blocks(cube.odc.geobox).blocks[0], cube)
    answer = landshift("check", store, "--json")
    assert answer.code == 1
    assert "problem" in {row["kind"] for row in json.loads(answer.out)}


def test_check_without_a_cube_says_so(landshift: Command, tmp_path: Path) -> None:
    assert landshift("check", tmp_path).code == 1


@pytest.mark.parametrize(("per", "files"), [("date", 1), ("band", 5)])
def test_export_writes_described_cogs(
    landshift: Command, finished: Path, tmp_path: Path, per: str, files: int
) -> None:
    store = finished / "cubes" / "yearly.zarr"
    assert landshift("export", store, "--out", tmp_path / "cogs", "--per", per).code == 0
    found = sorted((tmp_path / "cogs").rglob("*.tif"))
    assert len(found) >= files
    with rasterio.open(found[0]) as image:
        assert all(image.descriptions)
        assert image.crs.to_epsg() == 32633


def test_preview_draws_a_picture(landshift: Command, finished: Path, tmp_path: Path) -> None:
    from PIL import Image

    store, png = finished / "cubes" / "yearly.zarr", tmp_path / "strip.png"
    assert landshift("preview", store, "--out", png, "--bands", "red,green,blue").code == 0
    assert np.asarray(Image.open(png).convert("RGB")).std() > 5


def test_preview_of_an_unknown_band_says_which_there_are(
    landshift: Command, finished: Path, tmp_path: Path
) -> None:
    answer = landshift(
        "preview", finished / "cubes" / "yearly.zarr", "-o", tmp_path / "x.png", "--bands", "rde"
    )
    assert answer.code in {1, 2}
    assert "red" in answer.err


def test_clean_asks_and_removes(landshift: Command, copy: Path) -> None:
    assert landshift("clean", copy, "--yes").code == 0
    assert not copy.exists()


def test_schema_prints_json_and_markdown(landshift: Command) -> None:
    assert json.loads(landshift("schema").out)["title"] == "landshift recipe"
    assert landshift("schema", "--markdown").out.startswith("# The recipe")


def test_simulate_writes_a_catalogue(landshift: Command, tmp_path: Path) -> None:
    answer = landshift("simulate", tmp_path / "scenes", "--size", "30", "--years", "2020")
    assert answer.code == 0, answer.err
    assert (tmp_path / "scenes" / "catalog.json").is_file()


@pytest.mark.parametrize(
    "option", [("--bbox", "1,2,3"), ("--bbox", "a,b,c,d"), ("--years", "soon"), ("--size", "0")]
)
def test_simulate_refuses_what_is_no_place(
    landshift: Command, tmp_path: Path, option: tuple[str, str]
) -> None:
    answer = landshift("simulate", tmp_path / "scenes", *option)
    assert answer.code == 2
    assert "Traceback" not in answer.err


def test_the_program_starts_as_a_process_and_gives_its_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "landshift", "run", "none.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no such recipe")
    assert "Traceback" not in done.stderr


def test_help_stays_light() -> None:
    code = "import sys; from landshift.cli import app; import landshift.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "rasterio", "dask", "xarray", "pandas", "numba", "fastapi"} & set(done.stdout.split())
    assert heavy == set()
