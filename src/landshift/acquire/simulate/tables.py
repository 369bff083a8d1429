"""Tables of the truth: what changed when, and how far each scene is off its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.granules import Site
from landshift.acquire.simulate.passes import overpasses
from landshift.acquire.simulate.simulation import Simulate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_changes", "write_shifts"]

_CHANGE: Final = {
    "parcel": "key of the parcel, hexadecimal",
    "date": "first day of the new land cover",
    "class_from": "land class before",
    "class_to": "land class from that day on",
    "area_ha": "area inside the place, hectares, at 2.5 m",
}
_SHIFT: Final = {
    "sensor": "sensor",
    "platform": "satellite",
    "relative_orbit": "relative orbit, or path of Landsat",
    "datetime": "acquisition, UTC",
    "south_m": "how far south of its place every pixel looks, metres",
    "east_m": "how far east of its place every pixel looks, metres",
    "cloud_cover": "share of the sky that clouds cover, over a region much larger than the place",
    "cirrus_cover": "share of the sky that cirrus covers",
    "cloud_height_m": "height of the clouds above the ground, metres",
}


def write_changes(frames: Sequence[pd.DataFrame], folder: Path, span: tuple[date, date]) -> None:
    """Write ``change.parquet``: a row for each parcel, change and pair of classes.

    Args:
        frames: Areas by strip; a parcel may stand in several.
        folder: Where to.
        span: First and last day of the simulation.
    """
    import pandas as pd

    filled = [frame for frame in frames if not frame.empty]
    columns = list(_CHANGE)
    if not filled:
        _write(folder / "change.parquet", pd.DataFrame(columns=columns), _CHANGE)
        return
    whole = pd.concat(filled)
    names = {one.value: one.name for one in facts.classes()}
    whole = whole[(whole["class_from"] != whole["class_to"]) & whole["date"].between(*span)]
    summed = whole.groupby(columns[:4], as_index=False)["area_ha"].sum()
    summed = summed[summed["area_ha"] > 0]
    for side in ("class_from", "class_to"):
        summed[side] = summed[side].map(names)
    ordered = summed.sort_values(["date", "parcel", "class_from", "class_to"], ignore_index=True)
    _write(folder / "change.parquet", ordered[columns], _CHANGE)


def write_shifts(sim: Simulate, site: Site, folder: Path) -> None:
    """Write ``shifts.parquet``: a row for each pass."""
    import pandas as pd

    rows = [
        {
            "sensor": one.sensor,
            "platform": one.platform,
            "relative_orbit": one.orbit,
            "datetime": pd.Timestamp(one.moment),
            "south_m": one.shift_m[0],
            "east_m": one.shift_m[1],
            "cloud_cover": one.sky.cover,
            "cirrus_cover": one.sky.cirrus,
            "cloud_height_m": one.sky.height_m,
        }
        for one in overpasses(sim, site.longitude, site.latitude)
    ]
    _write(folder / "shifts.parquet", pd.DataFrame(rows, columns=list(_SHIFT)), _SHIFT)


def _write(path: Path, frame: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """Write a table whose columns carry their descriptions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [one.with_metadata({"description": columns[one.name]}) for one in raw.schema]
    told = {"landshift": json.dumps({"simulated": True})}
    pq.write_table(raw.cast(pa.schema(fields)).replace_schema_metadata(told), path)
