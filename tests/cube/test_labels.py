from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from rasterio.warp import Resampling, reproject
from shapely import Point, Polygon, box

from landshift.cube import reclass
from landshift.cube.classes import from_names
from landshift.cube.label_vector import burn
from landshift.cube.labels import Labels, label_classes, read_labels
from landshift.cube.maps import write_map
from landshift.errors import ConfigError, DataQualityWarning, LabelError

GRID = GeoBox.from_bbox((4_000_000, 3_000_000, 4_007_000, 3_006_000), "EPSG:3035", resolution=10)
WEST, SOUTH = 4_000_000, 3_000_000


def parcels(path: Path, rows: list[tuple[Any, ...]], *, crs: str | None = "EPSG:3035", **extra: Any) -> Path:
    frame = gpd.GeoDataFrame(
        {"class": [row[1] for row in rows], **extra}, geometry=[row[0] for row in rows], crs=crs
    )
    frame.to_file(path)
    return path


def pixel_box(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """A box in pixels from the grid's upper left corner."""
    return box(WEST + 10 * x0, 3_006_000 - 10 * y1, WEST + 10 * x1, 3_006_000 - 10 * y0)


def raster(path: Path, values: NDArray[Any], grid: GeoBox, **more: Any) -> Path:
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype.name, "transform": grid.affine, **more}
    with rasterio.open(
        path, "w", height=grid.shape[0], width=grid.shape[1], crs=str(grid.crs), **profile
    ) as target:
        target.write(values, 1)
    return path


