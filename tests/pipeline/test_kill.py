"""``kill -9`` at any moment: the resumed run ends with the bytes of a run that was left alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from small_runs import contents, differing, town_recipe

STAGES = ("simulate", "simulate", "survey", "build", "build", "train", "train", "predict", "score", "publish")
"""Where the ten kills fall."""


@dataclass(frozen=True)
class Whole:
    """A run that was left alone."""

    recipe: Path
    out: Path
    timings: dict[str, float]


def recipe() -> dict[str, Any]:
    """The small town with a small U-Net beside the forest."""
    values = town_recipe()
    unet = {"epochs": 3, "widths": [8, 16], "batch": 8}
    settings = {"forest": {"trees": 12}, "unet": unet}
    return values | {"train": {"product": "regular", "model": "unet", "compare": ["forest"], **settings}}


def start(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """``landshift run`` as a user starts it, in a process group of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    command = [sys.executable, "-m", "landshift", "run", str(recipe), "--out", str(out)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def finish(recipe: Path, out: Path) -> str:
    """Run to the end; what it said."""
    process = start(recipe, out)
    said, _ = process.communicate(timeout=600)
    text = said.decode()
    assert process.returncode == 0, text
    return text


def kill_in(whole: Whole, out: Path, stage: str, share: float) -> None:
    """Kill a run in a stage, ``share`` of its time after it began; the simulation counts its scenes instead.

    The time is that of the undisturbed run. Where the machine was busy then, the stage may be over too soon: the
    folder is put back as it was, and the run is killed earlier.
    """
    before = out.with_name("before")
    if out.exists():
        shutil.copytree(out, before)
    for earlier in (1.0, 0.3, 0.1):
        if _killed(whole, out, stage, share * earlier):
            break
        shutil.rmtree(out)
        if before.exists():
            shutil.copytree(before, out)
    else:
        pytest.fail(f"the run ended before it could be killed in {stage}")
    shutil.rmtree(before, ignore_errors=True)


def _killed(whole: Whole, out: Path, stage: str, share: float) -> bool:
    """Start a run and kill it; False where it has ended by then."""
    process = start(whole.recipe, out)
    try:
        _wait(process, whole, out, stage, share)
        time.sleep(0 if stage == "simulate" else share * whole.timings[stage])
        return process.poll() is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _wait(process: subprocess.Popen[bytes], whole: Whole, out: Path, stage: str, share: float) -> None:
    """Until the run says that the stage begins, or has written its share of the scenes."""
    if stage == "simulate":
        while len(_scenes(out)) < share * len(_scenes(whole.out)):
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        return
    assert process.stdout is not None
    said = iter(process.stdout.readline, b"")
    assert any(line.decode().startswith(stage) for line in said), f"the run never came to {stage}"


def _scenes(out: Path) -> list[Path]:
    return list((out / ".landshift" / "simulated").glob("*/*/*.json"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An undisturbed run, and how long its stages take."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe()))
    finish(path, folder / "out")
    said = json.loads((folder / "out" / "run.json").read_text())
    return Whole(recipe=path, out=folder / "out", timings=said["timings"])


@pytest.mark.slow
def test_two_undisturbed_runs_have_the_same_bytes(whole: Whole, tmp_path: Path) -> None:
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []


def test_a_run_killed_once_ends_with_the_same_bytes(whole: Whole, tmp_path: Path) -> None:
    kill_in(whole, tmp_path / "out", "train", float(np.random.default_rng(20).uniform(0.2, 0.7)))
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "stage"), list(enumerate(STAGES)))
def test_a_run_killed_in_any_stage_ends_with_the_same_bytes(
    whole: Whole, tmp_path: Path, number: int, stage: str
) -> None:
    kill_in(whole, tmp_path / "out", stage, float(np.random.default_rng(number).uniform(0.1, 0.7)))
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []


@pytest.mark.slow
def test_a_run_killed_ten_times_over_ends_with_the_same_bytes(whole: Whole, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for stage in STAGES:
        kill_in(whole, tmp_path / "out", stage, float(rng.uniform(0.1, 0.6)))
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []
