"""The model filter: whether a region is what its label says, distinct, and well outlined.

Source: paper section 2, stage 5.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.protocols import Verdict
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.answers import Answer, Judgement
from unigeoseg.data.vlm.client import NoAnswer, OnlineClient, Question
from unigeoseg.data.vlm.config import JudgeLimits, ScoreLimits
from unigeoseg.data.vlm.drawing import draw_outlines

_log = logging.getLogger(__name__)


class OnlineJudge:
    """A `Judge` that asks a vision-language model; safe for threads.

    Args:
        client: The model.
        limits: Lowest level of each dimension.
    """

    def __init__(self, client: OnlineClient, limits: JudgeLimits) -> None:
        self.name = f"{client.config.model}/prompts-{prompts.VERSION}"
        self._client = client
        self._limits = limits

    def judge(self, patch: Patch, candidates: Sequence[Candidate]) -> list[Verdict]:
        """One verdict per candidate, in order; candidates are asked about at the same time.

        Raises:
            OnlineError: As `OnlineClient.ask`.
        """

        def judge_candidate(candidate: Candidate) -> Verdict:
            outlined_pixels, (colour,) = draw_outlines(patch.pixels, [candidate.mask])
            prompt = prompts.fill_prompt(
                "judge", colour=colour, category=category_label(candidate.category)
            )
            answer = self._client.ask(Question(prompt, outlined_pixels, Judgement))
            return answer_verdict(answer, self._limits)

        return self._client.map(judge_candidate, candidates)


def category_label(category: int) -> str:
    """The name of a category in prompts, by its taxonomy id."""
    return taxonomy()[category].label


def answer_verdict(answer: Answer | NoAnswer, limits: JudgeLimits | ScoreLimits) -> Verdict:
    """Compare levels with limits; the first dimension below its limit decides.

    A model that refuses or cannot keep to the form rejects, with the rule "refused" or
    "malformed".
    """
    if isinstance(answer, NoAnswer):
        _log.info("%s: %s", answer.rule, answer.detail)
        return Verdict(accepted=False, rule=answer.rule)
    lowest: Mapping[str, int] = asdict(limits)
    scores = {name: float(getattr(answer, name)) for name in lowest}
    for name, limit in lowest.items():
        if scores[name] < limit:
            return Verdict(False, name, scores[name], float(limit), scores)
    return Verdict(accepted=True, scores=scores)
