from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from landshift.show.credits import credit_of

_ESA = "Contains modified Copernicus Sentinel data"
_USGS = "Landsat data courtesy of the U.S. Geological Survey"


def _scenes(folder: Path, *rows: tuple[str, str | None, int, bool]) -> Path:
    path = folder / "scenes.parquet"
    columns = {
        "id": [row[0] for row in rows],
        "platform": [row[1] for row in rows],
        "datetime": [datetime(row[2], 6, 1, tzinfo=UTC) for row in rows],
        "landshift:used": [row[3] for row in rows],
    }
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("rows", "credit"),
    [
        ([("S2A_MSIL2A_20190601", None, 2019, True)], f"{_ESA} 2019"),
        ([("a", "sentinel-2b", 2017, True), ("b", "sentinel-1a", 2021, True)], f"{_ESA} 2017–2021"),
        ([("LC08_L2SP_016037", None, 2018, True)], _USGS),
        ([("a", "landsat-9", 2022, True), ("b", "sentinel-2a", 2022, True)], f"{_ESA} 2022; {_USGS}"),
        ([("a", "landsat-9", 2022, False), ("field_20200101", None, 2020, True)], ""),
    ],
)
def test_missions_are_credited_as_their_terms_ask(
    tmp_path: Path, rows: list[tuple[str, str | None, int, bool]], credit: str
) -> None:
    assert credit_of(_scenes(tmp_path, *rows)) == credit


def test_no_inventory_no_credit(tmp_path: Path) -> None:
    assert credit_of(tmp_path / "scenes.parquet") == ""
