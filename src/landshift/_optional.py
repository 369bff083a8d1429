"""Optional packages: asked for where they are used, missed with the command that installs them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from landshift.errors import MissingDependencyError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["need"]

_EXTRAS = {"distributed": "cluster", "dask_jobqueue": "cluster"}


def need(module: str, *, purpose: str) -> ModuleType:
    """Import an optional module, or say how to get it.

    Args:
        module: Dotted name, such as ``"distributed"``.
        purpose: What it is wanted for, as a noun phrase.

    Raises:
        MissingDependencyError: The package is not installed.

    >>> need("json", purpose="a test").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(module.split(".", maxsplit=1)[0])
        command = (
            f"pip install 'landshift[{extra}]'"
            if extra
            else f"pip install {module.split('.', maxsplit=1)[0]}"
        )
        raise MissingDependencyError(f"{purpose} needs the package {module}", hint=command) from error
