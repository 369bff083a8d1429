from __future__ import annotations

import errno
import json
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from landshift.cube import codec, store
from landshift.cube.check import check
from landshift.cube.export import export
from landshift.cube.maps import map_geobox
from landshift.cube.store import (
    clean_partials,
    create,
    encode,
    geobox_of,
    layout_of,
    open_cube,
    planned,
    write_block,
)
from landshift.errors import GridError, StoreError
from landshift.plan import Block, plan_blocks

BANDS = ("red", "nir")
EXTRA = {"quality": ("time", "y", "x"), "n_clear": ("y", "x"), "age": ("time", "y", "x")}


def grid(height: int = 100, width: int = 70) -> GeoBox:
    return GeoBox.from_bbox(
        (4_000_000, 3_000_000, 4_000_000 + 10 * width, 3_000_000 + 10 * height), "EPSG:3035", resolution=10
    )


def dates(n: int) -> NDArray[np.datetime64]:
    return np.datetime64("2020-01-01T10:20:30.123456", "ns") + np.arange(n) * np.timedelta64(10, "D")


def scene(times: int, height: int, width: int, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-0.1, 1.2, (times, len(BANDS), height, width)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    return xr.Dataset(
        {
            "reflectance": (("time", "band", "y", "x"), values),
            "quality": (("time", "y", "x"), rng.integers(0, 8, (times, height, width), np.uint8)),
            "n_clear": (("y", "x"), rng.integers(0, 60, (height, width), np.uint16)),
            "age": (("time", "y", "x"), rng.integers(-5, 90, (times, height, width), np.int16)),
        },
        coords={"time": dates(times), "band": list(BANDS)},
    )


def filled(
    path: Path, cube: xr.Dataset, *, block_px: int = 32, reverse: bool = False, workers: int = 1
) -> Path:
    box = grid(*cube.reflectance.shape[-2:])
    create(
        path,
        geobox=box,
        times=cube.time.values,
        variable="reflectance",
        names=BANDS,
        product="p",
        extra=EXTRA,
        block_px=block_px,
    )
    blocks = plan_blocks(box, block_px=block_px).blocks
    with ThreadPoolExecutor(workers) as pool:
        list(
            pool.map(
                lambda block: write_block(
                    path, block, cube.isel(y=block.slices[0], x=block.slices[1]), threads=workers
                ),
                blocks[::-1] if reverse else blocks,
            )
        )
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.just(2), st.integers(1, 40), st.integers(1, 40)),
        elements=st.one_of(st.floats(-3.25, 3.25, width=32), st.just(float("nan"))),
        fill=st.just(float("nan")),
    )
)
def test_any_cube_comes_back_within_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, values: NDArray[np.float32]
) -> None:
    path, box = tmp_path_factory.mktemp("s") / "c.zarr", grid(*values.shape[-2:])
    times = dates(len(values))
    create(path, geobox=box, times=times, variable="reflectance", names=BANDS, product="p", block_px=32)
    for block in plan_blocks(box, block_px=32).blocks:
        part = values[..., block.slices[0], block.slices[1]]
        cube = xr.Dataset({"reflectance": (("time", "band", "y", "x"), part)})
        assert write_block(path, block, cube, threads=1) == 0
    back = open_cube(path)["reflectance"]
    assert back.dtype == np.float32
    assert np.array_equal(np.isnan(back.values), np.isnan(values))
    assert np.nanmax(np.abs(back.values.astype(float) - values), initial=0) <= 0.5e-4 + 3e-7
    again = open_cube(path)["reflectance"].values
    stored, clipped = encode(xr.Dataset({"reflectance": (("time", "band", "y", "x"), again)}))
    assert clipped == 0
    assert np.array_equal(stored["reflectance"].values, zarr.open_array(path / "reflectance")[...])


def test_order_and_workers_do_not_change_the_bytes(tmp_path: Path) -> None:
    cube = scene(70, 100, 70)
    one = contents(filled(tmp_path / "a.zarr", cube))
    two = contents(filled(tmp_path / "b.zarr", cube, reverse=True, workers=4))
    assert one == two
    assert not any("partial" in name for name in one)


def _write(job: tuple[Path, Block, xr.Dataset]) -> int:
    return write_block(*job)


@pytest.mark.slow
def test_processes_write_the_same_bytes_as_threads(tmp_path: Path) -> None:
    cube = scene(9, 100, 70)
    one = contents(filled(tmp_path / "a.zarr", cube))
    path = filled(tmp_path / "b.zarr", cube)
    for shard in (path / "reflectance" / "c").rglob("*"):
        if shard.is_file():
            shard.unlink()
    blocks = plan_blocks(grid(), block_px=32).blocks
    jobs = [(path, block, cube.isel(y=block.slices[0], x=block.slices[1])) for block in blocks]
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        list(pool.map(_write, jobs))
    assert contents(path) == one


