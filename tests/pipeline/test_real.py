"""The examples on real satellite data, to the end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import landshift
from landshift.config import Recipe
from landshift.cube.check import check
from landshift.cube.maps import read_classes, read_map
from landshift.cube.tables import read_table
from landshift.errors import NoScenesError
from landshift.pipeline.run import RunResult, run
from small_runs import Heard

pytestmark = pytest.mark.data

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BANDS = ["blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "swir16", "swir22"]
Example = Callable[..., RunResult]


@pytest.fixture
def example(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Example:
    """``example("rufiji", "mask.grow_m.cloud=0")`` runs an example, with settings laid over it, to the end."""
    monkeypatch.setenv("LANDSHIFT_DATA", str(shared_data))

    def work(name: str, *overrides: str) -> RunResult:
        recipe = Recipe.load(EXAMPLES / f"{name}.toml", [f"cache.dir={tmp_path / 'cache'}", *overrides])
        return run(recipe, tmp_path / "out", watch=Heard())

    return work


def table(result: RunResult, name: str) -> Any:
    return read_table(result.out / "tables" / f"{name}.parquet").frame


def counts(result: RunResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result.out / "run.json").read_text())["counts"]
    return found


def whole(result: RunResult, *, but: str = "no value") -> None:
    """Cubes are sound (dates without any value aside), and a report is there."""
    problems = [str(one) for store in (result.out / "cubes").glob("*.zarr") for one in check(store)]
    assert [problem for problem in problems if but not in problem] == []
    assert (result.out / "report.html").stat().st_size > 10_000


def test_rufiji_becomes_virtual_dates_and_yearly_geomedians(example: Example) -> None:
    result = example("rufiji")
    whole(result)
    regular = landshift.open(result.out / "cubes" / "regular.zarr")
    yearly = landshift.open(result.out / "cubes" / "yearly.zarr")
    assert counts(result)["survey"]["scenes"] == 21
    assert list(regular["band"].values) == list(yearly["band"].values) == BANDS
    steps = np.diff(regular["time"].values.astype("datetime64[D]")).astype(int)
    assert set(steps) == {10}
    assert str(regular["time"].values[0])[:10] == "2016-03-12"
    assert list(yearly["time"].dt.year.values) == [2016, 2017, 2018, 2019, 2020]
    values = yearly["reflectance"].sel(band="nir").values
    assert 0.1 < np.nanmedian(values) < 0.5
    ndvi = yearly["index"].sel(index_name="ndvi").values if "index_name" in yearly.dims else None
    assert ndvi is None or 0.2 < np.nanmedian(ndvi) < 0.95
    assert regular.odc.geobox.resolution.x == 20
    frame = table(result, "holdout")
    assert set(frame["band"]) == set(BANDS)
    assert np.isfinite(frame[["rmse", "mae"]].to_numpy()).all()
    rmse = frame.groupby("method")["rmse"].mean()
    assert rmse["interpolate"] < rmse["nearest"]
    assert rmse["interpolate"] < 0.06
    assert {file.stem for file in (result.out / "figures").glob("preview_*.png")} == {
        "preview_regular",
        "preview_regular_ndvi",
        "preview_yearly",
        "preview_yearly_ndvi",
    }


def test_aberystwyth_becomes_a_class_map_and_areas_by_polygon(example: Example, shared_data: Path) -> None:
    import geopandas

    result = example("aberystwyth", "train.compare=[]", "train.forest.trees=40")
    whole(result)
    assert counts(result)["survey"]["scenes"] == 16
    assert counts(result)["survey"]["dates"]["s2"] == 1
    path = result.out / "maps" / "2021.tif"
    assert [one.name for one in read_classes(path)] == ["forest", "grass", "urban", "water"]
    mapped = read_map(path)
    assert set(np.unique(mapped)) <= {0, 1, 2, 3, 4}
    accuracy = table(result, "accuracy")
    forest = accuracy[(accuracy["model"] == "forest") & (accuracy["class"] == "all")].iloc[0]
    assert forest["overall_accuracy"] > 0.7
    zones = geopandas.read_file(
        shared_data / "s2-aberystwyth-2021" / "zonal" / "sen2_20210527_aber_polygons.geojson"
    )
    cube = landshift.open(result.out / "cubes" / "mosaic.zarr")
    areas = zones.to_crs(str(cube.odc.geobox.crs)).area.to_numpy() / 1e4
    summed = table(result, "zonal").groupby("zone")["area_ha"].sum()
    assert len(summed) == len(zones)
    np.testing.assert_allclose(np.sort(summed.to_numpy()), np.sort(areas), rtol=0.02)


def test_sahara_brings_three_resolutions_onto_one_grid(example: Example) -> None:
    result = example("sahara")
    whole(result)
    cube = landshift.open(result.out / "cubes" / "scene.zarr")
    assert [str(stamp)[:10] for stamp in cube["time"].values] == ["2020-02-19"]
    assert list(cube["band"].values) == ["blue", "green", "red", "rededge071", "nir", "swir16"]
    red, nir = (cube["reflectance"].sel(band=band).values for band in ("red", "nir"))
    assert np.isfinite(red).mean() > 0.3
    assert 0.05 < np.nanmedian(red) < np.nanmedian(nir) < 0.7, "sand: neither doubled nor missing offsets"


def test_greenland_keeps_the_scene_of_the_place_and_tells_of_the_other(example: Example) -> None:
    result = example("greenland")
    whole(result)
    said = counts(result)["survey"]
    assert said["scenes"] == 1
    assert sum(said["skipped"].values()) >= 1
    cube = landshift.open(result.out / "cubes" / "scene.zarr")
    values = cube["reflectance"].values
    assert np.isfinite(values).any()
    assert -0.2 < np.nanmin(values) < np.nanmax(values) < 1.7


def test_a_place_under_cloud_alone_is_said_to_have_no_clear_look(shared_data: Path, tmp_path: Path) -> None:
    from landshift.acquire.folder import Folder, adopt

    items = adopt(Folder(path=str(shared_data / "landsat-c2l2-scenes")))
    cloudy = max(items, key=lambda item: float(item.properties.get("eo:cloud_cover", 0)))
    path = Path(next(iter(cloudy.assets.values())).href).parent
    source = {"name": "landsat", "from": "folder", "path": str(path), "bands": ["red", "nir08"]}
    recipe = Recipe.of({"source": [source], "product": [{"name": "scene", "kind": "observed"}]})
    with pytest.raises(NoScenesError, match="no clear look"):
        run(recipe, tmp_path / "out")


def test_a_static_catalogue_is_read_where_it_lies(example: Example) -> None:
    result = example("static-catalogue")
    whole(result)
    cube = landshift.open(result.out / "cubes" / "regular.zarr")
    assert list(cube["band"].values) == ["blue", "green", "red"]
    assert np.isfinite(cube["reflectance"].values).any()


def test_slovenia_learns_land_use_from_an_index(example: Example) -> None:
    result = example("slovenia", "train.forest.trees=20")
    whole(result)
    assert counts(result)["survey"]["dates"]["s2"] == 68
    cube = landshift.open(result.out / "cubes" / "regular.zarr")
    assert "index" in cube
    assert -1 <= np.nanmin(cube["index"].values) <= np.nanmax(cube["index"].values) <= 1
    mapped = read_map(result.out / "maps" / "2016.tif")
    assert mapped.any()
    accuracy = table(result, "accuracy")
    scores = accuracy[accuracy["class"] == "all"].set_index("model")["iou"]
    assert math.isfinite(scores["forest"])
    assert scores["forest"] > scores["majority class"]
