"""What every step must do, as one check, and Hypothesis strategies for cubes that try to make it fail.

For those who write a step of their own::

    from hypothesis import given
    from landshift.testing import check_step, cubes

    @given(cube=cubes())
    def test_my_step_is_a_step(cube):
        check_step(MyStep(radius_m=30), cube)

The strategies make small cubes with awkward edges: single pixels and dates, pixels that are not square, degrees and
feet, two looks at one time, nothing but cloud, bands that are missing alone. Needs the package hypothesis.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import pickle
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift._optional import need
from landshift.errors import ConfigError
from landshift.sensor import BAND_DIM, QUALITY
from landshift.step import from_table, json_schema, key, table

need("hypothesis", purpose="landshift.testing")
from hypothesis import strategies as st  # noqa: E402 - after the message for those who lack it

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

__all__ = ["check_step", "check_value", "cube_on", "cubes", "geoboxes", "masks", "times"]

_PLACES: Final = {
    "EPSG:3035": (4_321_000.0, 3_210_000.0, 1.0),
    "EPSG:32737": (500_000.0, 9_120_000.0, 1.0),
    "EPSG:4326": (39.25, 60.5, 1e-5),
    "EPSG:2263": (1_000_000.0, 200_000.0, 3.0),
}
"""Left and top of test grids, and what stands for a metre there."""

_NAMES: Final = {
    "reflectance": ("blue", "red", "nir", "swir16"),
    "backscatter": ("vv", "vh"),
    "index": ("ndvi", "ndwi"),
}
_VARIABLES: Final = tuple(_NAMES)
_FIRST_DAY: Final = np.datetime64("2019-11-28T10:31:07", "ns")


@st.composite
def geoboxes(draw: st.DrawFn, *, max_px: int = 12) -> GeoBox:
    """Grids of 1 to ``max_px`` pixels a side, in metres, feet or degrees, with square pixels or not."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    crs = draw(st.sampled_from(sorted(_PLACES)))
    left, top, metre = _PLACES[crs]
    wide, high = (draw(st.sampled_from([10.0, 20.0, 30.0])) * metre for _ in range(2))
    shape = (draw(st.integers(1, max_px)), draw(st.integers(1, max_px)))
    return GeoBox(shape, Affine(wide, 0, left, 0, -high, top), crs)


@st.composite
def times(draw: st.DrawFn, *, max_size: int = 6) -> NDArray[np.datetime64]:
    """Ascending times of looks, over the turn of a year, sometimes two at once."""
    gaps = draw(st.lists(st.integers(0, 60), min_size=1, max_size=max_size))
    return _FIRST_DAY + np.cumsum(gaps).astype("timedelta64[D]")


