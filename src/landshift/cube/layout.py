"""How a cube lies on disk: types, scales, chunks, shards and the attributes that explain them.

One shard is a whole block of the plan in y and x, one band, and at most 64 dates, so that each block is
written by one worker as whole files. Inside it the chunks are 8 dates x 128 x 128 pixels, 256 KiB of int16:
a map of one date decodes eight times what it shows, a series of one pixel 64 KiB per date, both small
beside the 16 MiB of a shard. Series shorter than 8 dates get chunks of their own length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray

from landshift.errors import ConfigError, did_you_mean
from landshift.plan import BLOCK_PX, Block
from landshift.sensor import BAND_DIM, QUALITY

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["KINDS", "MISSING", "Array", "Kind", "Layout", "Shard", "block_rows", "rows_blocks"]

CHUNK_TIME: Final = 8
SHARD_TIME: Final = 64
CHUNK_PX: Final = 128
MISSING: Final = -32768
"""Stored number of a pixel that has no value."""
FORMAT: Final = 1
"""Version of the layout; a store says which it has."""

_CONVENTIONS: Final = (
    ("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Where the pixels lie"),
    ("proj", "f17cb550-5864-4468-aeb7-f3180cfb622f", "Coordinate reference system"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind of variable is stored."""

    dtype: str
    """Type on disk."""
    fill: float
    """Stored number of a pixel that has no value."""
    scale: float | None = None
    """Value = stored number x scale; None where numbers are stored as they are."""
    masked: bool = True
    """Whether ``fill`` means missing (else it is a value like any other)."""
    attrs: Mapping[str, Any]
    """CF attributes."""


def _flags() -> dict[str, Any]:
    return {
        "long_name": "quality class",
        "flag_values": list(QUALITY.values()),
        "flag_meanings": " ".join(QUALITY),
    }


