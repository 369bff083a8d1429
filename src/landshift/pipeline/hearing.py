"""Quality warnings of a block, kept with it: a worker's own stderr is read by nobody, and a kill loses what was said.

Python has one hook for warnings, for all threads, and ``warnings.catch_warnings`` of any thread puts back the one that
it found. So the hook is set once around a whole stage, not around every tile; and each one set knows what was there
before it and nothing later: however hooks are put back, they form no circle.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from landshift.errors import DataQualityWarning

__all__ = ["hearing", "listening", "quality_sentences"]

_THREAD: Final = threading.local()


@dataclass(frozen=True)
class _Hook:
    """Keeps quality warnings of threads that listen; all others go to the hook that was there before."""

    before: Any

    def __call__(self, message: Warning | str, category: type[Warning], *rest: Any) -> None:
        said: list[str] | None = getattr(_THREAD, "said", None)
        if said is not None and issubclass(category, DataQualityWarning):
            said.append(str(message))
        else:
            self.before(message, category, *rest)


def _listen() -> None:
    """Set the hook where none is: for good in a worker's process, which does nothing but blocks."""
    if not isinstance(warnings.showwarning, _Hook):
        warnings.simplefilter("always", DataQualityWarning)
        warnings.showwarning = _Hook(warnings.showwarning)  # type: ignore[assignment]  # the hook the standard library documents


@contextmanager
def listening() -> Iterator[None]:
    """Let blocks be heard that are done in this process meanwhile; afterwards warnings go as before."""
    with warnings.catch_warnings():
        _listen()
        yield


@contextmanager
def hearing(said: list[str]) -> Iterator[None]:
    """Put the quality warnings of this thread into a list; other warnings, and other threads', go their way.

    Args:
        said: Where to.
    """
    _listen()
    _THREAD.said = said
    try:
        yield
    finally:
        _THREAD.said = None


def quality_sentences(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Quality warnings among those caught, each once, in order.

    Args:
        caught: What ``warnings.catch_warnings(record=True)`` gave.
    """
    said = [str(entry.message) for entry in caught if issubclass(entry.category, DataQualityWarning)]
    return tuple(dict.fromkeys(said))
