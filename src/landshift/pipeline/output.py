"""The output folder: whose it is, which stages are up to date, and what a killed run left behind.

Every stage has a key made of its settings and its inputs' keys. The folder remembers the key and the settings
of what it holds, so a second run redoes exactly what changed and can say why. A stage that was started with the
same key and not finished is resumed, not begun anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from landshift.errors import DataQualityWarning, StoreError
from landshift.pipeline import redone
from landshift.pipeline.claims import GLANCE_S, Claims, locked
from landshift.pipeline.redone import short
from landshift.plan import write_atomic

__all__ = ["STAGES", "Output", "Stage", "StageResult", "hash_of"]

STAGES: Final = (
    "survey",
    "build",
    "labels",
    "train",
    "evaluate",
    "predict",
    "change",
    "zonal",
    "score",
    "publish",
)
"""Stages in their order."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run."""

    name: str
    """Its name, as a verb: ``survey``, ``build``, ``train`` ..."""
    settings: Mapping[str, Any]
    """All parameters that its result depends on, as plain values."""
    inputs: tuple[str, ...]
    """Keys of the stages it takes from."""
    work: Callable[[], Mapping[str, Any]]
    """Does it; gives what is to be counted. Called again after a kill, it goes on where it stopped."""
    outputs: tuple[str, ...]
    """Files and folders it makes, relative to the output folder; removed before it is done anew."""
    tables: tuple[str, ...] = ()
    """Names of the tables it may write; removed too, so that none of an earlier recipe stays."""
    lost: Callable[[], Sequence[str]] = tuple
    """Names parts of its outputs that are gone since it was done; the work makes them anew."""
    clears: bool = True
    """False where the work itself decides what of its outputs is out of date; its tables go all the same."""

    @property
    def key(self) -> str:
        """Sixteen hex digits that change when the settings or an input change."""
        return hash_of({"stage": self.name, "settings": self.settings, "inputs": list(self.inputs)})


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What became of a stage."""

    name: str
    """Its name."""
    key: str
    """Its key, an input of later stages."""
    state: str
    """``up to date``, ``done``, ``resumed`` or ``redone``."""
    why: str
    """What changed, for a stage that was redone."""
    record: Mapping[str, Any]
    """What it counted."""
    seconds: float
    """How long it took now; 0 where nothing was done."""


def hash_of(values: Any) -> str:
    """Sixteen hex digits of any JSON value.

    >>> hash_of({"a": 1, "b": 2}) == hash_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output folder."""

    path: Path
    """The folder."""
    say: Callable[[str], None] = field(default=lambda _: None)
    """Where it tells what it does, line by line."""

    @property
    def hidden(self) -> Path:
        """Journal, survey values and locks: ``.landshift/``."""
        return self.path / ".landshift"

    @property
    def foreign(self) -> bool:
        """Whether the folder holds what landshift did not write; a trial's folder is no stranger."""
        if not self.path.is_dir() or (self.hidden / "place.json").is_file():
            return self.path.exists() and not self.path.is_dir()
        return any(
            item.name != ".landshift" and not (item.name == "try" and any(item.glob("*/.landshift")))
            for item in self.path.iterdir()
        )

    def refuse_foreign(self) -> None:
        """Leave alone, before anything is written, a folder that landshift did not make.

        Raises:
            StoreError: It holds something else.
        """
        if self.foreign:
            raise StoreError(
                "this folder is not empty and is not a landshift output",
                where=self.path,
                hint="choose a new or empty folder",
            )

    def prepare(self, place: Mapping[str, Any]) -> None:
        """Make the folder, check that it is this place's, and clear what a kill left half-written.

        Raises:
            StoreError: It cannot be written, or holds the results of another place.
        """
        self.refuse_foreign()
        self._stay(self.hidden / "place.json", place)
        for partial in list(self.path.rglob("*.partial")):
            if "try" not in partial.relative_to(self.path).parts[:1]:  # a trial has a lock of its own
                _remove(partial)

    def expect(self, place: Mapping[str, Any]) -> None:
        """Check before anything is simulated that the folder is this place's.

        Args:
            place: The grid for which scenes are going to be simulated, as plain values.

        Raises:
            StoreError: It holds the results of another place.
        """
        marker = self.hidden / "simulated.json"
        if not (self.hidden / "place.json").is_file():
            marker.unlink(missing_ok=True)  # a run that never came to its results
        self._stay(marker, place)

    def _stay(self, marker: Path, place: Mapping[str, Any]) -> None:
        """Note a place, or refuse another one than was noted."""
        held = json.loads(marker.read_text()) if marker.is_file() else place
        if held != place:
            changed = [name for name in {**held, **place} if held.get(name) != place.get(name)]
            differ = "differs" if len(changed) == 1 else "differ"
            raise StoreError(
                f"this folder holds another place (its {' and '.join(changed)} {differ})",
                where=self.path,
                got=", ".join(f"{name} {short(place.get(name))}" for name in changed),
                allowed=", ".join(f"{name} {short(held.get(name))}" for name in changed),
                hint="choose another output folder, or remove this one with `landshift clean`",
            )
        write_atomic(marker, json.dumps(dict(place), sort_keys=True).encode())

    @contextlib.contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep a second run out of the folder; the lock of a killed run does not count.

        Args:
            shared: Let in others who share it too, as the shards of a run do.

        Raises:
            StoreError: Another run is at work here.
        """
        file = self.hidden / "lock"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = file.open("a+", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"the output folder cannot be written: {error.strerror}",
                where=self.path,
                hint="choose a folder that you may write, with `--out`",
            ) from error
        with handle:
            ours = locked(handle.fileno(), shared=shared)
            if ours is False:  # somebody is at work, or only looks whether anybody is and lets go at once
                time.sleep(GLANCE_S)
                ours = locked(handle.fileno(), shared=shared)
            if ours is False:
                raise StoreError(
                    "another run is at work in this folder",
                    where=self.path,
                    hint="wait for it, or for all its shards, to end: `landshift status` tells who holds what",
                )
            yield

    @property
    def busy(self) -> bool | None:
        """Whether a run, or a shard of one, has the folder in its hands; None where nothing can tell."""
        try:
            with (self.hidden / "lock").open("r+", encoding="utf-8") as handle:
                free = locked(handle.fileno())
        except FileNotFoundError:
            return False
        except OSError:
            return None
        return None if free is None else not free

    def claims(self, owner: str = "") -> Claims:
        """Claims on the work in this folder."""
        return Claims(folder=self.hidden / "claims", owner=owner)

    def do(self, stage: Stage) -> StageResult:
        """Do a stage, unless what is there is up to date."""
        begun = self.begin(stage)
        if begun.state == "up to date":
            return begun
        begin = time.perf_counter()
        with self._noting(stage):
            record = json.loads(json.dumps(dict(stage.work()), sort_keys=True, default=str))  # as read back
        seconds = time.perf_counter() - begin
        self._mark(self._marker(stage), stage, state="done", record=record)
        return replace(begun, record=record, seconds=seconds)

    def begin(self, stage: Stage) -> StageResult:
        """Say what becomes of a stage and, unless it is up to date or to be resumed, clear what it made before."""
        key = stage.key
        marker = self._marker(stage)
        held = json.loads(marker.read_text()) if marker.is_file() else {}
        missing = [name for name in _made(held, stage) if not (self.path / name).exists()]
        if held.get("key") == key and held.get("state") == "done" and not missing:
            missing = list(stage.lost())
        if held.get("key") == key and held.get("state") == "done" and not missing:
            self.say(f"{stage.name}: up to date")
            return StageResult(
                name=stage.name, key=key, state="up to date", why="", record=held["record"], seconds=0.0
            )
        same = held.get("key") == key and held.get("state") == "started"
        why = "" if not held or same else redone.why(held, stage.settings, stage.inputs, missing)
        if not same:
            # a kill while outputs are removed must find neither them nor their key valid
            old = replace(
                stage,
                outputs=tuple(sorted({*held.get("outputs", ()), *stage.outputs})),
                tables=tuple(sorted({*held.get("tables", ()), *stage.tables})),
            )
            self._mark(marker, old, state="clearing", record={})
            self._clear(old.outputs if stage.clears else (), old.tables)
            self._mark(marker, stage, state="started", record={})
        state = "resumed" if same else "redone" if held else "done"
        self.say(f"{stage.name}: {state}{' because ' + why if why else ''}" if held else f"{stage.name}")
        return StageResult(name=stage.name, key=key, state=state, why=why, record={}, seconds=0.0)

    def forget(self, name: str) -> None:
        """Remove what a stage made that the recipe no longer asks for."""
        marker = self.hidden / "stages" / f"{name}.json"
        if marker.is_file():
            held = json.loads(marker.read_text())
            self.say(f"{name}: removed, the recipe no longer asks for it")
            write_atomic(marker, json.dumps(held | {"state": "clearing"}, sort_keys=True).encode())
            self._clear(held.get("outputs", ()), held.get("tables", ()))
            marker.unlink()

    def status(self) -> dict[str, dict[str, Any]]:
        """What the folder says of every stage: name to key, state and record."""
        files = sorted((self.hidden / "stages").glob("*.json"))
        return {file.stem: json.loads(file.read_text()) for file in files}

    def warnings(self, results: Iterable[StageResult]) -> tuple[str, ...]:
        """What was skipped or filled, in words, by all stages, those of earlier runs included; each once."""
        found: dict[str, None] = {}
        for done in results:
            file = self._notes(done.name, done.key)
            found |= dict.fromkeys(_lines(file)) if file.is_file() else {}
        return tuple(found)

    @contextlib.contextmanager
    def _noting(self, stage: Stage) -> Iterator[None]:
        """Write quality warnings down as they are given, so that a kill does not lose them."""
        file = self._notes(stage.name, stage.key)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file() and not file.read_bytes().endswith(b"\n"):
            with file.open("a", encoding="utf-8") as notes:
                notes.write("\n")  # a kill has torn the last line: what comes now begins its own
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataQualityWarning)
            shown = warnings.showwarning

            def note(message: Warning | str, category: type[Warning], *rest: Any) -> None:
                if issubclass(category, DataQualityWarning):
                    with file.open("a", encoding="utf-8") as notes:
                        notes.write(json.dumps(str(message)) + "\n")
                else:
                    shown(message, category, *rest)

            warnings.showwarning = note  # type: ignore[assignment]  # the hook the standard library documents
            yield

    def _clear(self, outputs: Iterable[str], tables: Iterable[str]) -> None:
        for name in outputs:
            _remove(self.path / name)
        for name in tables:
            for file in (self.path / "tables").glob(f"{name}.*"):
                _remove(file)

    def _marker(self, stage: Stage) -> Path:
        return self.hidden / "stages" / f"{stage.name}.json"

    def _notes(self, stage: str, key: str) -> Path:
        return self.hidden / "warnings" / f"{stage}-{key}.jsonl"

    def _mark(self, marker: Path, stage: Stage, *, state: str, record: Mapping[str, Any]) -> None:
        facts = {
            "key": stage.key,
            "state": state,
            "settings": stage.settings,
            "inputs": list(stage.inputs),
            "outputs": list(stage.outputs),
            "tables": [name for name in stage.tables if (self.path / _parquet(name)).is_file()]
            if state == "done"
            else list(stage.tables),
            "record": record,
        }
        write_atomic(marker, json.dumps(facts, sort_keys=True, default=str).encode())


def _lines(file: Path) -> Iterator[str]:
    """The values of a file of one a line; a line that a kill has torn is none."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _made(held: Mapping[str, Any], stage: Stage) -> list[str]:
    """What must be there for a stage to be up to date: its outputs, and the tables it wrote."""
    return [*stage.outputs, *(_parquet(name) for name in held.get("tables", ()))]


def _parquet(name: str) -> str:
    return f"tables/{name}.parquet"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
