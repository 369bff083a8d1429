"""Peak memory when the area grows four times: a build's memory is bounded whatever the area."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from landshift.pipeline.bench.build import CRS, recipe_for, write_scenes
from landshift.pipeline.bench.row import row

__all__ = ["measure"]

_CODE = """
import json, resource, sys
from datetime import date
from pathlib import Path
from landshift.config import Recipe
from landshift.pipeline.run import run
values = json.loads(sys.argv[1])
values["product"][0]["end"] = date.fromisoformat(values["product"][0]["end"])
run(Recipe.of(values), sys.argv[2], until="build")
status = Path("/proc/self/status")
if status.exists():  # what getrusage says includes the process that started this one
    print(next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def measure(side: int = 1024) -> list[dict[str, Any]]:
    """Peak memory of a build over a square, and over one of four times its area, under the same limit."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_scenes(home / "scenes", side=2 * side)
        peaks = [_peak(home, side * times) for times in (1, 2)]
    return [
        row("peak memory, area x 4", peaks[1] / peaks[0], "times", "at most 1.15"),
        row("  peak memory of the larger", peaks[1], "MB"),
    ]


def _peak(home: Path, side: int) -> float:
    values = recipe_for(home / "scenes", side=side, crs=CRS)
    values["engine"] = {"memory": "2GB"}
    command = [sys.executable, "-c", _CODE, json.dumps(values, default=str), str(home / f"out{side}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])
