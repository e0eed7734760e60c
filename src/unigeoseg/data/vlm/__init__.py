"""Judge, writer and scorers that are vision-language models behind OpenAI-compatible servers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unigeoseg.data.instructions.protocols import Judge, Scorer, Writer
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.errors import MissingExtraError

if TYPE_CHECKING:
    from unigeoseg.data.vlm.client import OnlineClient


@dataclass(frozen=True, slots=True)
class OnlineStages:
    """Judge, writer and scorers behind servers; all are safe for threads.

    Attributes:
        judge: Accepts regions.
        writer: Makes the writer, which calls the handler with what it drops.
        scorers: Both of them.
        clients: The models behind them.
    """

    judge: Judge
    writer: Callable[[RejectionHandler], Writer]
    scorers: tuple[Scorer, Scorer]
    clients: "tuple[OnlineClient, ...]"

    @property
    def concurrency(self) -> int:
        """Patches to be worked on at a time: one for each request that the models take."""
        return sum(client.config.concurrency for client in self.clients)

    def close(self) -> None:
        """Wait for requests under way and close all connections."""
        for client in self.clients:
            client.close()


def online_stages(path: Path, cache_dir: Path) -> OnlineStages:
    """The judge, the writer and both scorers that a file of models names.

    Args:
        path: TOML or JSON file of models (docs/judges.md).
        cache_dir: Directory of the replies' cache, on a local disk.

    Raises:
        MissingExtraError: If `openai` or `pydantic` is not installed.
        OptionError: If the file is missing or malformed, or an API key's variable is not set.
        OutputUnwritableError: If the cache cannot be used.
    """
    try:
        import openai  # noqa: F401
        import pydantic  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a judge behind a server", "judges") from error
    from unigeoseg.data.vlm.client import OnlineClient
    from unigeoseg.data.vlm.config import load_models
    from unigeoseg.data.vlm.judge import OnlineJudge
    from unigeoseg.data.vlm.scorer import OnlineScorer
    from unigeoseg.data.vlm.writer import OnlineWriter

    models = load_models(path)
    judge, writer, first, second = clients = tuple(
        OnlineClient(config, cache_dir) for config in (models.judge, models.writer, *models.scorers)
    )
    return OnlineStages(
        OnlineJudge(judge, models.judge_limits),
        partial(OnlineWriter, writer),
        (
            OnlineScorer(first, "score_a", models.score_limits),
            OnlineScorer(second, "score_b", models.score_limits),
        ),
        clients,
    )
