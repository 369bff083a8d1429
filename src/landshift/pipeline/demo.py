"""The demo: the whole job on simulated scenes, scored against their truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from landshift.config import Recipe
from landshift.pipeline.watch import Quiet, Watch
from landshift.plan import write_atomic

__all__ = ["demo", "demo_recipe", "simulate"]

CORNER: Final = (500_040.0, 5_400_000.0)
"""Lower left corner of simulated places, EPSG:32633."""
CRS: Final = "EPSG:32633"
PIXEL_M: Final = 10.0
BANDS: Final = (
    *("blue", "green", "red", "rededge071", "rededge075"),
    *("rededge078", "nir", "nir08", "swir16", "swir22"),
)


def demo_recipe(*, size_px: int, years: str, seed: int) -> dict[str, Any]:
    """The demo's recipe as plain values; ``out/demo.toml`` holds it.

    Args:
        size_px: Side of the place in pixels of 10 m.
        years: Years, such as ``"2017..2023"``.
        seed: Seed of the landscape.
    """
    return {
        "place": {"bbox": list(_box(size_px)), "bbox_crs": CRS, "crs": CRS, "resolution": PIXEL_M},
        "time": {"years": years},
        "source": [
            {
                "name": "s2",
                "from": "simulate",
                "seed": seed,
                "sensor": "sentinel-2-l2a",
                "bands": list(BANDS),
            }
        ],
        "product": [
            {"name": "regular", "kind": "interpolate", "every": "30D"},
            {
                "name": "yearly",
                "kind": "composite",
                "period": "year",
                "method": "geometric_median",
                "indices": ["ndvi", "ndbi", "mndwi"],
            },
        ],
        "labels": {"path": "truth:labels.gpkg", "field": "class", "year_field": "year"},
        "train": {"product": "regular", "model": "forest", "compare": ["unet"]},
        "predict": {"years_around": 1},
        "change": {"pairs": "both"},
        "zonal": {"zones": "truth:districts.gpkg", "id": "district"},
        "report": {"title": "A growing town (simulated)"},
    }


def demo(
    out: Path, *, size_px: int = 512, years: str = "2017..2023", seed: int = 1, watch: Watch | None = None
) -> list[dict[str, Any]]:
    """Run the demo and give its scoreboard.

    Args:
        out: Output folder.
        size_px: Side of the place in pixels of 10 m.
        years: Years to simulate.
        seed: Seed of the landscape.
        watch: Who is told how it goes.

    Returns:
        Rows of the scoreboard: what was scored, by which method, the value and its unit.
    """
    import tomli_w

    from landshift.cube.tables import read_table
    from landshift.pipeline.run import run

    values = demo_recipe(size_px=size_px, years=years, seed=seed)
    recipe = Recipe.of(values)
    result = run(recipe, out, watch=watch or Quiet())
    write_atomic(out / "demo.toml", tomli_w.dumps(values).encode())
    frame = read_table(result.out / "tables" / "scoreboard.parquet").frame
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def simulate(
    out: Path,
    *,
    bbox: tuple[float, ...] | None,
    size_px: int,
    years: str,
    seed: int,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Write simulated scenes with their truth.

    Args:
        out: Folder for catalogue, scenes and ``truth/``.
        bbox: Longitudes and latitudes, or None for a square at the demo's place.
        size_px: Side of that square in pixels of 10 m.
        years: Years to simulate.
        seed: Seed of the landscape.
        watch: Who is told how it goes.
    """
    from landshift.acquire.simulate import Simulate, write_scenes
    from landshift.place import Place, Time, grid_of

    where: dict[str, Any] = (
        {"bbox": _box(size_px), "bbox_crs": CRS, "crs": CRS} if bbox is None else {"bbox": bbox, "crs": "utm"}
    )
    grid = grid_of(Place(**where, resolution=PIXEL_M), base=Path())
    begin, end = Time(years=years).span
    heard = watch or Quiet()
    step = Simulate(seed=seed, start=begin.date(), end=(end - timedelta(days=1)).date())
    catalogue = write_scenes(step, grid, out, progress=heard.progress)
    return {"catalogue": str(catalogue), "grid": f"{grid.shape[0]} x {grid.shape[1]} px, {grid.crs}"}


def _box(size_px: int) -> tuple[float, float, float, float]:
    side = size_px * PIXEL_M
    return (*CORNER, CORNER[0] + side, CORNER[1] + side)
