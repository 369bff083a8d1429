"""Who is told how a run is going: nobody, a terminal, or a log."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Quiet", "Watch", "duration", "sized"]


class Watch(Protocol):
    """Hears what a run does."""

    def say(self, text: str) -> None:
        """One finished sentence."""
        ...

    def progress(self, done: int, total: int, what: str) -> None:
        """``done`` of ``total`` pieces of ``what`` are finished; equal numbers end it."""
        ...


def duration(seconds: float) -> str:
    """A length of time for people.

    >>> [duration(value) for value in (0.2, 42, 600, 7200, 9000, 900_000)]
    ['less than 1 s', '42 s', '10 min', '2 h', '2 h 30 min', '10 days']
    """
    if seconds < 90:
        return "less than 1 s" if seconds < 0.5 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes >= 48 * 60:
        return f"{minutes / 1440:.0f} days"
    parts = [f"{minutes // 60} h" if minutes >= 60 else "", f"{minutes % 60} min" if minutes % 60 else ""]
    return " ".join(filter(None, parts))


def sized(count: float) -> str:
    """Bytes for people.

    >>> sized(3_400_000)
    '3.4 MB'
    """
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("KB", 3)):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count:.0f} B"


class Quiet:
    """Hears and forgets."""

    def say(self, text: str) -> None:
        """See :class:`Watch`."""

    def progress(self, done: int, total: int, what: str) -> None:
        """See :class:`Watch`."""
