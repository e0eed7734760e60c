"""How fast triplets come from decoded patches, and where the time goes."""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from unigeoseg.data.builder.inputs import Place
from unigeoseg.data.builder.plan import Options, make_plan
from unigeoseg.data.builder.stages import Stages
from unigeoseg.data.builder.unit import patches, read, write_patch
from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.protocols import Judge, Scorer, Verdict, Writer
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.store.parquet import TableWriter
from unigeoseg.data.store.schema import IMAGE_GROUP, IMAGES, TRIPLET_GROUP, TRIPLETS
from unigeoseg.errors import DataError
from unigeoseg.runtime.stage_clock import StageClock

REST = "candidates, rules, points and boxes"


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured.

    Attributes:
        patches: Number of decoded patches.
        triplets: Number of triplets written for them.
        seconds: Per stage; reading and cutting are not among them.
        peak_mb: Largest memory of this process since it began, in MB.
    """

    patches: int
    triplets: int
    seconds: dict[str, float]
    peak_mb: float

    @property
    def rate(self) -> float:
        """Triplets per second of one process, from decoded patches to files."""
        return self.triplets / sum(self.seconds.values())


def measure(places: Sequence[Place], options: Options, stages: Stages, *, limit: int) -> Speed:
    """Decode patches, then write their triplets to a temporary directory, on the clock.

    Args:
        places: Row and directory of each source; they take turns.
        options: Size and stride of patches.
        stages: Who judges, writes and scores.
        limit: Most patches; they are all held in memory.

    Raises:
        DataError: If there is no patch, or a source cannot be read.
    """
    decoded = list(islice(_decoded(places, options), limit))
    if not decoded:
        raise DataError("no patch could be cut; give directories of labelled imagery")
    clock = StageClock()
    timed = replace(
        stages,
        judge=_TimedJudge(stages.judge, clock),
        writer=lambda reject: _TimedWriter(stages.writer(reject), clock),
        scorers=[_TimedScorer(scorer, clock) for scorer in stages.scorers],
    )
    began = time.perf_counter()
    triplets = _write(decoded, timed, clock)
    spent = time.perf_counter() - began
    rest = spent - sum(clock.seconds.values())
    # kilobytes on Linux, bytes on macOS
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return Speed(len(decoded), triplets, {REST: rest, **clock.seconds}, peak)


def _decoded(places: Sequence[Place], options: Options) -> Iterator[Patch]:
    plan = make_plan(places, options, strict=True)
    turns = sorted(plan.units, key=lambda unit: (unit.number % len(plan.inputs), unit.number))
    for unit in turns:
        for image in read(unit, _ignore):
            yield from patches(image, options, None, _ignore)


def _write(decoded: Sequence[Patch], stages: Stages, clock: StageClock) -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        TableWriter(Path(folder, "images.parquet"), IMAGES, group=IMAGE_GROUP) as images,
        TableWriter(Path(folder, "triplets.parquet"), TRIPLETS, group=TRIPLET_GROUP) as triplets,
    ):
        for patch in decoded:
            scored = list(stages(patch, _ignore))
            with clock("store"):
                write_patch(patch, scored, images, triplets)
        return triplets.rows


def _ignore(_: Rejection) -> None:
    pass


@dataclass(slots=True)
class _TimedJudge:
    inner: Judge
    clock: StageClock
    name: str = "timed"

    def judge(self, patch: Patch, candidates: Sequence[Candidate]) -> list[Verdict]:
        with self.clock("judge"):
            return self.inner.judge(patch, candidates)


@dataclass(slots=True)
class _TimedWriter:
    inner: Writer
    clock: StageClock
    name: str = "timed"

    def write(
        self, patch: Patch, candidates: Sequence[Candidate], rng: np.random.Generator
    ) -> list[Draft]:
        with self.clock("write"):
            return list(self.inner.write(patch, candidates, rng))


@dataclass(slots=True)
class _TimedScorer:
    inner: Scorer
    clock: StageClock
    name: str = "timed"

    def score(self, patch: Patch, drafts: Sequence[Draft]) -> list[Verdict]:
        with self.clock(f"score, {self.inner.name}"):
            return self.inner.score(patch, drafts)
