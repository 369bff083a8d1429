"""Indices against values worked out by hand, and the table against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox

from landshift.ard.indices import Indices, index, known
from landshift.errors import ConfigError
from landshift.testing import cube_on

_GRID = GeoBox.from_bbox((0, 0, 30, 20), "EPSG:3035", resolution=10)
_LOOKS = np.array(["2020-01-01"], "M8[ns]")
_GRASS = {
    "blue": 0.04,
    "green": 0.08,
    "red": 0.05,
    "rededge071": 0.12,
    "rededge075": 0.30,
    "rededge078": 0.38,
    "nir": 0.40,
    "nir08": 0.42,
    "swir16": 0.20,
    "swir22": 0.10,
    "vv": -10.0,
    "vh": -17.0,
}
_BY_HAND = {
    "ndvi": 0.35 / 0.45,
    "gndvi": 0.32 / 0.48,
    "evi": 2.5 * 0.35 / (0.40 + 0.30 - 0.30 + 1),
    "evi2": 2.5 * 0.35 / (0.40 + 0.12 + 1),
    "savi": 1.5 * 0.35 / 0.95,
    "osavi": 0.35 / 0.61,
    "msavi": (1.8 - math.sqrt(1.8**2 - 2.8)) / 2,
    "arvi": (0.40 - 0.06) / (0.40 + 0.06),
    "kndvi": math.tanh((0.35 / 0.45) ** 2),
    "nirv": 0.40 * 0.35 / 0.45,
    "ndre": 0.28 / 0.52,
    "cire": 0.38 / 0.12 - 1,
    "mcari": (0.07 - 0.2 * 0.04) * 0.12 / 0.05,
    "ireci": 0.33 * 0.30 / 0.12,
    "s2rep": 0.705 + 0.035 * (0.215 - 0.12) / 0.18,
    "psri": 0.01 / 0.30,
    "ndwi": -0.32 / 0.48,
    "mndwi": -0.12 / 0.28,
    "awei_nsh": 4 * -0.12 - (0.10 + 0.275),
    "awei_sh": 0.04 + 0.20 - 1.5 * 0.60 - 0.025,
    "wi2015": 1.7204 + 13.68 + 0.15 - 28 - 9 - 7.1,
    "ndmi": 0.20 / 0.60,
    "msi": 0.5,
    "tcw": 0.006044 + 0.015784 + 0.016415 + 0.13628 - 0.14234 - 0.04559,
    "nbr": 0.30 / 0.50,
    "nbr2": 0.10 / 0.30,
    "bais2": (1 - math.sqrt(0.30 * 0.38 * 0.42 / 0.05)) * ((0.10 - 0.42) / math.sqrt(0.52) + 1),
    "ndbi": -0.20 / 0.60,
    "ui": -0.30 / 0.50,
    "ibi": (2 / 3 - (0.40 / 0.45 + 0.08 / 0.28)) / (2 / 3 + (0.40 / 0.45 + 0.08 / 0.28)),
    "bui": -0.20 / 0.60 - 0.35 / 0.45,
    "bsi": (0.25 - 0.44) / (0.25 + 0.44),
    "ndti": 0.10 / 0.30,
    "ndsi": -0.12 / 0.28,
    "ndci": 0.07 / 0.17,
    "turbidity": -0.03 / 0.13,
    "fai": 0.42 - (0.05 + 0.15 * 0.200 / 0.945),
    "cr": -7.0,
    "rvi": 4 * 10**-1.7 / (10**-1.0 + 10**-1.7),
}


def _cube(**layers: float) -> xr.Dataset:
    cube = cube_on(_GRID, _LOOKS, names=tuple(layers))
    cube["reflectance"].values[:] = np.array(list(layers.values()), np.float32)[None, :, None, None]
    return cube


@pytest.mark.parametrize("name", sorted(known()))
def test_every_index_has_its_value_by_hand(name: str) -> None:
    made = index(_cube(**_GRASS), name)["index"]
    assert made.dims == ("time", "index_name", "y", "x")
    assert made.dtype == np.float32
    np.testing.assert_allclose(made.values, _BY_HAND[name], rtol=3e-5)


@pytest.mark.parametrize("name", sorted(known()))
def test_every_index_is_well_described(name: str) -> None:
    entry = known()[name]
    assert entry.name == name == name.lower()
    assert entry.title
    assert "." not in entry.title[-1]
    assert any(part.isdigit() and len(part) == 4 for part in entry.reference.replace(",", " ").split()) or (
        entry.reference.startswith("USGS")
    )
    low, high = entry.range
    assert low <= _BY_HAND[name] <= high
    assert set(entry.bands) <= set(_GRASS)


def test_there_are_thirty_indices_and_more() -> None:
    assert len(known()) >= 30
    assert set(known()) == set(_BY_HAND)


def test_indices_stand_beside_the_bands_in_the_wanted_order() -> None:
    cube = _cube(red=0.1, nir=0.3, green=0.2)
    made = Indices(names=("ndwi", "NDVI"))(cube)
    assert made["index_name"].values.tolist() == ["ndwi", "ndvi"]
    assert made["reflectance"].identical(cube["reflectance"])
    assert made["index"].sel(index_name="ndvi").values.ravel()[0] == pytest.approx(0.5)
    assert made.odc.geobox == _GRID


def test_further_indices_join_those_there_are() -> None:
    cube = index(_cube(red=0.1, nir=0.3, green=0.2), ["ndvi"])
    cube["index"].values[:] = 7
    made = index(cube, ["ndwi"])
    assert made["index_name"].values.tolist() == ["ndvi", "ndwi"]
    assert (made["index"].values[:, 0] == 7).all()
    again = index(made, ["ndvi"])
    assert again["index_name"].values.tolist() == ["ndwi", "ndvi"]
    assert again["index"].values[0, 1, 0, 0] == pytest.approx(0.5)


def test_the_one_near_infrared_stands_in_for_the_other() -> None:
    assert index(_cube(red=0.1, nir08=0.3), "ndvi")["index"].values.ravel()[0] == pytest.approx(0.5)
    both = index(_cube(red=0.1, nir08=0.9, nir=0.3), "ndvi")
    assert both["index"].values.ravel()[0] == pytest.approx(0.5)


def test_missing_pixels_and_zero_denominators_are_missing() -> None:
    cube = _cube(red=0.0, nir=0.0)
    assert np.isnan(index(cube, "ndvi")["index"].values).all()
    cube["reflectance"].values[:] = 0.2
    cube["reflectance"].values[0, 0, 0, 0] = np.nan
    made = index(cube, "ndvi")["index"].values
    assert np.isnan(made[0, 0, 0, 0])
    assert (made[0, 0].ravel()[1:] == 0).all()


def test_radar_cubes_have_indices_too() -> None:
    cube = cube_on(_GRID, _LOOKS, variable="backscatter")
    values = cube["backscatter"].values
    np.testing.assert_allclose(
        index(cube, "cr")["index"].values[:, 0], values[:, 1] - values[:, 0], rtol=1e-6
    )


def test_an_unknown_index_and_a_missing_band_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ndvi'"):
        Indices(names=("ndvvi",))
    with pytest.raises(ConfigError, match="evi needs the band 'blue'") as error:
        index(_cube(red=0.1, nir=0.3), "evi")
    assert error.value.hint is not None
    assert "bands" in error.value.hint