def test_rounding_is_half_to_even_as_numpy_does_it() -> None:
    values = np.float32(np.arange(-300, 300) * 0.5 * 1e-4 * 2**-3)
    cube = xr.Dataset({"reflectance": (("time", "band", "y", "x"), values.reshape(1, 2, 10, 30))})
    stored, _ = encode(cube)
    assert np.array_equal(stored.reflectance.values.ravel(), np.rint(values.astype(float) * 1e4))
    halves = xr.Dataset(
        {"backscatter": (("time", "pol", "y", "x"), np.array([[[[0.125, 0.375, -0.125]]]], np.float32))}
    )
    assert encode(halves)[0].backscatter.values.ravel().tolist() == [12, 38, -12]


def test_values_out_of_range_are_clipped_and_counted(tmp_path: Path) -> None:
    cube = scene(3, 40, 40)
    cube.reflectance.values[0, 0, 0, :4] = [5.0, -5.0, np.inf, -np.inf]
    box, path = grid(40, 40), tmp_path / "c.zarr"
    create(path, geobox=box, times=cube.time.values, variable="reflectance", names=BANDS, product="p")
    assert write_block(path, plan_blocks(box).blocks[0], cube) == 4
    back = open_cube(path).reflectance.values[0, 0, 0, :4]
    assert back == pytest.approx([3.2767, -3.2767, 3.2767, -3.2767])


def test_stored_numbers_and_values_give_the_same_bytes(tmp_path: Path) -> None:
    cube = scene(9, 60, 60)
    one = contents(filled(tmp_path / "a.zarr", cube))
    stored, clipped = encode(cube)
    assert clipped == 0
    assert stored.reflectance.dtype == np.int16
    assert contents(filled(tmp_path / "b.zarr", stored)) == one


def test_plain_xarray_and_zarr_read_the_same(tmp_path: Path) -> None:
    cube = scene(11, 100, 70)
    cube["age"][:, :3, :4] = -32768
    path = filled(tmp_path / "c.zarr", cube)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=PendingDeprecationWarning)  # odc-geo and affine
        plain, ours = xr.open_zarr(path, chunks=None), open_cube(path)
        assert plain.sel(band="nir").odc.geobox == ours.odc.geobox == geobox_of(path) == grid()
    assert np.array_equal(
        plain.reflectance.values.astype(np.float32), ours.reflectance.values, equal_nan=True
    )
    lacking = cube.age.values == -32768
    assert plain.age.dtype == np.int64
    assert lacking.any()
    assert (plain.age.values[lacking] == np.iinfo(np.int64).min).all()
    assert np.isnan(xr.open_zarr(path, chunks=None, decode_timedelta=False).age.values[lacking]).all()
    for name in ("quality", "n_clear", "age"):
        assert np.array_equal(ours[name].values, cube[name].values)
        assert ours[name].dtype == cube[name].dtype
    assert np.array_equal(
        plain.time.values, cube.time.values.astype("datetime64[us]").astype("datetime64[ns]")
    )
    assert ours.quality.attrs["flag_meanings"].split()[4] == "shadow"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_selection_equals_numpy(shared_store: tuple[Path, xr.Dataset], data: st.DataObject) -> None:
    path, truth = shared_store
    lazy, loaded = open_cube(path).reflectance, truth.reflectance
    picks: dict[str, Any] = {}
    for dim, n in loaded.sizes.items():
        whole = st.integers(0, n - 1)
        spans = st.tuples(whole, whole, st.sampled_from([1, 1, 2, -1])).map(lambda t: slice(*t))
        picks[str(dim)] = data.draw(
            st.one_of(whole, spans, st.lists(whole, max_size=4).map(lambda x: np.array(x, int)))
        )
    assert np.array_equal(lazy.isel(picks).values, loaded.isel(picks).values, equal_nan=True)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    path = filled(tmp_path_factory.mktemp("shared") / "c.zarr", scene(20, 100, 70), block_px=64)
    return path, open_cube(path).load()


def first_of_four(path: Path, cube: xr.Dataset, *, planned_alone: bool = False) -> Path:
    """A store of 64 x 64 px in four blocks, of which the first is written."""
    first, *_ = plan_blocks(grid(64, 64), block_px=32).blocks
    create(
        path,
        geobox=grid(64, 64),
        times=cube.time.values,
        variable="reflectance",
        names=BANDS,
        product="p",
        block_px=32,
        blocks=[first] if planned_alone else None,
    )
    write_block(path, first, cube)
    return path


