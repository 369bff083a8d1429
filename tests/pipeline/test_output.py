"""The output folder: whose it is, what of it is up to date, and what a kill leaves."""

from __future__ import annotations

import json
import multiprocessing
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from landshift.config import Recipe
from landshift.errors import DataQualityWarning, StoreError
from landshift.pipeline.claims import locked
from landshift.pipeline.clean import remove_output
from landshift.pipeline.output import Output, Stage
from landshift.pipeline.run import run
from small_runs import place

PLACE = {"crs": "EPSG:32633", "transform": [10.0, 0.0, 0.0, 0.0, -10.0, 0.0], "shape": [6, 6]}


class Killed(BaseException):
    """Stands for a kill: nothing of landshift catches it."""


def output(path: Path, lines: list[str] | None = None) -> Output:
    made = Output(path=path, say=([] if lines is None else lines).append)
    made.prepare(PLACE)
    return made


def stage(out: Path, **changes: Any) -> Stage:
    """A stage that writes one file with its setting in it."""
    settings: Mapping[str, Any] = changes.pop("settings", {"grow_m": {"cloud": 100}})

    def work() -> Mapping[str, Any]:
        (out / "made.txt").write_text(json.dumps(dict(settings)))
        return {"files": 1}

    parts: dict[str, Any] = {"name": "build", "inputs": (), "outputs": ("made.txt",), "work": work}
    return Stage(settings=settings, **(parts | changes))


def test_a_stage_is_done_once_and_then_up_to_date(tmp_path: Path) -> None:
    out = output(tmp_path)
    first, second = out.do(stage(tmp_path)), out.do(stage(tmp_path))
    assert (first.state, second.state) == ("done", "up to date")
    assert second.record == {"files": 1}
    assert second.seconds == 0


def test_a_changed_setting_is_named_with_both_values(tmp_path: Path) -> None:
    lines: list[str] = []
    out = output(tmp_path, lines)
    out.do(stage(tmp_path))
    redone = out.do(stage(tmp_path, settings={"grow_m": {"cloud": 200}}))
    assert redone.state == "redone"
    assert redone.why == "grow_m.cloud 100 -> 200"
    assert lines[-1] == "build: redone because grow_m.cloud 100 -> 200"


def test_changed_inputs_redo_a_stage_and_say_so(tmp_path: Path) -> None:
    out = output(tmp_path)
    out.do(stage(tmp_path, inputs=("aa",)))
    assert out.do(stage(tmp_path, inputs=("bb",))).why == "its inputs changed"


def test_a_missing_output_redoes_its_stage_and_is_named(tmp_path: Path) -> None:
    out = output(tmp_path)
    out.do(stage(tmp_path))
    (tmp_path / "made.txt").unlink()
    assert out.do(stage(tmp_path)).why == "made.txt is missing"


def test_a_missing_table_redoes_its_stage(tmp_path: Path) -> None:
    def work() -> Mapping[str, Any]:
        (tmp_path / "tables").mkdir(exist_ok=True)
        (tmp_path / "tables" / "area.parquet").write_text("one")
        return {}

    out = output(tmp_path)
    tabled = stage(tmp_path, outputs=(), tables=("area", "never"), work=work)
    assert [out.do(tabled).state, out.do(tabled).state] == ["done", "up to date"]
    (tmp_path / "tables" / "area.parquet").unlink()
    assert out.do(tabled).why == "tables/area.parquet is missing"


def test_a_killed_stage_is_resumed_with_its_outputs_in_place(tmp_path: Path) -> None:
    out = output(tmp_path)

    def dies() -> Mapping[str, Any]:
        (tmp_path / "made.txt").write_text("half")
        raise Killed

    with pytest.raises(Killed):
        out.do(stage(tmp_path, work=dies))
    seen: list[str] = []

    def goes_on() -> Mapping[str, Any]:
        seen.append((tmp_path / "made.txt").read_text())
        return {}

    assert out.do(stage(tmp_path, work=goes_on)).state == "resumed"
    assert seen == ["half"]


def test_a_killed_stage_of_other_settings_is_begun_anew(tmp_path: Path) -> None:
    out = output(tmp_path)

    def dies() -> Mapping[str, Any]:
        (tmp_path / "made.txt").write_text("half")
        raise Killed

    with pytest.raises(Killed):
        out.do(stage(tmp_path, work=dies))
    result = out.do(stage(tmp_path, settings={"grow_m": {"cloud": 5}}, work=dict))
    assert result.state == "redone"
    assert not (tmp_path / "made.txt").exists()


