"""Shards of a run: started together, killed, finished: the bytes of a run that was left alone."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from landshift.config import Recipe
from landshift.errors import ConfigError, DataQualityWarning, StoreError
from landshift.pipeline import build as build_module
from landshift.pipeline.block import BlockWork
from landshift.pipeline.claims import Claim, Claims, locked
from landshift.pipeline.output import Output
from landshift.pipeline.run import finish, run
from landshift.pipeline.shards import Shard, run_shard
from landshift.pipeline.status import status
from landshift.plan import Block, ThreadExecutor
from small_runs import contents, differing, place, town_recipe

Strip = Callable[..., dict[str, Any]]


def long_town() -> dict[str, Any]:
    """The small town drawn out over four blocks, cubes and report alone."""
    values = {name: part for name, part in town_recipe().items() if name in {"source", "product", "report"}}
    source = [values["source"][0] | {"revisit": "60D", "bands": ["red", "nir"]}]
    return values | {"place": place(48, 1608), "time": {"years": "2020"}, "source": source}


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """A command as a user starts it, in a process group of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return subprocess.Popen(
        [sys.executable, "-m", "landshift", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> str:
    """Wait for a command; what it said."""
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said.decode()
    return said.decode()


def kill_one_with_a_block_in_its_hands(shards: dict[str, subprocess.Popen[bytes]], out: Path) -> str:
    """Kill the first shard that holds a block; its name."""
    claims = Claims(folder=out / ".landshift" / "claims")
    held: list[str] = []
    while not held:
        time.sleep(0.002)
        held = [one["owner"] for one in claims.held() if one["name"] != "opening" and "owner" in one]
        assert any(shard.poll() is None for shard in shards.values()), "no block was ever claimed"
    os.killpg(shards[held[0]].pid, signal.SIGKILL)
    shards[held[0]].communicate()
    return held[0]


def test_three_shards_with_one_killed_and_finish_give_the_bytes_of_one_run(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(tomli_w.dumps(long_town()))
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    end(start("run", recipe, "--out", alone))
    names = ("1/3", "2/3", "3/3")
    shards = {name: start("run", recipe, "--out", shared, "--shard", name) for name in names}
    killed = kill_one_with_a_block_in_its_hands(shards, shared)
    assert all("landshift finish" in end(shard) for name, shard in shards.items() if name != killed)
    assert not (shared / "report.html").exists()
    end(start("finish", shared))
    assert differing(contents(alone), contents(shared)) == []
    assert not list((shared / ".landshift").rglob("*.claim"))


@given(total=st.integers(1, 12), count=st.integers(0, 40))
def test_every_shard_would_do_every_block_and_their_own_shares_come_first(total: int, count: int) -> None:
    blocks = [Block(row=0, col=col, y=(0, 1), x=(col, col + 1)) for col in range(count)]
    orders = [Shard(number=number, total=total).order(blocks) for number in range(1, total + 1)]
    assert all(sorted(order) == blocks for order in orders)
    firsts = [order[: count // total] for order in orders]
    assert len({block for first in firsts for block in first}) == total * (count // total)


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "1/3/4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--shard"):
        Shard.of(text)


def shard(values: dict[str, Any], out: Path, text: str = "1/1") -> int:
    return run_shard(Recipe.of(values), out, shard=Shard.of(text)).built


def test_blocks_in_the_hands_of_another_are_left_and_finish_does_them(strip: Strip, tmp_path: Path) -> None:
    run(Recipe.of(strip()), tmp_path / "alone")
    out = tmp_path / "out"
    theirs = Output(path=out).claims("2/2").take("r0000c0001")
    assert theirs is not None
    result = run_shard(Recipe.of(strip()), out, shard=Shard.of("1/2"))
    assert (result.built, result.left) == (1, 1)
    said = status(out)
    assert [(row["block"], row["shard"]) for row in said["claims"]] == [("r0000c0001", "2/2")]
    assert said["run"] == "1 shard is at work"
    assert {(row["done"], row["blocks"]) for row in said["products"]} == {(1, 2)}
    theirs.release()
    assert status(out)["run"].startswith("nobody is at work: run again")
    with Output(path=out).lock():
        assert status(out)["run"] == "a run is at work"
    finish(out)
    assert differing(contents(tmp_path / "alone"), contents(out)) == []


def test_a_claim_whose_process_is_dead_is_inherited(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from landshift.pipeline.claims import Claims\n"
    code += "assert Claims(folder=Path(sys.argv[1]), owner='2/2').take('r0000c0000'); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 9
    assert (tmp_path / "r0000c0000.claim").is_file()
    assert Claims(folder=tmp_path).held() == []
    claim = Claims(folder=tmp_path, owner="1/2").take("r0000c0000")
    assert claim is not None
    assert [one["owner"] for one in Claims(folder=tmp_path).held()] == ["1/2"]
    assert Claims(folder=tmp_path, owner="2/2").take("r0000c0000") is None
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_of_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    fds = Path("/dev/fd")
    with monkeypatch.context() as disk:
        disk.setattr("landshift.pipeline.claims.os.write", full)
        before = len(list(fds.iterdir()))
        with pytest.raises(StoreError, match="cannot claim"):
            Claims(folder=tmp_path, owner="1/2").take("r0000c0000")
        assert len(list(fds.iterdir())) == before
    assert list(tmp_path.iterdir()) == []
    assert Claims(folder=tmp_path, owner="2/2").take("r0000c0000") is not None


def test_who_only_looks_at_a_claim_does_not_hinder_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[threading.Timer] = []

    def looked_at(file: int, *, shared: bool = False) -> bool | None:
        if not met and not shared:  # `status` looks between the making of the file and its lock
            other = os.open(tmp_path / "r0000c0000.claim", os.O_RDWR)
            assert locked(other, shared=True)
            met.append(threading.Timer(0.01, os.close, [other]))
            met[0].start()
        return locked(file, shared=shared)

    monkeypatch.setattr("landshift.pipeline.claims.locked", looked_at)
    assert Claims(folder=tmp_path, owner="1/2").take("r0000c0000") is not None
    met[0].join()


def test_without_locks_a_claim_is_inherited_by_its_own_shard_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("landshift.pipeline.claims.locked", lambda *_, **__: None)
    assert Claims(folder=tmp_path, owner="2/2").take("r0000c0000") is not None
    assert Claims(folder=tmp_path, owner="1/2").take("r0000c0000") is None
    assert Claims(folder=tmp_path, owner="2/2").take("r0000c0000") is not None


def test_a_run_is_kept_out_while_a_shard_is_at_work_and_the_other_way_round(
    strip: Strip, tmp_path: Path
) -> None:
    output = Output(path=tmp_path)
    with output.lock(shared=True):
        shard(strip(), tmp_path)
        with pytest.raises(StoreError, match="another run is at work"):
            finish(tmp_path)
    with output.lock(), pytest.raises(StoreError, match="another run is at work"):
        shard(strip(), tmp_path)


def test_a_shard_with_another_recipe_is_refused_until_the_first_ones_are_finished(
    strip: Strip, tmp_path: Path
) -> None:
    shard(strip(), tmp_path)
    other = strip(product=strip()["product"][:1])
    with pytest.raises(StoreError, match="another recipe"):
        shard(other, tmp_path)
    finish(tmp_path)
    shard(other, tmp_path)
    assert [store.name for store in (tmp_path / "cubes").iterdir()] == ["regular.zarr"]


def test_a_shard_that_finds_other_scenes_is_refused(strip: Strip, tmp_path: Path) -> None:
    shard(strip(), tmp_path)
    marker = tmp_path / ".landshift" / "stages" / "survey.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"key": "other"}))
    with pytest.raises(StoreError, match="other scenes"):
        shard(strip(), tmp_path)


def test_a_shard_of_a_finished_run_has_nothing_to_do(strip: Strip, tmp_path: Path) -> None:
    run(Recipe.of(strip()), tmp_path)
    before = contents(tmp_path)
    assert shard(strip(), tmp_path) == 0
    assert finish(tmp_path).stages[1].state == "up to date"
    assert differing(before, contents(tmp_path)) == []


def test_there_is_nothing_to_finish_where_no_shard_was(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no shard"):
        finish(tmp_path)


def test_what_another_version_noted_of_its_shards_does_not_keep_a_plain_run_out(
    strip: Strip, tmp_path: Path
) -> None:
    shard(strip(), tmp_path)
    note = tmp_path / ".landshift" / "shards.toml"
    note.write_text('state = "open"\nbase = "."\n[recipe.nosuch]\na = 1\n')
    for refused in (lambda: shard(strip(), tmp_path), lambda: finish(tmp_path)):
        with pytest.raises(StoreError, match="another version") as caught:
            refused()
        assert "without --shard" in str(caught.value.hint)
    assert run(Recipe.of(strip()), tmp_path, until="build").stages[1].state == "resumed"
    assert not note.exists()


def test_a_shard_tells_quality_warnings_alone(
    strip: Strip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        warnings.warn("the scenes look odd", DataQualityWarning, stacklevel=1)
        warnings.warn("a library is old", DeprecationWarning, stacklevel=1)

    monkeypatch.setattr("landshift.acquire.offset.warn_of_offsets", odd)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = run_shard(Recipe.of(strip()), tmp_path, shard=Shard.of("1/1"))
    assert result.warnings == ()  # those of a stage are in its notes
    assert "the scenes look odd" in run(Recipe.of(strip()), tmp_path, until="build").warnings


def test_claims_are_kept_until_what_is_in_flight_has_ended(
    strip: Strip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard is stopped between two blocks, while a second worker is still writing the other one."""
    held_at_the_end: list[int] = []
    claims, done = Claims(folder=tmp_path / ".landshift" / "claims"), BlockWork.__call__

    def slow(work: BlockWork, block: Block) -> int:
        if block.col == 1:
            time.sleep(1)
            held_at_the_end.append(len([one for one in claims.held() if one["name"] == block.name]))
        return done(work, block)

    def stop(_: Claim) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BlockWork, "__call__", slow)
    monkeypatch.setattr(Shard, "order", lambda _, blocks: list(blocks))
    with monkeypatch.context() as patch:
        patch.setattr(build_module, "executor_of", lambda *_, **__: ThreadExecutor(workers=2))
        release = Claim.release
        patch.setattr(
            Claim, "release", lambda one: stop(one) if one.path.stem == "r0000c0000" else release(one)
        )
        with pytest.raises(KeyboardInterrupt):
            shard(strip(), tmp_path)
        assert held_at_the_end == [1]
