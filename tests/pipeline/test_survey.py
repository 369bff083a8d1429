"""The survey: which scenes, on which grid, and why others are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landshift.config import Recipe
from landshift.errors import NoScenesError, SceneError
from landshift.pipeline.survey import Survey, survey
from tiny_rasters import Tiff, write

BANDS = ("red", "nir")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four dates of two bands, 32 px of 10 m; one of them in the next zone."""
    for date in ("20200110", "20200610", "20200710"):
        write(tmp_path / "scenes" / f"scene_{date}.tif", Tiff(bands=2, names=BANDS))
    return tmp_path / "scenes"


def look(folder: Path, **tables: Any) -> Survey:
    source = {"name": "s2", "from": "folder", "path": str(folder), "date": "%Y%m%d"} | tables.pop(
        "source", {}
    )
    values = {"source": [source], "product": [{"name": "seen", "kind": "observed"}]}
    return survey(Recipe.of(values | tables), out=folder / "nowhere")


def test_without_a_place_the_grid_is_the_scenes_own(folder: Path) -> None:
    found = look(folder)
    assert found.geobox.shape == (32, 32)
    assert tuple(found.geobox.affine)[:6] == (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_600_000.0)
    assert found.bands == {"s2": BANDS}
    assert [group.time.month for group in found.passes["s2"]] == [1, 6, 7]


def test_a_box_on_the_scenes_grid_keeps_their_pixels(folder: Path) -> None:
    box = [500_033, 5_599_833, 500_147, 5_599_957]
    found = look(folder, place={"bbox": box, "bbox_crs": "EPSG:32633"})
    assert [(found.geobox.affine.c - 500_000) % 10, (found.geobox.affine.f - 5_600_000) % 10] == [0, 0]
    left, bottom, right, top = found.geobox.boundingbox
    assert left <= box[0] < left + 10
    assert top - 10 < box[3] <= top
    assert bottom <= box[1]
    assert right >= box[2]


def test_another_resolution_starts_at_multiples_of_six_pixels(folder: Path) -> None:
    found = look(folder, place={"crs": "EPSG:3035", "resolution": 20})
    assert [found.geobox.affine.c % 120, found.geobox.affine.f % 120] == [0, 0]
    assert [size % 6 for size in found.geobox.shape] == [0, 0]


def test_the_grid_is_that_of_most_scenes_at_their_finest(folder: Path) -> None:
    other = Tiff(bands=2, names=BANDS, crs="EPSG:32634")
    write(folder / "scene_20200801.tif", other)
    write(folder / "scene_20200901.tif", Tiff(bands=2, names=BANDS, pixel=5, size=64))
    found = look(folder)
    assert str(found.geobox.crs) == "EPSG:32633"
    assert found.geobox.resolution.x == 5


def test_scenes_outside_are_counted_by_reason(folder: Path) -> None:
    write(folder / "scene_20200801.tif", Tiff(bands=2, names=BANDS, origin=(800_000.0, 5_000_000.0)))
    box = [500_000, 5_599_700, 500_300, 5_600_000]
    found = look(
        folder, place={"bbox": box, "bbox_crs": "EPSG:32633"}, time={"years": "2020", "months": [6, 8]}
    )
    assert found.reasons() == {"outside the months": 1, "outside the place": 1}
    assert found.scenes == 2


def test_a_wanted_band_that_a_scene_lacks_stops_or_skips_it(folder: Path) -> None:
    write(folder / "scene_20200801.tif", Tiff(bands=3, names=("red", "green", "blue")))
    with pytest.raises(SceneError, match="nir"):
        look(folder, source={"bands": ["red", "nir"]})
    found = look(folder, source={"bands": ["red", "nir"]}, engine={"on_error": "skip"})
    assert found.scenes == 3
    assert sum(found.reasons().values()) == 1


def test_without_wanted_bands_those_all_scenes_have_are_taken(folder: Path) -> None:
    write(folder / "scene_20200801.tif", Tiff(bands=3, names=("blue", "nir", "red")))
    assert set(look(folder).bands["s2"]) == {"red", "nir"}


