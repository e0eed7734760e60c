"""The tools of a worker: what turns a patch into instructions, loaded once per process.

A `ToolsLoader` is a value that is sent to any process; `Tools` are what it loads there.
"""

import atexit
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.data.builder.stages import Stages
from unigeoseg.data.instructions.draft import ScoredDraft
from unigeoseg.data.instructions.evidence_judge import EvidenceJudge
from unigeoseg.data.instructions.program_writer import OfflineWriter
from unigeoseg.data.instructions.scorers import SceneScorer, TextScorer
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patches.boxes import BoxSegmenter
from unigeoseg.data.patches.patch import Patch

Instruct = Callable[[Patch, RejectionHandler], Iterable[ScoredDraft]]
"""Writes the instructions of one patch: candidates, rules, judge, instructions, scores."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker loads once.

    Attributes:
        instruct: Writes the instructions of a patch.
        segment: Turns boxes into masks; None leaves them unknown.
        concurrency: Patches that instructions are written for at a time, in threads if there are
            several; for stages that wait for servers.
        close: Ends what the tools hold open.
    """

    instruct: Instruct
    segment: BoxSegmenter | None = None
    concurrency: int = 1
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class ToolsLoader:
    """Loads the tools of a worker.

    Attributes:
        seed: Of the build.
        models: File of the models behind servers that judge, write and score; None for stages
            that measure.
        replies: Directory where the servers' replies are kept; with `models`.
        segmenter: Loads what turns boxes into masks, a function of a module; None for nothing.
    """

    seed: int
    models: Path | None = None
    replies: Path | None = None
    segmenter: Callable[[], BoxSegmenter] | None = None

    def __call__(self) -> Tools:
        """Load them.

        Raises:
            MissingExtraError: If a package is not installed.
            OptionError: If the file of models is not usable.
        """
        segment = None if self.segmenter is None else self.segmenter()
        if self.models is None or self.replies is None:
            return Tools(offline_stages(self.seed), segment)
        from unigeoseg.data.vlm import online_stages

        online = online_stages(self.models, self.replies)
        stages = Stages(self.seed, online.judge, online.writer, online.scorers)
        return Tools(stages, segment, online.concurrency, online.close)


def offline_stages(seed: int) -> Stages:
    """Stages that need no model: measurements judge and score, a grammar writes."""
    return Stages(seed, EvidenceJudge(), OfflineWriter, (TextScorer(), SceneScorer()))


_process_tools: dict[Callable[[], Tools], Tools] = {}  # at most one entry


@contextmanager
def loaded_tools(load: Callable[[], Tools]) -> Iterator[Tools]:
    """The tools of this process: loaded once, kept for the next unit, closed after an error."""
    try:
        if load not in _process_tools:
            release_tools()
            _process_tools[load] = load()
            atexit.register(release_tools)
        yield _process_tools[load]
    except BaseException:
        release_tools()
        raise


def release_tools() -> None:
    """Close the tools that this process keeps; the next unit loads them again."""
    while _process_tools:
        _process_tools.popitem()[1].close()
