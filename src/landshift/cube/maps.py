"""Maps on disk: Cloud Optimized GeoTIFFs with a colour table, class names and overviews.

A map is written window by window into a tiled temporary file and then turned into a COG by GDAL, so its
size is bounded by the disk alone. Nothing in it depends on the clock, the host or the order of the windows.
Names and colours of the classes stand in the file (tag ``LANDSHIFT_CLASSES``, colour table) and, as desktop
software expects, in ``<map>.aux.xml`` as category names and an attribute table.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from landshift.cube.classes import LandClass, as_records, from_records
from landshift.errors import GridError, StoreError
from landshift.plan import write_atomic

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["MapWriter", "map_geobox", "map_tags", "read_classes", "read_map", "write_map"]

CLASSES_TAG: Final = "LANDSHIFT_CLASSES"
_TILE = 512
_ROOM = "free some space or choose another output folder, then run again: finished work is kept"

Overviews = Literal["mode", "nearest", "average"]


class MapWriter:
    """Writes one map; use it in a ``with`` block, the file appears when the block ends without an error.

    Args:
        path: The GeoTIFF to make.
        geobox: Its grid.
        classes: Classes of the first band; empty for a layer of numbers.
        dtype: Type of all bands.
        bands: Their names.
        nodata: The number that means no data.
        tags: Further tags of the file: facts of the result, never times or paths.
        scales: Size of a step per band, for layers of scaled numbers.
        overviews: How coarser levels are made; by default the most frequent class, or the nearest number.

    Raises:
        StoreError: The folder cannot be written, or the disk has no room for it.
    """

    def __init__(  # noqa: PLR0913 - what a raster file is made of
        self,
        path: Path,
        geobox: GeoBox,
        *,
        classes: Sequence[LandClass] = (),
        dtype: str = "uint8",
        bands: Sequence[str] = ("class",),
        nodata: float | None = 0,
        tags: Mapping[str, str] | None = None,
        scales: Sequence[float] = (),
        overviews: Overviews | None = None,
    ) -> None:
        self.path, self.geobox = Path(path), geobox
        self.classes, self.bands, self.dtype, self.nodata = (
            tuple(classes),
            tuple(bands),
            np.dtype(dtype),
            nodata,
        )
        self.tags, self.scales = dict(tags or {}), tuple(scales)
        self.overviews = overviews or ("mode" if self.classes else "nearest")
        self._lock = threading.Lock()
        self._target: Any = None

    def __enter__(self) -> Self:
        import rasterio

        self._make_room()
        height, width = self.geobox.shape
        with _failing_well(self.path):
            self._target = rasterio.open(
                self._raw,
                "w",
                driver="GTiff",
                width=width,
                height=height,
                count=len(self.bands),
                dtype=self.dtype.name,
                crs=str(self.geobox.crs) if self.geobox.crs else None,
                transform=self.geobox.affine,
                nodata=self.nodata,
                tiled=True,
                blockxsize=_TILE,
                blockysize=_TILE,
                interleave="band",
                BIGTIFF="IF_SAFER",
                SPARSE_OK=True,
            )
            self._describe()
        return self

    def write(self, window: tuple[slice, slice], data: NDArray[Any]) -> None:
        """Write one window; threads may call it at the same time.

        Args:
            window: Rows and columns of the whole grid.
            data: Values as (y, x) or (bands, y, x).

        Raises:
            GridError: The data do not fill the window.
        """
        from rasterio.windows import Window

        values = data[np.newaxis] if data.ndim == 2 else data
        rows, cols = (range(*part.indices(n)) for part, n in zip(window, self.geobox.shape, strict=True))
        expected = (len(self.bands), len(rows), len(cols))
        if values.shape != expected:
            raise GridError(
                "data do not fill their window", where=self.path.name, got=values.shape, allowed=expected
            )
        place = Window(cols.start, rows.start, len(cols), len(rows))
        with self._lock, _failing_well(self.path):
            self._target.write(values.astype(self.dtype, copy=False), window=place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _failing_well(self.path):
                self._target.close()
                if kind is None:
                    self._finish()
        finally:
            for leftover in self.path.parent.glob(f"{self.path.name}.*partial*"):
                leftover.unlink(missing_ok=True)

    @property
    def _raw(self) -> Path:
        return self.path.with_name(f"{self.path.name}.raw.partial")

    def _make_room(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise _cannot_write(self.path, error.strerror) from error
        wanted = int(np.prod(self.geobox.shape)) * len(self.bands) * self.dtype.itemsize
        if free < wanted:
            said = f"{free / 1e6:.0f} MB free, {wanted / 1e6:.0f} MB wanted"
            raise StoreError("no room for a map", where=self.path, got=said, hint=_ROOM)

    def _describe(self) -> None:
        for number, name in enumerate(self.bands, start=1):
            self._target.set_band_description(number, name)
        if self.scales:
            self._target.scales, self._target.offsets = self.scales, (0.0,) * len(self.scales)
        tags = dict(self.tags)
        if self.classes:
            tags[CLASSES_TAG] = json.dumps(as_records(self.classes), ensure_ascii=False)
        self._target.update_tags(**dict(sorted(tags.items())))
        if self.classes and self.dtype == np.uint8:
            self._target.write_colormap(1, {one.value: (*one.rgb, 255) for one in self.classes})

    def _finish(self) -> None:
        from rasterio.shutil import copy

        made = self.path.with_name(f"{self.path.name}.cog.partial")
        options = {
            "COMPRESS": "DEFLATE",
            "LEVEL": "6",
            "BLOCKSIZE": str(_TILE),
            "OVERVIEW_RESAMPLING": self.overviews.upper(),
            "BIGTIFF": "IF_SAFER",
            "PREDICTOR": "NO" if self.classes else "YES",
        }
        copy(self._raw, made, driver="COG", **options)
        if self.classes:
            write_atomic(self.path.with_name(f"{self.path.name}.aux.xml"), _auxiliary(self.classes))
        made.replace(self.path)


def write_map(
    path: Path,
    geobox: GeoBox,
    data: NDArray[Any],
    *,
    classes: Sequence[LandClass],
    bands: Sequence[str] = ("class",),
) -> Path:
    """Write a map that is in memory, as (y, x) or (bands, y, x), in its own type with 0 as no data."""
    with MapWriter(path, geobox, classes=classes, dtype=data.dtype.name, bands=bands) as target:
        target.write((slice(None), slice(None)), data)
    return path


def map_tags(path: Path) -> dict[str, str]:
    """What a map says of itself: the tags that were given when it was written, and GDAL's own.

    Raises:
        StoreError: The map is not there.
    """
    with _opened(path) as source:
        return dict(source.tags())


def read_classes(path: Path) -> tuple[LandClass, ...]:
    """Classes of a map; a foreign raster with a colour table gets numbers as names.

    Raises:
        StoreError: The map is not there or says nothing of classes.
    """
    with _opened(path) as source:
        said = source.tags().get(CLASSES_TAG)
        if said:
            return from_records(json.loads(said))
        try:
            table = source.colormap(1)
        except ValueError:
            raise StoreError("a raster says nothing of its classes", where=path) from None
    return from_records(
        {"value": value, "name": str(value), "colour": "#{:02x}{:02x}{:02x}".format(*colour[:3])}
        for value, colour in sorted(table.items())
        if 0 < value <= 255 and colour[3] and any(colour[:3])
    )


def read_map(path: Path, window: tuple[slice, slice] | None = None, *, band: int = 1) -> NDArray[Any]:
    """Read one band of a map, whole or a window of it (rows, columns), as (y, x) in the stored type.

    Raises:
        StoreError: The map is not there or cannot be read.
    """
    from rasterio.errors import RasterioIOError
    from rasterio.windows import Window

    with _opened(path) as source:
        place = None
        if window is not None:
            rows, cols = (range(*part.indices(n)) for part, n in zip(window, source.shape, strict=True))
            place = Window(cols.start, rows.start, len(cols), len(rows))
        try:
            values: NDArray[Any] = source.read(band, window=place)
        except RasterioIOError as error:
            raise StoreError("a map cannot be read", where=path, got=str(error), hint="run again") from error
        return values


def map_geobox(path: Path) -> GeoBox:
    """Grid of a map."""
    from odc.geo.geobox import GeoBox

    with _opened(path) as source:
        return GeoBox(source.shape, source.transform, str(source.crs) if source.crs else None)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        source = rasterio.open(path)
    except RasterioIOError as error:
        raise StoreError("a map cannot be opened", where=path, got=str(error), hint="run again") from error
    with source:
        yield source


@contextmanager
def _failing_well(path: Path) -> Iterator[None]:
    from rasterio.errors import RasterioError

    try:
        yield
    except (OSError, RasterioError) as error:
        raise _cannot_write(path, str(error.__cause__ or error)) from error


def _cannot_write(path: Path, reason: str | None) -> StoreError:
    return StoreError(f"cannot write {path.name}", where=path.parent, got=reason, hint=_ROOM)


def _auxiliary(classes: Sequence[LandClass]) -> bytes:
    """Category names and an attribute table, as GDAL and QGIS read them beside a raster."""
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    names = {one.value: one.name for one in classes}
    listed = ET.SubElement(band, "CategoryNames")
    for value in range(max(names) + 1):
        ET.SubElement(listed, "Category").text = names.get(value, "no data" if value == 0 else "")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    fields = [("value", 0, 5), ("class", 2, 2), ("red", 0, 6), ("green", 0, 7), ("blue", 0, 8)]
    for index, (name, kind, usage) in enumerate(fields):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        for key, text in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            ET.SubElement(field, key).text = text
    for index, one in enumerate(classes):
        row = ET.SubElement(table, "Row", index=str(index))
        for text in (str(one.value), one.name, *map(str, one.rgb)):
            ET.SubElement(row, "F").text = text
    ET.indent(root)
    return ET.tostring(root) + b"\n"
