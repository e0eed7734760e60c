"""The tools of a worker, from what the user asked for: a value that any process can load from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.data.builder.stages import Stages
from unigeoseg.data.builder.unit import Tools
from unigeoseg.data.instructions.evidence_judge import EvidenceJudge
from unigeoseg.data.instructions.program_writer import OfflineWriter
from unigeoseg.data.instructions.scorers import SceneScorer, TextScorer
from unigeoseg.data.patches.boxes import BoxSegmenter


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads the tools of a worker.

    Attributes:
        seed: Of the build.
        models: File of the models behind servers that judge, write and score; None for those
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
        return Tools(stages, segment, online.at_once, online.close)


def offline_stages(seed: int) -> Stages:
    """Measurements and a grammar judge, write and score."""
    return Stages(seed, EvidenceJudge(), OfflineWriter, (TextScorer(), SceneScorer()))
