"""The build: one pass over the blocks, the same bytes however it is cut and whoever does it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landshift
from landshift.ard.interpolate import Interpolate
from landshift.ard.mask import Mask
from landshift.config import Recipe
from landshift.cube.tables import read_table
from landshift.errors import ConfigError, DataQualityWarning
from landshift.pipeline.build import Build
from landshift.pipeline.output import Output
from landshift.pipeline.run import RunResult, run
from landshift.pipeline.stages import Context
from landshift.pipeline.watch import Quiet
from landshift.plan import Executor, ProcessExecutor, ThreadExecutor, plan_blocks
from small_runs import Heard, contents, differing
from tiny_rasters import Tiff, write

Strip = Callable[..., dict[str, Any]]


def build(values: dict[str, Any], out: Path) -> RunResult:
    """Survey and build, nothing else."""
    return run(Recipe.of(values), out, until="build")


@pytest.fixture(scope="session")
def serial(strip: Strip, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return build(strip(), tmp_path_factory.mktemp("serial") / "out")


@pytest.fixture
def again(serial: RunResult, tmp_path: Path) -> Path:
    """A copy of the finished build, free to be changed."""
    return Path(shutil.copytree(serial.out, tmp_path / "again"))


def test_a_file_that_is_gone_is_made_anew_and_nothing_else(
    serial: RunResult, strip: Strip, again: Path
) -> None:
    store = next(iter(sorted((again / "cubes").glob("*.zarr"))))
    files = sorted(
        file for file in (store / "reflectance").rglob("*") if file.is_file() and file.name != "zarr.json"
    )
    times = {file: file.stat().st_mtime_ns for file in files}
    files[0].unlink()
    made = next(stage for stage in build(strip(), again).stages if stage.name == "build")
    assert (made.state, "block" in made.why) == ("redone", True)
    assert differing(contents(serial.out), contents(again)) == []
    kept = [file for file in files if file.stat().st_mtime_ns == times[file]]
    assert 0 < len(kept) < len(files)


def test_a_file_that_is_gone_before_the_build_has_ended_is_made_anew_too(
    serial: RunResult, strip: Strip, again: Path
) -> None:
    """As after a kill: the stage has begun, its blocks are noted, and one of their files is not there."""
    marker = again / ".landshift" / "stages" / "build.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"state": "started"}))
    store = next(iter(sorted((again / "cubes").glob("*.zarr"))))
    next(file for file in (store / "reflectance" / "c").rglob("*") if file.is_file()).unlink()
    made = next(stage for stage in build(strip(), again).stages if stage.name == "build")
    assert made.state == "resumed"
    assert differing(contents(serial.out), contents(again)) == []


@pytest.mark.parametrize(
    "engine",
    [
        {"executor": "threads", "workers": 3},
        {"executor": "serial", "memory": "100kB"},
        {"executor": "threads", "workers": 2, "memory": "3MB"},
    ],
    ids=["threads", "tiles of 32 px", "threads and tiles"],
)
def test_any_executor_and_any_memory_limit_gives_the_same_bytes(
    strip: Strip, serial: RunResult, tmp_path: Path, engine: dict[str, Any]
) -> None:
    other = build(strip(engine=engine), tmp_path / "out")
    assert differing(contents(serial.out), contents(other.out)) == []


@pytest.mark.slow
def test_processes_give_the_same_bytes(strip: Strip, serial: RunResult, tmp_path: Path) -> None:
    engine = {"executor": "processes", "workers": 2, "memory": "2MB"}
    assert differing(contents(serial.out), contents(build(strip(engine=engine), tmp_path / "out").out)) == []


def test_a_place_of_two_blocks_has_two_records_per_product(serial: RunResult) -> None:
    assert serial.stages[-1].record["blocks"] == {"regular": 2, "yearly": 2, "seen": 2}


def test_cut_blocks_equal_the_whole_place_done_by_hand(strip: Strip, tmp_path: Path) -> None:
    result = build(strip(engine={"executor": "serial", "memory": "100kB"}), tmp_path / "out")
    found = result.survey
    assert found is not None
    mask = Mask(grow_m={"cloud": 100, "shadow": 40})
    rows, cols = mask.halo_px(found.geobox)
    wide = landshift.load(
        found.items["s2"], found.geobox.pad(cols, rows), bands=("blue", "red", "nir"), sensor="sentinel-2-l2a"
    )
    inner = {
        "y": slice(rows, rows + found.geobox.shape[0]),
        "x": slice(cols, cols + found.geobox.shape[1]),
    }
    assert (wide["quality"] != wide["quality_layer"]).any(), "no swath ends here: choose another seed"
    masked = mask(wide).isel(inner)
    seen = landshift.open(result.out / "cubes" / "seen.zarr")
    np.testing.assert_array_equal(seen["quality"].values, masked["quality"].values)
    step = Interpolate(every="90D", min_clear=1, start=date(2020, 1, 1), end=date(2020, 12, 31))
    whole = step(masked)
    cube = landshift.open(result.out / "cubes" / "regular.zarr")
    assert (cube["time"].values == whole["time"].values).all()
    np.testing.assert_allclose(cube["reflectance"].values, whole["reflectance"].values, atol=0.51e-4)
    np.testing.assert_array_equal(cube["n_clear"].values, whole["n_clear"].values)
    np.testing.assert_array_equal(cube["age"].values, whole["age"].values)


def test_mask_growth_crosses_the_edge_of_blocks_and_tiles(strip: Strip, tmp_path: Path) -> None:
    plain = build(strip(mask={"grow_m": {"cloud": 0, "shadow": 0, "snow": 0}}), tmp_path / "plain")
    grown = build(strip(mask={"grow_m": {"cloud": 200, "shadow": 0, "snow": 0}}), tmp_path / "grown")
    before, after = (
        landshift.open(result.out / "cubes" / "seen.zarr")["quality"].values for result in (plain, grown)
    )
    from scipy.ndimage import distance_transform_edt

    clouds = before == 6
    grew = 0
    for cloudy, now in zip(clouds, after, strict=True):
        if cloudy.any() and not cloudy.all():
            near = (distance_transform_edt(~cloudy) <= 19) & ~cloudy & (now != 0)
            assert (now[near] == 6).all()
            grew += int(near[:, 500:524].sum())
    assert grew > 0, "no cloud near the seam of the two blocks: choose another seed"


def test_changing_one_product_leaves_the_others_alone(strip: Strip, again: Path) -> None:
    values = strip()
    changed = [{**values["product"][0], "every": "60D"}, *values["product"][1:]]
    before = {file: file.stat().st_mtime_ns for file in (again / "cubes" / "yearly.zarr").rglob("*")}
    journal = {file: file.read_bytes() for file in (again / ".landshift" / "journal").rglob("*.json")}
    heard = Heard()
    result = run(Recipe.of(strip(product=changed)), again, until="build", watch=heard)
    assert result.stages[-1].state == "redone"
    assert any("every 90D -> 60D" in line for line in heard.lines), heard.lines
    now = {file: file.stat().st_mtime_ns for file in (again / "cubes" / "yearly.zarr").rglob("*")}
    assert now == before
    assert {file: file.read_bytes() for file in journal} == journal
    assert len(landshift.open(again / "cubes" / "regular.zarr")["time"]) > 5


def test_a_setting_changed_and_set_back_gives_the_first_bytes_again(
    strip: Strip, serial: RunResult, again: Path
) -> None:
    values = strip()
    build(strip(product=[{**values["product"][0], "every": "60D"}, *values["product"][1:]]), again)
    build(values, again)
    assert differing(contents(serial.out), contents(again)) == []


def holed_source(folder: Path, names: tuple[str, ...], dates: tuple[str, ...]) -> dict[str, Any]:
    """Scenes of some bands; the last band has a hole."""
    for number, day in enumerate(dates):
        pixels = np.random.default_rng(number).integers(1, 9000, (len(names), 32, 32)).astype("uint16")
        pixels[-1, :8, :8] = 0
        write(folder / f"scene_{day}.tif", Tiff(bands=len(names), names=names), pixels)
    return {"name": folder.name, "from": "folder", "path": str(folder), "date": "%Y%m%d"}


def test_a_products_bytes_do_not_depend_on_what_else_is_still_to_be_made(tmp_path: Path) -> None:
    """The band that has the hole is of one of the two products alone."""
    one = holed_source(tmp_path / "one", ("red", "nir", "swir16"), ("20200110", "20200310"))
    two = holed_source(tmp_path / "two", ("red", "nir"), ("20200210",))

    def values(every: str, share: float) -> dict[str, Any]:
        both = {"name": "both", "kind": "interpolate", "every": every, "min_clear": 1}
        alone = {"name": "alone", "kind": "composite", "period": "year", "from": ["one"]}
        engine = {"executor": "serial"}
        return {
            "source": [one, two],
            "product": [alone, both],
            "engine": engine,
            "report": {"holdout": share},
        }

    for name, steps in {
        "changed": [("20D", 0.2), ("30D", 0.2)],
        "scored": [("30D", 0.1), ("30D", 0.2)],
    }.items():
        for every, share in steps:
            build(values(every, share), tmp_path / name)
    build(values("30D", 0.2), tmp_path / "fresh")
    fresh = contents(tmp_path / "fresh")
    assert differing(fresh, contents(tmp_path / "changed")) == []
    assert differing(fresh, contents(tmp_path / "scored")) == []


@pytest.mark.parametrize("names", [("vv", "vh"), ("red", "nir")], ids=["radar", "optical"])
@pytest.mark.parametrize("bands", [True, False], ids=["bands named", "bands found"])
def test_a_source_without_scenes_is_left_out_of_a_product(
    tmp_path: Path, names: tuple[str, ...], *, bands: bool
) -> None:
    there = holed_source(tmp_path / "there", names, ("20200110", "20200310"))
    gone = holed_source(tmp_path / "gone", names, ("20190110",))
    said = {"bands": list(names)} if bands else {}
    values = {
        "time": {"years": "2020"},
        "source": [there | said, gone | said],
        "product": [{"name": "regular", "kind": "interpolate", "every": "30D", "min_clear": 1}],
        "engine": {"executor": "serial"},
    }
    build(values, tmp_path / "out")
    build(values | {"source": [there | said]}, tmp_path / "alone")
    cubes = [landshift.open(tmp_path / name / "cubes" / "regular.zarr") for name in ("out", "alone")]
    assert cubes[0].equals(cubes[1])


def test_a_store_that_was_removed_is_built_anew(strip: Strip, serial: RunResult, again: Path) -> None:
    shutil.rmtree(again / "cubes" / "yearly.zarr")
    result = build(strip(), again)
    assert result.stages[-1].state == "redone"
    assert "cubes/yearly.zarr" in result.stages[-1].why
    assert differing(contents(serial.out), contents(again)) == []


def test_a_product_the_recipe_no_longer_has_is_removed(strip: Strip, again: Path) -> None:
    build(strip(product=strip()["product"][:1]), again)
    assert [store.name for store in (again / "cubes").iterdir()] == ["regular.zarr"]
    assert set(read_table(again / "tables" / "clear.parquet").frame["product"]) == {"regular"}


def test_two_products_of_the_same_settings_are_both_built(strip: Strip, tmp_path: Path) -> None:
    twin = {"kind": "composite", "period": "year"}
    build(strip(product=[{"name": "one", **twin}]), tmp_path / "out")
    build(strip(product=[{"name": "one", **twin}, {"name": "two", **twin}]), tmp_path / "out")
    one, two = (landshift.open(tmp_path / "out" / "cubes" / f"{name}.zarr") for name in ("one", "two"))
    assert np.isfinite(one["reflectance"].values).any()
    np.testing.assert_array_equal(one["reflectance"].values, two["reflectance"].values)


def test_without_holdout_no_table_of_it_stays(strip: Strip, again: Path) -> None:
    assert (again / "tables" / "holdout.parquet").is_file()
    build(strip(report={"holdout": 0}), again)
    assert not list((again / "tables").glob("holdout.*"))


@pytest.mark.parametrize("report", [{"holdout": 0.3}, {"seed": 5}], ids=["share", "seed"])
def test_another_holdout_scores_anew_and_writes_no_cube(
    strip: Strip, again: Path, tmp_path: Path, report: dict[str, Any]
) -> None:
    def built() -> dict[Path, int]:
        files = [*(again / "cubes").rglob("*"), *(again / ".landshift" / "journal" / "build").rglob("*")]
        return {file: file.stat().st_mtime_ns for file in files if file.is_file()}

    before = built()
    result = build(strip(report=report), again)
    assert result.stages[-1].state == "redone"
    assert next(iter(report)) in result.stages[-1].why
    assert built() == before
    fresh = build(strip(report=report), tmp_path / "fresh")
    assert differing(contents(fresh.out), contents(again)) == []


def test_a_changed_product_is_scored_anew(strip: Strip, again: Path, tmp_path: Path) -> None:
    values = strip()
    changed = strip(product=[{**values["product"][0], "max_gap": "40D"}, *values["product"][1:]])
    build(changed, again)
    fresh = build(changed, tmp_path / "fresh")
    assert differing(contents(fresh.out), contents(again)) == []


class Doubting(Mask):
    """A mask that doubts every scene it sees, and says so in the process that does the block."""

    def grow(self, cube: Any) -> Any:
        warnings.warn("the masks look odd", DataQualityWarning, stacklevel=1)
        return super().grow(cube)


@pytest.mark.parametrize("executor", [ThreadExecutor(workers=2), ProcessExecutor(workers=2)])
def test_what_workers_warn_of_is_told_once_by_this_run_and_by_a_later_one(
    strip: Strip, tmp_path: Path, executor: Executor
) -> None:
    recipe, output = Recipe.of(strip()), Output(path=tmp_path)
    found = run(recipe, tmp_path, until="survey").survey
    assert found is not None
    made = Build(Context(recipe=recipe, out=output, survey=found, watch=Quiet()))
    made.prepare()
    work = dataclasses.replace(made.work, mask=Doubting())
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataQualityWarning)
        assert len(list(executor.run(work, made.plan.blocks))) == 2
    result = run(recipe, tmp_path, until="build")
    assert result.warnings.count("the masks look odd") == 1
    assert run(recipe, tmp_path).warnings.count("the masks look odd") == 1
    assert "the masks look odd" in json.loads((tmp_path / "run.json").read_text())["warnings"]


def test_the_holdout_hides_about_its_share_and_beats_the_mean(serial: RunResult) -> None:
    frame = read_table(serial.out / "tables" / "holdout.parquet").frame
    assert set(frame["product"]) == {"regular"}
    assert set(frame["band"]) == {"blue", "red", "nir"}
    assert set(frame["method"]) == {"interpolate", "nearest", "mean"}
    assert np.isfinite(frame[["rmse", "mae"]].to_numpy()).all()
    assert frame.groupby("band")["n"].nunique().eq(1).all()
    clear = landshift.open(serial.out / "cubes" / "regular.zarr")["n_clear"].values.astype(float)
    assert 0 < frame["n"].iloc[0] <= 0.25 * clear.sum()
    assert (frame["rmse"] >= frame["mae"]).all()


def test_the_blocks_under_the_outline_alone_are_built(strip: Strip, tmp_path: Path) -> None:
    import geopandas
    from shapely import box

    where = strip()["place"]
    left, bottom, _, top = where["bbox"]
    outline = geopandas.GeoDataFrame(
        {"name": ["west"]}, geometry=[box(left + 100, bottom, left + 400, top)], crs=where["crs"]
    )
    outline.to_file(tmp_path / "west.gpkg")
    place = {"geometry": str(tmp_path / "west.gpkg"), "crs": where["crs"], "resolution": 10}
    result = build(strip(place=place), tmp_path / "out")
    assert result.survey is not None
    assert len(plan_blocks(result.survey.geobox, geometry=result.survey.outline).blocks) == 1
    assert result.stages[-1].record["blocks"]["regular"] == 1


def test_sources_without_a_common_band_are_refused(strip: Strip, tmp_path: Path) -> None:
    source = strip()["source"][0]
    other = {**source, "name": "other", "bands": ["green"]}
    with pytest.raises(ConfigError, match="no band in common"):
        build(strip(source=[source, other]), tmp_path / "out")


def test_two_looks_of_one_moment_are_refused_with_both_names(strip: Strip, tmp_path: Path) -> None:
    source = strip()["source"][0]
    twin = {**source, "name": "twin"}
    with pytest.raises(ConfigError, match="two looks are of the same moment") as caught:
        build(strip(source=[source, twin], product=[{"name": "seen", "kind": "observed"}]), tmp_path / "out")
    got = caught.value.got
    assert isinstance(got, list)
    one, other = got
    assert one.endswith(" of source s2")
    assert other.endswith(" of source twin")
    assert one.split(" of ")[0] == other.split(" of ")[0] != ""
    assert "from = [" in str(caught.value.hint)
    assert not (tmp_path / "out" / "cubes").exists()
