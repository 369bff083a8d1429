"""Open rasters: addresses, headers, and datasets lent to one thread at a time.

GDAL allows one thread at a time per dataset, and opening one is dear, over a network very much so. Idle datasets
are therefore kept, least recently used out first, and headers are remembered for good.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from affine import Affine

from landshift.acquire.access import gdal_options, signed
from landshift.acquire.recent import Recent
from landshift.errors import NetworkError, SceneError

if TYPE_CHECKING:
    from odc.geo.crs import CRS
    from rasterio.io import DatasetReader

__all__ = ["Datasets", "Header", "Notes", "Raster"]

REMOTE_OPTIONS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": 5,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_TIMEOUT": 120,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "VSI_CACHE": True,
    "VSI_CACHE_SIZE": 5_000_000,
}
"""How GDAL reads over the network: no directory listings, retries, one larger first request."""

GDAL_CACHE_BYTES: Final = 32 * 2**20
"""GDAL's own cache of decoded blocks; its default, a twentieth of the memory, would escape our bound."""

MIN_ROWS: Final = 256
"""Rasters stored in strips are read in tiles of at least this many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """The address of a raster: a file, or a variable of one."""

    href: str
    """Path or address; https:// and s3:// are read by range requests."""
    variable: str | None = None
    """Variable of a NetCDF or HDF5 file."""

    @property
    def name(self) -> str:
        """What GDAL calls it.

        >>> Raster(href="s3://bucket/a.tif").name, Raster(href="file:///d/a.nc", variable="NDVI").name
        ('/vsis3/bucket/a.tif', 'netcdf:"/d/a.nc":NDVI')
        """
        return _gdal_name(self.href, self.variable)

    @property
    def opened(self) -> str:
        """What GDAL is to open: the name, with a provider's token where its host wants one."""
        return _gdal_name(signed(self.href), self.variable)

    @property
    def shown(self) -> str:
        """The address without a query, which may hold a signature: fit for messages and records.

        >>> Raster(href="https://host/a.tif?sig=secret").shown
        'https://host/a.tif'
        """
        return self.href.partition("?")[0] if "://" in self.href else self.href

    @property
    def remote(self) -> bool:
        """Whether it is read over the network."""
        return self.name.startswith(("/vsicurl/", "/vsis3/", "/vsigs/"))


class Notes(Protocol):
    """Remembers headers between runs; see ``acquire.cache``."""

    def recall(self, key: str) -> dict[str, Any] | None:
        """What was noted, or None."""
        ...

    def note(self, key: str, facts: dict[str, Any]) -> None:
        """Note plain values."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of a raster without reading pixels."""

    crs: CRS
    """Its reference system."""
    affine: Affine
    """From pixels (column, row) to its CRS."""
    shape: tuple[int, int]
    """Rows and columns."""
    tile: tuple[int, int]
    """Rows and columns that are decoded together."""
    dtypes: tuple[str, ...]
    """Type of every band."""
    nodata: tuple[float | None, ...]
    """The file's own nodata of every band."""
    overviews: tuple[int, ...]
    """Factors of its overviews, ascending."""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for rasters on one grid with the same overviews; quick to hash, unlike a CRS."""
        return (str(self.crs), tuple(self.affine[:6]), self.shape, self.overviews)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a cache."""
        return {
            "crs": self.crs.to_wkt(),
            "affine": list(self.affine[:6]),
            "shape": list(self.shape),
            "tile": list(self.tile),
            "dtypes": list(self.dtypes),
            "nodata": [None if value is None else str(value) for value in self.nodata],
            "overviews": list(self.overviews),
        }

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Header:
        """A header from plain values."""
        from odc.geo.crs import CRS

        rows, cols = facts["shape"]
        height, width = facts["tile"]
        return cls(
            crs=CRS(facts["crs"]),
            affine=Affine(*facts["affine"]),
            shape=(rows, cols),
            tile=(height, width),
            dtypes=tuple(facts["dtypes"]),
            nodata=tuple(None if value is None else float(value) for value in facts["nodata"]),
            overviews=tuple(facts["overviews"]),
        )


