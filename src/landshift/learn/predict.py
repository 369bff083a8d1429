"""A map of a year: the model over the whole cube, tile by tile, into a Cloud Optimized GeoTIFF.

A tile is read with a halo as wide as the model sees, its origin a multiple of the model's stride, and only its core
is kept: the map is the one that a single pass over the whole raster would give, with no seams and nothing blended.
At the raster's edge the halo is filled by reflection. Pixels without data get class 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ConfigError, DataQualityWarning, ModelError
from landshift.learn.features import READ_BYTES
from landshift.learn.models.unet import UNet, repeatable
from landshift.learn.smooth import Predict, most_probable
from landshift.learn.split import windows
from landshift.place import pixel_at_centre_m
from landshift.plan import cores

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from landshift.learn.checkpoint import Checkpoint, Predictor

__all__ = ["Tiler", "forest_predictor", "network_predictor", "predict", "predict_years", "same_pixels"]

_PIXELS_AT_ONCE: Final = 16384
_TILES: Final = (512, 256, 128, 64)
_SAME: Final = 1.01
"""Pixel sizes no further apart than this are the same."""
_NEAR: Final = 1.1
"""Pixel sizes no further apart than this are near enough to be mapped with a warning."""

Progress = Callable[[int, int, str], None]
Window = tuple[slice, slice]


def predict(
    model_dir: Path,
    *,
    cube: Path,
    year: int,
    out: Path,
    how: Predict | None = None,
    memory_bytes: int = 2**30,
    progress: Progress | None = None,
) -> Path:
    """Map a year; see :func:`predict_years`.

    Args:
        model_dir: The checkpoint's folder.
        cube: The product's store; the kind of product the model was trained on.
        year: The year to map.
        out: The output folder, for ``maps/<year>.tif``; or the file itself, when it ends in ``.tif``.
        how: How years are seen together; by default each alone.
        memory_bytes: About the most memory to use.
        progress: Called with tiles done, tiles in all, and what is being done.

    Returns:
        The map.
    """
    path = out if out.suffix == ".tif" else out / "maps" / f"{year}.tif"
    predict_years(model_dir, {year: path}, cube=cube, how=how, memory_bytes=memory_bytes, progress=progress)
    return path


def predict_years(
    model_dir: Path,
    files: Mapping[int, Path],
    *,
    cube: Path,
    how: Predict | None = None,
    memory_bytes: int = 2**30,
    tags: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Map years, tile by tile: band ``class`` (0 = no data) and band ``probability`` of that class, in percent.

    Args:
        model_dir: The checkpoint's folder.
        files: The GeoTIFF to make of each year.
        cube: The product's store; the kind of product the model was trained on.
        how: How years are seen together; by default each alone.
        memory_bytes: About the most memory to use; it decides how large a tile is. Classes do not depend on it.
        tags: What the files say of themselves beside the model and the years.
        progress: Called with tiles done, tiles in all, and what is being done.

    Raises:
        ModelError: The cube cannot show what the model has learned from.
        ConfigError: The memory limit is too low for one tile.
    """
    from landshift.cube.maps import MapWriter
    from landshift.cube.store import geobox_of, open_cube
    from landshift.learn.checkpoint import load

    checkpoint = load(model_dir)
    opened, geobox = open_cube(cube), geobox_of(cube)
    same_pixels(checkpoint, geobox)
    how = how or Predict()
    tile_px = min(tile_for(checkpoint, opened, year, memory_bytes, how=how) for year in files)
    tiler = Tiler(checkpoint, opened, tile_px=tile_px, how=how)
    said = {**(tags or {}), "model": checkpoint.name, "fingerprint": checkpoint.fingerprint}
    steps = [
        (core, year)
        for core in windows((int(geobox.shape.y), int(geobox.shape.x)), tile_px)
        for year in files
    ]
    with ExitStack() as stack:
        maps = {
            year: stack.enter_context(
                MapWriter(
                    path,
                    geobox,
                    classes=checkpoint.classes,
                    bands=("class", "probability"),
                    tags=said
                    | {"year": str(year), "years_looked_at": ", ".join(map(str, tiler.around(year)))},
                )
            )
            for year, path in files.items()
        }
        for done, (core, year) in enumerate(steps, start=1):
            maps[year].write(core, tiler(year, core))
            if progress:
                progress(done, len(steps), f"maps of {len(files)} years" if len(files) > 1 else f"map {year}")


