"""The report: whole without any other file, honest about simulation, the same each time."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from landshift.cube.tables import read_table, write_table
from landshift.errors import StoreError
from landshift.show.figures_quality import draw_accuracy, untested_of
from landshift.show.report import write_report
from show.out_folder import make

FIGURES = [
    "maps",
    "years",
    "area",
    "transitions",
    "zones",
    "confusion_unet",
    "confusion_forest",
    "preview_p",
    "own",
]
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Outline(HTMLParser):
    """Checks that tags close in order, and collects ids and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"}]
        self.images += [values] if tag == "img" else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make(tmp_path_factory.mktemp("out"), size=64)
    (folder / "figures").mkdir()
    for name in FIGURES:
        said = PngInfo()
        said.add_text("Title", f"The headline of {name}")
        said.add_text("Description", f"How to read {name}")
        Image.new("RGB", (4, 3)).save(folder / "figures" / f"{name}.png", pnginfo=said)
    return folder


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    return write_report(out).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    for link in outline.links:
        assert link.startswith("data:image/png;base64,") or link[1:] in outline.ids
    assert "url(" not in page
    assert not re.search(r"(src|href)=.https?:|@import|<script", page)
    order = [str(image["alt"]).removeprefix("The headline of ") for image in outline.images]
    assert order == [
        "maps",
        "area",
        "years",
        "transitions",
        "zones",
        "confusion_forest",
        "confusion_unet",
        "preview_p",
        "own",
    ]


def test_every_section_is_in_the_contents(page: str) -> None:
    headings = re.findall(r'<h2 id="(\w+)">', page)
    assert headings == re.findall(r'<li><a href="#(\w+)">', page)
    assert {"maps", "change", "zones", "accuracy", "cube", "warnings", "reproduce", "tables"} <= set(headings)


def test_simulated_runs_say_so(out: Path, page: str) -> None:
    assert "Simulated" in page
    assert "Scores against the truth" in page
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"simulated": False}))
    assert "simulated:" not in write_report(out).read_text()
    (out / "run.json").write_text(json.dumps(record))


def test_what_was_left_out_is_said(page: str) -> None:
    assert "7 scenes skipped: cloud cover above 80 %" in page
    assert page.count("1 of 10 zones lie outside the map: District X") == 1


def test_the_recipe_and_the_versions_are_named(page: str) -> None:
    assert "3f9c2d41a7b80e56" in page
    assert "0.1.0" in page


def test_a_class_without_test_pixels_is_told_beside_the_mean(out: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    held = read_table(out / "tables" / "accuracy.parquet")
    frame = held.frame
    name = str(frame["class"].iloc[0])
    frame.loc[frame["class"] == name, ["pixels", "iou", "f1"]] = [0, np.nan, np.nan]
    write_table(tmp_path, "accuracy", frame, title=held.title, columns=held.columns)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "mIoU of 5 of 6 classes" in page
    assert f"no test pixel of {name}: the mean IoU is of 5 of 6 classes" in page
    assert untested_of(frame, "unet") == f"no test pixel of {name}: the mean IoU is of 5 of 6 classes"
    drawn = [text.get_text() for text in draw_accuracy(frame).findobj(Text)]
    assert any(f"No test pixel of {name}" in text.replace("\n", " ") for text in drawn)


def test_columns_are_documented(page: str) -> None:
    assert "area that became this class, hectares" in page


def test_the_same_folder_gives_the_same_page(out: Path, page: str) -> None:
    assert write_report(out).read_text(encoding="utf-8") == page


def test_names_from_outside_are_escaped(out: Path) -> None:
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"title": "<script>alert(1)</script>"}))
    text = write_report(out).read_text()
    (out / "run.json").write_text(json.dumps(record))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_an_empty_folder_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to report"):
        write_report(tmp_path)


def test_tables_alone_are_enough(out: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for path in (out / "tables").glob("area.*"):
        (tmp_path / "tables" / path.name).write_bytes(path.read_bytes())
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert re.findall(r'<h2 id="(\w+)">', page) == ["maps", "warnings", "reproduce", "tables"]
    assert "<h1>Land cover and its change</h1>" in page


def test_a_hold_out_that_measured_nothing_is_no_headline(out: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    held = read_table(out / "tables" / "holdout.parquet")
    for factor, told in ((1.0, True), (np.nan, False)):
        frame = held.frame.assign(rmse=held.frame.rmse * factor)
        write_table(tmp_path, "holdout", frame, title=held.title, columns={str(name): "c" for name in frame})
        assert ("of hidden clear looks" in write_report(tmp_path).read_text(encoding="utf-8")) == told


def test_a_run_without_maps_does_not_speak_of_land_cover(out: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for path in (out / "tables").glob("clear.*"):
        (tmp_path / "tables" / path.name).write_bytes(path.read_bytes())
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<h1>Analysis-ready images</h1>" in page
    assert "Land cover" not in page


@pytest.mark.browser
def test_the_page_opens_in_a_browser_wide_and_narrow_light_and_dark(out: Path, page: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    assert page
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (1280, 390):
            tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
            tab.on("request", lambda request: asked.append(request.url))
            tab.on("console", lambda message: said.append(message.text))
            tab.goto((out / "report.html").as_uri())
            assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            light = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            tab.locator("#theme-dark").check(force=True)
            assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != light
        browser.close()
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert said == []
