from __future__ import annotations

from pathlib import Path

import pytest

from landshift.cube.provenance import read_run, write_run
from landshift.errors import StoreError


def record(out: Path, seconds: float) -> Path:
    return write_run(
        out,
        title="Düsseldorf",
        simulated=True,
        recipe_hash="0123456789abcdef",
        versions={"zarr": "3.1.6", "numpy": "2.4.6"},
        keys={"build": "a"},
        counts={"build": {"clipped": 3}},
        warnings=["one scene was skipped"],
        timings={"build": seconds},
    )


def test_a_record_comes_back(tmp_path: Path) -> None:
    record(tmp_path, 1.5)
    said = read_run(tmp_path)
    assert said["title"] == "Düsseldorf"
    assert said["counts"] == {"build": {"clipped": 3}}
    assert list(said["versions"]) == ["numpy", "zarr"]


def test_two_equal_runs_differ_in_their_timings_alone(tmp_path: Path) -> None:
    one, two = (record(tmp_path / name, seconds).read_text() for name, seconds in (("a", 1.5), ("b", 2.5)))
    assert one.replace("1.5", "2.5") == two


def test_a_missing_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"record of the run") as caught:
        read_run(tmp_path)
    assert "run again" in str(caught.value)
