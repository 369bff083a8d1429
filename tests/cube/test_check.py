from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from landshift.cube.check import check
from landshift.cube.store import create, open_cube, write_block
from landshift.errors import StoreError
from landshift.plan import plan_blocks

GRID = GeoBox.from_bbox((4_000_000, 3_000_000, 4_000_600, 3_001_000), "EPSG:3035", resolution=10)
TIMES = np.datetime64("2020-01-01", "ns") + np.arange(10) * np.timedelta64(10, "D")


def build(path: Path, *, skip: int = 0, empty: int | None = None) -> Path:
    create(
        path,
        geobox=GRID,
        times=TIMES,
        variable="reflectance",
        names=["red", "nir"],
        product="p",
        extra={"n_clear": ("y", "x"), "quality": ("time", "y", "x")},
        block_px=64,
    )
    rng = np.random.default_rng(0)
    blocks = plan_blocks(GRID, block_px=64).blocks
    for block in blocks[: len(blocks) - skip]:
        values = rng.random((10, 2, *block.shape), dtype=np.float32)
        if empty is not None:
            values[empty] = np.nan
        quality = np.zeros((10, *block.shape), np.uint8)
        planes = {"n_clear": (("y", "x"), quality[0]), "quality": (("time", "y", "x"), quality)}
        write_block(path, block, xr.Dataset({"reflectance": (("time", "band", "y", "x"), values), **planes}))
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("check") / "c.zarr")


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "c.zarr"))


def test_a_whole_store_has_no_problem(whole: Path) -> None:
    assert check(whole) == []
    assert check(whole, geobox=GRID) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_shard_is_found(store: Path, at: float, bit: int) -> None:
    file = store / "reflectance/c/0/1/0/0"
    good = file.read_bytes()
    bad = bytearray(good)
    bad[int(at * len(bad))] ^= 1 << bit
    file.write_bytes(bad)
    (problem,) = check(store)
    file.write_bytes(good)
    assert (problem.kind, problem.where) == ("damaged", "reflectance/c/0/1/0/0")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_any_truncation_is_found(store: Path, share: float) -> None:
    file = store / "reflectance/c/0/0/1/0"
    good = file.read_bytes()
    file.write_bytes(good[: int(len(good) * share)])
    problems = check(store)
    file.write_bytes(good)
    assert [problem.kind for problem in problems] == ["damaged"]
    assert "reflectance/c/0/0/1/0" in str(problems[0])


def test_reading_a_damaged_chunk_names_the_file_and_the_way_out(store: Path) -> None:
    file = store / "reflectance/c/0/0/1/0"
    file.write_bytes(b"x" + file.read_bytes()[1:])
    with pytest.raises(StoreError, match="checksum") as caught:
        _ = open_cube(store).reflectance.values
    assert "reflectance/c/0/0/1/0" in str(caught.value)
    assert "run again" in str(caught.value)


def test_a_missing_file_names_dates_band_and_block(store: Path) -> None:
    (store / "reflectance/c/0/1/0/0").unlink()
    (problem,) = check(store)
    assert problem.kind == "missing"
    assert "2020-01-01T00:00:00 to 2020-03-31T00:00:00 of nir in block r0000c0000" in problem.text


def test_a_block_that_was_never_written_is_missed(tmp_path: Path) -> None:
    problems = check(build(tmp_path / "c.zarr", skip=1))
    assert [problem.where for problem in problems] == [
        f"{name} r0001c0000" for name in ("reflectance", "n_clear", "quality")
    ]


def test_many_blocks_that_were_never_written_are_one_line_for_each_variable(tmp_path: Path) -> None:
    problems = check(build(tmp_path / "c.zarr", skip=2))
    said = {problem.where: problem.text for problem in problems if problem.kind == "missing"}
    assert "reflectance" in said
    assert all(f"2 of 2 blocks of {name} were never written" in text for name, text in said.items())


def test_blocks_outside_the_plan_are_not_missed(tmp_path: Path) -> None:
    blocks = plan_blocks(GRID, block_px=64).blocks
    create(
        tmp_path / "c.zarr",
        geobox=GRID,
        times=TIMES,
        variable="index",
        names=["ndvi"],
        product="p",
        block_px=64,
        blocks=blocks[:1],
    )
    values = np.ones((10, 1, *blocks[0].shape), np.float32)
    write_block(
        tmp_path / "c.zarr", blocks[0], xr.Dataset({"index": (("time", "index_name", "y", "x"), values)})
    )
    assert check(tmp_path / "c.zarr") == []


def test_a_date_without_any_value_is_named(tmp_path: Path) -> None:
    (problem,) = check(build(tmp_path / "c.zarr", empty=9))
    assert (problem.kind, problem.where) == ("empty", "2020-03-31T00:00:00")


def _shift_x(store: Path) -> None:
    import zarr

    x = zarr.open_array(store / "x", mode="r+")
    x[...] = np.asarray(x[...]) + 10.0


def _break_json(store: Path) -> None:
    (store / "zarr.json").write_text("{")


def _other_scale(store: Path) -> None:
    file = store / "reflectance" / "zarr.json"
    said = json.loads(file.read_text())
    said["attributes"]["scale_factor"] = 1.0
    file.write_text(json.dumps(said))


def _leftover(store: Path) -> None:
    (store / "reflectance/c/0/0/0/0.partial").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [(_shift_x, "grid"), (_break_json, "metadata"), (_other_scale, "metadata"), (_leftover, "leftover")],
)
def test_other_damage_is_named(store: Path, spoil: Callable[[Path], None], kind: str) -> None:
    spoil(store)
    assert [problem.kind for problem in check(store)] == [kind]


def test_another_grid_is_named(whole: Path) -> None:
    (problem,) = check(whole, geobox=GRID.pad(1, 1))
    assert problem.kind == "grid"
    assert "62 x 102 px" in problem.text


def test_no_store_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no cube"):
        check(tmp_path / "none.zarr")