def test_an_unwritten_block_is_told_and_an_empty_one_is_a_file(tmp_path: Path) -> None:
    cube = scene(2, 32, 32)
    path = first_of_four(tmp_path / "c.zarr", cube.assign(reflectance=cube.reflectance * np.nan))
    assert sorted(str(p.relative_to(path)) for p in path.glob("reflectance/c/**/*") if p.is_file()) == [
        "reflectance/c/0/0/0/0",
        "reflectance/c/0/1/0/0",
    ]
    opened = open_cube(path).reflectance
    assert np.isnan(opened[..., :32, :32].values).all()
    with pytest.raises(StoreError, match="not there"):
        opened.values  # noqa: B018 - asking is the test
    assert np.isnan(xr.open_zarr(path, chunks=None).reflectance.values).all()


def test_ground_that_the_store_was_not_made_for_is_missing(tmp_path: Path) -> None:
    path = first_of_four(tmp_path / "c.zarr", scene(2, 32, 32), planned_alone=True)
    read = open_cube(path).reflectance.values
    assert np.isfinite(read[..., :32, :32]).any()
    assert np.isnan(read[..., 32:, :]).all()


def test_indices_lie_beside_the_bands_and_bands_can_be_variables(tmp_path: Path) -> None:
    cube = scene(2, 30, 30).drop_vars(["quality", "n_clear", "age"])
    ndvi = np.full((2, 1, 30, 30), 0.5, np.float32)
    cube["index"] = xr.DataArray(ndvi, dims=("time", "index_name", "y", "x"), coords={"index_name": ["ndvi"]})
    box, path = grid(30, 30), tmp_path / "c.zarr"
    create(
        path,
        geobox=box,
        times=cube.time.values,
        variable="reflectance",
        names=BANDS,
        indices=["ndvi"],
        product="p",
        coords={"sensor": ["a", "b"], "item_ids": [("x", "y"), ()], "sun_zenith": [30.5, 31.0]},
    )
    write_block(path, plan_blocks(box).blocks[0], cube)
    back = open_cube(path)
    assert back["index"].sel(index_name="ndvi").values == pytest.approx(0.5, abs=1e-6)
    assert back.item_ids.values.tolist() == ["x y", ""]
    assert back.sensor.values.tolist() == ["a", "b"]
    split = open_cube(path, bands_as_variables=True)
    assert set(split.data_vars) == {"red", "nir", "ndvi"}
    assert np.array_equal(split.nir.values, back.reflectance.sel(band="nir").values, equal_nan=True)


def test_creating_twice_keeps_the_blocks_and_another_cube_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "c.zarr", scene(3, 40, 40))
    before = contents(path)
    assert contents(filled(path, scene(3, 40, 40))) == before
    with pytest.raises(StoreError, match="another cube"):
        filled(path, scene(4, 40, 40))
    later = scene(3, 40, 40)
    later["time"] = later.time + np.timedelta64(1, "D")
    with pytest.raises(StoreError, match="another cube"):
        filled(path, later)
    assert contents(path) == before


def test_metadata_say_where_the_pixels_lie_and_nothing_of_this_machine(tmp_path: Path) -> None:
    path = filled(tmp_path / "c.zarr", scene(3, 40, 40))
    said = json.loads((path / "zarr.json").read_text())
    attrs = said["attributes"]
    assert attrs["proj:code"] == "EPSG:3035"
    assert attrs["spatial:transform"] == [10.0, 0.0, 4_000_000.0, 0.0, -10.0, 3_000_400.0]
    assert {one["name"] for one in attrs["zarr_conventions"]} == {"proj", "spatial"}
    assert list(said["consolidated_metadata"]["metadata"]) == sorted(
        said["consolidated_metadata"]["metadata"]
    )
    assert str(tmp_path) not in (path / "zarr.json").read_text()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda cube: cube.isel(time=slice(1)), "does not fit"),
        (lambda cube: cube.isel(y=slice(5)), "does not fit"),
        (lambda cube: cube.drop_vars("age"), "lacks a variable"),
        (lambda cube: cube.assign_coords(band=["nir", "red"]), "other names"),
    ],
)
def test_a_cube_that_does_not_fit_is_refused(tmp_path: Path, spoil: Any, says: str) -> None:
    cube, path = scene(3, 32, 32), tmp_path / "c.zarr"
    filled(path, cube)
    with pytest.raises(GridError, match=says):
        write_block(path, layout_of(path).block(0, 0), spoil(cube))


