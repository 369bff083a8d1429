"""Files that cannot be read: damage is skipped on wish, counted and told; a failing network leaves no hole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import landshift
from landshift.acquire import datasets
from landshift.acquire.folder import Folder, adopt
from landshift.config import Recipe
from landshift.cube.tables import read_table
from landshift.errors import NetworkError, SceneError
from landshift.pipeline.run import RunResult, run
from loopback_stac import Loopback, serve
from small_runs import contents, differing
from tiny_rasters import Tiff, write

BANDS = ("red", "nir")
DATES = ("20200110", "20200610", "20200710")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three dates of two blocks."""
    for number, date in enumerate(DATES):
        pixels = np.random.default_rng(number).integers(1, 9000, (2, 16, 544)).astype("uint16")
        write(tmp_path / "scenes" / f"scene_{date}.tif", Tiff(bands=2, names=BANDS), pixels)
    return tmp_path / "scenes"


def damage(file: Path) -> None:
    """Spoil the last tile of the last band, in the second block."""
    with rasterio.open(file) as data:
        start = int(data.get_tag_item("BLOCK_OFFSET_33_0", "TIFF", 2))
    content = file.read_bytes()
    file.write_bytes(content[:start] + bytes(100) + content[start + 100 :])


def values(source: dict[str, Any], on_error: str) -> dict[str, Any]:
    return {
        "source": [{"name": "s2", **source}],
        "product": [{"name": "yearly", "kind": "composite", "period": "year"}],
        "engine": {"executor": "serial", "on_error": on_error},
    }


def build(folder: Path, on_error: str, out: Path) -> RunResult:
    source = {"from": "folder", "path": str(folder), "date": "%Y%m%d"}
    return run(Recipe.of(values(source, on_error)), out, until="build")


def test_damaged_files_are_listed_with_the_blocks_concerned(folder: Path, tmp_path: Path) -> None:
    damage(folder / "scene_20200610.tif")
    result = build(folder, "skip", tmp_path / "out")
    table = read_table(tmp_path / "out" / "tables" / "read_errors.parquet")
    assert (tmp_path / "out" / "tables" / "read_errors.csv").is_file()
    assert all(table.columns.values())
    (row,) = table.frame.to_dict("records")
    assert (row["product"], row["item"], row["blocks"]) == ("yearly", "scene_20200610", 1)
    assert row["where"] == str(folder / "scene_20200610.tif")
    assert "cannot read pixels" in row["error"]
    assert result.stages[-1].record["yearly"]["read_errors"] == 1
    (warning,) = result.warnings
    assert "left out: 1, of scenes: 1 (scene_20200610)" in warning


def test_one_warning_tells_of_all_of_them(folder: Path, tmp_path: Path) -> None:
    for date in DATES[:2]:
        damage(folder / f"scene_{date}.tif")
    (warning,) = build(folder, "skip", tmp_path / "out").warnings
    assert "left out: 2, of scenes: 2" in warning


def test_holes_are_done_anew_where_they_are_no_longer_wanted(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    damage(folder / "scene_20200610.tif")
    build(folder, "skip", out)
    before = contents(out)
    journal = {file: file.stat().st_mtime_ns for file in (out / ".landshift" / "journal").rglob("*.json")}
    with pytest.raises(SceneError, match="scene_20200610"):
        build(folder, "raise", out)
    left = {file: at for file, at in journal.items() if file.exists()}
    assert len(left) == 1, "the whole block stays, the one with the hole is open again"
    assert all(file.stat().st_mtime_ns == at for file, at in left.items())
    result = build(folder, "skip", out)
    assert differing(before, contents(out)) == []
    assert "on_error raise -> skip" in result.stages[-1].why


def test_without_damage_another_policy_redoes_no_block(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(folder, "raise", out)
    before = {file: file.stat().st_mtime_ns for file in (out / "cubes").rglob("c/**/*")}
    build(folder, "skip", out)
    assert before
    assert {file: file.stat().st_mtime_ns for file in (out / "cubes").rglob("c/**/*")} == before
    assert not list((out / "tables").glob("read_errors*"))


def served(server: Loopback, folder: Path) -> Path:
    """The scenes as items whose files are on a server."""
    items = [item.to_dict() for item in adopt(Folder(path=str(folder), date="%Y%m%d"))]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"{server.url}/files/{Path(asset['href']).name}"
    path = folder.parent / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}), encoding="utf-8")
    return path


