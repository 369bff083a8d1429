"""Places across 180 degrees and around the poles: what is asked of catalogues, and which scenes are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from odc.geo.crs import CRS
from odc.geo.geom import Geometry, box, polygon

from landshift.acquire.folder import Folder, adopt
from landshift.acquire.query import Query
from landshift.acquire.source import Stac, search
from landshift.config import Recipe
from landshift.dateline import boxes, cut_at_180, in_degrees
from landshift.pipeline.survey import survey
from loopback_stac import serve
from tiny_rasters import Tiff, write

FIJI = box(700_000, 7_900_000, 900_000, 8_200_000, crs="EPSG:32760")
CHUKOTKA = polygon(
    [(-400_000, -2_500_000), (500_000, -2_500_000), (500_000, -2_000_000), (-400_000, -2_500_000)],
    crs="EPSG:3571",
)
PRAGUE = box(450_000, 5_540_000, 470_000, 5_560_000, crs="EPSG:32633")
POLE = box(-900_000, -700_000, 500_000, 800_000, crs="EPSG:3031")
EDGE = box(0, -2_500_000, 500_000, -2_000_000, crs="EPSG:3571")
HOLED = Geometry(
    shapely.box(700_000, 7_900_000, 900_000, 8_200_000) - shapely.box(800_000, 8_000_000, 850_000, 8_100_000),
    "EPSG:32760",
)


@pytest.mark.parametrize("outline", [FIJI, CHUKOTKA, PRAGUE, POLE, EDGE, HOLED], ids=str)
def test_points_lie_inside_on_the_globe_as_they_do_on_the_map(outline: Geometry) -> None:
    rng = np.random.default_rng(0)
    left, bottom, right, top = outline.boundingbox.bbox
    wide, high = right - left, top - bottom
    x = rng.uniform(left - wide / 2, right + wide / 2, 4000)
    y = rng.uniform(bottom - high / 2, top + high / 2, 4000)
    points = shapely.points(x, y)
    inside = shapely.contains(outline.geom, points)
    sure = shapely.distance(outline.geom.boundary, points) > 0.003 * max(wide, high)
    crs = outline.crs
    assert crs is not None
    lon, lat = crs.transformer_to_crs(CRS("EPSG:4326"))(x, y)
    found = in_degrees(outline)
    assert found.is_valid
    left, _, right, _ = found.bounds
    assert -180 <= left <= right <= 180
    assert (shapely.contains_xy(found, lon, lat) == inside)[sure].all()
    covered = np.zeros(len(x), bool)
    for part in boxes(found):
        covered |= (lon >= part[0]) & (lon <= part[2]) & (lat >= part[1]) & (lat <= part[3])
    assert covered[inside].all()


def test_boxes_are_narrow_on_both_sides() -> None:
    east, west = boxes(in_degrees(FIJI))
    assert (east[2], west[0]) == (180, -180)
    assert 178.5 < east[0] < 179
    assert -180 < west[2] < -179
    split = Geometry(
        shapely.union_all([shapely.box(177, -18, 180, -16), shapely.box(-180, -18, -179, -17)]), 4326
    )
    assert boxes(in_degrees(split)) == ((177, -18, 180, -16), (-180, -18, -179, -17))
    beyond = box(177, -18, 181, -16, crs="EPSG:4326")
    assert boxes(in_degrees(beyond)) == ((177, -18, 180, -16), (-180, -18, -179, -16))
    wide = box(-100, 0, 100, 50, crs="EPSG:4326")
    assert boxes(in_degrees(wide)) == ((-100, 0, 100, 50),)
    assert boxes(in_degrees(POLE))[0][:2] == (-180, -90)
    assert boxes(shapely.Polygon()) == boxes(shapely.GeometryCollection()) == ()


def ring(*corners: tuple[float, float]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def test_footprints_that_jump_or_go_on_beyond_180_are_the_same() -> None:
    jumps = cut_at_180(ring((179, -17), (-179, -17), (-179, -18), (179, -18)))
    beyond = cut_at_180(ring((179, -17), (181, -17), (181, -18), (179, -18)))
    assert jumps.equals(beyond)
    assert list(jumps.bounds) == [-180, -18, 180, -17]
    assert jumps.area == pytest.approx(2)
    globe = ring((-180, 90), (180, 90), (180, -90), (-180, -90))
    assert cut_at_180(globe).area == 360 * 180


def item(name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    xs, ys = zip(*geometry["coordinates"][0], strict=True)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": geometry,
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": {"datetime": "2020-06-01T10:00:00Z", "platform": "sentinel-2a"},
        "links": [],
        "assets": {"red": {"href": f"{name}/B04.tif", "roles": ["data"]}},
    }


ITEMS = [
    item("east", ring((178.8, -17), (179.5, -17), (179.5, -18), (178.8, -18))),
    item("across", ring((179.7, -17), (-179.8, -17), (-179.8, -18), (179.7, -18))),
    item("west", ring((-179.9, -17), (-179.2, -17), (-179.2, -18), (-179.9, -18))),
    item("africa", ring((30, -17), (31, -17), (31, -18), (30, -18))),
]


def test_an_api_is_asked_for_two_narrow_boxes(tmp_path: Path) -> None:
    with serve(tmp_path, page=10) as server:
        for one in ITEMS:
            server.add(one)
        found = search(Stac(url=server.api, collection="sentinel-2-l2a"), Query(outline=FIJI))
        asked = [[float(value) for value in one["bbox"]] for one in server.searches]
    assert asked == [list(part) for part in boxes(in_degrees(FIJI))]
    assert sum(part[2] - part[0] for part in asked) < 3
    assert [scene.id for scene in found.items] == ["across", "east", "west"]
    assert not found.skipped, "a scene that both boxes find is no scene listed twice"


def test_a_static_catalogue_gives_the_scenes_on_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": ITEMS}), encoding="utf-8")
    found = search(Stac(url=str(path)), Query(outline=FIJI))
    assert [scene.id for scene in found.items] == ["across", "east", "west"]
    assert [(scene.id, scene.reason) for scene in found.skipped] == [("africa", "outside the place")]


def test_files_of_both_zones_are_read_into_a_place_across_180_degrees(tmp_path: Path) -> None:
    from landshift.acquire.read import read

    pixels = np.full((1, 64, 64), 1000, np.uint16)
    for date, crs, left in (("20200601", "EPSG:32760", 816_000), ("20200701", "EPSG:32701", 178_000)):
        tiff = Tiff(crs=crs, origin=(left, 8_130_000), pixel=100, names=["red"])
        write(tmp_path / f"scene_{date}.tif", tiff, pixels)
    write(tmp_path / "scene_20200801.tif", Tiff(crs="EPSG:32736", origin=(500_000, 8_130_000), names=["red"]))
    (item, *_) = adopt(Folder(path=str(tmp_path)))
    assert item.bbox is not None
    assert item.bbox[0] > 179
    assert item.bbox[2] < -179
    place = {"bbox": [817_000, 8_125_000, 822_000, 8_129_000], "bbox_crs": "EPSG:32760"}
    values = {
        "place": {**place, "crs": "EPSG:32760", "resolution": 100},
        "source": [{"name": "s2", "from": "folder", "path": str(tmp_path)}],
        "product": [{"name": "seen", "kind": "observed"}],
    }
    found = survey(Recipe.of(values), out=tmp_path / "out")
    assert found.reasons() == {"outside the place": 1}
    cube = read(found.passes["s2"], found.geobox, bands=["red"])
    assert len(cube["time"]) == 2
    assert np.isfinite(cube["reflectance"].values).mean() > 0.8
