"""Documented tables: every column says what it holds, and the same frame always gives the same bytes.

A table is written as Parquet (types and column documentation inside), as CSV with a CSVW description beside
it (https://www.w3.org/TR/tabular-data-primer/), and on wish as a spreadsheet with a sheet of explanations.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landshift.errors import ConfigError, StoreError
from landshift.plan import write_atomic

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Table", "read_table", "write_table"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
_CSVW = {"int64": "integer", "float64": "number", "bool": "boolean", "datetime64": "dateTime"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as read back."""

    name: str
    """File name without ending."""
    title: str
    """Title for people."""
    columns: Mapping[str, str]
    """What each column holds, with its unit."""
    frame: pd.DataFrame
    """The rows."""


def write_table(
    out: Path, name: str, frame: pd.DataFrame, *, title: str, columns: Mapping[str, str], xlsx: bool = False
) -> Path:
    """Write a table to ``out/tables``, as Parquet and CSV, and on wish as a spreadsheet.

    Args:
        out: The output folder; ``tables`` is made in it.
        name: File name without ending.
        frame: The rows; its index is not written.
        title: Title for people.
        columns: What each column of ``frame`` holds, with its unit; also their order in the files.
        xlsx: Whether a spreadsheet is written too.

    Returns:
        The Parquet file.

    Raises:
        ConfigError: A column is not documented, or a documented one is missing.
        StoreError: The folder cannot be written.
    """
    if set(frame.columns) != set(columns):
        missing = (
            sorted(set(columns) - set(frame.columns)),
            sorted(set(map(str, frame.columns)) - set(columns)),
        )
        raise ConfigError(
            f"the columns of table {name!r} do not fit their documentation",
            got=f"not in the frame: {missing[0]}; not documented: {missing[1]}",
        )
    ordered = frame.loc[:, list(columns)].reset_index(drop=True)
    folder = out / "tables"
    path = folder / f"{name}.parquet"
    write_atomic(path, _parquet(ordered, title, columns))
    write_atomic(folder / f"{name}.csv", ordered.to_csv(index=False, lineterminator="\n").encode())
    described = _described(name, ordered, title, columns)
    write_atomic(folder / f"{name}.csv-metadata.json", described)
    if xlsx:
        write_atomic(folder / f"{name}.xlsx", _spreadsheet(name, ordered, title, columns))
    return path


def read_table(path: Path) -> Table:
    """Read a table and its documentation.

    Args:
        path: The Parquet or CSV file.

    Raises:
        StoreError: There is no such table, or it is not one of ours.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.parquet"))
        raise StoreError("no such table", where=path, allowed=known or None)
    return _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)


def _read_parquet(path: Path) -> Table:
    from pyarrow import ArrowInvalid, parquet

    try:
        rows = parquet.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise StoreError("a table cannot be read", where=path, got=str(error), hint="run again") from error
    said = rows.schema.metadata or {}
    columns = {field.name: (field.metadata or {}).get(b"description", b"").decode() for field in rows.schema}
    title = said.get(b"title", b"").decode()
    return Table(name=path.stem, title=title, columns=columns, frame=rows.to_pandas())


def _read_csv(path: Path) -> Table:
    import pandas as pd

    beside = path.with_name(f"{path.name}-metadata.json")
    said = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    listed = said.get("tableSchema", {}).get("columns", [])
    dates = [column["name"] for column in listed if column["datatype"] == "dateTime"]
    frame = pd.read_csv(path, parse_dates=dates)
    columns = {column["name"]: column["dc:description"] for column in listed}
    return Table(name=path.stem, title=said.get("dc:title", ""), columns=columns, frame=frame)


def _parquet(frame: pd.DataFrame, title: str, columns: Mapping[str, str]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    rows = pa.Table.from_pandas(frame, preserve_index=False)
    fields: list[pa.Field] = [
        field.with_metadata({"description": columns[field.name]}) for field in rows.schema
    ]
    rows = rows.cast(pa.schema(fields, metadata={"title": title}))
    sink = io.BytesIO()
    parquet.write_table(rows, sink, compression="zstd", store_schema=True)
    return sink.getvalue()


def _described(name: str, frame: pd.DataFrame, title: str, columns: Mapping[str, str]) -> bytes:
    def kind(column: str) -> str:
        said = str(frame[column].dtype)
        plain = (
            "datetime64" if said.startswith("datetime64") else re.sub(r"^u?int\d+$", "int64", said.lower())
        )
        return _CSVW.get(re.sub(r"^float\d+$", "float64", plain), "string")

    listed = [
        {"name": column, "titles": column, "datatype": kind(column), "dc:description": text}
        for column, text in columns.items()
    ]
    record = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": f"{name}.csv",
        "dc:title": title,
        "tableSchema": {"columns": listed},
    }
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def _spreadsheet(name: str, frame: pd.DataFrame, title: str, columns: Mapping[str, str]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    sheet = book.active
    sheet.title = name[:31]
    sheet.append(list(columns))
    for row in frame.itertuples(index=False):
        sheet.append([_cell(value) for value in row])
    explained = book.create_sheet("columns")
    explained.append([title])
    for column, text in columns.items():
        explained.append([column, text])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    raw = io.BytesIO()
    book.save(raw)
    return _undated(raw.getvalue())


def _cell(value: Any) -> Any:
    """A value as a spreadsheet takes it: missing as an empty cell, times without a zone."""
    import numpy as np
    import pandas as pd

    if value is None or value is pd.NaT or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.tz_localize(None).to_pydatetime()
    return value.item() if isinstance(value, np.generic) else value


def _undated(book: bytes) -> bytes:
    """The same spreadsheet without the clock: fixed times of its parts and in its properties."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as given, zipfile.ZipFile(made, "w") as fixed:
        for name in sorted(given.namelist()):
            content = given.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(entry, content)
    return made.getvalue()