class Tiler:
    """Classifies any window of a cube exactly as if the whole raster went through the model at once.

    Args:
        checkpoint: The model.
        cube: The cube, opened lazily.
        tile_px: Side of a tile's core; a multiple of the model's stride.
        how: How years are seen together; by default each alone.
        threads: Threads to use; by default as many as there are.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        cube: xr.Dataset,
        *,
        tile_px: int | None = None,
        how: Predict | None = None,
        threads: int | None = None,
    ) -> None:
        self.checkpoint, self.cube = checkpoint, cube
        self.tile_px = tile_px or checkpoint.model.tile_px
        if self.tile_px % checkpoint.stride:
            raise ConfigError(
                "a tile is a multiple of the model's stride", got=self.tile_px, allowed=checkpoint.stride
            )
        _same_infrared(checkpoint, cube)
        self.shape = (cube.sizes["y"], cube.sizes["x"])
        self._predictor: Predictor = checkpoint.predictor(threads=threads)
        self._values = np.array([one.value for one in checkpoint.classes], np.uint8)

        self._how, self._years = how or Predict(), checkpoint.features.fitting_years(cube)
        self._core: Window | None = None
        self._held: dict[int, NDArray[np.float32]] = {}

    def around(self, year: int) -> tuple[int, ...]:
        """The years that the map of a year looks at."""
        return self._how.around(year, self._years)

    def __call__(self, year: int, core: Window) -> NDArray[np.uint8]:
        """Class and probability in percent, uint8 (2, rows, columns), of one core whose origin fits the stride.

        Years of one core are best asked for one after another: what neighbours have in common is kept.
        """
        years = self.around(year)
        kept = self._held if core == self._core else {}
        self._held = {one: kept[one] if one in kept else self._likely(one, core) for one in years}
        self._core = core
        likely = self._held[year]
        known = ~np.isnan(likely[0])
        if len(years) > 1:
            series = np.stack(list(self._held.values()))
            likely = most_probable(series, at=years.index(year), stay=self._how.stay)
        best = np.where(known, likely, 0).argmax(axis=0)
        chosen = np.take_along_axis(likely, best[None], axis=0)[0]
        percent = np.rint(np.where(known, chosen, 0) * 100).clip(0, 100)
        result = np.stack([self._values[best], percent])
        return np.where(known, result, 0).astype(np.uint8)

    def _likely(self, year: int, core: Window) -> NDArray[np.float32]:
        """The model's probabilities (class, rows, columns) of a year alone, NaN without data."""
        seen, inner = self._with_halo(year, core)
        bands = seen[: self.checkpoint.features.n_band_features, inner[0], inner[1]]
        known = np.asarray(np.isfinite(bands).all(axis=0))
        if not known.any():
            return np.full((len(self._values), *known.shape), np.nan, np.float32)
        likely = self._predictor(seen)[:, inner[0], inner[1]]
        return np.where(known, likely, np.float32(np.nan))

    def _with_halo(self, year: int, core: Window) -> tuple[NDArray[np.float32], Window]:
        """Features of a core and its halo, reflected at the raster's edge; where the core lies in them."""
        halo, stride = self.checkpoint.halo, self.checkpoint.stride
        read, pads, inner = [], [], []
        for part, size in zip(core, self.shape, strict=True):
            if part.start % stride:
                raise ConfigError(
                    "a tile's origin is a multiple of the stride", got=part.start, allowed=stride
                )
            before = halo + (
                stride if part.stop + halo + stride > size else 0
            )  # enough to reflect at the far edge
            start, stop = part.start - before, part.stop + halo
            stop += -(stop - start) % stride
            read.append(slice(max(0, start), min(size, stop)))
            pads.append((max(0, -start), max(0, stop - size)))
            inner.append(slice(before, before + part.stop - part.start))
        values = self.checkpoint.features.compute(self.cube, year, (read[0], read[1]))
        if any(map(any, pads)):
            values = np.pad(values, ((0, 0), *pads), mode="reflect" if min(values.shape[1:]) > 1 else "edge")
        return values, (inner[0], inner[1])


def tile_for(
    checkpoint: Checkpoint, cube: xr.Dataset, year: int, memory_bytes: int, *, how: Predict | None = None
) -> int:
    """The largest tile that fits the memory limit.

    Raises:
        ConfigError: Not even the smallest one does.
    """
    span = checkpoint.features.dates(cube, year)
    layers, n_features = len(checkpoint.features.layers), len(checkpoint.features.names)
    if isinstance(checkpoint.model, UNet):  # input, its copies on the way in, and the widest level; measured
        per_pixel = 4 * (5 * n_features + 8 * checkpoint.model.widths[0])
    else:
        per_pixel = 4 * (2 * n_features + 20)
    if how is not None and how.years_around:  # the years kept, stacked, and what is made of them
        per_pixel += 4 * len(checkpoint.classes) * (3 * (2 * how.years_around + 1) + 6)
    for side in _TILES:
        height, width = (min(side, int(cube.sizes[dim])) + 2 * checkpoint.halo for dim in ("y", "x"))
        looks = min(READ_BYTES, 4 * max(1, span.stop - span.start) * layers * height * width)
        needed = per_pixel * height * width + 3 * looks
        if needed <= memory_bytes and side % checkpoint.stride == 0:
            return side
    raise ConfigError(
        "too little memory to predict one tile",
        where="memory",
        got=f"{memory_bytes / 2**20:.0f} MiB",
        allowed=f"{needed / 2**20:.0f} MiB or more",
    )


