"""A run shared by processes that know nothing of each other but the output folder: no scheduler, no open port.

Every shard may start at any time, on any machine that sees the folder. The first one opens the run: it makes the
survey and the stores, while the others wait. Then each claims blocks and builds them, its own share first. What
comes after the blocks, and blocks whose shard died, is left to :func:`landshift.pipeline.run.finish`.
"""

from __future__ import annotations

import contextlib
import re
import time
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, Self

from landshift.config import Recipe
from landshift.errors import ConfigError, DataQualityWarning, StoreError
from landshift.pipeline import stages
from landshift.pipeline.build import Build
from landshift.pipeline.claims import Claim, Claims
from landshift.pipeline.hearing import quality_sentences
from landshift.pipeline.output import Output, hash_of
from landshift.pipeline.watch import Quiet, Watch
from landshift.plan import Block, write_atomic

__all__ = ["Shard", "ShardResult", "SharedRun", "run_shard"]

WAIT_S: Final = 0.5
"""How often a shard looks whether the run is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of several equal parts of a run.

    >>> str(Shard.of("2/8"))
    '2/8'
    """

    number: int
    """Which, from 1."""
    total: int
    """Of how many."""

    @classmethod
    def of(cls, text: str) -> Self:
        """A shard as it is written: ``2/8``.

        Raises:
            ConfigError: It is not one.
        """
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError("--shard takes a number of how many", got=text, allowed="1/8, 2/8 ... 8/8")
        return cls(number=int(found[1]), total=int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def order(self, blocks: Sequence[Block]) -> list[Block]:
        """Its own share of neighbouring blocks first, then those of the next shards, each from the end.

        Neighbours read the same source tiles, so shares are not interleaved; and who helps another shard begins
        where that one comes last.

        Args:
            blocks: All blocks, in reading order.
        """
        ends = [len(blocks) * number // self.total for number in range(self.total + 1)]
        shares = [list(blocks[first:last]) for first, last in pairwise(ends)]
        own, *others = shares[self.number - 1 :] + shares[: self.number - 1]
        return own + [block for share in others for block in reversed(share)]


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What a shard did."""

    out: Path
    """The output folder."""
    built: int
    """Blocks that it built."""
    left: int
    """Blocks that were not finished when it ended: in the hands of other shards, or of none."""
    warnings: tuple[str, ...] = ()
    """What the survey skipped or filled, in words."""
    seconds: float = 0.0
    """Wall time."""


@dataclass(frozen=True, kw_only=True)
class SharedRun:
    """What the shards of a run agree on, in ``.landshift/shards.toml``: the recipe as it was written."""

    recipe: Recipe
    """The recipe."""
    state: Literal["open", "closed"] = "open"
    """Closed once a run has had the folder to itself since: shards then open it anew."""

    @property
    def key(self) -> str:
        """What tells that another recipe is the same, however its work is done."""
        return hash_of(self.recipe.to_dict())

    @classmethod
    def load(cls, output: Output) -> Self | None:
        """What an output folder says; None where no shard has been at work.

        Raises:
            StoreError: Its recipe is one that this version does not understand.
        """
        said = _said(output)
        if not said:
            return None
        try:
            recipe = Recipe.of(said["recipe"], base=Path(said["base"]))
        except ConfigError as error:
            raise StoreError(
                "shards of another version have been at work in this folder",
                where=_file(output),
                got=error.message,
                hint="finish them with that version, or give theirs up with `landshift run` without --shard",
            ) from error
        return cls(recipe=recipe, state=said["state"])

    def save(self, output: Output) -> None:
        """Write it down."""
        import tomli_w

        said = {
            "key": self.key,
            "state": self.state,
            "base": str(self.recipe.base.resolve()),
            "recipe": self.recipe.values,
        }
        write_atomic(_file(output), tomli_w.dumps(said).encode())

    @classmethod
    def close(cls, output: Output, recipe: Recipe) -> None:
        """For a run that has the folder to itself: claims of dead shards no longer count.

        Args:
            output: The folder.
            recipe: What is run now. The shards of another recipe cannot be finished any more.
        """
        output.claims().clear()
        held, mine = _said(output), cls(recipe=recipe, state="closed")
        if held.get("key") == mine.key:
            mine.save(output)
        else:
            _file(output).unlink(missing_ok=True)


def run_shard(
    recipe: Recipe | str | Path, out: str | Path = "out", *, shard: Shard, watch: Watch | None = None
) -> ShardResult:
    """Build blocks beside other shards of the same run, until none is left that nobody has claimed.

    Args:
        recipe: A recipe, or the path of one; the same for all shards.
        out: Output folder, on a file system that all shards share.
        shard: Which of how many.
        watch: Who is told how it goes.

    Raises:
        LandshiftError: With what, where and what to do next.
    """
    made = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    heard = watch or Quiet()
    output = Output(path=Path(out), say=heard.say)
    begin = time.perf_counter()
    output.refuse_foreign()
    with output.lock(shared=True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataQualityWarning)
        claims = output.claims(str(shard))
        build = _join(made, output, claims, heard)
        built = 0 if build is None else _do(build, shard, claims)
        left = 0 if build is None else len(build.work.unfinished(build.plan.blocks))
    return ShardResult(
        out=output.path,
        built=built,
        left=left,
        warnings=quality_sentences(caught),
        seconds=time.perf_counter() - begin,
    )


def _join(recipe: Recipe, output: Output, claims: Claims, watch: Watch) -> Build | None:
    """Open the run, or join the shard that did; None where the blocks are built and up to date."""
    with _turn(claims):
        held = SharedRun.load(output)
        mine = SharedRun(recipe=recipe)
        if held is None or held.state == "closed":
            context = stages.find(recipe, output, watch)
            output.prepare(context.survey.place)
            first = stages.inventory(context)
            output.do(first)
            build = Build(context)
            begun = output.begin(stages.build(context, {"survey": first.key}))
            if begun.state != "up to date":
                build.prepare()
            mine.save(output)
            return build if begun.state != "up to date" else None
        if held.key != mine.key:
            raise StoreError(
                "the shards at work in this folder have another recipe",
                where=output.path,
                hint="end theirs with `landshift finish`, or give it up with `landshift run` without --shard",
            )
        if any(source.simulated for source in recipe.sources):  # a simulator writes: one at a time
            return _joined(stages.find(recipe, output, watch))
    return _joined(stages.find(recipe, output, watch))


def _joined(context: stages.Context) -> Build | None:
    """The build of a run that another shard has opened.

    Raises:
        StoreError: The scenes are not those that it found.
    """
    said = context.out.status()
    first = stages.inventory(context)
    stage = stages.build(context, {"survey": first.key})
    if [said[one.name]["key"] for one in (first, stage)] != [first.key, stage.key]:
        raise StoreError(
            "this shard finds other scenes than the one that opened the run",
            where=context.out.path,
            hint="the catalogue or the files have changed: let the other shards end, then `landshift finish`",
        )
    return None if said[stage.name]["state"] == "done" else Build(context)


def _turn(claims: Claims) -> Claim:
    """Wait until no other shard is opening the run or looking whether it is open."""
    while (claim := claims.take("opening")) is None:
        time.sleep(WAIT_S)
    return claim


def _do(build: Build, shard: Shard, claims: Claims) -> int:
    """Claim and build blocks; give how many."""
    held: dict[Block, Claim] = {}

    def free() -> Iterator[Block]:
        for block in shard.order(build.plan.blocks):
            if build.work.todo(block) and (claim := claims.take(block.name)) is not None:
                held[block] = claim
                if build.work.todo(block):  # nobody finished it meanwhile
                    yield block
                else:
                    held.pop(block).release()

    built = 0
    try:
        with contextlib.closing(build.do(free())) as done:
            for block in done:
                held.pop(block).release()
                built += 1
    finally:
        for claim in held.values():
            claim.release()
    return built


def _file(output: Output) -> Path:
    return output.hidden / "shards.toml"


def _said(output: Output) -> dict[str, Any]:
    """What the file says, whichever version has written it; nothing where there is none."""
    try:
        return tomllib.loads(_file(output).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
