"""Speed of the data engine: triplets per second from decoded patches, and seconds per stage."""

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
from unigeoseg.data.builder.unit import prepare_patches, read_unit, write_patch
from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.protocols import Judge, Scorer, Verdict, Writer
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.store.parquet import TableWriter
from unigeoseg.data.store.schema import IMAGE_GROUP, IMAGES, TRIPLET_GROUP, TRIPLETS
from unigeoseg.errors import DataError
from unigeoseg.report.document import Table
from unigeoseg.runtime.stage_clock import StageClock

UNTIMED = "candidates, rules, points and boxes"
"""The stages that have no timer of their own: what the others leave of the whole time."""

_MAXRSS_PER_MB = 1e6 if sys.platform == "darwin" else 1e3  # bytes on macOS, kilobytes on Linux


@dataclass(frozen=True, slots=True)
class EngineSpeed:
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
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @property
    def rate(self) -> float:
        """Triplets per second of one process, from decoded patches to files."""
        return self.triplets / self.total


def engine_table(speed: EngineSpeed) -> Table:
    """Seconds of each stage and their share."""
    rows = [
        (stage, f"{seconds:.2f}", f"{seconds / speed.total:.1%}")
        for stage, seconds in speed.seconds.items()
    ]
    note = (
        f"{speed.triplets} triplets of {speed.patches} patches in {speed.total:.2f} s: "
        f"{speed.rate:.1f} per second; peak memory {speed.peak_mb:.0f} MB"
    )
    return Table(("stage", "seconds", "share"), rows, note)


def profile_engine(
    places: Sequence[Place], options: Options, stages: Stages, *, limit: int
) -> EngineSpeed:
    """Decode patches, then write their triplets to a temporary directory and time the stages.

    Args:
        places: Row and directory of each source; their units are interleaved.
        options: Size and stride of patches.
        stages: Who judges, writes and scores.
        limit: Most patches; they are all held in memory.

    Raises:
        DataError: If there is no patch, or a source cannot be read.
    """
    decoded = list(islice(_decoded_patches(places, options), limit))
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
    triplets = _write_triplets(decoded, timed, clock)
    untimed = time.perf_counter() - began - sum(clock.seconds.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_PER_MB
    return EngineSpeed(len(decoded), triplets, {UNTIMED: untimed, **clock.seconds}, peak)


def _decoded_patches(places: Sequence[Place], options: Options) -> Iterator[Patch]:
    plan = make_plan(places, options, strict=True)
    interleaved = sorted(plan.units, key=lambda unit: (unit.number % len(plan.inputs), unit.number))
    for unit in interleaved:
        for image in read_unit(unit, _ignore):
            yield from prepare_patches(image, options, None, _ignore)


def _write_triplets(decoded: Sequence[Patch], stages: Stages, clock: StageClock) -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        TableWriter(Path(folder, "images.parquet"), IMAGES, group=IMAGE_GROUP) as images,
        TableWriter(Path(folder, "triplets.parquet"), TRIPLETS, group=TRIPLET_GROUP) as triplets,
    ):
        for patch in decoded:
            drafts = list(stages(patch, _ignore))
            with clock("store"):
                write_patch(patch, drafts, images, triplets)
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
