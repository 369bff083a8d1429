"""The catalogue of the outputs is valid STAC, leads to every file, and is the same bytes wherever it lies.

The core schemas of STAC 1.1 come with pystac. Those of the extensions are only on the network, so what their
specifications ask for is checked field by field.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr
from jsonschema import Draft7Validator
from odc.geo.geobox import GeoBox
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry
from referencing.jsonschema import DRAFT7

from landshift.cube.maps import read_classes, read_map
from landshift.cube.store import create, write_block
from landshift.errors import StoreError
from landshift.plan import plan_blocks
from landshift.show.stac import write_stac
from show import out_folder

SPEC = "https://schemas.stacspec.org/v1.1.0"
DATES = np.array(["2018-01-01", "2018-07-01", "2019-01-01"], "datetime64[ns]")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with maps, change, tables, one cube of three dates, and the catalogue."""
    made = out_folder.make(tmp_path_factory.mktemp("run") / "out")
    grid = GeoBox((96, 96), rasterio.Affine(20, 0, 4_500_000, 0, -20, 3_000_000), "EPSG:3035")
    path = create(
        made / "cubes" / "regular.zarr",
        geobox=grid,
        times=DATES,
        variable="reflectance",
        names=("red", "nir"),
        product="regular",
        extra={"n_clear": ("y", "x")},
        indices=("ndvi",),
    )
    values = np.linspace(0, 0.5, 3 * 2 * 96 * 96, dtype=np.float32).reshape(3, 2, 96, 96)
    for block in plan_blocks(grid).blocks:
        part = xr.Dataset(
            {
                "reflectance": (("time", "band", "y", "x"), values[..., *block.slices]),
                "index": (("time", "index_name", "y", "x"), values[:, :1, *block.slices]),
                "n_clear": (("y", "x"), np.full((96, 96), 3, np.uint16)[block.slices]),
            }
        )
        write_block(path, block, part)
    write_stac(made)
    return made


@pytest.fixture(scope="module")
def root(out: Path) -> pystac.Catalog:
    return pystac.Catalog.from_file(str(out / "stac" / "catalog.json"))


def documents(out: Path) -> dict[Path, dict[str, Any]]:
    return {path: json.loads(path.read_text()) for path in sorted((out / "stac").rglob("*.json"))}


def schema_of(kind: str) -> Draft7Validator:
    cache = get_local_schema_cache()
    pairs = [(uri, DRAFT7.create_resource(contents)) for uri, contents in cache.items()]
    pairs.append(("http://json-schema.org/draft-07/schema", DRAFT7.create_resource({})))
    return Draft7Validator(
        {"$ref": f"{SPEC}/{kind}-spec/json-schema/{kind}.json"}, registry=Registry().with_resources(pairs)
    )


def test_every_document_passes_the_schema_of_its_kind(out: Path) -> None:
    kinds = {"Catalog": "catalog", "Collection": "collection", "Feature": "item"}
    found = documents(out)
    for path, said in found.items():
        faults = [error.message for error in schema_of(kinds[said["type"]]).iter_errors(said)]
        assert (path.name, said["stac_version"], faults) == (path.name, "1.1.0", [])
    broken = dict(next(said for said in found.values() if said["type"] == "Feature"))
    del broken["geometry"]
    assert list(schema_of("item").iter_errors(broken))


def test_the_collections_are_those_of_the_folder(root: pystac.Catalog, out: Path) -> None:
    names = {child.id for child in root.get_children()}
    assert names == {"cube-regular", "maps", "change", "tables"}
    maps = root.get_child("maps")
    assert maps is not None
    assert [item.id for item in maps.get_items()] == [str(year) for year in out_folder.YEARS]
    change = root.get_child("change")
    assert change is not None
    assert {item.id for item in change.get_items()} == {path.stem for path in (out / "change").glob("*.tif")}
    first = next(item for item in change.get_items() if item.id.startswith("2018_2019"))
    assert first.properties["end_datetime"] == "2019-12-31T23:59:59Z"


def test_all_links_and_assets_are_relative_and_lead_to_a_file(out: Path) -> None:
    for path, said in documents(out).items():
        hrefs = [link["href"] for link in said["links"]]
        hrefs += [asset["href"] for asset in said.get("assets", {}).values()]
        assert hrefs
        for href in hrefs:
            assert not re.match(r"[a-z]+:|/", href), href
            assert (path.parent / href).exists(), (path, href)
        for asset in said.get("assets", {}).values():
            file = path.parent / asset["href"]
            assert asset.get("file:size") == (file.stat().st_size if file.is_file() else None)


