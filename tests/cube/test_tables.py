from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames

from landshift.cube.tables import read_table, write_table
from landshift.errors import ConfigError, StoreError

COLUMNS = {"zone": "district", "year": "year of the map", "area_ha": "area, hectares"}


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"area_ha": [1.5, np.nan], "zone": ["a", "b, c"], "year": np.array([2019, 2020], "int16")}
    )


def test_rows_and_documentation_come_back_from_both_files(tmp_path: Path) -> None:
    path = write_table(tmp_path, "zonal", frame(), title="Areas", columns=COLUMNS)
    for read in (read_table(path), read_table(path.with_suffix(".csv"))):
        assert (read.name, read.title, dict(read.columns)) == ("zonal", "Areas", COLUMNS)
        assert list(read.frame.columns) == list(COLUMNS)
        pd.testing.assert_frame_equal(read.frame, frame()[list(COLUMNS)], check_dtype=False)


def test_the_same_rows_give_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        write_table(tmp_path / name, "zonal", frame(), title="Areas", columns=COLUMNS, xlsx=True)
        made.append({file.name: file.read_bytes() for file in (tmp_path / name / "tables").iterdir()})
    assert made[0] == made[1]
    assert set(made[0]) == {"zonal.parquet", "zonal.csv", "zonal.csv-metadata.json", "zonal.xlsx"}
    with zipfile.ZipFile(tmp_path / "a" / "tables" / "zonal.xlsx") as book:
        assert {part.date_time[0] for part in book.infolist()} == {1980}
        properties = book.read("docProps/core.xml").decode()
    assert set(re.findall(r"\d{4}-\d\d-\d\dT", properties)) == {"1980-01-01T"}


def test_the_spreadsheet_opens_and_explains_itself(tmp_path: Path) -> None:
    write_table(tmp_path, "zonal", frame(), title="Areas", columns=COLUMNS, xlsx=True)
    book = openpyxl.load_workbook(tmp_path / "tables" / "zonal.xlsx")
    assert [[cell.value for cell in row] for row in book["zonal"].iter_rows()] == [
        ["zone", "year", "area_ha"],
        ["a", 2019, 1.5],
        ["b, c", 2020, None],
    ]
    assert book["columns"]["B4"].value == "area, hectares"


def test_an_undocumented_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not documented: \\['area_ha'\\]"):
        write_table(tmp_path, "zonal", frame(), title="", columns={"zone": "", "year": ""})


def test_times_survive(tmp_path: Path) -> None:
    rows = pd.DataFrame({"time": pd.to_datetime(["2020-01-01T10:00:00.5", "NaT"], format="ISO8601")})
    path = write_table(tmp_path, "t", rows, title="t", columns={"time": "UTC"}, xlsx=True)
    for read in (read_table(path), read_table(path.with_suffix(".csv"))):
        assert read.frame["time"].iloc[0] == rows["time"].iloc[0]
        assert pd.isna(read.frame["time"].iloc[1])


def test_a_missing_table_names_those_there_are(tmp_path: Path) -> None:
    path = write_table(tmp_path, "zonal", frame(), title="", columns=COLUMNS)
    with pytest.raises(StoreError) as caught:
        read_table(path.with_name("zonel.parquet"))
    assert "zonal" in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(
    rows=data_frames(
        [
            column("number", dtype=float),
            column("count", dtype=np.int32),
            column(
                "name", elements=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)
            ),
        ]
    )
)
def test_any_frame_survives_parquet(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> None:
    out = tmp_path_factory.mktemp("any")
    path = write_table(out, "any", rows, title="", columns=dict.fromkeys(rows.columns, ""))
    pd.testing.assert_frame_equal(read_table(path).frame, rows.reset_index(drop=True), check_dtype=False)
