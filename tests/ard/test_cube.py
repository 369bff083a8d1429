"""What steps ask of a cube."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from landshift.ard import Composite, Interpolate, Mask
from landshift.ard import __all__ as exported
from landshift.ard._cube import cube_variables, in_order
from landshift.errors import ConfigError, GridError
from landshift.place import pixel_m
from landshift.testing import cube_on

_GRID = GeoBox.from_bbox((0, 0, 30, 20), "EPSG:3035", resolution=10)
_LOOKS = np.array(["2020-01-01"], "M8[ns]")


@pytest.mark.parametrize("variable", ["reflectance", "backscatter", "index"])
def test_the_variables_that_hold_pixels_are_found(variable: str) -> None:
    assert cube_variables(cube_on(_GRID, _LOOKS, variable=variable)) == (variable,)


def test_lazy_cubes_are_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="dask-backed") as error:
        cube_variables(cube_on(_GRID, _LOOKS).chunk())
    assert "run" in str(error.value.hint)


def test_a_variable_alone_is_no_cube() -> None:
    cube = cube_on(_GRID, _LOOKS)
    for step in (Mask(), Interpolate(), Composite()):
        with pytest.raises(ConfigError, match=r"takes a cube(.|\n)*DataArray(.|\n)*quality"):
            step(cast("xr.Dataset", cube["reflectance"]))


def test_pixels_of_feet_are_measured_in_metres() -> None:
    height, width = pixel_m(GeoBox((2, 3), Affine(30, 0, 1e6, 0, -60, 2e5), "EPSG:2263"))
    assert height == pytest.approx(60 * 1200 / 3937)
    assert width.tolist() == pytest.approx([30 * 1200 / 3937] * 2)


def test_a_grid_without_crs_has_no_metres() -> None:
    with pytest.raises(GridError, match="no CRS"):
        pixel_m(GeoBox((2, 3), Affine(30, 0, 0, 0, -30, 0), None))


def test_turning_back_the_dimensions_copies_nothing() -> None:
    cube = cube_on(_GRID, _LOOKS)
    turned = in_order(cube.transpose("x", "y", "band", "time"))
    assert turned["reflectance"].dims == ("time", "band", "y", "x")
    assert np.shares_memory(turned["reflectance"].values, cube["reflectance"].values)


@pytest.mark.parametrize("name", exported)
def test_every_exported_name_is_there(name: str) -> None:
    import landshift.ard

    assert callable(getattr(landshift.ard, name))


def test_other_names_are_not() -> None:
    import landshift.ard

    with pytest.raises(AttributeError, match="Interpolat"):
        _ = landshift.ard.Interpolat
