"""``examples/earth-search.toml`` against a catalogue on the loopback: paging, range requests, retries, the cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import landshift
from landshift.acquire.catalogue import catalogue
from landshift.config import Recipe
from landshift.cube.check import check
from landshift.errors import NetworkError, SceneError
from landshift.pipeline.run import RunResult, run
from landshift.place import grid_of
from loopback_stac import Loopback, serve
from small_runs import contents, differing

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "earth-search.toml"
BBOX = [14.40, 50.05, 14.408, 50.055]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated scenes around the example's place, laid out as Earth Search does."""
    from landshift.acquire.simulate import Simulate, write_scenes

    folder = tmp_path_factory.mktemp("earth")
    recipe = Recipe.load(EXAMPLE, [f"place.bbox={BBOX}", 'time.years="2021"'])
    begin, end = recipe.time.span
    sim = Simulate(seed=4, start=begin.date(), end=end.date(), revisit="40D", truth="none", cloud=0.2)
    write_scenes(sim, grid_of(recipe.place, base=Path()), folder)
    return folder


@pytest.fixture
def server(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """Earth Search, as far as landshift can tell."""
    monkeypatch.setenv("LANDSHIFT_BACKOFF", "0.01")
    with serve(scenes, page=3) as state:
        for file in sorted(scenes.glob("*/*/*.json")):
            item = json.loads(file.read_text())
            if item.get("type") == "Feature":
                for asset in item["assets"].values():
                    asset["href"] = (file.parent / asset["href"]).relative_to(scenes).as_posix()
                state.add(item | {"collection": "sentinel-2-l2a"})
        earth = replace(catalogue("earth-search"), url=state.api)
        monkeypatch.setattr("landshift.acquire.stac.catalogue", lambda _: earth)
        yield state


def example(tmp_path: Path, name: str = "out") -> RunResult:
    """Run the example over a few hundred metres and one summer."""
    overrides = [f"place.bbox={BBOX}", 'time.years="2021"', f"cache.dir={tmp_path / 'cache'}"]
    return run(Recipe.load(EXAMPLE, overrides), tmp_path / name)


def test_the_example_runs_to_the_end_from_a_catalogue(server: Loopback, tmp_path: Path) -> None:
    result = example(tmp_path)
    assert result.survey is not None
    assert result.survey.scenes >= 4
    pages = server.asked("/api/search")
    assert pages >= len(server.items) / 3, "every page was asked for"
    ranged = [asked for _, path, asked in server.requests if path.endswith(".tif") and asked]
    assert ranged, "files are read by ranges"
    cube = landshift.open(result.out / "cubes" / "regular.zarr")
    assert list(cube["band"].values) == ["blue", "green", "red", "nir", "swir16", "swir22"]
    assert np.isfinite(cube["reflectance"].values).any()
    assert cube.odc.geobox.crs.epsg == 32633
    assert {time.month for time in cube["time"].to_index()} <= set(range(1, 13))
    assert check(result.out / "cubes" / "yearly.zarr") == []
    assert (result.out / "report.html").is_file()


def test_a_server_that_stumbles_gives_the_same_bytes(server: Loopback, tmp_path: Path) -> None:
    smooth = example(tmp_path / "smooth")
    server.fail("/api", 503)
    server.fail("/api/search", 429, 500)
    for file in ("B04.tif", "SCL.tif"):
        path = next(asset for asset in _paths(server) if asset.endswith(file))
        server.fail(path, 503)
    rough = example(tmp_path / "rough")
    assert server.failures == []
    assert differing(contents(smooth.out), contents(rough.out)) == []


def _paths(server: Loopback) -> list[str]:
    """Paths of the files of clear scenes."""
    clear = [one for one in server.items if one["properties"]["eo:cloud_cover"] <= 40]
    summer = [one for one in clear if one["properties"]["datetime"][5:7] in {"05", "06", "07", "08"}]
    return [asset["href"].removeprefix(server.url) for one in summer for asset in one["assets"].values()]


def test_the_cache_spares_the_server_when_settings_change(server: Loopback, tmp_path: Path) -> None:
    example(tmp_path)
    server.requests.clear()
    overrides = [f"place.bbox={BBOX}", 'time.years="2021"', f"cache.dir={tmp_path / 'cache'}"]
    run(Recipe.load(EXAMPLE, [*overrides, "mask.grow_m.cloud=0"]), tmp_path / "again")
    assert [path for verb, path, _ in server.requests if path.endswith(".tif") and verb == "GET"] == []


def test_a_lost_file_stops_the_run_with_its_name(server: Loopback, tmp_path: Path) -> None:
    path = next(asset for asset in _paths(server) if asset.endswith("B04.tif"))
    server.fail(path, *[404] * 50)
    with pytest.raises((NetworkError, SceneError)) as caught:
        example(tmp_path)
    assert path.rsplit("/", 1)[-1] in str(caught.value)
    assert caught.value.hint
