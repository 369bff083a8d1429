"""A cube as Cloud Optimized GeoTIFFs, for GDAL and QGIS: a file per date with all bands, or one per band.

Numbers are those of the store, with scale, offset, nodata and a description per band, so nothing is rounded
twice. Files carry a fingerprint of the data they were made from: a second call writes only what is missing or
out of date.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from landshift.cube.layout import Array, Layout
from landshift.cube.maps import MapWriter
from landshift.cube.reader import StoredArray
from landshift.cube.store import layout_of, planned
from landshift.errors import ConfigError, StoreError
from landshift.plan import plan_blocks

__all__ = ["export"]

SOURCE_TAG = "LANDSHIFT_SOURCE"
_AT_ONCE = 8

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One file to write: its bands as (variable, date, band) in order."""

    path: Path
    layers: tuple[tuple[str, int, int], ...]
    names: tuple[str, ...]
    tags: dict[str, str]


def export(
    store: Path,
    out: Path,
    *,
    per: Literal["date", "band"] = "date",
    extras: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a cube as COGs with described bands.

    Args:
        store: A store made by landshift.
        out: Folder for the files.
        per: ``date``: a file per date, its bands are the cube's; ``band``: a file per band, its bands are
            the dates.
        extras: Whether ``quality``, ``age`` and ``n_clear`` are written too, as files of their own.
        progress: Told how many files are done.

    Returns:
        All files of the export, those that were up to date too.

    Raises:
        StoreError: The store is damaged, or the folder cannot be written.
    """
    if per not in {"date", "band"}:
        raise ConfigError("unknown kind of export", got=per, allowed=["date", "band"])
    layout, product, stamps = layout_of(store), _product(store), _stamps(store)
    groups = _groups(layout, extras=extras)
    listed: list[Path] = []
    todo: list[tuple[list[Array], list[_File]]] = []
    for suffix, arrays in groups:
        mark = _fingerprint(Path(store), arrays)
        stem = Path(out) / f"{product}{suffix}"
        files = list(_files(stem, layout, arrays, stamps, per, {SOURCE_TAG: mark, "product": product}))
        listed += [file.path for file in files]
        todo.append((arrays, [file for file in files if not _up_to_date(file.path, mark)]))
    done = len(listed) - sum(len(files) for _, files in todo)
    for arrays, files in todo:
        step = _AT_ONCE if per == "date" else 1
        for first in range(0, len(files), step):
            part = files[first : first + step]
            _write(Path(store), layout, arrays, part)
            done += len(part)
            if progress is not None:
                progress(done, len(listed), "files")
    return listed


def _groups(layout: Layout, *, extras: bool) -> list[tuple[str, list[Array]]]:
    """Variables that share files: bands and indices together, each further variable alone."""
    main = [array for array in layout.arrays if array.name not in layout.extra]
    others = [array for array in layout.arrays if array.name in layout.extra] if extras else []
    return [("", main), *((f"_{array.name}", [array]) for array in others)]


def _files(
    stem: Path, layout: Layout, arrays: Sequence[Array], stamps: Sequence[str], per: str, tags: dict[str, str]
) -> Iterator[_File]:
    bands = [
        (array.name, number, name)
        for array in arrays
        for number, name in enumerate(layout.names_of(array.name) or (array.name,))
    ]
    dated = "time" in arrays[0].dims
    if not dated:
        layers = tuple((variable, 0, number) for variable, number, _ in bands)
        yield _File(
            path=stem.with_name(f"{stem.name}.tif"),
            layers=layers,
            names=tuple(name for *_, name in bands),
            tags=tags,
        )
    elif per == "date":
        names = tuple(name for *_, name in bands)
        for date, stamp in enumerate(stamps):
            layers = tuple((variable, date, number) for variable, number, _ in bands)
            path = stem.with_name(f"{stem.name}_{_compact(stamp, stamps)}.tif")
            yield _File(path=path, layers=layers, names=names, tags=tags | {"time": f"{stamp}Z"})
    else:
        for variable, number, name in bands:
            layers = tuple((variable, date, number) for date in range(len(stamps)))
            end = "" if name == variable else f"_{name}"
            path = stem.with_name(f"{stem.name}{end}.tif")
            yield _File(path=path, layers=layers, names=tuple(stamps), tags=tags | {"band": name})


def _write(store: Path, layout: Layout, arrays: Sequence[Array], files: Sequence[_File]) -> None:
    """Write some files together, block by block, so that each chunk is decoded once."""
    blocks = frozenset(planned(store))
    readers = {array.name: StoredArray(store, array, blocks=blocks, stored=True) for array in arrays}
    with ExitStack() as stack:
        writers = [stack.enter_context(_writer(layout, arrays, file)) for file in files]
        for block in plan_blocks(layout.geobox, block_px=layout.block_px).blocks:
            planes = _read(readers, files, block.slices)
            for writer, file in zip(writers, files, strict=True):
                writer.write(block.slices, np.stack([planes[layer] for layer in file.layers]))


def _read(
    readers: dict[str, StoredArray], files: Sequence[_File], window: tuple[slice, slice]
) -> dict[tuple[str, int, int], NDArray[Any]]:
    """All layers that some files need of a window, one read per variable."""
    found: dict[tuple[str, int, int], NDArray[Any]] = {}
    for name, reader in readers.items():
        wanted = sorted({layer for file in files for layer in file.layers if layer[0] == name})
        if not wanted:
            continue
        dates, bands = sorted({date for _, date, _ in wanted}), sorted({band for *_, band in wanted})
        dims = reader.array.dims
        key = tuple(
            {"time": np.array(dates), "y": window[0], "x": window[1]}.get(dim, np.array(bands))
            for dim in dims
        )
        values = reader.read(key)
        planes = values.reshape(len(dates), len(bands), *values.shape[-2:])
        for _, date, band in wanted:
            found[name, date, band] = planes[dates.index(date), bands.index(band)]
    return found


def _writer(layout: Layout, arrays: Sequence[Array], file: _File) -> MapWriter:
    kinds = {array.name: array.kind for array in arrays}
    first = arrays[0].kind
    scales = [kinds[variable].scale for variable, *_ in file.layers]
    return MapWriter(
        file.path,
        layout.geobox,
        dtype=first.dtype,
        bands=file.names,
        nodata=first.fill if first.masked or first.dtype == "uint8" else None,
        tags=file.tags,
        scales=[scale or 1.0 for scale in scales] if any(scales) else (),
        overviews="average" if first.scale is not None or math.isnan(first.fill) else "nearest",
    )


def _up_to_date(path: Path, mark: str) -> bool:
    import rasterio
    from rasterio.errors import RasterioIOError

    if not path.is_file():
        return False
    try:
        with rasterio.open(path) as there:
            return bool(there.tags().get(SOURCE_TAG) == mark)
    except RasterioIOError:
        return False


def _fingerprint(store: Path, arrays: Sequence[Array]) -> str:
    """Sixteen hex digits of the metadata and of every byte of some variables."""
    mark = hashlib.sha256((store / "zarr.json").read_bytes())
    for array in arrays:
        for file in sorted((store / array.name).rglob("*")):
            if file.is_file():
                mark.update(str(file.relative_to(store)).encode())
                mark.update(int(google_crc32c.value(file.read_bytes())).to_bytes(4, "little"))
    return mark.hexdigest()[:16]


def _product(store: Path) -> str:
    said = json.loads((Path(store) / "zarr.json").read_text(encoding="utf-8"))
    return str(said["attributes"]["landshift"]["product"])


def _stamps(store: Path) -> list[str]:
    import xarray as xr

    try:
        return [str(time)[:19] for time in xr.open_zarr(store, chunks=None)["time"].values]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError("a cube cannot be opened", where=store, got=str(error), hint="run again") from error


def _compact(stamp: str, stamps: Sequence[str]) -> str:
    """A date for a file name, with its clock where two dates share a day."""
    day = stamp[:10]
    alone = sum(other.startswith(day) for other in stamps) == 1
    return day.replace("-", "") if alone else stamp.replace("-", "").replace(":", "")