def test_a_map_is_opened_through_its_link(root: pystac.Catalog, out: Path) -> None:
    maps = root.get_child("maps")
    assert maps is not None
    item = maps.get_item("2020")
    assert item is not None
    asset = item.assets["data"]
    href = asset.get_absolute_href()
    assert href is not None
    with rasterio.open(href) as source:
        np.testing.assert_array_equal(source.read(1), read_map(out / "maps" / "2020.tif"))
        assert item.properties["proj:code"] == f"EPSG:{source.crs.to_epsg()}"
        assert item.properties["proj:shape"] == list(source.shape)
        assert item.properties["proj:transform"] == list(source.transform)[:6]
        assert item.properties["proj:bbox"] == list(source.bounds)
    classes = asset.extra_fields["bands"][0]["classification:classes"]
    assert [(one["value"], one["title"]) for one in classes] == [
        (one.value, one.name) for one in read_classes(out / "maps" / "2020.tif")
    ]
    assert all(re.fullmatch(r"[0-9A-Za-z_-]+", one["name"]) for one in classes)
    assert all(re.fullmatch(r"[0-9A-Fa-f]{6}", one["color_hint"]) for one in classes)


def test_the_cube_is_opened_through_its_link_and_is_as_its_dimensions_say(root: pystac.Catalog) -> None:
    collection = root.get_child("cube-regular")
    assert collection is not None
    item = collection.get_item("regular")
    assert item is not None
    asset = item.assets["data"]
    href = asset.get_absolute_href()
    assert href is not None
    cube = xr.open_dataset(href, **asset.extra_fields["xarray:open_kwargs"])
    dimensions = item.properties["cube:dimensions"]
    assert dimensions == collection.extra_fields["cube:dimensions"]
    assert set(dimensions) == {"x", "y", "time", "band", "index_name"}
    for axis in ("x", "y"):
        said, held = dimensions[axis], cube[axis].to_numpy()
        assert (said["type"], said["axis"], said["reference_system"]) == ("spatial", axis, 3035)
        assert said["extent"] == [held.min(), held.max()]
        assert said["step"] == held[1] - held[0]
    assert [np.datetime64(one.rstrip("Z")) for one in dimensions["time"]["values"]] == list(DATES)
    assert dimensions["band"] == {"type": "bands", "values": list(cube["band"].to_numpy())}
    for name, said in item.properties["cube:variables"].items():
        assert said["dimensions"] == list(cube[name].dims)
        assert said["type"] in {"data", "auxiliary"}
    raw = xr.open_zarr(href, mask_and_scale=False)["reflectance"]
    for band in asset.extra_fields["bands"]:
        assert band["data_type"] == str(raw.dtype)
        assert band["nodata"] == raw.attrs["_FillValue"]
        assert band["raster:scale"] == raw.attrs["scale_factor"]


def test_extensions_that_are_used_are_named(out: Path) -> None:
    for said in documents(out).values():
        used = set(re.findall(r'"(proj|cube|file|classification|raster|xarray|mlm):', json.dumps(said)))
        named = {"proj": "projection", "cube": "datacube", "xarray": "xarray-assets"}
        listed = " ".join(said.get("stac_extensions", []))
        assert all(f"/{named.get(one, one)}/v" in listed for one in used), (said["id"], used, listed)


def test_it_says_that_it_is_simulated(out: Path) -> None:
    for said in documents(out).values():
        held = said if said["type"] != "Feature" else said["properties"]
        assert held["landshift:simulated"] is True
        if said["type"] != "Feature":
            assert "simulated" in said["description"]


def test_moved_and_written_again_it_has_the_same_bytes(out: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(out, tmp_path / "elsewhere"))
    before = {path.relative_to(out): path.read_bytes() for path in documents(out)}
    write_stac(moved)
    assert {path.relative_to(moved): path.read_bytes() for path in documents(moved)} == before
    assert not list(moved.glob("*.partial"))


def test_a_folder_named_from_where_one_stands_has_the_same_bytes(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.copytree(out, tmp_path / "run"))
    before = {path.relative_to(out): path.read_bytes() for path in documents(out)}
    monkeypatch.chdir(tmp_path)
    write_stac(Path("run"))
    assert {path.relative_to(moved): path.read_bytes() for path in documents(moved)} == before
    assert not (moved / "catalog.json").exists()


def test_a_folder_without_a_cube_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no cube"):
        write_stac(tmp_path)