def test_scenes_without_a_common_band_are_refused(folder: Path) -> None:
    write(folder / "scene_20200801.tif", Tiff(bands=1, names=("blue",)))
    with pytest.raises(SceneError, match="no band in common"):
        look(folder)


def test_nothing_left_is_said_with_reasons_and_span(folder: Path) -> None:
    with pytest.raises(NoScenesError) as caught:
        look(folder, time={"years": "2019"})
    assert "3 " in str(caught.value.got)
    assert "2019-01-01" in str(caught.value.allowed)


def test_the_fingerprint_follows_the_files_and_not_their_folder(folder: Path, tmp_path: Path) -> None:
    import shutil

    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert look(folder).fingerprint("s2") == look(moved).fingerprint("s2")
    assert look(folder).fingerprint("s2") != look(folder, source={"scale": 0.001}).fingerprint("s2")


def test_a_file_of_other_pixels_has_another_fingerprint(folder: Path) -> None:
    before = look(folder).fingerprint("s2")
    pixels = np.random.default_rng(1).integers(1, 9000, (2, 32, 32)).astype("uint16")
    write(folder / "scene_20200610.tif", Tiff(bands=2, names=BANDS), pixels)
    assert look(folder).fingerprint("s2") != before


def test_a_file_written_anew_in_the_same_size_has_another_fingerprint(folder: Path) -> None:
    file = folder / "scene_20200610.tif"
    write(file, Tiff(bands=2, names=BANDS), np.full((2, 32, 32), 1000, np.uint16))
    before, size = look(folder).fingerprint("s2"), file.stat().st_size
    write(file, Tiff(bands=2, names=BANDS), np.full((2, 32, 32), 3000, np.uint16))
    assert file.stat().st_size == size
    assert look(folder).fingerprint("s2") != before


def test_a_trial_window_lies_in_the_middle(strip: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    recipe = Recipe.of(strip())
    whole, part = survey(recipe, out=tmp_path), survey(recipe, out=tmp_path, crop_m=240)
    assert part.geobox.shape == (24, 24)
    offset = ~whole.geobox.affine * (part.geobox.affine.c, part.geobox.affine.f)
    assert abs(offset[0] - (528 - 24) / 2) <= 6
    assert [round(value) % 6 for value in offset] == [0, 0]


def test_scenes_that_lie_apart_say_which_of_them_are_taken(folder: Path) -> None:
    assert look(folder).warnings == ()
    write(folder / "scene_20200801.tif", Tiff(bands=2, names=BANDS, crs="EPSG:32634"))
    [said] = look(folder).warnings
    assert "the scenes lie in 2 places" in said
    assert "3 scenes around longitude 15.0" in said
    assert "bbox" in said
    assert look(folder, place={"bbox": [14.9, 50.5, 15.1, 50.6]}).warnings == ()


@pytest.mark.parametrize(("apart_m", "share"), [(320.0, ""), (4_000.0, "cover 1%")])
def test_a_grid_that_scenes_leave_mostly_empty_is_told(folder: Path, apart_m: float, share: str) -> None:
    """Two squares of 320 m: side by side they are the grid; 4 km apart to the east and south they are 1 % of it."""
    corner = (500_000.0 + apart_m, 5_600_000.0 - (apart_m if share else 0.0))
    write(folder / "scene_20200801.tif", Tiff(bands=2, names=BANDS, origin=corner))
    said = look(folder).warnings
    assert len(said) == bool(share)
    assert all(f"far apart: they {share} of the 432 x 432 px" in text and "bbox" in text for text in said)
    assert look(folder, place={"bbox": [14.9, 50.5, 15.1, 50.6]}).warnings == ()


def test_scenes_of_the_simulators_catalogue_say_that_they_are_simulated(
    strip: Callable[..., dict[str, Any]], folder: Path
) -> None:
    from landshift.pipeline.output import Output
    from landshift.pipeline.stages import Context
    from landshift.pipeline.watch import Quiet

    recipe = Recipe.of(strip())
    found = survey(recipe, out=folder)
    context = Context(recipe=recipe, out=Output(path=folder), survey=found, watch=Quiet())
    assert (found.simulated, context.simulated, context.has_truth) == (True, True, False)
    assert not look(folder).simulated
