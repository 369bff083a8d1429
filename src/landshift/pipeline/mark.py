"""What tells that a local file is the same as last time, whatever its folder and whenever it was copied.

Marks take part in keys, and keys stand in the stores, which hold no clock: so a mark is made of a file's name, size
and bytes, never of its time of change, and a folder that is copied rebuilds nothing. Small files count whole. Of large
ones the ends, where headers and directories lie, and samples between them are read: a raster that is written anew with
other pixels is found by them; a few pixels changed in place inside a large uncompressed file may not be.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any, Final

from landshift.errors import ConfigError, SceneError

__all__ = ["file_mark", "input_mark"]

_WHOLE: Final = 2**20
"""Bytes up to which a file is read whole."""
_END: Final = 2**16
"""Bytes read at both ends of a larger one."""
_SAMPLES: Final = 8
"""Places between them."""
_SAMPLE: Final = 2**12
"""Bytes read at each."""
_COMPANIONS: Final = {".shp": (".dbf", ".shx", ".prj", ".cpg")}
"""Files that belong to a file, by its suffix."""


def file_mark(path: Path) -> list[Any]:
    """Name, size and digest of a file.

    Args:
        path: The file.

    Raises:
        SceneError: It cannot be opened.
    """
    try:
        facts = path.stat()
        return [path.name, facts.st_size, _digest(path, facts.st_size, facts.st_mtime_ns)]
    except OSError as error:
        hint = "let this user read it, or leave it out"
        raise SceneError("the file cannot be opened", where=path, got=error.strerror, hint=hint) from error


def input_mark(path: Path) -> list[Any]:
    """Marks of what a recipe names as an input: a file with its companions, a folder, or a pattern (``*``).

    Args:
        path: The file, folder or pattern.

    Raises:
        ConfigError: There is no such file.
        SceneError: One cannot be opened.
    """
    if path.is_dir():
        files = sorted(part for part in path.rglob("*") if part.is_file())
    elif path.is_file():
        files = [path, *_companions(path)]
    else:
        files = sorted(part for part in path.parent.glob(path.name) if part.is_file())
    if not files:
        raise ConfigError(
            "there is no such file", where=str(path), hint="paths are relative to the recipe's folder"
        )
    return [file_mark(file) for file in files]


def _companions(path: Path) -> list[Path]:
    """Files beside a file that belong to it, in whatever case their suffixes are written."""
    suffixes = _COMPANIONS.get(path.suffix.lower())
    if suffixes is None:
        return []
    beside = (part for part in path.parent.iterdir() if part.stem == path.stem)
    return sorted(part for part in beside if part.suffix.lower() in suffixes and part.is_file())


@functools.lru_cache(maxsize=65_536)
def _digest(path: Path, size: int, _changed: int) -> str:
    """Digest of a file's bytes, or of samples of them; remembered until the file changes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        if size <= _WHOLE:
            found.update(file.read())
        else:
            gap = (size - 2 * _END) // (_SAMPLES + 1)
            places = [(_END + gap * number, _SAMPLE) for number in range(1, _SAMPLES + 1)]
            for start, length in [(0, _END), *places, (size - _END, _END)]:
                file.seek(start)
                found.update(file.read(length))
    return found.hexdigest()[:16]
