"""The tools of a worker, from what the user asked for: a value that any process can load from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.data.boxes import BoxSegmenter
from unigeoseg.data.evidence import EvidenceJudge
from unigeoseg.data.judge import Writer
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.offline import OfflineWriter
from unigeoseg.data.scoring import SceneScorer, TextScorer
from unigeoseg.data.stages import Stages
from unigeoseg.data.unit import Tools


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
        return Tools(self.stages(), segment)

    def stages(self) -> Stages:
        """Who judges, writes and scores; raises as calling does."""
        if self.models is None or self.replies is None:
            return Stages(self.seed, EvidenceJudge(), OfflineWriter, (TextScorer(), SceneScorer()))
        from unigeoseg.data.online import online_stages

        relay = _Relay()
        judge, writer, scorers = online_stages(self.models, self.replies, relay.note)
        return Stages(self.seed, judge, lambda reject: relay.to(reject, writer), scorers)


class _Relay:
    """Passes what a long-lived writer drops to whoever keeps the ledger at the time."""

    def __init__(self) -> None:
        self._reject: RejectionHandler | None = None

    def to(self, reject: RejectionHandler, writer: Writer) -> Writer:
        self._reject = reject
        return writer

    def note(self, rejection: Rejection) -> None:
        assert self._reject is not None
        self._reject(rejection)
