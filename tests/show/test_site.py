"""The page in a real browser: it shows what the files say, and asks for nothing that is not there."""

import csv
import functools
import io
import json
import math
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from landshift.cube.maps import read_classes, read_map
from landshift.cube.tables import read_table
from landshift.show.dashboard import write_site
from landshift.show.serve import open_server
from show import out_folder

_CHROMIUM = Path("/usr/bin/chromium")
_READY = "document.documentElement.dataset.ready === 'yes'"
Open = Callable[..., Any]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not _CHROMIUM.exists(), reason="no Chromium at /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with its site."""
    made = out_folder.make(tmp_path_factory.mktemp("run") / "out")
    write_site(made, zones=made / "districts.gpkg", zone_id="district")
    return made


@pytest.fixture(scope="module")
def address(out: Path) -> Iterator[str]:
    yield from _served(out)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = play.chromium.launch(executable_path=str(_CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Open]:
    """Opens a page, and in the end lets no message, failed request or foreign host pass."""
    troubles: list[str] = []
    contexts = []

    def opened(at: str = "", *, url: str = address, size: tuple[int, int] = (1100, 720)) -> Any:
        context = chromium.new_context(viewport={"width": size[0], "height": size[1]})
        contexts.append(context)
        page = context.new_page()
        home = url.rpartition("/")[0]
        page.on("console", lambda said: troubles.append(said.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("requestfailed", lambda asked: troubles.append(f"failed: {asked.url}"))
        page.on(
            "response",
            lambda answer: troubles.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
        )
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((home, "data:", "blob:")) else troubles.append(asked.url)
            ),
        )
        page.goto(url + at)
        page.wait_for_function(_READY, timeout=30_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def _served(out: Path) -> Iterator[str]:
    with open_server(out) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.02))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def _position(page: Any, lon: float, lat: float) -> tuple[float, float]:
    """Where a place is on the screen, by the page's address and mercator's formula."""
    said = re.search(r"map=([\d.]+)/([-\d.]+)/([-\d.]+)", page.url)
    assert said is not None
    zoom, middle_lat, middle_lon = map(float, said.groups())
    box = page.locator("#map canvas").bounding_box()

    def world(x: float, y: float) -> tuple[float, float]:
        sine, side = math.sin(math.radians(y)), 512 * 2**zoom
        return (x / 360 + 0.5) * side, (0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)) * side

    (x, y), (middle_x, middle_y) = world(lon, lat), world(middle_lon, middle_lat)
    return box["x"] + box["width"] / 2 + x - middle_x, box["y"] + box["height"] / 2 + y - middle_y


def _shows(page: Any, place: tuple[float, float], colour: tuple[int, ...]) -> bool:
    """Whether the map has a colour at a place, or gets it within some seconds."""
    seen: Any = None
    for _ in range(25):
        at = _position(page, *place)
        with Image.open(io.BytesIO(page.screenshot())) as shot:
            seen = shot.convert("RGB").getpixel((round(at[0]), round(at[1])))
        if max(abs(one - other) for one, other in zip(seen, colour, strict=True)) <= 3:
            return True
        page.wait_for_timeout(200)
    return False


