"""Formulas do arithmetic and nothing else."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landshift.errors import ConfigError
from landshift.kernel.expression import compiled, evaluate, names

_VALUES = {"a": 0.5, "b": 2.0, "c": -3.0}


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> str:
    """Formulas of bands, numbers, operators and functions."""
    if depth == 0:
        return draw(st.sampled_from(["a", "b", "c", "1", "0.25", "2"]))
    left, right = draw(formulas(depth=depth - 1)), draw(formulas(depth=depth - 1))
    return draw(
        st.sampled_from(
            [
                f"({left} + {right})",
                f"({left} - {right})",
                f"({left} * {right})",
                f"({left} / {right})",
                f"-{left}",
                f"abs({left})",
                f"sqrt(abs({left}))",
                f"min({left}, {right}, 1)",
                f"max({left}, {right})",
                f"({left}) ** 2",
            ]
        )
    )


@given(text=formulas())
def test_arithmetic_is_pythons(text: str) -> None:
    scope = {"__builtins__": {}, "sqrt": math.sqrt, "abs": abs, "min": min, "max": max}
    try:
        said = float(eval(text, scope, dict(_VALUES)))  # noqa: S307 - a formula made here
    except (ZeroDivisionError, OverflowError):
        return
    made = evaluate(text, _VALUES)
    if abs(said) < 1e30:
        assert made == pytest.approx(said, rel=1e-4, abs=1e-4) or "/" in text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a / 0", [math.nan, math.nan]),
        ("sqrt(-a)", [math.nan, 0.0]),
        ("(a - b) / (a + b)", [1 / 3, math.nan]),
        ("10 ** (a * 1000)", [math.nan, 1.0]),
        ("min(a, b, 0.5)", [0.5, 0.0]),
        ("+a - -b", [3.0, 0.0]),
        ("3", 3.0),
    ],
)
def test_what_has_no_value_is_missing_without_a_warning(text: str, wanted: float | list[float]) -> None:
    bands = {"a": np.array([2, 0], np.float32), "b": np.array([1, 0], np.float32)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = evaluate(text, bands)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, wanted, rtol=1e-6)


def test_missing_pixels_stay_missing() -> None:
    made = evaluate("max(a, b) + 0 * c", {name: np.array([np.nan, 1], np.float32) for name in "abc"})
    assert np.isnan(made[0])
    assert made[1] == 1


def test_the_bands_are_left_alone() -> None:
    band = np.array([0.1, 0.0], np.float32)
    made = evaluate("a", {"a": band})
    made[:] = 9
    np.testing.assert_array_equal(band, np.array([0.1, 0.0], np.float32))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "a.real",
        "a[0]",
        "(lambda: 1)()",
        "a if b else c",
        "a < b",
        "a and b",
        "'a'",
        "True",
        "1j",
        "a := 3",
        "a; b",
        "f(a)",
        "sqrt(a, b)",
        "min(a)",
        "max(a, key=b)",
        "min(*a)",
        "a // b",
        "a % b",
        "a @ b",
        "~a",
        "",
        "a +",
        "sqrt",
        "a" * 501,
    ],
)
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        evaluate(text, {"a": 1.0, "b": 2.0, "c": 3.0})


def test_names_are_the_bands_alone() -> None:
    assert names("min(red, nir) / sqrt(red) + 2") == ("nir", "red")


def test_a_missing_band_is_named() -> None:
    with pytest.raises(ConfigError, match="bands that are not there") as error:
        evaluate("a + b", {"a": 1.0})
    assert error.value.got == ["b"]


def test_a_formula_is_compiled_once() -> None:
    assert compiled("a + b") is compiled("a + b")
