"""Quality warnings of a block, kept with it: a worker's own stderr is read by nobody, and a kill loses what was said."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from landshift.errors import DataQualityWarning

__all__ = ["hearing"]

_THREAD: Final = threading.local()


class _Hook:
    """Python's hook for warnings while anybody listens; one for all threads, for the hook is the process's."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.listeners = 0
        self.before: Any = None
        self.shield: warnings.catch_warnings[None] | None = None

    def join(self) -> None:
        with self.lock:
            self.listeners += 1
            if self.listeners == 1:
                self.shield = warnings.catch_warnings()
                self.shield.__enter__()
                warnings.simplefilter("always", DataQualityWarning)
                self.before = warnings.showwarning
                warnings.showwarning = self.show  # type: ignore[assignment]  # the hook the standard library documents

    def leave(self) -> None:
        with self.lock:
            self.listeners -= 1
            if self.listeners == 0 and self.shield is not None:
                self.shield.__exit__(None, None, None)

    def show(self, message: Warning | str, category: type[Warning], *rest: Any) -> None:
        said: list[str] | None = getattr(_THREAD, "said", None)
        if said is not None and issubclass(category, DataQualityWarning):
            said.append(str(message))
        else:
            self.before(message, category, *rest)


_HOOK: Final = _Hook()


@contextmanager
def hearing(said: list[str]) -> Iterator[None]:
    """Put the quality warnings of this thread into a list; other warnings, and other threads', go their way.

    Args:
        said: Where to.
    """
    _HOOK.join()
    _THREAD.said = said
    try:
        yield
    finally:
        _THREAD.said = None
        _HOOK.leave()