def test_odd_dates_and_bands_are_refused(tmp_path: Path) -> None:
    known = {"geobox": grid(), "variable": "reflectance", "product": "p"}
    for times, names in ((dates(2)[::-1], BANDS), (dates(0), BANDS), (dates(2), ("red", "red"))):
        with pytest.raises(GridError):
            create(tmp_path / "c.zarr", times=times, names=names, **known)  # type: ignore[arg-type]
    with pytest.raises(GridError, match="sensor"):
        create(tmp_path / "c.zarr", times=dates(2), names=BANDS, coords={"sensor": ["a"]}, **known)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_torn_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube, path = scene(3, 32, 32), tmp_path / "c.zarr"
    filled(path, cube)
    before = contents(path)
    calls = []

    def full(parts: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(parts)

    real = codec.join_shard
    monkeypatch.setattr(store, "join_shard", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        write_block(path, layout_of(path).block(0, 0), cube)
    assert "free some space" in str(caught.value)
    assert contents(path) == before


def test_an_unwritable_target_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        create(
            tmp_path / "file" / "c.zarr",
            geobox=grid(),
            times=dates(1),
            variable="index",
            names=["ndvi"],
            product="p",
        )


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    path = filled(tmp_path / "c.zarr", scene(3, 32, 32))
    before = contents(path)
    (path / "reflectance/c/0/0/0/7.partial").write_bytes(b"torn")
    (tmp_path / "d.zarr.partial").mkdir()
    assert clean_partials(tmp_path) == 2
    assert contents(path) == before


def test_two_writers_of_one_block_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube = scene(3, 40, 40)
    path = filled(tmp_path / "c.zarr", cube)
    before, block = contents(path), plan_blocks(grid(40, 40), block_px=32).blocks[0]
    met: list[bool] = []

    def meanwhile(chunks: Any) -> Any:
        if not met:  # the other one writes the very block while this one is at its first file
            met.append(True)
            write_block(path, block, cube.isel(y=slice(*block.y), x=slice(*block.x)))
        return codec.join_shard(chunks)

    monkeypatch.setattr(store, "join_shard", meanwhile)
    write_block(path, block, cube.isel(y=slice(*block.y), x=slice(*block.x)))
    assert met
    assert contents(path) == before


def test_a_folder_that_is_no_cube_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a cube"):
        open_cube(tmp_path)


def test_metadata_without_its_blocks_is_refused_like_no_metadata(tmp_path: Path) -> None:
    path = filled(tmp_path / "c.zarr", scene(1, 8, 8))
    said = json.loads((path / "zarr.json").read_text())
    del said["attributes"]["landshift"]["blocks"]
    (path / "zarr.json").write_text(json.dumps(said))
    for opening in (open_cube, planned):
        with pytest.raises(StoreError, match="not a cube"):
            opening(path)


def test_a_build_under_way_can_be_looked_at(tmp_path: Path) -> None:
    path = filled(tmp_path / "c.zarr", scene(1, 40, 40), block_px=20)
    for array in layout_of(path).arrays:
        for shard in array.shards(0, 0):
            (path / shard.file).unlink()
    with pytest.raises(StoreError, match="a part of the cube is not there"):
        open_cube(path).load()
    seen = open_cube(path, partly=True).reflectance.isel(time=0, band=0)
    assert not seen[:20, :20].notnull().any()
    assert seen[20:, 20:].notnull().any()


@pytest.mark.parametrize("block_px", [32, 48, 510, 512, 7])
def test_chunks_divide_shards(tmp_path: Path, block_px: int) -> None:
    cube = scene(3, 40, 40)
    path = filled(tmp_path / "c.zarr", cube, block_px=block_px)
    assert open_cube(path).reflectance.isel(time=1, y=39, x=39).notnull().values.shape == (2,)
    for array in layout_of(path).arrays:
        assert all(whole % part == 0 for whole, part in zip(array.shard, array.chunk, strict=True))


@pytest.mark.parametrize(
    ("crs", "corner", "size"),
    [
        ("EPSG:4326", (10.0, 45.0), 0.001),
        ("+proj=laea +lat_0=10 +lon_0=20 +ellps=WGS84 +units=m", (1000.0, 2000.0), 30.0),
    ],
)
def test_any_crs_goes_through_all_tools(
    tmp_path: Path, crs: str, corner: tuple[float, float], size: float
) -> None:
    west, south = corner
    box = GeoBox.from_bbox((west, south, west + 40 * size, south + 30 * size), crs, resolution=size)
    cube, path = scene(2, *box.shape), tmp_path / "c.zarr"
    create(path, geobox=box, times=cube.time.values, variable="reflectance", names=BANDS, product="p")
    write_block(path, plan_blocks(box).blocks[0], cube)
    assert check(path, geobox=box) == []
    assert geobox_of(path) == box
    assert open_cube(path).odc.geobox == box
    made = map_geobox(export(path, tmp_path / "cogs")[0])
    assert (made.shape, made.affine) == (box.shape, box.affine)
    assert made.crs is not None
