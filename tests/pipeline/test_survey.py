"""What the survey finds names what is built: other masks and other outlines are other cubes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from shapely.geometry import Polygon, box

from landshift.config import Recipe
from landshift.errors import StoreError
from landshift.pipeline.output import Output
from landshift.pipeline.survey import Survey, _crop, survey
from tiny_rasters import write

GRID: dict[str, Any] = {"crs": "EPSG:32633", "resolution": 10}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write(folder / "a_20200601.tif")
    write(folder / "a_20200601_mask.tif", pixels=np.ones((1, 32, 32), np.uint16))
    return folder


def look(scenes: Path, *, place: dict[str, Any] | None = None, **source: Any) -> Survey:
    tables = {
        "place": place or {},
        "source": [
            {"name": "a", "from": "folder", "path": str(scenes), "bands": ["red"], "mask": "*_mask.tif"}
            | source
        ],
        "product": [{"kind": "observed"}],
    }
    return survey(Recipe.of(tables), out=scenes / "out")


def test_another_reading_of_the_mask_is_another_key(scenes: Path) -> None:
    keys = {look(scenes, mask_rule=rule).fingerprint("a") for rule in ("mask", "valid")}
    assert len(keys) == 2


def test_another_outline_on_the_same_grid_is_another_place(scenes: Path, tmp_path: Path) -> None:
    left, bottom, right, top = look(scenes).geobox.boundingbox.bbox
    whole = box(left, bottom, right, top)
    corner = Polygon([(left, bottom), (right, bottom), (left, top)])
    found = []
    for number, shape in enumerate((whole, corner)):
        file = tmp_path / f"{number}.gpkg"
        geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:32633").to_file(file)
        found.append(look(scenes, place={**GRID, "geometry": str(file)}))
    assert found[0].geobox == found[1].geobox
    Output(path=tmp_path / "out").prepare(found[0].place)
    Output(path=tmp_path / "out").prepare(found[0].place)
    for other in (
        found[1],
        look(scenes, place={**GRID, "bbox": [left, bottom, right, top], "bbox_crs": "EPSG:32633"}),
    ):
        with pytest.raises(StoreError, match="its outline differs"):
            Output(path=tmp_path / "out").prepare(other.place)


def test_a_trial_is_as_wide_as_high_on_a_grid_of_degrees() -> None:
    grid = GeoBox.from_bbox((14, 60, 14.5, 60.5), "EPSG:4326", resolution=0.0001)
    rows, cols = _crop(grid, 5000).shape
    assert rows == pytest.approx(5000 / 11.132, abs=6)
    assert cols == pytest.approx(5000 / (11.132 * np.cos(np.radians(60.25))), abs=6)