def test_a_kill_while_outputs_are_removed_never_leaves_a_stage_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = output(tmp_path)
    out.do(stage(tmp_path))

    def dies(_: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("landshift.pipeline.output._remove", dies)
        with pytest.raises(Killed):
            out.do(stage(tmp_path, settings={"grow_m": {"cloud": 200}}))
    assert out.do(stage(tmp_path)).state == "redone"


def test_outputs_that_a_stage_no_longer_makes_are_removed(tmp_path: Path) -> None:
    out = output(tmp_path)
    out.do(stage(tmp_path))
    out.do(stage(tmp_path, inputs=("other",), outputs=(), work=dict))
    assert not (tmp_path / "made.txt").exists()


def test_a_stage_that_is_no_longer_asked_for_is_forgotten_with_its_outputs(tmp_path: Path) -> None:
    out = output(tmp_path)
    out.do(stage(tmp_path))
    out.forget("build")
    assert not (tmp_path / "made.txt").exists()
    assert out.status() == {}
    assert out.do(stage(tmp_path)).state == "done"


def test_another_places_folder_is_refused_with_what_differs(tmp_path: Path) -> None:
    output(tmp_path)
    with pytest.raises(StoreError, match="another place") as caught:
        Output(path=tmp_path).prepare(PLACE | {"shape": [12, 12]})
    assert "[12, 12]" in str(caught.value.got)
    assert "[6, 6]" in str(caught.value.allowed)
    assert "another output folder" in str(caught.value.hint)


def test_another_place_is_refused_before_its_scenes_are_simulated(tmp_path: Path) -> None:
    def recipe(cols: int) -> Recipe:
        source = {"name": "s2", "from": "simulate", "revisit": "180D", "truth": "none", "bands": ["red"]}
        product = [{"name": "seen", "kind": "observed"}]
        return Recipe.of(
            {"place": place(30, cols), "time": {"years": "2020"}, "source": [source], "product": product}
        )

    def scenes() -> dict[Path, int]:
        files = (tmp_path / ".landshift" / "simulated").rglob("*")
        return {file: file.stat().st_mtime_ns for file in files}

    run(recipe(30), tmp_path, until="survey")
    before = scenes()
    with pytest.raises(StoreError, match="another place"):
        run(recipe(60), tmp_path, until="survey")
    assert scenes() == before
    assert run(recipe(30), tmp_path, until="survey").stages[0].state == "up to date"


def test_a_folder_of_somebody_elses_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(StoreError, match="not a landshift output"):
        Output(path=tmp_path).refuse_foreign()
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.doc"]


def test_clean_leaves_a_folder_of_somebody_elses_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    (tmp_path / ".landshift").mkdir()
    with pytest.raises(StoreError, match="not a landshift output"):
        remove_output(tmp_path)
    assert (tmp_path / "thesis.doc").exists()


def test_clean_removes_what_landshift_made(tmp_path: Path) -> None:
    out = output(tmp_path / "out")
    out.do(stage(out.path))
    (out.path / "maps.qgz").write_text("a project of somebody")
    assert [path.name for path in remove_output(out.path).others] == ["maps.qgz"]
    assert [file.name for file in out.path.iterdir()] == ["maps.qgz"]
    again = output(tmp_path / "again")
    again.do(stage(again.path))
    with again.lock(), pytest.raises(StoreError, match="a run is at work"):
        remove_output(again.path)
    remove_output(again.path)
    assert not again.path.exists()


def test_a_changed_file_and_changed_scenes_are_told_by_name_and_number(tmp_path: Path) -> None:
    out = output(tmp_path)
    first = {"path": [["bow.gpkg", 106496, "44a6"]], "ids": {"s2": ["a", "b"]}, "scenes": {"s2": "x"}}
    later = {"path": [["bow.gpkg", 106497, "55a6"]], "ids": {"s2": ["b", "c", "d"]}, "scenes": {"s2": "y"}}
    out.do(stage(tmp_path, settings=first))
    why = out.do(stage(tmp_path, settings=later)).why
    assert why == "the scenes changed (2 new, 1 gone), the file bow.gpkg changed"


def test_a_folder_that_holds_a_trial_alone_is_not_foreign(tmp_path: Path) -> None:
    output(tmp_path / "try" / "5km")
    output(tmp_path)
    assert (tmp_path / ".landshift" / "place.json").is_file()


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    output(tmp_path)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "2020.tif.123.partial").write_text("half")
    (tmp_path / "model.partial" / "deep.partial").mkdir(parents=True)
    output(tmp_path)
    assert not list(tmp_path.rglob("*.partial"))


