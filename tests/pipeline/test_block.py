"""One block: what is masked where granules overlap, and dates of several sources on one axis."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox
from rasterio.transform import from_origin

import landshift
from landshift.acquire.folder import Folder
from landshift.acquire.memory import Recycler
from landshift.acquire.read import read
from landshift.acquire.tiles import TileReader
from landshift.ard.mask import Mask
from landshift.ard.observed import Observed
from landshift.config import Recipe
from landshift.pipeline.block import Job, Whole, _merge, masked
from landshift.pipeline.build import Build
from landshift.plan import Block, strips_of
from landshift.scene import BandFile, QualityFile, Scene, passes, scene_from_item
from landshift.sensor import QUALITY
from tiny_rasters import Tiff, write

if TYPE_CHECKING:
    from landshift.pipeline.stages import Context

GRID = GeoBox((32, 32), from_origin(500_000, 5_600_000, 10, 10), "EPSG:32633")
MORNING = dt.datetime(2020, 6, 1, 10, tzinfo=dt.UTC)


def scene(folder: Path, name: str, number: int, scl: int, source: str = "s2") -> Scene:
    """A scene of one number and one class all over; 0 is no data."""
    band = write(folder / f"{name}.tif", pixels=np.full((1, 32, 32), number, np.uint16))
    mask = write(folder / f"{name}_scl.tif", pixels=np.full((1, 32, 32), scl, np.uint16))
    return Scene(
        id=name,
        source=source,
        sensor="sentinel-2-l2a",
        quantity="reflectance",
        time=MORNING,
        bands={"red": BandFile(href=str(band), scale=1e-4, nodata=0)},
        quality=QualityFile(href=str(mask), rule="scl"),
        platform=source,
    )


def test_a_pixel_is_masked_by_the_granule_it_is_taken_from(tmp_path: Path) -> None:
    """The first granule calls it clear and has no band there: the second one's pixel is cloud."""
    group = passes([scene(tmp_path, "a", 0, scl=4), scene(tmp_path, "b", 9000, scl=9)])
    with TileReader() as reader:
        cube = masked(group, GRID, whole=GRID, bands=("red",), mask=Mask(), reader=reader)
    assert np.isnan(cube["reflectance"].values).all()
    assert (cube["quality"].values == QUALITY["cloud"]).all()


def test_damage_in_the_halo_of_the_mask_is_counted(tmp_path: Path) -> None:
    """Its quality file is damaged beside the tile: the scene is left out, and not in silence."""
    look = scene(tmp_path, "a", 1000, scl=4)
    assert look.quality is not None
    file = Path(look.quality.href)
    write(file, Tiff(block=16), np.random.default_rng(0).integers(0, 12, (1, 32, 32)).astype("uint16"))
    content = file.read_bytes()
    with rasterio.open(file) as data:
        start = int(data.get_tag_item("BLOCK_OFFSET_1_0", "TIFF", 1))
    file.write_bytes(content[:start] + bytes(40) + content[start + 40 :])
    with TileReader(held_bytes=0) as reader:
        mask, tile = Mask(grow_m={"cloud": 60}), GRID[:16, :16]
        cube = masked(
            passes([look]), tile, whole=GRID, bands=("red",), mask=mask, reader=reader, on_error="skip"
        )
    assert [(error["item"], error["where"]) for error in cube.attrs["read_errors"]] == [("a", str(file))]
    assert np.isnan(cube["reflectance"].values).all()


