"""What ``import landshift`` and ``landshift --help`` cost more than Python itself."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from landshift.pipeline.bench.row import row

__all__ = ["measure"]


def measure(repeats: int = 7) -> list[dict[str, Any]]:
    """Best of several starts, in seconds more than an empty Python."""
    codes = {"python": "pass", "import landshift": "import landshift", "landshift --help": None}
    best = dict.fromkeys(codes, float("inf"))
    for _ in range(repeats):
        for name, code in codes.items():
            command = (
                [sys.executable, "-m", "landshift", "--help"]
                if code is None
                else [sys.executable, "-c", code]
            )
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            best[name] = min(best[name], time.perf_counter() - begin)
    bar = "under 0.3 s"
    return [
        row(name, best[name] - best["python"], "s more than Python", bar)
        for name in codes
        if name != "python"
    ]
