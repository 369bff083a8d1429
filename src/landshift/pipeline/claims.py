"""Who does what, where several processes on one or many machines fill one output folder: locks and claim files.

A claim is a file made with ``O_EXCL``: on any shared file system one process alone makes it. It is kept locked
while its process lives, so that the claim of a dead one is told from that of a slow one and can be inherited.
Where a file system has no locks, a claim is inherited by its own shard alone, when that is started again; what
nobody inherits is left for ``finish``, which has the folder to itself and heeds no claim.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from landshift.errors import StoreError

__all__ = ["GLANCE_S", "Claim", "Claims", "locked"]

GLANCE_S: Final = 0.05
"""Longer than one who looks at a claim holds its lock, in seconds."""


def locked(file: int, *, shared: bool = False) -> bool | None:
    """Lock an open file for this process: the system frees it when the process ends, however it ends.

    Args:
        file: Descriptor of a file that is open for reading and writing.
        shared: Whether others may hold it too, who ask for it in the same way.

    Returns:
        Whether it is ours; None where the file system has no locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A piece of work that is ours until it is released, or until this process ends."""

    path: Path
    """The claim file."""
    file: int
    """Its descriptor, which holds the lock."""

    def release(self) -> None:
        """Give the piece of work up, or note that nobody has to heed it any more."""
        if sys.platform == "win32":  # where no open file can be removed, and none is locked either
            os.close(self.file)
            self.path.unlink(missing_ok=True)
        else:
            self.path.unlink(missing_ok=True)
            os.close(self.file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The claims on the work in an output folder."""

    folder: Path
    """Folder of the claim files."""
    owner: str = ""
    """Who claims: a shard, such as ``2/8``."""

    def take(self, name: str) -> Claim | None:
        """Claim a piece of work; None where another one has it.

        Args:
            name: Its name, such as that of a block.

        Raises:
            StoreError: The folder cannot be written.
        """
        path = self.folder / f"{name}.claim"
        claim = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = _new(path)
            if file is None:
                file = self._inherited(path)
            if file is None:
                return None
            claim = Claim(path=path, file=file)
            self._sign(file)
        except OSError as error:
            if claim is not None:
                claim.release()
            raise StoreError(
                f"cannot claim {name}: {error.strerror}",
                where=self.folder,
                hint="free some space, or choose a folder that all shards may write",
            ) from error
        return claim

    def _sign(self, file: int) -> None:
        """Write into a claim whose it is."""
        said = {"owner": self.owner, "host": socket.gethostname(), "process": os.getpid()}
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, json.dumps(said).encode())

    def held(self) -> list[dict[str, Any]]:
        """All claims of processes that may be alive, sorted by name: ``name``, ``owner``, ``host``, ``process``."""
        found = []
        for path in sorted(self.folder.glob("*.claim")):
            try:
                file = os.open(path, os.O_RDWR)
            except OSError:
                continue
            if not locked(file, shared=True):
                found.append({"name": path.stem, **_said(file)})
            os.close(file)
        return found

    def clear(self) -> None:
        """Remove all claims: for one who has the folder to himself."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _inherited(self, path: Path) -> int | None:
        """A claim whose process is dead, or of this very shard where nothing tells."""
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        ours = locked(file)
        if ours is None:
            ours = _said(file).get("owner") == self.owner
        if ours and _same(file, path):
            return file
        os.close(file)
        return None


def _new(path: Path) -> int | None:
    """Make and lock a claim file; None where it exists, or was inherited before it was locked."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    ours = locked(file)
    if ours is False:  # somebody inherits it, or only looks at it and lets go at once
        time.sleep(GLANCE_S)
        ours = locked(file)
    if ours is False:
        os.close(file)
        return None
    return file


def _said(file: int) -> dict[str, Any]:
    """What a claim says of its owner; nothing while it is being written."""
    try:
        os.lseek(file, 0, os.SEEK_SET)
        said: dict[str, Any] = json.loads(os.read(file, 4096))
    except ValueError:
        return {}
    return said


def _same(file: int, path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        there, here = path.stat(), os.fstat(file)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