def network_predictor(checkpoint: Checkpoint, threads: int | None) -> Predictor:
    """A network with its weights, in evaluation mode."""
    import torch
    from safetensors.torch import load_file

    path = checkpoint.folder / "model.safetensors"
    if not path.is_file():
        raise ModelError("the weights are missing", where=path, hint="train again")
    net = checkpoint.model.network(len(checkpoint.features.names), len(checkpoint.classes))  # type: ignore[union-attr] # networks only
    net.load_state_dict(load_file(path))
    net.eval()

    def run(features: NDArray[np.float32]) -> NDArray[np.float32]:
        with repeatable(threads or cores()) as device, torch.inference_mode():
            logits = net.to(device)(torch.from_numpy(np.ascontiguousarray(features))[None].to(device))
            likely: NDArray[np.float32] = torch.softmax(logits[0], dim=0).cpu().numpy()
            return likely

    return run


def forest_predictor(checkpoint: Checkpoint, threads: int | None) -> Predictor:
    """A forest, run by ONNX Runtime on blocks of pixels; the blocks share the threads, their sums do not."""
    from landshift.learn.models.forest import session

    path = checkpoint.folder / "model.onnx"
    if not path.is_file():
        raise ModelError("the model is missing", where=path, hint="train again")
    runner = session(path)
    workers = threads or cores()

    def run(features: NDArray[np.float32]) -> NDArray[np.float32]:
        pixels = features.reshape(features.shape[0], -1)

        def block(start: int) -> NDArray[np.float32]:
            some = np.ascontiguousarray(pixels[:, start : start + _PIXELS_AT_ONCE].T)
            found: NDArray[np.float32] = runner.run(["probabilities"], {"features": some})[0]
            return found

        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(block, range(0, pixels.shape[1], _PIXELS_AT_ONCE)))
        return np.concatenate(parts).T.reshape(-1, *features.shape[1:])

    return run


def labelled_tiles(
    labels: xr.DataArray, keep: Callable[[Window], NDArray[np.bool_]], tile_px: int
) -> Iterator[tuple[int, Window, NDArray[np.uint8]]]:
    """Year, core and labels (0 where not kept) of every tile that holds a label to score."""
    years = [int(year) for year in labels["time"].dt.year.to_numpy()]
    for core in windows((labels.sizes["y"], labels.sizes["x"]), tile_px):
        kept = keep(core)
        if not kept.any():
            continue
        for i, year in enumerate(years):
            found = labels.isel(time=i, y=core[0], x=core[1]).to_numpy()
            truth = np.where(kept, found, 0).astype(np.uint8)
            if truth.any():
                yield year, core, truth


def same_pixels(checkpoint: Checkpoint, geobox: GeoBox) -> None:
    """Refuse a grid whose pixels are of another size on the ground than those the model has learned from.

    Pixels in degrees are as wide as their latitude makes them; up to a tenth of a difference is told and taken.

    Args:
        checkpoint: The model.
        geobox: The cube's grid.

    Raises:
        ModelError: Height or width differ by more than a tenth.
    """
    here, learned = pixel_at_centre_m(geobox), checkpoint.resolution_m
    ratio = max(max(one / other, other / one) for one, other in zip(here, learned, strict=True))
    if ratio <= _SAME:
        return
    said, known = (" x ".join(f"{side:g}" for side in sides) + " m" for sides in (here, learned))
    if ratio > _NEAR:
        raise ModelError(
            "the model has learned at another pixel size",
            where="cube",
            got=said,
            allowed=known,
            hint="build the cube at that resolution, or train again",
        )
    warnings.warn(
        f"pixels of {said} are mapped by a model that has learned from pixels of {known}",
        DataQualityWarning,
        stacklevel=2,
    )


def _same_infrared(checkpoint: Checkpoint, cube: xr.Dataset) -> None:
    """Refuse a cube whose indices would be made of another near infrared than those the model has learned from."""
    here, learned = checkpoint.features.stand_ins(cube), dict(checkpoint.stand_ins)
    if here != learned:
        said, known = (
            ", ".join(f"{layer} for {band}" for band, layer in part.items()) or "the bands themselves"
            for part in (here, learned)
        )
        raise ModelError(
            "this cube's indices are made of other bands than those the model has learned from",
            where="cube",
            got=said,
            allowed=known,
            hint="use a product with the same near infrared, or train again",
        )