def test_polygons_label_the_pixels_whose_centre_they_hold(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for number, name in enumerate(["water", "forest", "built"] * 20):
        x, y = 35 * (number % 20) + 2, 100 * (number // 20) + rng.uniform(0, 60)
        corners = [(x, y), (x + 30, y + rng.uniform(0, 9)), (x + rng.uniform(9, 30), y + 33), (x + 1, y + 20)]
        rows.append((Polygon([(WEST + 10 * a, 3_006_000 - 10 * b) for a, b in corners]), name))
    path = parcels(tmp_path / "p.gpkg", rows)
    record = Labels(path=str(path), year=2020)(GRID, out=tmp_path / "labels.zarr")
    order = {"built": 1, "forest": 2, "water": 3}
    truth = rasterize([(geometry, order[name]) for geometry, name in rows], GRID.shape, transform=GRID.affine)
    found = read_labels(tmp_path / "labels.zarr")
    assert np.array_equal(found.values[0], truth)
    assert str(found.time.values[0])[:10] == "2020-01-01"
    assert [(one.value, one.name) for one in label_classes(tmp_path / "labels.zarr")] == [
        (1, "built"),
        (2, "forest"),
        (3, "water"),
    ]
    assert record["pixels"]["2020"] == {name: int((truth == value).sum()) for name, value in order.items()}
    assert (record["features"], record["conflicts"]) == (60, 0)


def test_a_pixel_of_two_classes_is_left_unlabelled_and_counted(tmp_path: Path) -> None:
    rows = [
        (pixel_box(10, 10, 20, 20), "a"),
        (pixel_box(15, 10, 25, 20), "b"),
        (pixel_box(12, 12, 14, 14), "a"),
    ]
    path = parcels(tmp_path / "p.gpkg", rows)
    with pytest.warns(DataQualityWarning, match="50 pixels are claimed"):
        record = Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
    plane = read_labels(tmp_path / "l.zarr").values[0]
    assert record["conflicts"] == 50
    assert (plane[10:20, 10:15] == 1).all()
    assert (plane[10:20, 15:20] == 0).all()
    assert (plane[10:20, 20:25] == 2).all()


def test_rules_differ_as_they_say() -> None:
    shape = [pixel_box(10.2, 10.2, 12.4, 12.6)]
    centre, touched, majority = (
        burn(shape, GRID, rule=rule) for rule in ("centre", "all_touched", "majority")
    )
    assert np.argwhere(centre).tolist() == [[r, c] for r in (10, 11, 12) for c in (10, 11)]
    assert int(touched.sum()) == 9
    assert np.argwhere(majority).tolist() == [[r, c] for r in (10, 11) for c in (10, 11)] + [[12, 11]]


def test_majority_is_the_mode_of_sub_pixels() -> None:
    small = GRID[:40, :40]
    shape = Polygon([(WEST + 33, 3_005_990), (WEST + 351, 3_005_820), (WEST + 102, 3_005_611)])
    fine = rasterize([shape], small.zoom_out(1 / 8).shape, transform=small.zoom_out(1 / 8).affine)
    coarse = np.zeros(small.shape, np.uint8)
    grids = {"src_transform": small.zoom_out(1 / 8).affine, "dst_transform": small.affine}
    crs = {"src_crs": "EPSG:3035", "dst_crs": "EPSG:3035"}
    reproject(fine, coarse, resampling=Resampling.average, **grids, **crs)
    share = fine.reshape(40, 8, 40, 8).mean(axis=(1, 3))
    assert np.array_equal(burn([shape], small, rule="majority"), share > 0.5)
    sure = abs(share - 0.5) > 0.01
    mode = np.zeros(small.shape, np.uint8)
    reproject(fine, mode, resampling=Resampling.mode, **grids, **crs)
    assert np.array_equal(burn([shape], small, rule="majority")[sure], mode[sure] == 1)


@settings(max_examples=30, deadline=None)
@given(x=st.integers(0, 699), y=st.integers(0, 599))
def test_a_point_labels_the_pixel_it_lies_in(x: int, y: int) -> None:
    found = burn([Point(WEST + 10 * x + 3, 3_006_000 - 10 * y - 7)], GRID, rule="majority")
    assert np.argwhere(found).tolist() == [[y, x]]


def test_blocks_do_not_change_labels(tmp_path: Path) -> None:
    shape = Polygon([(WEST + 3003, 3_005_990), (WEST + 6951, 3_003_820), (WEST + 1102, 3_000_611)])
    whole = burn([shape], GRID, rule="centre")
    path = parcels(tmp_path / "p.gpkg", [(shape, "a")])
    Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
    assert np.array_equal(read_labels(tmp_path / "l.zarr").values[0] == 1, whole)


def test_years_come_from_a_field_of_numbers_dates_or_text(tmp_path: Path) -> None:
    rows = [(pixel_box(10, 10, 20, 20), "a"), (pixel_box(30, 10, 40, 20), "b")]
    for number, years in enumerate(([2018, 2020], ["2018-05-01", "2020"], [2018.0, 2020.0])):
        path = parcels(tmp_path / f"{number}.gpkg", rows, when=years)
        record = Labels(path=str(path), year_field="when")(GRID, out=tmp_path / "l.zarr")
        assert record["pixels"] == {"2018": {"a": 100, "b": 0}, "2020": {"a": 0, "b": 100}}
    found = read_labels(tmp_path / "l.zarr")
    assert found.sel(time="2018").values.max() == 1
    path = parcels(tmp_path / "odd.gpkg", rows, when=["2018", "soon"])
    with pytest.raises(LabelError, match="no year"):
        Labels(path=str(path), year_field="when")(GRID, out=tmp_path / "l.zarr")


def test_a_label_may_hold_for_several_years(tmp_path: Path) -> None:
    rows = [(pixel_box(10, 10, 20, 20), "a"), (pixel_box(30, 10, 40, 20), "b")]
    path = parcels(tmp_path / "p.gpkg", rows, since=[2018, 2020], upto=[2019, 2020])
    step = Labels(path=str(path), year_field="since", until_field="upto")
    pixels = step(GRID, out=tmp_path / "l.zarr")["pixels"]
    assert {year: list(found.values()) for year, found in pixels.items()} == {
        "2018": [100, 0],
        "2019": [100, 0],
        "2020": [0, 100],
    }
    assert len(Labels(path=str(path), year=2018, until=2020)(GRID, out=tmp_path / "l.zarr")["pixels"]) == 3
    with pytest.raises(LabelError, match="end before they begin"):
        Labels(path=str(path), year_field="since", until=2017)(GRID, out=tmp_path / "l.zarr")
    with pytest.raises(ConfigError, match="before"):
        Labels(path=str(path), year=2018, until=2017)(GRID, out=tmp_path / "l.zarr")


def test_values_are_mapped_and_unknown_ones_reported(tmp_path: Path) -> None:
    rows = [(pixel_box(10 * i, 10, 10 * i + 5, 20), value) for i, value in enumerate([11, 20, 21, 99, None])]
    path = parcels(tmp_path / "p.gpkg", rows)
    step = Labels(path=str(path), year=2020, classes={"11": "water", "20": "forest", "21": "forest"})
    with pytest.warns(DataQualityWarning, match=r"\(empty\), 99"):
        record = step(GRID, out=tmp_path / "l.zarr")
    assert record["pixels"]["2020"] == {"water": 50, "forest": 100}
    assert record["unmapped"] == ["(empty)", "99"]


def test_labels_in_another_crs_fall_on_the_same_ground(tmp_path: Path) -> None:
    shape = Polygon([(WEST + 3003, 3_005_990), (WEST + 6951, 3_003_820), (WEST + 1102, 3_000_611)])
    frame = gpd.GeoDataFrame({"class": ["a"]}, geometry=[shape], crs="EPSG:3035").to_crs("EPSG:4326")
    frame.to_file(tmp_path / "p.geojson")
    Labels(path=str(tmp_path / "p.geojson"), year=2020)(GRID, out=tmp_path / "l.zarr")
    found, truth = read_labels(tmp_path / "l.zarr").values[0] == 1, burn([shape], GRID, rule="centre")
    assert (found != truth).sum() < 20  # straight lines in degrees bend a little on the map


def test_a_folder_of_files_is_a_class_per_file(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    folder.mkdir()
    for number, name in enumerate(["cls_forest", "cls_water"]):
        frame = gpd.GeoDataFrame(
            {"id": [1]}, geometry=[pixel_box(20 * number, 0, 20 * number + 10, 10)], crs="EPSG:3035"
        )
        frame.to_file(folder / f"{name}.gpkg")
    step = Labels(path=str(folder), year=2020, classes={"cls_water": "water", "cls_forest": "forest"})
    assert step(GRID, out=tmp_path / "l.zarr")["pixels"]["2020"] == {"water": 100, "forest": 100}
    pattern = Labels(path=str(folder / "cls_*.gpkg"), year=2020)
    assert set(pattern(GRID, out=tmp_path / "l.zarr")["pixels"]["2020"]) == {"cls_forest", "cls_water"}


def test_a_finer_raster_is_reclassified_and_brought_by_mode(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = np.array([62, 82, 83, 162, 73], np.uint8)
    fine = GRID[:60, :50].zoom_out(1 / 4)
    source = codes[rng.integers(0, 5, fine.shape)]
    path = raster(tmp_path / "s2glc.tif", source, fine, nodata=0)
    grid = GRID[:60, :50]
    record = Labels(path=str(path), year=2017, reclass="s2glc-3")(grid, out=tmp_path / "l.zarr")
    final = np.select([source == 62, source == 162], [1, 3], 2)
    counts = np.stack([(final == n).reshape(60, 4, 50, 4).sum(axis=(1, 3)) for n in (1, 2, 3)])
    sure = (counts == counts.max(axis=0)).sum(axis=0) == 1
    found = read_labels(tmp_path / "l.zarr").values[0]
    assert np.array_equal(found[sure], counts.argmax(axis=0)[sure] + 1)
    assert record["resampling"] == "mode"
    assert [one.name for one in label_classes(tmp_path / "l.zarr")] == ["impervious", "green", "other"]


def test_a_raster_on_the_grid_is_copied_and_a_coarser_one_read_nearest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4, GRID.shape, np.uint8)
    path = write_map(tmp_path / "truth.tif", GRID, values, classes=from_names(["water", "forest", "built"]))
    Labels(path=str(path), year=2019)(GRID, out=tmp_path / "l.zarr")
    assert np.array_equal(read_labels(tmp_path / "l.zarr").values[0], values)
    assert [one.name for one in label_classes(tmp_path / "l.zarr")] == ["water", "forest", "built"]
    coarse = GRID.zoom_out(2)
    path = raster(tmp_path / "coarse.tif", values[:300, :350], coarse)
    record = Labels(path=str(path), year=2019)(GRID, out=tmp_path / "l.zarr")
    assert record["resampling"] == "nearest"
    assert np.array_equal(
        read_labels(tmp_path / "l.zarr").values[0], values[:300, :350].repeat(2, 0).repeat(2, 1)
    )


def test_a_raster_in_another_crs_follows_gdal(tmp_path: Path) -> None:
    wide = GRID.to_crs("EPSG:32632")
    values = (np.indices(wide.shape).sum(axis=0) // 40 % 3 + 1).astype(np.uint8)
    path = raster(tmp_path / "utm.tif", values, wide)
    Labels(path=str(path), year=2019)(GRID, out=tmp_path / "l.zarr")
    truth = np.zeros(GRID.shape, np.uint8)
    grids = {"src_transform": wide.affine, "dst_transform": GRID.affine}
    reproject(values, truth, src_crs="EPSG:32632", dst_crs="EPSG:3035", tolerance=0, **grids)
    found = read_labels(tmp_path / "l.zarr").values[0]
    assert (found != truth).mean() < 1e-4  # centres that fall on a pixel's edge may go either way


def test_labels_elsewhere_name_both_extents(tmp_path: Path) -> None:
    far = box(4_200_000, 3_200_000, 4_201_000, 3_201_000)
    vector = parcels(tmp_path / "p.gpkg", [(far, "a")])
    grid = GeoBox.from_bbox(far.bounds, "EPSG:3035", resolution=10)
    picture = raster(tmp_path / "p.tif", np.ones(grid.shape, np.uint8), grid)
    for path in (vector, picture):
        with pytest.raises(LabelError, match="do not overlap") as caught:
            Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
        assert str(caught.value).count(" E, ") == 2


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_what_cannot_be_labels_says_why(tmp_path: Path) -> None:
    good = parcels(tmp_path / "p.gpkg", [(pixel_box(0, 0, 9, 9), "a")])
    bare = parcels(tmp_path / "bare.gpkg", [(pixel_box(0, 0, 9, 9), "a")], crs=None)
    tiny = parcels(tmp_path / "tiny.gpkg", [(pixel_box(5.6, 5.6, 5.7, 5.7), "a")])
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"path": str(tmp_path / "none.gpkg"), "year": 2020}, LabelError, "no labels' file"),
        ({"path": str(bare), "year": 2020}, LabelError, "no coordinate reference system"),
        ({"path": str(tiny), "year": 2020}, LabelError, "no pixel got a label"),
        ({"path": str(good), "year": 2020, "field": "clas"}, LabelError, "no field 'clas'"),
        ({"path": str(good)}, ConfigError, "need a year"),
        ({"path": str(good), "year": 2020, "classes": {"a": "b"}, "reclass": "s2glc"}, ConfigError, "twice"),
        ({"path": str(good), "year": 2020, "reclass": "s2gcl"}, ConfigError, "unknown reclass"),
        ({"path": str(good), "year": 2020, "colours": {"b": "#000000"}}, ConfigError, "unknown class"),
        ({"path": str(tmp_path / "none.tif"), "year": 2020}, LabelError, "cannot be read"),
    ]
    for fields, kind, says in cases:
        with pytest.raises(kind, match=says):
            Labels(**fields)(GRID, out=tmp_path / "l.zarr")


def test_labels_written_by_plain_xarray_are_read_too(tmp_path: Path) -> None:
    array = xr.DataArray(
        np.ones((1, 4, 4), np.uint8),
        dims=("time", "y", "x"),
        name="labels",
        attrs={"classes": [{"value": 1, "name": "a", "colour": "#000000"}]},
    )
    array.to_dataset().to_zarr(tmp_path / "l.zarr", consolidated=False)
    assert label_classes(tmp_path / "l.zarr")[0].name == "a"


def test_every_table_of_ours_loads_and_covers_its_legend() -> None:
    fine, three = reclass.load("s2glc"), reclass.load("s2glc-3")
    assert len(fine.classes) == 13
    assert set(fine.numbers) == set(three.numbers)
    assert fine.number(255) == three.number(0) == 0
    assert three.number(1) is None


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[class]]\nvalue = 2\nname = "lake"\nfrom = [5, "pond"]\n')
    table = reclass.load(str(path))
    assert (table.number(5.0), table.number("pond"), table.number(6)) == (2, 2, None)
    path.write_text('[[class]]\nvalue = 2\nname = "lake"\n')
    with pytest.raises(ConfigError, match="not a reclass table"):
        reclass.load(str(path))


