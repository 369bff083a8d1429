"""Values kept by key within a bound, each made once however many threads ask for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

__all__ = ["Recent"]

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


class Recent(Generic[Key, Made]):
    """The most recently used values by key, bounded by their weight; each is made once."""

    def __init__(self, *, weight: Callable[[Made], int], bound: int) -> None:
        self._weight, self._bound, self._total = weight, bound, 0
        self._kept: OrderedDict[Key, Made] = OrderedDict()
        self._making: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()

    def claim(self, keys: Sequence[Key]) -> tuple[dict[Key, Made], list[Key], list[Key]]:
        """Split keys into those kept (with values), those now ours to make, and those another thread makes."""
        kept: dict[Key, Made] = {}
        ours: list[Key] = []
        theirs: list[Key] = []
        with self._lock:
            for key in keys:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    kept[key] = self._kept[key]
                elif key in self._making:
                    theirs.append(key)
                else:
                    self._making[key] = threading.Event()
                    ours.append(key)
        return kept, ours, theirs

    def keep(self, key: Key, value: Made) -> None:
        """Keep a value and let the oldest go."""
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = value
            self._total += self._weight(value)
            while self._total > self._bound and len(self._kept) > 1:
                self._total -= self._weight(self._kept.popitem(last=False)[1])

    def release(self, keys: Sequence[Key]) -> None:
        """Tell waiting threads that these keys are made, or could not be."""
        with self._lock:
            events = [self._making.pop(key) for key in keys]
        for event in events:
            event.set()

    def wait(self, key: Key) -> Made | None:
        """Wait until another thread has made a value; None where it failed or was let go already."""
        with self._lock:
            event = self._making.get(key)
        if event is not None:
            event.wait()
        with self._lock:
            return self._kept.get(key)

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """The value of a key, made if need be."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        kept, ours, theirs = self.claim([key])
        if kept:
            return kept[key]
        if theirs and (found := self.wait(key)) is not None:
            return found
        try:
            value = make()
            self.keep(key, value)
        finally:
            self.release(ours)
        return value
