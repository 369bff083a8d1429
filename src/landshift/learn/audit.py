"""Does anything leak between folds? Measured on what a training run has kept, not on what it promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from landshift.errors import ModelError
from landshift.learn.split import FOLDS, windows
from landshift.place import pixel_m

if TYPE_CHECKING:
    import geopandas as gpd
    from odc.geo.geobox import GeoBox

__all__ = ["Audit", "audit_split"]

_SEARCH_PX: Final = 128
_WINDOW_PX: Final = 512
_PAIRS: Final = (("train", "val"), ("train", "test"), ("val", "test"))


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found."""

    distance_m: Mapping[str, float]
    """Least distance between used pixels of two folds, between centres; infinite beyond 128 pixels."""
    overlap_ha: float
    """Ground that training and validation samples share: what a network was shown, labelled or not."""
    strays: int
    """Samples whose footprint reaches onto used ground of another fold."""

    def apart(self, buffer_m: float) -> bool:
        """Whether all folds are at least this far apart, and no sample shows another fold's ground."""
        return min(self.distance_m.values()) >= buffer_m and self.overlap_ha == 0 and self.strays == 0


def audit_split(model_dir: Path) -> Audit:
    """Measure the split of a trained model on its ``folds.tif`` and ``samples.parquet``.

    Args:
        model_dir: The checkpoint's folder.

    Raises:
        ModelError: The two files are not there.
    """
    import geopandas as gpd

    from landshift.cube.maps import map_geobox

    folds, samples = model_dir / "folds.tif", model_dir / "samples.parquet"
    if not (folds.is_file() and samples.is_file()):
        raise ModelError("no split to audit here", where=model_dir, hint="train a model first")
    frame, geobox = gpd.read_parquet(samples), map_geobox(folds)
    size = _size(frame.geometry.iloc[0].bounds, geobox)
    return Audit(
        distance_m=_distances(folds, geobox), overlap_ha=_overlap(frame), strays=_strays(folds, frame, size)
    )


def _strays(folds: Path, frame: gpd.GeoDataFrame, size: int) -> int:
    """Samples that show used ground of another fold, counted window by window."""
    from landshift.cube.maps import read_map

    found = 0
    for (top, left), part in frame.groupby([frame["row"] // _WINDOW_PX, frame["col"] // _WINDOW_PX]):
        rows, cols = (slice(at * _WINDOW_PX, (at + 1) * _WINDOW_PX + size) for at in (int(top), int(left)))
        codes = read_map(folds, (rows, cols))
        for fold, row, col in zip(
            part["fold"], part["row"] - rows.start, part["col"] - cols.start, strict=True
        ):
            shown = codes[row : row + size, col : col + size]
            found += bool(np.isin(shown, [code for name, code in FOLDS.items() if name != fold]).any())
    return found


def _size(bounds: tuple[float, ...], geobox: GeoBox) -> int:
    """Side of a sample in pixels; a point is one pixel."""
    return max(1, round((bounds[2] - bounds[0]) / abs(float(geobox.resolution.x))))


def _distances(folds: Path, geobox: GeoBox) -> dict[str, float]:
    """Least distance of each pair of folds in metres, window by window."""
    from scipy.ndimage import distance_transform_edt

    from landshift.cube.maps import read_map

    least = {f"{one}-{other}": np.inf for one, other in _PAIRS}
    height, width = geobox.shape
    for rows, cols in windows((height, width)):
        wide = tuple(
            slice(max(0, part.start - _SEARCH_PX), min(end, part.stop + _SEARCH_PX))
            for part, end in ((rows, height), (cols, width))
        )
        codes: NDArray[np.uint8] = read_map(folds, (wide[0], wide[1]))
        for one, other in _PAIRS:
            there, rival = codes == FOLDS[one], codes == FOLDS[other]
            if there.any() and rival.any():
                nearest = float(distance_transform_edt(~rival)[there].min())
                least[f"{one}-{other}"] = min(least[f"{one}-{other}"], nearest)
    height_m, widths_m = pixel_m(geobox)
    side_m = min(height_m, float(widths_m.min()))
    return {pair: px * side_m if px <= _SEARCH_PX else np.inf for pair, px in least.items()}


def _overlap(frame: gpd.GeoDataFrame) -> float:
    """Hectares that samples of different folds share."""
    import shapely

    shapes = {fold: shapely.union_all(part.geometry.to_numpy()) for fold, part in frame.groupby("fold")}
    shared = [shapes[a].intersection(shapes[b]).area for a, b in _PAIRS if a in shapes and b in shapes]
    return float(sum(shared)) / 1e4
