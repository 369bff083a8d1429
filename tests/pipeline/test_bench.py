"""The shipped benchmarks: names are checked, and each runs in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from landshift.errors import ConfigError
from landshift.pipeline.bench import bench


def test_an_unknown_benchmark_is_refused_before_any_runs() -> None:
    said: list[str] = []
    with pytest.raises(ConfigError, match="no benchmark 'raed'") as refused:
        bench(["imports", "raed"], say=said.append)
    assert "read" in str(refused.value)
    assert not said


def test_a_benchmark_gives_its_rows() -> None:
    said: list[str] = []
    rows = bench(["imports"], say=said.append)
    assert said == ["bench imports"]
    assert [row["figure"] for row in rows] == ["import landshift", "landshift --help"]
    assert {row["benchmark"] for row in rows} == {"imports"}
    assert all(np.isfinite(row["value"]) for row in rows)
