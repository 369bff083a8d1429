"""Masks: the true one, and the product's with the mistakes that products make.

Mistakes come in patches, as the classifiers' do: smooth random fields, cut at the level that gives the wanted
share, decide where thin cloud or shadow is missed and where a bright roof or a gravel bank is taken for a cloud.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landshift.acquire.simulate import facts
from landshift.acquire.simulate.air import Air, level_of
from landshift.acquire.simulate.noise import fractal
from landshift.acquire.simulate.passes import Overpass
from landshift.acquire.simulate.simulation import Simulate
from landshift.sensor import QUALITY

__all__ = ["CLOUD", "SHADOW", "THIN", "product_mask", "true_mask"]

CLOUD: Final = 0.5
"""Opacity from which a pixel is cloud."""
THIN: Final = 0.06
"""Opacity from which a pixel is under thin cloud."""
SHADOW: Final = 0.30
"""Share of direct sunlight lost from which a pixel is in shadow."""
_BRIGHT: Final = 0.24
"""Mean reflectance of the visible bands from which clear land may be taken for a cloud."""
_EDGE: Final = 0.85
"""Opacity below which a cloud may be missed altogether."""
_DENSE: Final = 0.8
_OCTAVES: Final = 3


def true_mask(air: Air, water: NDArray[np.bool_], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """True quality classes (codes of :data:`landshift.sensor.QUALITY`).

    Args:
        air: The air over the pixels.
        water: Where the ground is water.
        valid: Where the swath reaches.
    """
    opaque = 1.0 - (1.0 - air.cloud) * (1.0 - air.cirrus)
    found = np.where(water, QUALITY["water"], QUALITY["clear"])
    found = np.where(air.shadow > SHADOW, QUALITY["shadow"], found)
    found = np.where(opaque > THIN, QUALITY["thin_cloud"], found)
    found = np.where(opaque > CLOUD, QUALITY["cloud"], found)
    return np.where(valid, found, QUALITY["nodata"]).astype(np.uint8)


def product_mask(
    sim: Simulate,
    seen: Overpass,
    air: Air,
    bands: dict[str, NDArray[np.float32]],
    valid: NDArray[np.bool_],
    frame: tuple[float, float, float],
) -> NDArray[np.uint16]:
    """The product's mask: SCL for Sentinel-2, QA_PIXEL for Landsat.

    Args:
        sim: The simulation.
        seen: The pass.
        air: The air over the mask's pixels.
        bands: Reported reflectance of blue, green, red, nir08 and swir16 on the same pixels.
        valid: Where the swath reaches.
        frame: Easting and northing of the upper left corner, and the pixel size.
    """
    field = np.empty((2, *valid.shape))
    _patches(seen.key(sim.seed, "mask"), field, frame)
    share = {name: min(sim.mask_mistakes * part, 1.0) for name, part in facts.mistakes().items()}
    opaque = 1.0 - (1.0 - air.cloud) * (1.0 - air.cirrus)
    brightness = (bands["blue"] + bands["green"] + bands["red"]) / 3.0
    thick, thin, shade = opaque > CLOUD, opaque > THIN, air.shadow > SHADOW
    clear = ~thin & ~shade
    dark = clear & (bands["nir08"] < 0.14) & (bands["nir08"] > 0.05)
    bright = clear & (brightness > _BRIGHT)
    lost = (thick & (opaque < _EDGE) & _below(field[0], share["edge_missed"])) | (
        thin & ~thick & _below(field[0], share["thin_missed"])
    )
    said = {
        "cloud": (thick & ~lost) | (bright & _below(field[1], share["bright_false"])),
        "thin": thin & ~thick & ~lost,
        "shadow": (shade & ~thin & ~_below(field[0], share["shadow_missed"]))
        | (dark & _below(field[1], share["dark_false"])),
        "dense": opaque > _DENSE,
        "veil": air.cirrus > air.cloud,
    }
    code = _scl if seen.sensor == "sentinel-2-l2a" else _qa_pixel
    return code(said, _land(bands), valid)


def _below(field: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Where a random field is so low that a mistake of this share happens."""
    found: NDArray[np.bool_] = field < (level_of(_OCTAVES, share) if share > 0 else -np.inf)
    return found


@njit(cache=True, nogil=True)
def _patches(seed: np.uint64, out: NDArray[Any], frame: Any) -> None:
    """Two random fields: a wide one for what is missed, a narrow one for false alarms."""
    left, top, pixel = frame
    for i in range(out.shape[1]):
        y = top - (i + 0.5) * pixel
        for j in range(out.shape[2]):
            x = left + (j + 0.5) * pixel
            out[0, i, j] = fractal(seed, x / 360.0, y / 360.0, _OCTAVES)
            out[1, i, j] = fractal(seed ^ np.uint64(0x3F), x / 70.0, y / 70.0, _OCTAVES)


def _land(bands: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.bool_]]:
    """Plant, water and dark pixels by simple thresholds."""
    red, nir, green = bands["red"], bands["nir08"], bands["green"]
    ndvi = (nir - red) / np.maximum(np.abs(nir + red), 1e-3)
    water = (nir < 0.09) & (green > nir) & (bands["swir16"] < 0.08)
    return {
        "water": water,
        "plant": ndvi > 0.40,
        "dark": (nir < 0.12) & ~water,
        "odd": np.abs(ndvi - 0.3) < 0.02,
    }


def _scl(
    said: dict[str, NDArray[np.bool_]], land: dict[str, NDArray[np.bool_]], valid: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Scene classification: 2 dark, 3 shadow, 4 plants, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud, 10 cirrus."""
    found = np.select([land["water"], land["plant"], land["dark"], land["odd"]], [6, 4, 2, 7], 5)
    found = np.where(said["shadow"], 3, found)
    found = np.where(said["thin"], np.where(said["veil"], 10, 8), found)
    found = np.where(said["cloud"], np.where(said["dense"], 9, 8), found)
    return np.where(valid, found, 0).astype(np.uint16)


def _qa_pixel(
    said: dict[str, NDArray[np.bool_]], land: dict[str, NDArray[np.bool_]], valid: NDArray[np.bool_]
) -> NDArray[np.uint16]:
    """Bit field of Collection 2, in the combinations that occur (USGS LSDS-1619, table 6-3)."""
    found = np.where(land["water"], 21952, 21824)
    found = np.where(said["shadow"], 23888, found)
    found = np.where(said["thin"], np.where(said["veil"], 54596, 22280), found)
    found = np.where(said["cloud"], 22280, found)
    return np.where(valid, found, 1).astype(np.uint16)
