"""The site's files against the tables and maps they come from."""

import base64
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from landshift.cube.tables import read_table
from landshift.errors import StoreError
from landshift.show.dashboard import write_site
from landshift.show.tiles import mercator_bounds, tile_span
from show import out_folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with its site."""
    made = out_folder.make(tmp_path_factory.mktemp("run") / "out")
    write_site(made, zones=made / "districts.gpkg", zone_id="district")
    return made


@pytest.fixture(scope="module")
def data(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "site" / "data.json").read_text(encoding="utf-8"))
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _layer(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(layer for layer in data["layers"] if layer["id"] == name)


def _tile(path: Path) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image)


def test_the_listed_tiles_are_the_files_that_are_there(out: Path, data: dict[str, Any]) -> None:
    listed = set()
    for layer in data["layers"]:
        for frame in layer["frames"]:
            for zoom, runs in data["coverage"][frame["coverage"]].items():
                for y, first, last in runs:
                    listed |= {
                        f"{frame['tiles']}/{zoom}/{x}/{y}.{frame['suffix']}" for x in range(first, last + 1)
                    }
    assert listed == set(_files(out / "site" / "tiles"))
    assert len(listed) > 40


def test_packs_hold_the_same_bytes_as_the_tiles(out: Path) -> None:
    packed = {}
    for path in (out / "site" / "packs").rglob("*.js"):
        name, tiles = re.fullmatch(r'landshiftPack\("([^"]+)",(\{.*\})\);\n', path.read_text()).groups()  # type: ignore[union-attr] # a mismatch fails the test
        packed.update({f"{name}/{at}": base64.b64decode(text) for at, text in json.loads(tiles).items()})
    tiles = {name.rpartition(".")[0]: content for name, content in _files(out / "site" / "tiles").items()}
    assert packed == tiles


def test_figures_are_those_of_the_tables(out: Path, data: dict[str, Any]) -> None:
    area = read_table(out / "tables" / "area.parquet").frame
    for row in area[area["class"] != "nodata"].itertuples():
        shown = data["area"][getattr(row, "_2")][data["years"].index(row.year)]  # noqa: B009 - "class" is a keyword
        assert shown == pytest.approx(row.area_ha, abs=6e-4)
    zonal = read_table(out / "tables" / "zonal.parquet").frame
    assert set(data["zonal"]) == set(zonal["zone"])
    some = zonal[(zonal["zone"] == "District E") & (zonal["class"] == "impervious")].set_index("year")[
        "area_ha"
    ]
    shown = data["zonal"]["District E"]["area"]["impervious"]
    assert shown == pytest.approx([some[year] for year in data["years"]], abs=6e-4)
    assert {feature["properties"]["zone"] for feature in data["districts"]["features"]} == set(data["zonal"])


def test_a_change_tile_says_what_each_pixel_was_and_became(out: Path, data: dict[str, Any]) -> None:
    change = _layer(data, "change")
    slots = np.array([0, *change["slots"]])
    frame = next(one for one in change["frames"] if (one["from"], one["to"]) == (2018, 2024))
    seen = 0
    for path in (out / "site" / "tiles" / frame["tiles"] / str(data["grid"]["max_zoom"])).rglob("*.png"):
        code = _tile(path)
        at = path.parts[-3:]
        before, after = (_tile(out / "site" / "tiles" / f"cover/{year}" / Path(*at)) for year in (2018, 2024))
        there = code > 0
        np.testing.assert_array_equal(there, (before > 0) & (after > 0))
        was, became = np.divmod(code[there] - 1, len(slots))
        np.testing.assert_array_equal(slots[was], before[there])
        np.testing.assert_array_equal(slots[became], after[there])
        seen += int((was != became).sum())
    assert seen > 1000


def test_borders_of_neighbours_stay_together(data: dict[str, Any]) -> None:
    import shapely
    from shapely.geometry import shape

    shapes = [shape(feature["geometry"]) for feature in data["districts"]["features"]]
    assert len(shapes) == 9
    assert shapely.union_all(shapes).geom_type == "Polygon"


def test_the_same_folder_gives_the_same_bytes_and_no_trace_of_the_machine(out: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(out, other)
    shutil.rmtree(other / "site")
    write_site(other, zones=other / "districts.gpkg", zone_id="district")
    first, second = _files(out / "site"), _files(other / "site")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    said = first["data.json"] + first["index.html"] + first["data.js"]
    for trace in (str(out), str(Path.home()), str(tmp_path)):
        assert trace.encode() not in said
    assert not list(other.glob("*.partial"))


def test_nothing_is_asked_of_other_hosts(out: Path) -> None:
    ours = {
        name: text
        for name, text in _files(out / "site").items()
        if not name.startswith(("tiles", "vendor", "packs"))
    }
    for name, text in ours.items():
        hosts = set(re.findall(rb"https?://([\w.-]+)", text)) - {b"www.w3.org"}
        assert not hosts or name.endswith("metadata.json"), (name, hosts)


def test_too_many_tiles_for_scripts_leave_the_scripts_out(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out / "maps", tmp_path / "maps")
    write_site(tmp_path, offline_mb=0.001)
    said = json.loads((tmp_path / "site" / "data.json").read_text(encoding="utf-8"))
    assert said["offline"] is False
    assert not (tmp_path / "site" / "packs").exists()


def test_a_basemap_and_a_credit_are_passed_on(out: Path, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    shutil.copy(out / "maps" / "2020.tif", tmp_path / "maps")
    basemap = {"tiles": ["https://tiles.example/{z}/{x}/{y}.png"], "attribution": "Example"}
    write_site(tmp_path, basemap=basemap, attribution="Data: Example Agency")
    said = json.loads((tmp_path / "site" / "data.json").read_text(encoding="utf-8"))
    assert said["basemap"] == basemap
    assert said["attribution"] == "Data: Example Agency"


def test_without_maps_there_is_no_site_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no maps to show"):
        write_site(tmp_path)
    assert not list(tmp_path.iterdir())


def test_on_a_grid_in_degrees_lengths_are_those_on_the_ground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from odc.geo.geobox import GeoBox

    from landshift.cube.maps import write_map
    from landshift.show import dashboard

    grid = GeoBox.from_bbox((14.0, 60.0, 14.02, 60.02), "EPSG:4326", resolution=0.0001)
    path = write_map(tmp_path / "2020.tif", grid, np.ones(grid.shape, np.uint8), classes=out_folder.CLASSES)
    span = tile_span(mercator_bounds(grid), 14)
    said = dashboard._place(grid, span)
    height, width = 111_320 * 0.0001, 111_320 * 0.0001 * math.cos(math.radians(60.01))
    assert said["pixel_m"] == pytest.approx(math.sqrt(height * width), rel=1e-3)
    asked: list[float] = []
    monkeypatch.setattr(dashboard, "read_districts", lambda *_, tolerance_m, **__: asked.append(tolerance_m))
    dashboard._districts(tmp_path / "zones.gpkg", "id", {}, {2020: path})
    assert asked == [pytest.approx(width / 3, rel=1e-3)]