@given(
    classes=arrays(np.uint16, (12, 12), elements=st.sampled_from([0, 3, 4, 6, 9])),
    pixels=arrays(np.uint16, (2, 12, 12), elements=st.sampled_from([0, 0, 1500, 2500])),
    rows=st.tuples(st.integers(0, 5), st.integers(6, 12)),
    cols=st.tuples(st.integers(0, 5), st.integers(6, 12)),
)
@settings(max_examples=25, deadline=None)
def test_any_tile_is_masked_as_the_whole_place_in_memory(
    classes: Any, pixels: Any, rows: tuple[int, int], cols: tuple[int, int]
) -> None:
    """Wherever bands are missing: growth starts from the quality layer alone."""
    grid = GeoBox((12, 12), GRID.affine, GRID.crs)
    with tempfile.TemporaryDirectory() as folder:
        for name, layer in (("red", pixels[0]), ("nir", pixels[1]), ("scl", classes)):
            write(Path(folder) / f"a_20200601_{name}.tif", Tiff(size=12), layer[None])
        items = landshift.adopt(
            Folder(path=folder, bands=("red", "nir"), scale=1e-4, nodata=0, mask="*_scl.tif", mask_rule="scl")
        )
        mask, group = (
            Mask(grow_m={"cloud": 20, "shadow": 10}, open_m=0),
            passes(scene_from_item(item, source="folder") for item in items),
        )
        loaded = landshift.load(items, grid, bands=("red", "nir"))
        with TileReader() as reader:
            part = grid[slice(*rows), slice(*cols)]
            cut = masked(group, part, whole=grid, bands=("red", "nir"), mask=mask, reader=reader)
    whole = mask(loaded)[{"y": slice(*rows), "x": slice(*cols)}]
    np.testing.assert_array_equal(cut["quality"].values, whole["quality"].values)
    np.testing.assert_array_equal(cut["reflectance"].values, whole["reflectance"].values)


def test_dates_of_one_moment_lie_in_the_order_of_their_scenes(tmp_path: Path) -> None:
    second, first = (
        passes([scene(tmp_path, name, number, scl=4, source=name)])
        for name, number in (("b", 2000), ("a", 1000))
    )
    job = Job(
        name="seen",
        key="",
        step=Observed(),
        sources=("b", "a"),
        bands=("red",),
        variable="reflectance",
        indices=(),
        dates=2,
        store=tmp_path,
    )
    cubes = [read(group, GRID, bands=["red"]) for group in (second, first)]
    merged = _merge(cubes, job)
    assert merged["item_ids"].values.tolist() == ["a", "b"]
    assert merged["reflectance"].values[:, 0, 0, 0] == pytest.approx([0.1, 0.2])


def test_strips_in_any_order_make_the_block_and_leave_coordinates_of_pixels_out() -> None:
    block = Block(row=0, col=1, y=(512, 530), x=(1024, 1030))
    truth = np.arange(2 * 18 * 6, dtype=np.int16).reshape(2, 1, 18, 6)
    whole = Whole(block, Recycler(idle_bytes=0))
    for strip in reversed(strips_of(block, pixels=7 * 6)):
        rows = slice(strip.y[0] - 512, strip.y[1] - 512)
        part = xr.Dataset(
            {"reflectance": (("time", "band", "y", "x"), truth[:, :, rows])},
            coords={"band": ["red"], "y": np.arange(*strip.y)},
        )
        whole.put(strip, part)
    assert np.array_equal(whole.cube["reflectance"].values, truth)
    assert list(whole.cube.coords) == ["band"]


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (dt.date(2020, 6, 15), "2020-06-15"),
        (dt.datetime(2020, 6, 15), "2020-06-14"),  # noqa: DTZ001 - as TOML's local date-time
        (dt.datetime(2020, 6, 15, 12), "2020-06-15"),  # noqa: DTZ001
    ],
)
def test_virtual_dates_go_on_to_the_last_day_with_looks(end: dt.date, last: str) -> None:
    recipe = Recipe.of(
        {
            "time": {"start": dt.date(2020, 6, 1), "end": end},
            "source": [{"from": "folder", "path": "scenes"}],
            "product": [{"kind": "interpolate", "every": "1D"}],
        }
    )
    step = Build(cast("Context", SimpleNamespace(recipe=recipe))).timed(recipe.products[0])
    assert str(step.times(np.array([], "M8[ns]"))[-1])[:10] == last
