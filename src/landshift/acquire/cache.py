"""The cache on disk: decoded tiles of remote rasters, and what their headers say.

A tile is known by its file (address without query or signature, and the server's ETag), band, overview and place in
the file: another mask, composite, halo, place or signature finds it again, and once it is here no network is needed.
Files appear whole (written aside, then renamed), carry a check sum, and the longest unused go first when the bound is
reached; several processes may share one folder. A cache never stops a run: what it cannot keep is simply read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
import warnings
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift.acquire.access import bare, signed
from landshift.errors import DataQualityWarning

__all__ = ["DiskCache", "tile_key"]

_TRUSTED_S: Final = 7 * 86400
"""A file's ETag is asked for again after this many seconds, where there is a network."""
_TOUCH_S: Final = 600
"""The time of last use is kept to this many seconds."""
_SLACK: Final = 0.02
"""Share of the bound that a process writes before it looks at the folder's size again."""
_LOW: Final = 0.9
"""Share of the bound that is left after tiles were dropped."""


def tile_key(href: str, etag: str, band: str, overview: int, tile_row: int, tile_col: int) -> str:
    """The name of a tile: the same for every signature of an address, another for every version of the file.

    Args:
        href: Address of the file.
        etag: Version of the file, as its server says.
        band: Band or bands that are decoded together, and the variable.
        overview: 0 for full resolution.
        tile_row: Row of the tile.
        tile_col: Column of the tile.

    >>> tile_key("https://a/b.tif?sig=1", "e", "1", 0, 2, 3) == tile_key("https://a/b.tif?sig=2", "e", "1", 0, 2, 3)
    True
    """
    return "|".join([bare(href), etag, band, str(overview), str(tile_row), str(tile_col)])