def test_a_failing_network_ends_the_run_and_the_next_one_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(datasets.REMOTE_OPTIONS, "GDAL_HTTP_MAX_RETRY", 0)
    monkeypatch.setenv("LANDSHIFT_BACKOFF", "0.01")
    out, whole = tmp_path / "out", tmp_path / "whole"
    for first in (True, False):  # GDAL remembers a failing address as long as the process lives
        with serve(folder) as server:
            source = {"from": "stac", "url": str(served(server, folder))}
            recipe = Recipe.of(values(source, "skip") | {"cache": {"dir": str(tmp_path / str(server.port))}})
            if first:
                server.fail("/files/scene_20200610.tif", *[503] * 100)
                with pytest.raises(NetworkError) as caught:
                    run(recipe, out, until="build")
            else:
                assert run(recipe, out, until="build").warnings == ()
                run(recipe, whole, until="build")
    assert caught.value.exit_code == 1
    assert differing(contents(out), contents(whole)) == ["scenes.parquet"]  # the server's other address


def spotted(folder: Path) -> Path:
    """Three dates of one block of 256 px in tiles of 64; the last tile of the second one is damaged."""
    for number, date in enumerate(DATES):
        pixels = np.random.default_rng(number).integers(1, 9000, (2, 256, 256)).astype("uint16")
        write(folder / f"scene_{date}.tif", Tiff(bands=2, names=BANDS, block=64), pixels)
    file = folder / f"scene_{DATES[1]}.tif"
    with rasterio.open(file) as data:
        start = int(data.get_tag_item("BLOCK_OFFSET_3_3", "TIFF", 2))
    content = file.read_bytes()
    file.write_bytes(content[:start] + bytes(100) + content[start + 100 :])
    return folder


@pytest.mark.parametrize("held", [{"executor": "serial"}, {"executor": "threads", "workers": 3}])
def test_the_memory_limit_does_not_decide_how_much_of_a_damaged_scene_is_left_out(
    tmp_path: Path, held: dict[str, Any]
) -> None:
    source = {"from": "folder", "path": str(spotted(tmp_path / "spotted")), "date": "%Y%m%d"}
    made = []
    for memory in ("8GB", "100kB"):
        recipe = Recipe.of(values(source, "skip") | {"engine": held | {"on_error": "skip", "memory": memory}})
        result = run(recipe, tmp_path / memory, until="build")
        assert result.stages[-1].record["yearly"]["read_errors"] == 1
        made.append(contents(tmp_path / memory))
    assert differing(*made) == []
    counts = landshift.open(tmp_path / "8GB" / "cubes" / "yearly.zarr")["n_clear"].values
    assert (counts == len(DATES) - 1).all(), "the scene is left out in the whole block"


def test_scores_of_blocks_with_holes_are_made_anew_with_them(folder: Path, tmp_path: Path) -> None:
    """A server's files go by their names: the scenes stay the same when their files are mended."""
    product = [{"name": "regular", "kind": "interpolate", "every": "30D", "min_clear": 1}]
    whole = {file: file.read_bytes() for file in folder.iterdir()}

    def scored(server: Loopback, on_error: str, out: Path) -> dict[str, bytes]:
        source = {"from": "stac", "url": str(served(server, folder))}
        rest = {"product": product, "report": {"holdout": 0.4}}
        cache = {"dir": str(tmp_path / f"cache{server.port}")}
        run(Recipe.of(values(source, on_error) | rest | {"cache": cache}), out, until="build")
        return {name: found for name, found in contents(out).items() if "holdout" in name or "zarr" in name}

    damage(folder / "scene_20200610.tif")
    with serve(folder) as server:
        holed = scored(server, "skip", tmp_path / "out")
    for file, content in whole.items():
        file.write_bytes(content)
    with serve(folder) as server:
        again = scored(server, "raise", tmp_path / "out")
        assert differing(scored(server, "raise", tmp_path / "fresh"), again) == []
    assert "tables/holdout.csv" in differing(holed, again)


@pytest.mark.parametrize("found", ["20200110", "20200610"])
def test_scenes_that_are_lost_keep_their_date(folder: Path, tmp_path: Path, found: str) -> None:
    """In products on the dates of looks too: every block of the store has the same dates."""
    damage(folder / f"scene_{found}.tif")
    source = {"from": "folder", "path": str(folder), "date": "%Y%m%d"}
    recipe = values(source, "skip") | {"product": [{"name": "seen", "kind": "observed"}]}
    run(Recipe.of(recipe), tmp_path / "out", until="build")
    seen = landshift.open(tmp_path / "out" / "cubes" / "seen.zarr")
    at = DATES.index(found)
    assert (seen["quality"].values[at, :, 512:] == 0).all()
    assert (seen["quality"].values[at, :, :512] != 0).all()
    assert seen["item_ids"].values.tolist() == [f"scene_{date}" for date in DATES]
