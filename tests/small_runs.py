"""Small simulated places, and what is compared of their output folders: for tests of whole runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landshift.pipeline.run import RunResult

BBOX_CRS = "EPSG:32633"
LEFT, BOTTOM = 500_040.0, 5_400_000.0


class Heard:
    """A watch that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int, what: str) -> None:
        """Not remembered."""


@dataclass(frozen=True)
class Town:
    """A finished run from simulated scenes to the site."""

    values: dict[str, Any]
    result: RunResult
    lines: tuple[str, ...]

    @property
    def out(self) -> Path:
        return self.result.out


def place(rows: int, cols: int) -> dict[str, Any]:
    """A grid of 10 m."""
    box = [LEFT, BOTTOM, LEFT + 10 * cols, BOTTOM + 10 * rows]
    return {"bbox": box, "bbox_crs": BBOX_CRS, "crs": BBOX_CRS, "resolution": 10}


def contents(out: Path) -> dict[str, bytes]:
    """All bytes of an output folder but its journal; ``run.json`` without its timings."""
    found = {}
    for file in sorted(out.rglob("*")):
        name = file.relative_to(out)
        if file.is_file() and ".landshift" not in name.parts:
            found[name.as_posix()] = file.read_bytes()
    if "run.json" in found:
        said = json.loads(found["run.json"])
        del said["timings"]
        found["run.json"] = json.dumps(said, indent=1).encode()
    return found


def differing(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> list[str]:
    """Names whose bytes are not the same, or that one of the two lacks."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def town_recipe() -> dict[str, Any]:
    """The recipe of a small town: 96 px, two years, a forest, change, zones, report and site."""
    return {
        "place": place(96, 96),
        "time": {"years": "2020..2021"},
        "source": [
            {
                "name": "s2",
                "from": "simulate",
                "seed": 3,
                "revisit": "45D",
                "sensor": "sentinel-2-l2a",
                "bands": ["blue", "green", "red", "nir", "swir16"],
            }
        ],
        "product": [
            {"name": "regular", "kind": "interpolate", "every": "60D"},
            {"name": "yearly", "kind": "composite", "period": "year", "indices": ["ndvi"]},
        ],
        "labels": {"path": "truth:labels.gpkg", "year_field": "year"},
        "samples": {"size": 8, "min_per_class": 2, "per_class": 40, "pixels_per_class": 400},
        "split": {"block_m": 120, "buffer_m": 10},
        "train": {"product": "regular", "model": "forest", "forest": {"trees": 12}},
        "change": {},
        "zonal": {"zones": "truth:districts.gpkg", "id": "district"},
        "report": {"title": "A small town"},
    }
