"""Who is told how a run is going: nobody, a terminal, or a log."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Quiet", "Watch"]


class Watch(Protocol):
    """Hears what a run does."""

    def say(self, text: str) -> None:
        """One finished sentence."""
        ...

    def progress(self, done: int, total: int, what: str) -> None:
        """``done`` of ``total`` pieces of ``what`` are finished; equal numbers end it."""
        ...


class Quiet:
    """Hears and forgets."""

    def say(self, text: str) -> None:
        """See :class:`Watch`."""

    def progress(self, done: int, total: int, what: str) -> None:
        """See :class:`Watch`."""
