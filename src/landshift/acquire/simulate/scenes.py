"""Write the scenes of a simulation: granule by granule, pass by pass, each whole or not at all.

A scene's item is written last; a scene whose item is there with the same key is left as it is, so a second run
finishes what the first began, and ends with the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from landshift import sensor as sensors
from landshift.acquire.simulate import facts
from landshift.acquire.simulate.air import Air, air_of, measured
from landshift.acquire.simulate.granules import Granule, Site, granules, site_of
from landshift.acquire.simulate.ground import GROUND_M
from landshift.acquire.simulate.items import collection_of, file_of, item_id, item_of, write_catalogue
from landshift.acquire.simulate.landscape import Ground, block
from landshift.acquire.simulate.masks import product_mask, true_mask
from landshift.acquire.simulate.passes import Overpass, overpasses
from landshift.acquire.simulate.rasters import make_folder, write_cog
from landshift.acquire.simulate.simulation import Simulate
from landshift.acquire.simulate.timeline import year_of
from landshift.plan import write_atomic
from landshift.sensor import QUALITY
from landshift.step import key

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["write_scenes"]

Progress = Callable[[int, int, str], None]
MARGIN_M: Final = 135.0
"""Ground computed around a granule: the reach of the widest pixels, and the shifts."""
_WORKERS: Final = 2
_NEEDED: Final = ("blue", "green", "red", "nir08", "swir16")


def write_scenes(sim: Simulate, geobox: GeoBox, out_dir: Path, *, progress: Progress | None = None) -> Path:
    """Write the scenes of a simulation over a place, with a static STAC catalogue and the truth.

    Args:
        sim: The simulation.
        geobox: Grid of the place; scenes lie on the sensors' own grids around it, maps of the truth on it.
        out_dir: Folder for ``catalog.json``, the collections and ``truth/``.
        progress: Told how many of how many scenes are done.

    Returns:
        Path of ``catalog.json``.

    Raises:
        StoreError: The folder cannot be written, or the disk is full.
    """
    from landshift.acquire.simulate.truth import write_truth

    out = Path(out_dir)
    make_folder(out / "truth")
    site = site_of(geobox)
    name = _key(sim, geobox)
    jobs = _jobs(sim, site, out, name)
    total, done = sum(len(part) for _, part in jobs), 0
    items: dict[str, list[dict[str, Any]]] = {}
    write_truth(sim, geobox, site, out / "truth", key=name)
    for granule, part in jobs:
        for item in _granule(sim, granule, part):
            items.setdefault(item["collection"], []).append(item)
            done += 1
            if progress is not None:
                progress(done, total, "scenes")
    return write_catalogue(out, items)


def _key(sim: Simulate, geobox: GeoBox) -> str:
    """Names what a scene's pixels depend on: not the span of time, nor what is written beside the scenes."""
    plain = Simulate()
    alike = replace(
        sim,
        start=plain.start,
        end=plain.end,
        sensors=plain.sensors,
        truth=plain.truth,
        polygons=plain.polygons,
    )
    return key(alike, str(geobox.crs), str(tuple(geobox.affine)[:6]), str(tuple(geobox.shape)))


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One scene to be written."""

    seen: Overpass
    site: Site
    folder: Path
    key: str
    out: Path

    @property
    def identifier(self) -> str:
        return self.folder.name

    def done(self) -> dict[str, Any] | None:
        """The scene's item, where it is complete and of this simulation."""
        path = self.folder / f"{self.identifier}.json"
        if not path.exists():
            return None
        item: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        mask = self.out / "truth" / "mask" / f"{self.identifier}.tif"
        there = all((self.folder / asset["href"]).exists() for asset in item["assets"].values())
        fits = item["properties"].get("landshift:key") == self.key
        return item if there and fits and mask.exists() else None

    def sweep(self) -> None:
        """Remove what a killed run left half written."""
        masks = (self.out / "truth" / "mask").glob(f"{self.identifier}.tif.*partial*")
        for leftover in [*self.folder.glob("*.partial*"), *masks]:
            leftover.unlink(missing_ok=True)


def _jobs(sim: Simulate, site: Site, out: Path, name: str) -> list[tuple[Granule, list[_Job]]]:
    """Scenes by granule."""
    seen = overpasses(sim, site.longitude, site.latitude)
    found = []
    for sensor in sim.sensors:
        for granule in granules(site, sensor):
            part = []
            for one in seen:
                if one.sensor != sensor or granule.outline(one, site).is_empty:
                    continue
                folder = out / collection_of(sensor) / item_id(granule, one, site)
                part.append(_Job(seen=one, site=site, folder=folder, key=name, out=out))
            found.append((granule, part))
    return found


def _granule(sim: Simulate, granule: Granule, jobs: list[_Job]) -> Iterator[dict[str, Any]]:
    """Write the scenes of a granule that are not there yet; give all items, in order."""
    there = [job.done() for job in jobs]
    if all(there):
        yield from (item for item in there if item)
        return
    shape = granule.shape(GROUND_M)
    ground = block(sim, left=granule.left, top=granule.top, shape=shape, margin_m=MARGIN_M, workers=_WORKERS)
    with ThreadPoolExecutor(_WORKERS) as pool:
        yield from pool.map(
            lambda pair: pair[1] or _scene(sim, granule, ground, pair[0]), zip(jobs, there, strict=True)
        )


