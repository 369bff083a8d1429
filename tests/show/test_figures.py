"""Figures at the edges: one year, one date, nothing changed, nothing mapped, long names. Warnings are errors."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from landshift.show import figures_change, figures_quality
from landshift.show.figures_style import drawing

LONG = ["Broad-leaved evergreen forest", "Continuous urban fabric", "Sparsely vegetated areas", "a"] * 3


def drawn(figure: Figure) -> str:
    """Lay the figure out, as saving does, and give its headline."""
    figure.canvas.draw()
    return str(figure.get_label())


def areas(years: Sequence[int], grow: float) -> pd.DataFrame:
    rows = [
        (year, name, 10.0 - n + grow * at * n)
        for at, year in enumerate(years)
        for n, name in enumerate(["a", "b"])
    ]
    return pd.DataFrame(rows, columns=["year", "class", "area_ha"])


def moves(moved: float) -> pd.DataFrame:
    rows = [(2020, 2021, a, b, 5.0 if a == b else moved) for a in ("a", "b") for b in ("a", "b")]
    return pd.DataFrame(rows, columns=["year_from", "year_to", "class_from", "class_to", "area_ha"])


@pytest.mark.parametrize(
    ("frame", "headline"),
    [
        (areas([2021], 0), "A covers most ground in 2021"),
        (areas([2020, 2021], 0), "No class changed its area from 2020 to 2021"),
        (areas([2020, 2021, 2023], 2), "B grew by 4.00 ha from 2020 to 2023"),
        (areas([2020, 2021, 2023], -2), "B shrank by 4.00 ha from 2020 to 2023"),
    ],
)
def test_areas_are_said_in_words(frame: pd.DataFrame, headline: str) -> None:
    with drawing():
        assert drawn(figures_change.draw_areas(frame, colours={})) == headline


def test_what_did_not_change_is_drawn_as_that() -> None:
    gains = pd.DataFrame(
        [(2020, 2021, name, 0.0, 0.0, 0.0) for name in "ab"],
        columns=["year_from", "year_to", "class", "gain_ha", "loss_ha", "net_ha"],
    )
    zones = gains.assign(zone="A", changed_share=np.nan)
    with drawing():
        assert drawn(figures_change.draw_gains(gains, colours={})).startswith("No class gained")
        assert drawn(figures_change.draw_transitions(moves(0))).startswith("Nothing changed")
        assert drawn(figures_change.draw_flows(moves(0), colours={})).startswith("0.0% of the land")
        assert drawn(figures_change.draw_zones(zones, colours={})).startswith("No zone gained")


def test_the_largest_transition_is_the_headline() -> None:
    table = moves(0.5)
    table.loc[(table.class_from == "b") & (table.class_to == "a"), "area_ha"] = 2.0
    with drawing():
        headline = drawn(figures_change.draw_transitions(table))
    assert headline == "The largest change: 2.00 ha of b became a, 2020 to 2021"


def test_one_date_and_no_validation_can_be_drawn() -> None:
    clear = pd.DataFrame(
        {"product": ["p"], "source": ["s"], "time": [pd.Timestamp("2021-06-01")], "clear_share": 0.5}
    )
    history = pd.DataFrame(
        {"model": "m", "epoch": [1, 2], "split": "train", "loss": [0.5, 0.4], "miou": np.nan}
    )
    with drawing():
        assert (
            drawn(figures_quality.draw_clear(clear))
            == "50% of the ground was seen clearly on an average date"
        )
        assert drawn(figures_quality.draw_history(history)) == "m was best after 2 epochs"


def test_many_classes_with_long_names_can_be_drawn() -> None:
    names = [f"{name} {number}" for number, name in enumerate(LONG)]
    confusion = pd.DataFrame(
        [(a, b, 0 if a == names[0] else 9) for a in names for b in names],
        columns=["mapped", "reference", "pixels"],
    )
    with drawing():
        assert "8%" in drawn(figures_quality.draw_confusion(confusion, model="m"))


def test_an_interpolation_that_does_not_help_is_not_praised() -> None:
    frame = pd.DataFrame(
        {"product": "p", "band": "red", "method": ["interpolate", "nearest"], "rmse": [0.2, 0.1]}
    )
    with drawing():
        headline = drawn(figures_quality.draw_holdout(frame))
    assert (
        headline == "Interpolation comes no closer to hidden looks than the nearest look, on average of bands"
    )


def test_the_font_comes_with_the_package() -> None:
    from matplotlib import font_manager

    with drawing():
        for weight in ("normal", "bold"):
            found = font_manager.findfont(font_manager.FontProperties(family="Inter", weight=weight))
            assert "landshift" in found
