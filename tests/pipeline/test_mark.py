"""Marks of local files: what changed is seen, where it lies and when it was copied is not."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from landshift.errors import ConfigError, SceneError
from landshift.pipeline.mark import file_mark, input_mark
from tiny_rasters import Tiff, write


def test_other_bytes_of_the_same_size_have_another_mark_at_the_same_time(tmp_path: Path) -> None:
    tiff = Tiff(size=32)
    file = write(tmp_path / "a.tif", tiff, np.full((1, 32, 32), 1000, np.uint16))
    before, size, at = file_mark(file), file.stat().st_size, file.stat().st_mtime_ns
    write(file, tiff, np.full((1, 32, 32), 3000, np.uint16))
    assert file.stat().st_size == size
    assert file_mark(file) != before
    os.utime(file, ns=(at + 10**9, at + 10**9))
    write(file, tiff, np.full((1, 32, 32), 1000, np.uint16))
    assert file_mark(file) == before


@pytest.mark.parametrize("place", [0.0, 0.01, 0.5, 0.99])
def test_a_large_file_written_anew_has_another_mark(tmp_path: Path, place: float) -> None:
    """Compressed tiles after the first that changed all lie elsewhere, so that some sample differs."""
    content = np.random.default_rng(0).integers(0, 255, 3 * 2**20, np.uint8).tobytes()
    file = tmp_path / "large.bin"
    file.write_bytes(content)
    before = file_mark(file)
    cut = int(place * len(content))
    file.write_bytes(content[:cut] + b"other" + content[cut:-5])
    assert file_mark(file) != before


def test_a_copy_without_its_times_has_the_same_mark(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif")
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copyfile(file, tmp_path / "copy" / "a.tif"))
    os.utime(copy, ns=(1, 1))
    assert file_mark(copy) == file_mark(file)


def test_companions_of_a_shapefile_count(tmp_path: Path) -> None:
    for suffix in (".shp", ".shx", ".dbf", ".prj"):
        (tmp_path / f"zones{suffix}").write_text("one")
    seen = [input_mark(tmp_path / "zones.shp")]
    for suffix in (".dbf", ".prj", ".shx"):
        (tmp_path / f"zones{suffix}").write_text("two")
        seen.append(input_mark(tmp_path / "zones.shp"))
    (tmp_path / "zones.qgz").write_text("a neighbour that does not count")
    assert input_mark(tmp_path / "zones.shp") == seen[-1]
    assert all(seen[k] != seen[k + 1] for k in range(3))


def test_companions_count_in_whatever_case_they_are_written(tmp_path: Path) -> None:
    for name in ("A.SHP", "A.DBF", "A.Shx", "B.DBF"):
        (tmp_path / name).write_text(name)
    assert [mark[0] for mark in input_mark(tmp_path / "A.SHP")] == ["A.SHP", "A.DBF", "A.Shx"]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.tif")

    def locked(*_: object) -> None:  # as `chmod 000` does, which does not stop an administrator
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(SceneError, match=r"cannot be opened(.|\n)*a\.tif(.|\n)*Permission denied"):
        file_mark(file)


def test_a_pattern_and_a_folder_count_all_their_files(tmp_path: Path) -> None:
    for name in ("a.gpkg", "b.gpkg", "c.csv"):
        (tmp_path / name).write_text(name)
    before = input_mark(tmp_path / "*.gpkg")
    assert [mark[0] for mark in before] == ["a.gpkg", "b.gpkg"]
    assert [mark[0] for mark in input_mark(tmp_path)] == ["a.gpkg", "b.gpkg", "c.csv"]
    (tmp_path / "b.gpkg").write_text("B.gpkg")
    assert input_mark(tmp_path / "*.gpkg") != before
    with pytest.raises(ConfigError, match="no such file"):
        input_mark(tmp_path / "*.shp")