def _scene(sim: Simulate, granule: Granule, ground: Ground, job: _Job) -> dict[str, Any]:
    """Write one scene: bands, mask, true mask, and last its item."""
    job.sweep()
    seen = job.seen
    sensor, pixel = sensors.get(granule.sensor), granule.pixel_m
    _, _, names = facts.endmembers(granule.sensor)
    table = ground.spectra(sim, sensor=granule.sensor, day=seen.moment.date(), geometry=seen.geometry)
    air = air_of(sim, seen, (granule.left, granule.top), granule.shape(pixel), pixel)
    reported: dict[str, NDArray[np.float32]] = {}
    for size in sorted({sensor.band(name).gsd_m for name in names}):
        here = tuple(number for number, name in enumerate(names) if sensor.band(name).gsd_m == size)
        values = ground.seen(table, bands=here, pixel_m=size, shift_m=seen.shift_m)
        frame, around = (granule.left, granule.top, size), air.coarser(round(size / pixel))
        for layer, number in zip(values, here, strict=True):
            reported[names[number]] = measured(sim, seen, layer, around, frame, number)
    shares = _write_mask(sim, granule, job, air, reported)
    _write_bands(granule, job, reported)
    _write_truth(granule, job, ground, air)
    item = item_of(granule, seen, job.site, key=job.key, bands=names, shares=shares)
    write_atomic(job.folder / f"{job.identifier}.json", (json.dumps(item, indent=1) + "\n").encode())
    return item


def _write_bands(granule: Granule, job: _Job, reported: dict[str, NDArray[np.float32]]) -> None:
    """Store reflectance as the provider does: scaled, with the baseline's offset, 0 for no data."""
    sensor = sensors.get(granule.sensor)
    for name, values in reported.items():
        band = sensor.band(name)
        offset = job.seen.offset * 1e-4 if job.seen.baseline else band.offset
        stored = np.clip(np.rint((values - offset) / band.scale), 1, 65535).astype(np.uint16)
        stored[~granule.inside(job.seen, job.site, band.gsd_m)] = 0
        path = job.folder / file_of(job.identifier, granule.sensor, band.native)
        write_cog(path, stored, corner=(granule.left, granule.top), pixel_m=band.gsd_m, crs=job.site.crs)


def _write_mask(
    sim: Simulate, granule: Granule, job: _Job, air: Air, reported: dict[str, NDArray[np.float32]]
) -> dict[str, float]:
    """Write the product's mask; shares of its pixels in percent."""
    sentinel = granule.sensor == "sentinel-2-l2a"
    size = 20.0 if sentinel else 30.0
    sensor = sensors.get(granule.sensor)
    shape = granule.shape(size)
    bands = {}
    for name in _NEEDED:
        ratio = round(size / sensor.band(name).gsd_m)
        layers = reported[name].reshape(shape[0], ratio, shape[1], ratio)
        bands[name] = layers.mean(axis=(1, 3), dtype=np.float32)
    valid = granule.inside(job.seen, job.site, size)
    around = air.coarser(round(size / granule.pixel_m))
    codes = product_mask(sim, job.seen, around, bands, valid, (granule.left, granule.top, size))
    path = job.folder / file_of(job.identifier, granule.sensor, "SCL" if sentinel else "QA_PIXEL")
    write_cog(
        path,
        codes.astype(np.uint8) if sentinel else codes,
        corner=(granule.left, granule.top),
        pixel_m=size,
        crs=job.site.crs,
        nodata=0 if sentinel else 1,
    )
    return _shares(codes, sentinel=sentinel)


def _shares(codes: NDArray[np.uint16], *, sentinel: bool) -> dict[str, float]:
    """Percent of valid pixels by kind; ``nodata`` of all."""
    kinds = {
        "cloud": (8, 9, 10) if sentinel else (22280, 54596),
        "thin": (10,) if sentinel else (54596,),
        "shadow": (3,) if sentinel else (23888,),
        "plant": (4,),
        "water": (6,) if sentinel else (21952,),
    }
    empty = codes == (0 if sentinel else 1)
    valid = max(int((~empty).sum()), 1)
    found = {name: 100.0 * float(np.isin(codes, of).sum()) / valid for name, of in kinds.items()}
    return found | {"nodata": 100.0 * float(empty.mean())}


def _write_truth(granule: Granule, job: _Job, ground: Ground, air: Air) -> None:
    """Write the true mask."""
    size, corner = granule.pixel_m, (granule.left, granule.top)
    valid = granule.inside(job.seen, job.site, size)
    moment = year_of(job.seen.moment.date())
    ratio = round(size / GROUND_M)
    middle = slice(ground.margin + ratio // 2, -ground.margin or None, ratio)
    wet = next(one.value for one in facts.classes() if one.name == "water")
    water = Ground(patches=ground.patches, rows=ground.rows[middle, middle]).land_class(moment) == wet
    codes = true_mask(air, water, valid)
    tags = {"CODES": json.dumps(dict(QUALITY))}
    path = job.out / "truth" / "mask" / f"{job.identifier}.tif"
    write_cog(path, codes, corner=corner, pixel_m=size, crs=job.site.crs, tags=tags)
