"""Figures: one for each table that is there, the same bytes each time, and words inside."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from landshift.cube.tables import write_table
from landshift.show.figures_change import headline_class
from landshift.show.render import draw_figures
from show.out_folder import make

EXPECTED = [
    *("maps", "years", "area", "gains", "transitions", "flows", "zones", "clear", "holdout", "accuracy"),
    *("confusion_unet", "confusion_forest", "history"),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make(tmp_path_factory.mktemp("out"), size=64)
    draw_figures(folder)
    return folder


def test_every_table_has_its_figures_and_drawing_again_gives_the_same_bytes(out: Path) -> None:
    first = {path.stem: path.read_bytes() for path in (out / "figures").iterdir()}
    again = {path.stem: path.read_bytes() for path in draw_figures(out)}
    assert list(again) == EXPECTED
    assert first == again


def test_figures_carry_headline_and_caption_and_no_clock(out: Path) -> None:
    for path in (out / "figures").iterdir():
        with Image.open(path) as picture:
            assert set(picture.info) - {"dpi"} == {"Title", "Description"}
            assert picture.width == 1600


def test_what_is_not_there_is_not_drawn(tmp_path: Path) -> None:
    assert draw_figures(tmp_path) == []
    frame = pd.DataFrame(
        {"product": ["p"], "band": ["red"], "method": ["mean"], "rmse": [0.1], "mae": [0.1], "n": [3]}
    )
    write_table(tmp_path, "holdout", frame, title="t", columns={str(name): "c" for name in frame})
    write_table(tmp_path, "clear", frame.iloc[:0], title="t", columns={str(name): "c" for name in frame})
    assert [path.name for path in draw_figures(tmp_path)] == ["holdout.png"]


def test_the_headline_is_sealed_ground_where_there_is_some() -> None:
    table = pd.DataFrame({"class": ["forest", "built-up"], "net_ha": [5.0, 1.0]})
    assert headline_class(table) == "built-up"
    assert headline_class(table.assign(**{"class": ["forest", "water"]})) == "forest"