KINDS: Final[Mapping[str, Kind]] = {
    "reflectance": Kind(
        dtype="int16",
        fill=MISSING,
        scale=1e-4,
        attrs={"long_name": "surface reflectance", "units": "1"},
    ),
    "backscatter": Kind(
        dtype="int16",
        fill=MISSING,
        scale=0.01,
        attrs={"long_name": "radar backscatter", "units": "dB"},
    ),
    "index": Kind(
        dtype="int16",
        fill=MISSING,
        scale=1e-4,
        attrs={"long_name": "spectral index", "units": "1"},
    ),
    "data": Kind(dtype="float32", fill=math.nan, attrs={"long_name": "stacked sources"}),
    "labels": Kind(dtype="uint8", fill=0, masked=False, attrs={"long_name": "land class, 0 = unlabelled"}),
    "quality": Kind(dtype="uint8", fill=0, masked=False, attrs=_flags()),
    "n_clear": Kind(
        dtype="uint16", fill=0, masked=False, attrs={"long_name": "number of clear looks", "units": "1"}
    ),
    "age": Kind(
        dtype="int16",
        fill=MISSING,
        attrs={"long_name": "distance to the nearest clear look", "units": "days"},
    ),
}
"""Every variable a store may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of an array: which dates, which band, and its place in the array's grid of shards."""

    file: str
    """Path inside the store."""
    start: int
    """First date."""
    name: int
    """Number of the band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """One variable of a store."""

    name: str
    """Variable name, a key of :data:`KINDS`."""
    dims: tuple[str, ...]
    """Dimensions, ending in y and x."""
    shape: tuple[int, ...]
    """Lengths of the whole array."""
    block_px: int
    """Side of a block."""

    @property
    def kind(self) -> Kind:
        """How it is stored."""
        return KINDS[self.name]

    @property
    def chunk(self) -> tuple[int, ...]:
        """Shape of a chunk: what is decoded at once."""
        side = _chunk_side(self.block_px)
        times = min(CHUNK_TIME, self.times)
        return tuple({"time": times, "y": side, "x": side}.get(dim, 1) for dim in self.dims)

    @property
    def plain_chunk(self) -> tuple[int, int, int]:
        """Shape of a chunk of one band as (time, y, x), whatever dimensions the variable has."""
        lengths = dict(zip(self.dims, self.chunk, strict=True))
        return (lengths.get("time", 1), lengths["y"], lengths["x"])

    @property
    def shard(self) -> tuple[int, ...]:
        """Shape of a shard: what is one file."""
        times = SHARD_TIME if self.times >= CHUNK_TIME else self.times
        return tuple({"time": times, "y": self.block_px, "x": self.block_px}.get(dim, 1) for dim in self.dims)

    @property
    def times(self) -> int:
        """Number of dates; 1 where it has no time."""
        return self.shape[self.dims.index("time")] if "time" in self.dims else 1

    @property
    def names(self) -> int:
        """Number of bands; 1 where it has none."""
        return self.shape[1] if self.axis else 1

    @property
    def axis(self) -> str | None:
        """Dimension along which its bands lie; None where it has none."""
        return BAND_DIM.get(self.name)

    def shards(self, row: int, col: int) -> Iterable[Shard]:
        """The files that one block of the plan has, in order."""
        length = self.shard[self.dims.index("time")] if "time" in self.dims else 1
        for number, start in enumerate(range(0, self.times, length)):
            for name in range(self.names):
                place = {"time": number, "y": row, "x": col}
                parts = [str(place.get(dim, name)) for dim in self.dims]
                yield Shard(file="/".join([self.name, "c", *parts]), start=start, name=name)

    def as_planes(self, values: NDArray[Any]) -> NDArray[Any]:
        """A view as (time, band, y, x), whichever of the two it has not."""
        times = values.shape[0] if "time" in self.dims else 1
        names = self.names
        return values.reshape(times, names, *values.shape[-2:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All that a store's metadata say of its arrays."""

    geobox: GeoBox
    """The whole grid."""
    times: int
    """Number of dates."""
    names: tuple[str, ...]
    """Bands, polarisations or indices, in stored order."""
    variable: str
    """The main variable."""
    extra: Mapping[str, tuple[str, ...]]
    """Further variables and their dimensions."""
    indices: tuple[str, ...] = ()
    """Indices kept beside the bands, in a variable ``index`` of their own."""
    block_px: int = BLOCK_PX
    """Side of a block."""

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The variables, the main one first."""
        mains = {self.variable: self.names} | ({"index": self.indices} if self.indices else {})
        listed = {
            name: ("time", BAND_DIM[name], "y", "x") if along else ("time", "y", "x")
            for name, along in mains.items()
        }
        return tuple(self._array(name, dims) for name, dims in {**listed, **self.extra}.items())

    def names_of(self, variable: str) -> tuple[str, ...]:
        """What lies along the band dimension of a variable; empty where it has none."""
        if variable == self.variable:
            return self.names
        return self.indices if variable == "index" else ()

    def block(self, row: int, col: int) -> Block:
        """The block at a place in the grid of blocks."""
        height, width = self.geobox.shape
        y, x = row * self.block_px, col * self.block_px
        return Block(
            row=row,
            col=col,
            y=(y, min(y + self.block_px, height)),
            x=(x, min(x + self.block_px, width)),
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        height, width = self.geobox.shape
        return -(-height // self.block_px), -(-width // self.block_px)

    def attrs(self, product: str, blocks: Iterable[Block] | None) -> dict[str, Any]:
        """Attributes of the store: CF, GeoZarr's conventions ``proj`` and ``spatial``, and our own."""
        box = self.geobox
        crs = box.crs
        found: dict[str, Any] = {
            "Conventions": "CF-1.11",
            "title": f"landshift {product}",
            "zarr_conventions": [_convention(*one) for one in _CONVENTIONS],
            "spatial:dimensions": ["y", "x"],
            "spatial:transform": list(box.affine)[:6],
            "spatial:shape": list(box.shape),
            "spatial:bbox": list(box.boundingbox.bbox),
            "spatial:registration": "pixel",
        }
        if crs is not None:
            found["proj:wkt2"] = crs.to_wkt()
            found |= {"proj:code": f"EPSG:{crs.epsg}"} if crs.epsg else {}
        found["landshift"] = {
            "format": FORMAT,
            "product": product,
            "variable": self.variable,
            "names": list(self.names),
            "indices": list(self.indices),
            "times": self.times,
            "extra": {name: list(dims) for name, dims in self.extra.items()},
            "block_px": self.block_px,
            "blocks": None if blocks is None else block_rows(blocks),
        }
        return found

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Layout:
        """The inverse of :meth:`attrs`."""
        from affine import Affine
        from odc.geo.geobox import GeoBox

        own = attrs["landshift"]
        height, width = attrs["spatial:shape"]
        crs = attrs.get("proj:code") or attrs.get("proj:wkt2")
        return cls(
            geobox=GeoBox((height, width), Affine(*attrs["spatial:transform"]), crs),
            times=own["times"],
            names=tuple(own["names"]),
            variable=own["variable"],
            indices=tuple(own["indices"]),
            extra={name: tuple(dims) for name, dims in own["extra"].items()},
            block_px=own["block_px"],
        )

    def _array(self, name: str, dims: tuple[str, ...]) -> Array:
        if name not in KINDS:
            raise ConfigError("unknown variable", got=name, hint=did_you_mean(name, KINDS))
        height, width = self.geobox.shape
        sizes = {"time": self.times, "y": height, "x": width}
        if dims[-2:] != ("y", "x") or len(dims) > 4:
            raise ConfigError(f"{name} needs dimensions that end in y and x", got=dims)
        shape = tuple(sizes.get(dim, len(self.names_of(name))) for dim in dims)
        return Array(name=name, dims=dims, shape=shape, block_px=self.block_px)


def block_rows(blocks: Iterable[Block]) -> dict[str, list[list[int]]]:
    """Which blocks a plan has, as runs of columns per row.

    >>> blocks = [Block(row=0, col=col, y=(0, 1), x=(0, 1)) for col in (2, 3, 4, 7)]
    >>> block_rows(blocks)
    {'0': [[2, 5], [7, 8]]}
    """
    runs: dict[str, list[list[int]]] = {}
    for block in sorted(blocks):
        row = runs.setdefault(str(block.row), [])
        if row and row[-1][1] == block.col:
            row[-1][1] += 1
        else:
            row.append([block.col, block.col + 1])
    return runs


def rows_blocks(runs: Mapping[str, list[list[int]]]) -> list[tuple[int, int]]:
    """Row and column of the blocks that :func:`block_rows` wrote."""
    return [
        (int(row), col) for row, spans in runs.items() for start, stop in spans for col in range(start, stop)
    ]


def _convention(name: str, uuid: str, description: str) -> dict[str, str]:
    return {
        "name": name,
        "uuid": uuid,
        "description": description,
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
    }


def _chunk_side(block_px: int) -> int:
    """Largest divisor of a block's side up to 128 px, or the side itself where there is none above 31."""
    fitting = [side for side in range(32, min(CHUNK_PX, block_px) + 1) if block_px % side == 0]
    return max(fitting, default=block_px)
