"""Band algebra from text: an allow-list of arithmetic, compiled once, evaluated without a word about 0/0.

Formulas live in data files, so they must not be able to do anything but arithmetic: numbers, names of bands,
``+ - * / **``, a sign, and ``sqrt``, ``abs``, ``min``, ``max``. A value that is not finite (a division by zero, the
root of a negative number) is NaN.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError

__all__ = ["Expression", "compiled", "evaluate", "names"]

Array = NDArray[np.float32]
_Run = Callable[[Mapping[str, Any]], Any]

_OPERATORS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.Pow: np.power,
}
_SIGNS: Final[dict[type, Callable[[Any], Any]]] = {ast.USub: np.negative, ast.UAdd: np.positive}
_FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "sqrt": (1, np.sqrt),
    "abs": (1, np.abs),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
_ALLOWED: Final = "numbers, band names, + - * / **, sqrt(a), abs(a), min(a, b, ...), max(a, b, ...)"
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that has been checked and compiled.

    >>> compiled("(nir - red) / (nir + red)").names
    ('nir', 'red')
    """

    text: str
    """The formula."""
    names: tuple[str, ...]
    """Bands it needs, sorted."""
    run: _Run
    """Does the arithmetic on values by name."""

    def __call__(self, bands: Mapping[str, Any]) -> Array:
        """Evaluate it element by element.

        Args:
            bands: Arrays or numbers by name, of shapes that fit each other; NaN where missing.

        Returns:
            float32, NaN where a band is missing or the result is not finite.

        Raises:
            ConfigError: A band is not there.
        """
        missing = [name for name in self.names if name not in bands]
        if missing:
            raise ConfigError("the formula needs bands that are not there", where=self.text, got=missing)
        with np.errstate(all="ignore"):
            found = np.asarray(self.run({name: np.asarray(bands[name], np.float32) for name in self.names}))
            result = found.astype(np.float32, copy=True)
        result[~np.isfinite(result)] = np.nan
        return result


@functools.lru_cache(maxsize=1024)
def compiled(text: str) -> Expression:
    """Check and compile a formula; a formula is compiled once.

    Args:
        text: The formula.

    Raises:
        ConfigError: It is not a formula, or does more than arithmetic.

    >>> compiled("__import__('os')")
    Traceback (most recent call last):
    landshift.errors.ConfigError: a formula may not hold a call of __import__...
    """
    if len(text) > _LONGEST:
        raise ConfigError("the formula is too long", got=f"{len(text)} characters", allowed=_LONGEST)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError("this is not a formula", got=text, allowed=_ALLOWED) from error
    functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in functions}
    return Expression(text=text, names=tuple(sorted(used)), run=_compile(tree.body, text))


def names(text: str) -> tuple[str, ...]:
    """Bands that a formula needs, sorted.

    >>> names("2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)")
    ('blue', 'nir', 'red')
    """
    return compiled(text).names


def evaluate(text: str, bands: Mapping[str, Any]) -> Array:
    """Evaluate a formula element by element; see :class:`Expression`.

    >>> evaluate("(a - b) / (a + b)", {"a": np.float32([3, 0]), "b": np.float32([1, 0])}).tolist()
    [0.5, nan]
    """
    return compiled(text)(bands)


def _compile(node: ast.AST, text: str) -> _Run:
    """One node as a function of the bands."""
    if (
        isinstance(node, ast.Constant)
        and type(node.value) is not bool
        and isinstance(node.value, (int, float))
    ):
        return functools.partial(_constant, np.float32(node.value))
    if isinstance(node, ast.Name):
        return functools.partial(_look_up, node.id)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return functools.partial(_apply, _SIGNS[type(node.op)], (_compile(node.operand, text),))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        parts = (_compile(node.left, text), _compile(node.right, text))
        return functools.partial(_apply, _OPERATORS[type(node.op)], parts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        return _call(node, node.func.id, text)
    raise ConfigError(f"a formula may not hold {_said(node)}", where=text, allowed=_ALLOWED)


def _call(node: ast.Call, name: str, text: str) -> _Run:
    fewest, function = _FUNCTIONS[name]
    count = len(node.args)
    if node.keywords or count < fewest or (fewest == 1 and count != 1):
        wanted = "one value" if fewest == 1 else "two values or more"
        raise ConfigError(f"{name} takes {wanted}", where=text, got=count)
    parts = tuple(_compile(part, text) for part in node.args)
    return functools.partial(_apply if fewest == 1 else _fold, function, parts)


def _constant(value: np.float32, _bands: Mapping[str, Any]) -> np.float32:
    return value


def _look_up(name: str, bands: Mapping[str, Any]) -> Any:
    return bands[name]


def _apply(function: Callable[..., Any], parts: tuple[_Run, ...], bands: Mapping[str, Any]) -> Any:
    return function(*(part(bands) for part in parts))


def _fold(function: Callable[..., Any], parts: tuple[_Run, ...], bands: Mapping[str, Any]) -> Any:
    return functools.reduce(function, (part(bands) for part in parts))


def _said(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return f"a call of {ast.unparse(node.func)}"
    return repr(ast.unparse(node))