class Datasets:
    """Open rasters of one reader.

    Args:
        max_open: Bound of idle open datasets.
        notes: Remembers headers of remote rasters between runs, so that cached tiles need no network.
    """

    def __init__(self, *, max_open: int, notes: Notes | None = None) -> None:
        self.max_open, self.notes = max_open, notes
        self._idle: OrderedDict[tuple[str, int], list[DatasetReader]] = OrderedDict()
        self._number = 0
        self._lock = threading.Lock()
        self._headers: Recent[tuple[Raster, int], Header] = Recent(weight=lambda _: 1, bound=1_000_000)

    def close(self) -> None:
        """Close idle files; the reader stays usable."""
        with self._lock:
            idle = [dataset for datasets in self._idle.values() for dataset in datasets]
            self._idle.clear()
            self._number = 0
        for dataset in idle:
            dataset.close()

    def header(self, raster: Raster, level: int = 0) -> Header:
        """Grid, types and tiles of a raster.

        Args:
            raster: Its address.
            level: 0 is full resolution, 1 the first overview.

        Raises:
            SceneError: It cannot be opened or has no CRS.
            NetworkError: Its server does not answer.
        """

        def make() -> Header:
            notes = self.notes if raster.remote else None
            key = f"{raster.href}|{raster.variable}|header|{level}"
            noted = notes.recall(key) if notes is not None else None
            if noted is not None:
                return Header.from_dict(noted)
            with self.lend(raster, level) as dataset:
                made = _header(dataset, raster)
            if notes is not None:
                notes.note(key, made.to_dict())
            return made

        return self._headers.get((raster, level), make)

    @staticmethod
    def environment() -> AbstractContextManager[object]:
        """GDAL's settings of one thread: entered around much reading, since entering one is dear."""
        import rasterio

        env: AbstractContextManager[object] = rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES)
        return env

    @contextmanager
    def lend(self, raster: Raster, level: int, where: str | None = None) -> Iterator[DatasetReader]:
        """Lend an open dataset to one thread; one that failed is closed, since GDAL remembers failures."""
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        options = gdal_options(raster.href) | (REMOTE_OPTIONS if raster.remote else {})
        key = (raster.opened, level)
        with self._lock:
            waiting = self._idle.get(key)
            dataset = waiting.pop() if waiting else None
            self._number -= dataset is not None
        with rasterio.Env(**options) if options else nullcontext():
            try:
                if dataset is None:
                    dataset = rasterio.open(key[0], **({"overview_level": level - 1} if level else {}))
                yield dataset
            except BaseException as error:
                if dataset is not None:
                    dataset.close()
                elif raster.remote:
                    _forget(key[0])
                if isinstance(error, (rasterio.errors.RasterioError, NotGeoreferencedWarning, OSError)):
                    _refuse(error, raster, where)
                raise
        self._give_back(key, dataset)

    def _give_back(self, key: tuple[str, int], dataset: DatasetReader) -> None:
        surplus = []
        with self._lock:
            self._idle.setdefault(key, []).append(dataset)
            self._idle.move_to_end(key)
            self._number += 1
            while self._number > self.max_open:
                _, oldest = self._idle.popitem(last=False)
                surplus += oldest
                self._number -= len(oldest)
        for old in surplus:
            old.close()


def _gdal_name(href: str, variable: str | None) -> str:
    scheme, _, rest = href.partition("://")
    prefix = {"http": "/vsicurl/http://", "https": "/vsicurl/https://", "s3": "/vsis3/", "gs": "/vsigs/"}
    path = href if not rest else prefix.get(scheme, "") + rest
    return f'netcdf:"{path}":{variable}' if variable else path


def _header(dataset: DatasetReader, raster: Raster) -> Header:
    from odc.geo.crs import CRS

    if not dataset.crs:
        gcps = bool(dataset.gcps[0])
        raise SceneError(
            "the file has no coordinate reference system" + (", only ground control points" if gcps else ""),
            where=raster.shown,
            hint="warp it to a map projection first (gdalwarp)"
            if gcps
            else "write it into the file: `gdal_edit.py -a_srs EPSG:... FILE`, or name the variable of a NetCDF file",
        )
    height, width = dataset.block_shapes[0]
    return Header(
        crs=CRS(dataset.crs.to_wkt()),
        affine=Affine(*dataset.transform[:6]),
        shape=(dataset.height, dataset.width),
        tile=(height * -(-MIN_ROWS // height) if width >= dataset.width else height, width),
        dtypes=tuple(dataset.dtypes),
        nodata=tuple(dataset.nodatavals),
        overviews=tuple(dataset.overviews(1)),
    )


def _forget(name: str) -> None:
    """Make GDAL forget that it could not open a remote file, or it would never look again in this process.

    rasterio 1.4 has no way to say so. Opened once more as a file that is not to be remembered, it is forgotten.
    """
    import rasterio
    from rasterio.errors import RasterioError

    with rasterio.Env(**_AT_ONCE), suppress(RasterioError), rasterio.open(name):
        pass


_AT_ONCE: Final = REMOTE_OPTIONS | {
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/",
    "GDAL_HTTP_MAX_RETRY": 0,
    "GDAL_HTTP_CONNECTTIMEOUT": 1,
    "GDAL_HTTP_TIMEOUT": 1,
}
"""How GDAL looks at a file whose absence it is to forget: the answer does not matter."""

_DAMAGED: Final = re.compile(r"response code: 404|not recognized|Decode:|JPEGLib:")
"""What GDAL says where a server has answered, and it is the file that is missing or damaged."""


def _causes(error: BaseException | None) -> Iterator[str]:
    """The words of an error and of all that led to it."""
    while error is not None:
        yield str(error)
        error = error.__cause__


def _refuse(error: Exception, raster: Raster, where: str | None) -> NoReturn:
    """Say in our words why a file cannot be read."""
    cause = str(error.__cause__ or error).splitlines()[0]
    if raster.remote and not any(_DAMAGED.search(text) for text in _causes(error)):
        raise NetworkError(
            f"cannot read over the network: {cause}",
            where=where or raster.shown,
            hint="check the connection and try again: what is done is kept; `landshift fetch` downloads first",
        ) from error
    raise SceneError(
        f"cannot read pixels: {cause}" if where else f"cannot open the file: {cause}",
        where=where or raster.shown,
        hint='fetch the file again, or leave it out; `on_error = "skip"` leaves holes and counts them',
    ) from error