def _hold(path: Path, taken: Any, leave: Any) -> None:
    with Output(path=path).lock():
        taken.set()
        leave.wait(60)


def _holder(path: Path) -> tuple[Any, Any]:
    context = multiprocessing.get_context("forkserver")
    taken, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, taken, leave))
    process.start()
    assert taken.wait(60)
    return process, leave


def test_a_second_run_is_kept_out_until_the_first_ends(tmp_path: Path) -> None:
    process, leave = _holder(tmp_path)
    with pytest.raises(StoreError, match="another run is at work"), Output(path=tmp_path).lock():
        pass
    leave.set()
    process.join(60)
    with Output(path=tmp_path).lock():
        pass


def test_one_who_only_looks_whether_a_run_is_at_work_keeps_none_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``status`` holds the lock for an instant: a run that begins in it looks again."""
    with Output(path=tmp_path).lock():
        pass
    glance = (tmp_path / ".landshift" / "lock").open("r+")
    assert locked(glance.fileno())
    monkeypatch.setattr("time.sleep", lambda _: glance.close())
    with Output(path=tmp_path).lock():
        assert glance.closed


def test_the_lock_of_a_killed_run_does_not_count(tmp_path: Path) -> None:
    process, _ = _holder(tmp_path)
    process.kill()
    process.join(60)
    with Output(path=tmp_path).lock():
        pass


def test_the_lock_does_not_count_for_a_process_that_has_taken_its_number(tmp_path: Path) -> None:
    (tmp_path / ".landshift").mkdir()
    (tmp_path / ".landshift" / "lock").write_text(str(os.getppid()))
    with Output(path=tmp_path).lock():
        pass


def test_quality_warnings_survive_a_kill_and_are_told_once(tmp_path: Path) -> None:
    out = output(tmp_path)

    def worker(last: Callable[[], None]) -> Callable[[], Mapping[str, Any]]:
        def work() -> Mapping[str, Any]:
            warnings.warn("two scenes were skipped", DataQualityWarning, stacklevel=1)
            last()
            return {}

        return work

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        out.do(stage(tmp_path, outputs=(), work=worker(kill)))
    result = out.do(stage(tmp_path, outputs=(), work=worker(lambda: None)))
    assert result.state == "resumed"
    assert out.warnings([result]) == ("two scenes were skipped",)
    later = out.do(stage(tmp_path, outputs=(), work=worker(kill)))
    assert later.state == "up to date"
    assert out.warnings([later]) == ("two scenes were skipped",)


def test_other_warnings_are_not_swallowed_by_a_stage(tmp_path: Path) -> None:
    def work() -> Mapping[str, Any]:
        warnings.warn("a library is old", DeprecationWarning, stacklevel=1)
        return {}

    with pytest.raises(DeprecationWarning, match="a library is old"):
        output(tmp_path).do(stage(tmp_path, outputs=(), work=work))


def test_a_line_of_warnings_that_a_kill_has_torn_is_skipped(tmp_path: Path) -> None:
    out = output(tmp_path)

    def warns(text: str) -> Callable[[], Mapping[str, Any]]:
        def work() -> Mapping[str, Any]:
            warnings.warn(text, DataQualityWarning, stacklevel=1)
            raise Killed

        return work

    def told() -> tuple[str, ...]:
        return out.warnings([out.begin(stage(tmp_path, outputs=()))])

    with pytest.raises(Killed):
        out.do(stage(tmp_path, outputs=(), work=warns("first")))
    (file,) = (tmp_path / ".landshift" / "warnings").iterdir()
    file.write_bytes(file.read_bytes() + b'"two scenes wer')
    assert told() == ("first",)
    with pytest.raises(Killed):
        out.do(stage(tmp_path, outputs=(), work=warns("last")))
    assert told() == ("first", "last")
