"""``kill -9`` at any moment: the resumed run ends with the bytes of a run that was left alone."""

from __future__ import annotations

import os
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

KILLS = 10


@dataclass(frozen=True)
class Whole:
    """A run that was left alone."""

    recipe: Path
    out: Path
    seconds: float


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


def kill_after(recipe: Path, out: Path, seconds: float) -> bool:
    """Kill a run after some seconds; False where it had ended by then."""
    process = start(recipe, out)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    assert process.returncode == 0
    return False


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An undisturbed run, and how long it takes when its code is warm."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe()))
    begin = time.perf_counter()
    finish(path, folder / "out")
    return Whole(recipe=path, out=folder / "out", seconds=time.perf_counter() - begin)


@pytest.mark.slow
def test_two_undisturbed_runs_have_the_same_bytes(whole: Whole, tmp_path: Path) -> None:
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []


def test_a_run_killed_once_ends_with_the_same_bytes(whole: Whole, tmp_path: Path) -> None:
    moment = np.random.default_rng(20).uniform(0.45, 0.85) * whole.seconds
    kill_after(whole.recipe, tmp_path / "out", moment)
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_killed_at_a_random_moment_ends_with_the_same_bytes(
    whole: Whole, tmp_path: Path, number: int
) -> None:
    """The moments are one in each tenth of the run: every stage is hit."""
    share = (number + np.random.default_rng(number).random()) / KILLS
    kill_after(whole.recipe, tmp_path / "out", share * whole.seconds)
    finish(whole.recipe, tmp_path / "out")
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []


@pytest.mark.slow
def test_a_run_killed_ten_times_over_ends_with_the_same_bytes(whole: Whole, tmp_path: Path) -> None:
    rng, kills = np.random.default_rng(5), 0
    for _ in range(KILLS):
        kills += kill_after(whole.recipe, tmp_path / "out", float(rng.uniform(0.1, 0.6)) * whole.seconds)
    finish(whole.recipe, tmp_path / "out")
    assert kills > 0
    assert differing(contents(whole.out), contents(tmp_path / "out")) == []