@pytest.fixture(scope="module")
def patch(out: Path) -> tuple[tuple[float, float], list[int]]:
    """A place within a patch whose class is another in the last year than in the first, and its classes."""
    from pyproj import Transformer
    from scipy import ndimage

    maps = np.stack([read_map(out / "maps" / f"{year}.tif") for year in out_folder.YEARS])
    first, last = maps[0], maps[-1]
    calm = np.all(
        [ndimage.minimum_filter(one, 5) == ndimage.maximum_filter(one, 5) for one in (first, last)], axis=0
    )
    rows, cols = np.nonzero(calm & (first != last) & (last == 6))
    row, col = int(rows[len(rows) // 2]), int(cols[len(rows) // 2])
    to_degrees = Transformer.from_crs(3035, 4326, always_xy=True)
    place = to_degrees.transform(4_500_000 + 10 * (col + 0.5), 3_000_000 - 10 * (row + 0.5))
    return place, [int(value) for value in maps[:, row, col]]


def test_each_year_shows_its_own_tiles(
    visit: Open, out: Path, patch: tuple[tuple[float, float], list[int]]
) -> None:
    place, values = patch
    colours = {one.value: one.rgb for one in read_classes(out / "maps" / "2018.tif")}
    page = visit("#borders=0")
    assert page.locator("#when").inner_text() == "2024"
    assert _shows(page, place, colours[values[-1]])
    page.locator("#year").fill("0")
    assert page.locator("#when").inner_text() == "2018"
    assert _shows(page, place, colours[values[0]])
    assert "year=2018" in page.url
    page.locator("#play").click()
    page.wait_for_function("document.getElementById('when').textContent === '2020'", timeout=20_000)
    page.locator("#play").click()


def test_hidden_classes_leave_the_map_and_come_back(
    visit: Open, out: Path, patch: tuple[tuple[float, float], list[int]]
) -> None:
    place, values = patch
    one = {item.value: item for item in read_classes(out / "maps" / "2018.tif")}[values[-1]]
    page = visit("#borders=0")
    entry = page.locator("#legend button", has_text=one.name)
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert _shows(page, place, (0xF7, 0xF7, 0xF4))
    page.locator("#all-classes").click()
    assert _shows(page, place, one.rgb)


def test_change_shows_gain_and_loss_of_a_class(
    visit: Open, out: Path, patch: tuple[tuple[float, float], list[int]]
) -> None:
    place, values = patch
    page = visit(f"#view=change&borders=0&class={values[-1]}")
    assert _shows(page, place, (0xD9, 0x60, 0x1A))
    gains = read_table(out / "tables" / "gains.parquet").frame.set_index(["year_from", "year_to", "class"])
    gain = gains["gain_ha"].to_dict()[2018, 2024, "impervious"]
    page.locator("#controls select").select_option(label="impervious")
    shown = page.locator("#legend .entry", has_text="became impervious").locator("b").inner_text()
    assert float(re.sub(r"[^\d.]", "", shown)) == pytest.approx(gain, rel=0.01)
    page.locator("#span button", has_text="Year by year").click()
    assert page.locator("#when").inner_text().replace("\u2009", "") == "2023–2024"


def test_a_click_on_a_district_tells_its_story(visit: Open, out: Path) -> None:
    import geopandas as gpd

    districts = gpd.read_file(out / "districts.gpkg").to_crs(4326).set_index("district")
    middle = districts.loc["District E", "geometry"].representative_point()
    page = visit("#view=districts")
    page.mouse.click(*_position(page, middle.x, middle.y))
    page.locator("#figures-title", has_text="District E").wait_for()
    assert "zone=District+E" in page.url
    assert page.locator("#charts .series").count() >= 3
    assert page.locator(".probe h3").inner_text() == "District E"
    assert page.locator("#legend .entry[aria-pressed=true]").inner_text().startswith("District E")
    page.locator(".numbers summary").click()
    with page.expect_download() as waiting:
        page.locator(".numbers .link").click()
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    zonal = read_table(out / "tables" / "zonal.parquet").frame
    expected = zonal[(zonal["zone"] == "District E") & (zonal["class"] != "nodata")].set_index(
        ["class", "year"]
    )["area_ha"]
    assert {(row["class"], int(row["year"])): float(row["area_ha"]) for row in rows} == pytest.approx(
        expected.to_dict(), abs=6e-4
    )
    page.keyboard.press("Escape")
    assert page.locator("#figures-title").inner_text() == "Whole area"


def test_two_years_stand_side_by_side(
    visit: Open, out: Path, patch: tuple[tuple[float, float], list[int]]
) -> None:
    place, values = patch
    colours = {one.value: one.rgb for one in read_classes(out / "maps" / "2018.tif")}
    page = visit("#borders=0")
    page.locator("#compare").click()
    page.locator("#swipe-at").fill("2")
    assert _shows(page, place, colours[values[-1]])
    page.locator("#swipe-at").fill("98")
    assert _shows(page, place, colours[values[0]])
    assert "before=2018" in page.url


def test_the_address_brings_a_view_back(visit: Open) -> None:
    at = "#map=13.00/48.80000/11.42000&view=districts&year=2020&district-class=4&measure=points&zone=District+B&chart=since"
    page = visit(at)
    assert page.locator("#views input:checked").get_attribute("value") == "districts"
    assert page.locator("#when").inner_text() == "2020"
    assert page.locator("#figures-title").inner_text() == "District B"
    assert page.locator("#legend-title").inner_text() == "cropland: change of share"
    for part in ("map=13.00/", "view=districts", "year=2020", "measure=points", "chart=since"):
        assert part in page.url


def test_the_page_works_from_disk_without_a_server(
    visit: Open, out: Path, patch: tuple[tuple[float, float], list[int]]
) -> None:
    place, values = patch
    colours = {one.value: one.rgb for one in read_classes(out / "maps" / "2018.tif")}
    page = visit("#borders=0", url=(out / "site" / "index.html").as_uri())
    assert _shows(page, place, colours[values[-1]])


def test_keys_alone_reach_the_layers_and_the_years(visit: Open) -> None:
    page = visit()
    page.locator("#views input:checked").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#views input:checked").get_attribute("value") == "change"
    assert page.evaluate("document.activeElement.value") == "change"
    page.keyboard.press("ArrowLeft")
    page.locator("#year").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#when").inner_text() == "2023"


@pytest.mark.parametrize("size", [(360, 740), (844, 390)], ids=["phone", "phone-turned"])
def test_small_screens_need_no_sideways_scrolling(visit: Open, size: tuple[int, int]) -> None:
    page = visit("#view=change", size=size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate("document.getElementById('panel').scrollWidth") <= page.evaluate(
        "document.getElementById('panel').clientWidth"
    )
    for name in ("#title", "#play", "#map canvas"):
        assert page.locator(name).is_visible()


def test_one_map_alone_makes_a_page(visit: Open, out: Path, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    shutil.copy(out / "maps" / "2020.tif", tmp_path / "maps")
    write_site(tmp_path)
    said = json.loads((tmp_path / "site" / "data.json").read_text(encoding="utf-8"))
    assert [layer["id"] for layer in said["layers"]] == ["cover"]
    for address in _served(tmp_path):
        page = visit(url=address)
        assert page.locator("#charts").inner_text() == "This output folder has no table of areas."
        assert not page.locator("#play").is_visible()
        assert not page.locator("#simulated").is_visible()