def test_a_class_that_lies_elsewhere_is_named(tmp_path: Path) -> None:
    """One of three files, then two of five features of one file, lie outside the place."""
    folder = tmp_path / "training"
    folder.mkdir()
    here, far = pixel_box(0, 0, 10, 10), box(4_200_000, 3_200_000, 4_201_000, 3_201_000)
    for name, shape in (("forest", here), ("water", pixel_box(20, 0, 30, 10)), ("grass", far)):
        gpd.GeoDataFrame({"id": [1]}, geometry=[shape], crs="EPSG:3035").to_file(folder / f"{name}.gpkg")
    with pytest.warns(DataQualityWarning) as warned:
        record = Labels(path=str(folder), year=2020)(GRID, out=tmp_path / "l.zarr")
    said = [str(one.message) for one in warned if one.category is DataQualityWarning]
    assert said == ["labels: 1 of 3 features lie outside the place; class grass has no pixel here"]
    assert (record["features"], record["outside"], record["missing"]) == (2, 1, ["grass"])
    rows = [(here, "a"), (far, "a"), (far, "b"), (far, "c"), (pixel_box(20, 0, 30, 10), "d")]
    path = parcels(tmp_path / "p.gpkg", rows)
    with pytest.warns(DataQualityWarning, match="3 of 5 features .* classes b, c have no pixel here"):
        Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
    mapped = Labels(path=str(path), year=2020, classes={"a": "lake", "b": "wood", "c": "wood", "d": "lake"})
    with pytest.warns(DataQualityWarning, match="class wood has no pixel here"):
        assert mapped(GRID, out=tmp_path / "l.zarr")["missing"] == ["wood"]