class DiskCache:
    """Tiles and headers of remote rasters, in a folder of bounded size.

    Args:
        folder: Where they are kept; made where it is missing.
        max_bytes: Bound of the folder's size.
        local: Keep tiles of local files too, which is seldom worth it.

    It serves as the ``cache`` of a :class:`landshift.acquire.tiles.TileReader`, whose keys begin with the address.
    """

    def __init__(self, folder: str | Path, *, max_bytes: int = 50 * 10**9, local: bool = False) -> None:
        self.folder, self.max_bytes, self.local = Path(folder).expanduser(), max_bytes, local
        self.hits = 0
        """Tiles found."""
        self.misses = 0
        """Tiles not found."""
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}
        self._fresh = 0
        self._broken = False
        self._offline = False

    def __reduce__(self) -> tuple[object, ...]:
        """Another process has its own counters on the same folder."""
        return (_rebuild, (str(self.folder), self.max_bytes, self.local))

    def get(self, key: str) -> NDArray[Any] | None:
        """A tile, or None where it is not here or was damaged.

        Args:
            key: Begins with the address of the file, up to a bar.
        """
        if not self._keeps(key):
            return None
        tile = _unpack(self._path(key, "tile"))
        with self._lock:
            self.hits, self.misses = self.hits + (tile is not None), self.misses + (tile is None)
        return tile

    def has(self, key: str) -> bool:
        """Whether a tile is here, unread.

        Args:
            key: See :meth:`get`.
        """
        return self._keeps(key) and self._path(key, "tile").exists()

    def put(self, key: str, tile: NDArray[Any]) -> None:
        """Keep a tile.

        Args:
            key: See :meth:`get`.
            tile: Its pixels.
        """
        if self._keeps(key) and tile.nbytes <= self.max_bytes // 4:
            self._write(self._path(key, "tile"), _pack(tile))

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was noted of a file, or None.

        Args:
            key: See :meth:`get`.
        """
        if not self._keeps(key):
            return None
        try:
            found: dict[str, Any] = json.loads(self._path(key, "json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def note(self, key: str, facts: dict[str, Any]) -> None:
        """Note something of a file, such as its header.

        Args:
            key: See :meth:`get`.
            facts: Plain values.
        """
        if self._keeps(key):
            self._write(self._path(key, "json"), json.dumps(facts).encode())

    def size(self) -> int:
        """Bytes of all that is kept."""
        return sum(size for _, size, _ in _entries(self.folder))

    def _keeps(self, key: str) -> bool:
        return not self._broken and (self.local or "://" in key.partition("|")[0])

    def _path(self, key: str, suffix: str) -> Path:
        href, _, rest = key.partition("|")
        digest = hashlib.sha256(f"{bare(href)}|{self._version(href)}|{rest}".encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:42]}.{suffix}"

    def _version(self, href: str) -> str:
        """ETag of a file: asked for once a process at most, and seldom; without a network the last one known holds."""
        known = self._versions.get(bare(href))
        if known is None:
            digest = hashlib.sha256(bare(href).encode()).hexdigest()
            note = self.folder / "versions" / digest[:2] / f"{digest[2:42]}.json"
            known, old = _noted_version(note)
            if known is None or (old and not self._offline):
                asked = _ask_version(href)
                self._offline = asked is None
                known = known if asked is None else asked
                if asked is not None:
                    self._write(note, json.dumps({"version": asked, "asked": int(time.time())}).encode())
            known = known or ""
            self._versions[bare(href)] = known
        return known

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
                file.write(content)
            os.replace(file.name, path)  # noqa: PTH105 - atomic, over a file that another process made
        except OSError as error:
            self._give_up(error)
            return
        with self._lock:
            self._fresh += len(content)
            due = self._fresh > self.max_bytes * _SLACK
        if due and self._shrink():
            with self._lock:
                self._fresh = 0

    def _shrink(self) -> bool:
        """Drop what was not used for longest; False where another process is at it."""
        with _only_one(self.folder / "lock") as mine:
            if not mine:
                return False
            entries = sorted(_entries(self.folder))
            excess = sum(size for _, size, _ in entries) - self.max_bytes * (1 - _SLACK)
            if excess <= 0:
                return True
            excess += self.max_bytes * (1 - _SLACK - _LOW)
            for _, size, path in entries:
                if excess <= 0:
                    break
                with contextlib.suppress(OSError):
                    path.unlink()
                    excess -= size
        return True

    def _give_up(self, error: OSError) -> None:
        if not self._broken:
            self._broken = True
            warnings.warn(
                f"the cache {self.folder} cannot be written ({error}); reading goes on without it",
                DataQualityWarning,
                stacklevel=2,
            )


def _rebuild(folder: str, max_bytes: int, local: bool) -> DiskCache:  # noqa: FBT001 - pickle calls it by position
    return DiskCache(folder, max_bytes=max_bytes, local=local)


def _pack(array: NDArray[Any]) -> bytes:
    """A check sum, then type and shape as one line, then the pixels as Blosc packs them."""
    from numcodecs.blosc import Blosc

    solid = np.ascontiguousarray(array)
    line = json.dumps([solid.dtype.str, list(solid.shape)]).encode() + b"\n"
    packed = line + bytes(Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE).encode(solid.reshape(-1)))
    return zlib.crc32(packed).to_bytes(4, "big") + packed


def _unpack(path: Path) -> NDArray[Any] | None:
    """The array of a file; one that is damaged is removed."""
    from numcodecs.blosc import Blosc

    try:
        content = path.read_bytes()
        if time.time() - path.stat().st_mtime > _TOUCH_S:
            os.utime(path)
    except OSError:
        return None
    if len(content) > 4 and zlib.crc32(memoryview(content)[4:]) == int.from_bytes(content[:4], "big"):
        line, _, packed = content[4:].partition(b"\n")
        dtype, shape = json.loads(line)
        array: NDArray[Any] = np.frombuffer(Blosc().decode(packed), np.dtype(dtype)).reshape(shape)
        return array
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of every file kept."""
    found = []
    for path in folder.glob("??/*"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    return found


def _noted_version(note: Path) -> tuple[str | None, bool]:
    """The version on record, and whether it is time to ask again."""
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
        return str(said["version"]), time.time() - float(said["asked"]) > _TRUSTED_S
    except (OSError, ValueError, KeyError, TypeError):
        return None, True


def _ask_version(href: str) -> str | None:
    """ETag of a file, else its size and time of change; None where nobody answers."""
    if not href.startswith(("http://", "https://")):
        path = Path(href)
        if "://" in href or not path.exists():
            return None
        stat = path.stat()
        return f"{stat.st_size}-{stat.st_mtime_ns}"
    from landshift.acquire.web import head
    from landshift.errors import NetworkError

    try:
        said = head(signed(href))
    except NetworkError:
        return None
    return said.get("etag") or "-".join([said.get("content-length", ""), said.get("last-modified", "")])


@contextlib.contextmanager
def _only_one(path: Path) -> Any:
    """Hold a lock between processes, without waiting; yields whether it is held."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: dropping a file twice does no harm
        yield True
        return
    try:
        file = path.open("w")
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
