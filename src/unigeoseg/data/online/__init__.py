"""Judge, writer and scorers that are vision-language models behind OpenAI-compatible servers."""

import logging
from pathlib import Path

from unigeoseg.data.judge import Judge, Scorer, Writer
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.errors import MissingExtraError

_log = logging.getLogger(__name__)


def _note(rejection: Rejection) -> None:
    _log.info("%s", rejection)


def online_stages(
    path: Path, cache_dir: Path, reject: RejectionHandler = _note
) -> tuple[Judge, Writer, tuple[Scorer, Scorer]]:
    """The judge, the writer and both scorers that a file of models names.

    All are safe for threads: call them for several patches at once to keep the servers busy.

    Args:
        path: TOML or JSON file of models (docs/judges.md).
        cache_dir: Directory of the replies' cache, on a local disk.
        reject: Takes note of what the writer drops.

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
    from unigeoseg.data.online.client import OnlineClient
    from unigeoseg.data.online.config import load_models
    from unigeoseg.data.online.judge import OnlineJudge
    from unigeoseg.data.online.scorer import OnlineScorer
    from unigeoseg.data.online.writer import OnlineWriter

    models = load_models(path)
    judge, writer, first, second = (
        OnlineClient(config, cache_dir) for config in (models.judge, models.writer, *models.scorers)
    )
    return (
        OnlineJudge(judge, models.judge_limits),
        OnlineWriter(writer, reject, models.reasoning_categories),
        (
            OnlineScorer(first, "score_a", models.score_limits),
            OnlineScorer(second, "score_b", models.score_limits),
        ),
    )
