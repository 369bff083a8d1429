"""Items to a cube in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

import landshift
from landshift.errors import NoScenesError
from tiny_rasters import Tiff, write


def test_a_grid_beside_all_scenes_says_where_both_lie(tmp_path: Path) -> None:
    write(tmp_path / "scene_20200110.tif", Tiff(bands=1, names=("red",)))
    items = landshift.adopt(tmp_path)
    on = GeoBox.from_bbox((500_000, 5_599_700, 500_300, 5_600_000), "EPSG:32633", resolution=10)
    assert np.isfinite(landshift.load(items, on, bands=["red"])["reflectance"]).any()
    beside = GeoBox.from_bbox((600_000, 5_599_700, 600_300, 5_600_000), "EPSG:32633", resolution=10)
    with pytest.raises(NoScenesError) as caught:
        landshift.load(items, beside, bands=["red"])
    said = str(caught.value)
    assert "1 scene" in said
    assert "15.00" in said
    assert "16.4" in said