def test_features_elsewhere_of_classes_that_are_here_are_only_counted(tmp_path: Path) -> None:
    far = box(4_200_000, 3_200_000, 4_201_000, 3_201_000)
    path = parcels(tmp_path / "p.gpkg", [(pixel_box(0, 0, 10, 10), "a"), (far, "a")])
    record = Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
    assert (record["features"], record["outside"], record["missing"]) == (1, 1, [])


def test_shapes_that_cross_themselves_are_counted(tmp_path: Path) -> None:
    bow = Polygon([(WEST, SOUTH), (WEST + 400, SOUTH + 400), (WEST + 400, SOUTH), (WEST, SOUTH + 400)])
    path = parcels(tmp_path / "p.gpkg", [(bow, "a"), (pixel_box(0, 0, 10, 10), "a")])
    with pytest.warns(DataQualityWarning, match="1 shape crosses itself"):
        record = Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
    assert record["repaired"] == 1
    assert record["pixels"]["2020"]["a"] > 100 + 40 * 40 / 3


def test_no_label_at_all_is_said_in_words(tmp_path: Path) -> None:
    empty = tmp_path / "empty.gpkg"
    gpd.GeoDataFrame({"class": []}, geometry=[], crs="EPSG:3035").to_file(empty)
    with pytest.raises(LabelError, match="no feature") as caught:
        Labels(path=str(empty), year=2020)(GRID, out=tmp_path / "l.zarr")
    assert "labels.layer" in str(caught.value)
    path = parcels(tmp_path / "null.gpkg", [(pixel_box(0, 0, 10, 10), None)])
    with pytest.raises(LabelError, match="no pixel got a label") as caught:
        Labels(path=str(path), year=2020)(GRID, out=tmp_path / "l.zarr")
    assert "no class for the values (empty)" in str(caught.value)
    assert "{" not in str(caught.value)


@pytest.mark.data
def test_real_polygons_become_the_published_raster(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "s2-cloud-lulc-slovenia"
    with rasterio.open(folder / "lulc_labels.tif") as published:
        truth, grid = published.read(1), GeoBox(published.shape, published.transform, str(published.crs))
    step = Labels(path=str(folder / "lulc_polygons.gpkg"), field="LULC_ID", year=2017)
    step(grid, out=tmp_path / "l.zarr")
    found = read_labels(tmp_path / "l.zarr").values[0]
    labelled = found > 0
    assert labelled.mean() > 0.9
    assert (found[labelled] == truth[labelled]).mean() > 0.99


@pytest.mark.data
def test_real_training_polygons_in_four_files(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "s2-aberystwyth-2021"
    with rasterio.open(folder / "SRTM_aber.tif") as dem:
        grid = GeoBox(dem.shape, dem.transform, str(dem.crs))
    names = {f"cls_{name}_smpls": name for name in ("forest", "grass", "urban", "water")}
    record = Labels(path=str(folder / "training"), year=2021, classes=names)(grid, out=tmp_path / "l.zarr")
    assert record["features"] == 40
    assert all(record["pixels"]["2021"].values())