@st.composite
def masks(draw: st.DrawFn, *, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Quality codes of a shape: mostly clear, all of one class, or any mixture."""
    classes = draw(st.lists(st.sampled_from(sorted(QUALITY.values())), min_size=1, max_size=6))
    seed = draw(st.integers(0, 2**16))
    return np.random.default_rng(seed).choice(np.array(classes, np.uint8), size=shape)


@st.composite
def cubes(draw: st.DrawFn, *, variables: Sequence[str] = _VARIABLES, max_px: int = 12) -> xr.Dataset:
    """Cubes of one variable with ``quality``, with single bands, whole looks and everything missing."""
    variable = draw(st.sampled_from(list(variables)))
    cube = cube_on(
        draw(geoboxes(max_px=max_px)),
        draw(times()),
        variable=variable,
        missing=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        seed=draw(st.integers(0, 2**16)),
    )
    cube["quality"] = (("time", "y", "x"), draw(masks(shape=cube["quality"].shape)))
    return cube


def cube_on(
    geobox: GeoBox,
    looks: NDArray[np.datetime64],
    *,
    variable: str = "reflectance",
    names: Sequence[str] | None = None,
    missing: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """A cube of random pixels, all of them clear.

    Args:
        geobox: Its grid.
        looks: Its times.
        variable: ``reflectance``, ``backscatter`` or ``index``.
        names: Names of its bands.
        missing: Share of looks that lack all bands; a quarter as many lack one.
        seed: Seed of the pixels.

    >>> from odc.geo.geobox import GeoBox
    >>> grid = GeoBox.from_bbox((0, 0, 30, 20), "EPSG:3035", resolution=10)
    >>> dict(cube_on(grid, np.array(["2020-01-01"], "M8[ns]")).sizes)
    {'time': 1, 'band': 4, 'y': 2, 'x': 3}
    """
    import xarray as xr
    from odc.geo.xr import xr_coords

    rng = np.random.default_rng(seed)
    listed = tuple(names or _NAMES[variable])
    shape = (len(looks), len(listed), *geobox.shape)
    low, high = {"reflectance": (0.0, 0.6), "backscatter": (-30.0, 5.0), "index": (-1.0, 1.0)}[variable]
    values = rng.uniform(low, high, shape).astype(np.float32)
    values[np.broadcast_to(rng.random((shape[0], 1, *shape[2:])) < missing, shape)] = np.nan
    values[rng.random(shape) < missing / 4 / shape[1]] = np.nan
    quality = np.full((shape[0], *shape[2:]), QUALITY["clear"], np.uint8)
    dim = BAND_DIM[variable]
    return xr.Dataset(
        {
            variable: (("time", dim, "y", "x"), values, {"long_name": variable}),
            "quality": (("time", "y", "x"), quality, {"long_name": "quality class"}),
        },
        coords={
            "time": ("time", looks.astype("datetime64[ns]")),
            dim: (dim, np.array(listed, object)),
            "platform": ("time", np.array(["test"] * len(looks), object)),
            **xr_coords(geobox),
        },
        attrs={"title": "test cube"},
    )


def check_step(step: Any, cube: xr.Dataset) -> None:
    """Check all that the engine and the recipe rely on in a step that takes a cube.

    The step is a value (pickles, prints as code, comes back from its table, has a stable key); it leaves its input alone,
    gives the same twice, keeps the grid and the time axis or gives the one it announced; it invents no data, gives no
    infinity, takes any order of dimensions, refuses dask; and any cut into blocks, with the halo it declares, gives the
    pixels of the whole.

    Args:
        step: A step of kind ``ard`` or ``product``.
        cube: A cube that it can work on.

    Raises:
        AssertionError: It does not, and the message says in what.
    """
    check_value(step)
    before = cube.copy(deep=True)
    made = step(cube)
    _expect(cube.identical(before), step, "changed its input")
    _expect(made.identical(step(cube)), step, "gave another result the second time")
    _check_axes(step, cube, made)
    _check_pixels(step, cube, made)
    turned = cube.transpose("x", "y", ..., "time")
    _expect(_same(made, step(turned)), step, "depends on the order of the dimensions")
    _check_dask(step, cube)
    for rows, cols in _cuts(cube):
        _expect(
            _same(made.isel(y=rows, x=cols), _block(step, cube, rows, cols)), step, "depends on the block"
        )


def check_value(step: Any) -> None:
    """Check that a step is a value: frozen, hashable, and the same after every way of writing it down.

    Args:
        step: Any step.

    Raises:
        AssertionError: It is not.
    """
    cls = type(step)
    _expect(pickle.loads(pickle.dumps(step)) == step, step, "does not pickle")  # noqa: S301 - our own bytes
    scope = {cls.__name__: cls, "datetime": dt}
    _expect(eval(repr(step), scope) == step, step, "does not print as code")  # noqa: S307 - our own text
    written = {name: value for name, value in table(step).items() if value is not None}
    again = from_table(cls, written, where="test")
    _expect(again == step and key(again) == key(step), step, "does not come back from its table")
    _expect(hash(again) == hash(step), step, "hashes differently when equal")
    _expect(set(json_schema(cls)["properties"]) == set(table(step)), step, "has a schema with other fields")
    try:
        from_table(cls, {"no_such_setting": 1}, where="test")
    except ConfigError:
        return
    raise AssertionError(f"{step!r} takes a setting that it does not know")


def _check_axes(step: Any, cube: xr.Dataset, made: xr.Dataset) -> None:
    """Grid and names are kept, and the times are the cube's or those announced."""
    import odc.geo.xr  # noqa: F401 - registers the accessor

    _expect(made.odc.geobox == cube.odc.geobox, step, "moved the grid")
    wanted = step.times(cube["time"].values) if hasattr(step, "times") else cube["time"].values
    _expect(np.array_equal(made["time"].values, wanted), step, "has other times than it announced")
    _expect(made.attrs == cube.attrs, step, "lost the attributes of the cube")
    for name in BAND_DIM:
        if name in cube and name in made:
            dim = BAND_DIM[name]
            _expect(made[name].dims == ("time", dim, "y", "x"), step, f"turned the dimensions of {name}")
            kept = [label for label in made[dim].values.tolist() if label in cube[dim].values]
            _expect(kept == cube[dim].values.tolist(), step, f"lost layers of {name}")


def _check_pixels(step: Any, cube: xr.Dataset, made: xr.Dataset) -> None:
    """Types are ours, nothing is infinite, and nothing comes of nothing."""
    types = {**dict.fromkeys(BAND_DIM, "float32"), "quality": "uint8", "n_clear": "uint16", "age": "int16"}
    for name, array in made.data_vars.items():
        _expect(array.dtype == types.get(str(name), array.dtype), step, f"gave {name} as {array.dtype}")
    pixels = [name for name in BAND_DIM if name in cube]
    for name in (name for name in BAND_DIM if name in made):
        _expect(not np.isinf(made[name].values).any(), step, f"gave infinite numbers in {name}")
    empty = step(cube.assign({name: cube[name] * np.float32(np.nan) for name in pixels}))
    for name in (name for name in BAND_DIM if name in empty):
        _expect(bool(np.isnan(empty[name].values).all()), step, f"made {name} out of nothing")


def _check_dask(step: Any, cube: xr.Dataset) -> None:
    try:
        step(cube.chunk())
    except ConfigError as error:
        _expect("dask" in str(error), step, f"refuses dask with another message: {error}")
        return
    raise AssertionError(f"{step!r} takes a dask-backed cube")


def _cuts(cube: xr.Dataset) -> Iterator[tuple[slice, slice]]:
    """Four uneven blocks; fewer where the cube has a single row or column."""
    high, wide = cube.sizes["y"], cube.sizes["x"]
    middle, centre = -(-high // 3), -(-2 * wide // 3)
    for rows in (slice(0, middle), slice(middle, high)):
        for cols in (slice(0, centre), slice(centre, wide)):
            if rows.start < rows.stop and cols.start < cols.stop:
                yield rows, cols


def _block(step: Any, cube: xr.Dataset, rows: slice, cols: slice) -> xr.Dataset:
    """The step on one block with its halo, cut back to the block."""
    down, across = _halo_px(step, cube)
    y = slice(max(0, rows.start - down), rows.stop + down)
    x = slice(max(0, cols.start - across), cols.stop + across)
    made: xr.Dataset = step(cube.isel(y=y, x=x))
    inner = (
        slice(rows.start - y.start, rows.stop - y.start),
        slice(cols.start - x.start, cols.stop - x.start),
    )
    return made.isel(y=inner[0], x=inner[1])


def _halo_px(step: Any, cube: xr.Dataset) -> tuple[int, int]:
    """The declared halo in rows and columns."""
    if hasattr(step, "halo_px"):
        down, across = step.halo_px(cube.odc.geobox)
        return int(down), int(across)
    metres = max(getattr(step, "halo_m", {}).values(), default=0.0)
    size = cube.odc.geobox.resolution
    return math.ceil(metres / abs(size.y)), math.ceil(metres / abs(size.x))


def _same(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Equal arrays in equal order, NaN equal to NaN; coordinates of the grid within float rounding."""
    if list(one.data_vars) != list(other.data_vars):
        return False
    return all(
        array.dims == other[name].dims
        and array.dtype == other[name].dtype
        and np.array_equal(array.values, other[name].values, equal_nan=array.dtype.kind == "f")
        for name, array in one.data_vars.items()
    )


def _expect(holds: bool, step: Any, fault: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        name = type(step).__name__
        values = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
        raise AssertionError(f"{name} {fault}; its settings are {values}")
