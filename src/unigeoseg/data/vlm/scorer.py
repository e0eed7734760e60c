"""Cross-scoring: whether other models find an instruction sound.

Source: paper section 2, stage 7. Two scorers with two prompts work independently; a draft stays
only if it passes every dimension with both.
"""

import json
from collections.abc import Sequence
from typing import Literal

from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.protocols import Verdict
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.answers import Score
from unigeoseg.data.vlm.client import OnlineClient, Question
from unigeoseg.data.vlm.config import ScoreLimits
from unigeoseg.data.vlm.drawing import draw_outlines
from unigeoseg.data.vlm.judge import answer_verdict, category_label

_FAMILIES = {
    "referring": "referring expression",
    "attribute": "reasoning question about a function or an intrinsic property",
    "context": "reasoning question about one of several regions of a category",
}


class OnlineScorer:
    """A `Scorer` that asks a vision-language model; safe for threads.

    Args:
        client: The model.
        prompt: Which of the two prompts.
        limits: Lowest level of each dimension.
    """

    def __init__(
        self, client: OnlineClient, prompt: Literal["score_a", "score_b"], limits: ScoreLimits
    ) -> None:
        self.name = f"{client.config.model}/prompts-{prompts.VERSION}/{prompt}"
        self._client = client
        self._prompt = prompt
        self._limits = limits

    def score(self, patch: Patch, drafts: Sequence[Draft]) -> list[Verdict]:
        """One verdict per draft, in order; drafts are asked about at the same time.

        Points and boxes pass unasked: their sentences are fixed, and the judge accepted their
        regions.

        Raises:
            OnlineError: As `OnlineClient.ask`.
        """

        def score_draft(draft: Draft) -> Verdict:
            if draft.family not in _FAMILIES:
                return Verdict(accepted=True)
            return answer_verdict(self._client.ask(self._question(patch, draft)), self._limits)

        return self._client.map(score_draft, drafts)

    def _question(self, patch: Patch, draft: Draft) -> Question[Score]:
        outlined_pixels, target = (
            patch.pixels,
            "nothing: the instruction should fit no region of the image",
        )
        if draft.mask.any():
            outlined_pixels, (colour,) = draw_outlines(patch.pixels, [draft.mask])
            target = f"the region inside the thin {colour} line, which was added for you"
        prompt = prompts.fill_prompt(
            self._prompt,
            family=_FAMILIES[draft.family],
            target=target,
            category=category_label(draft.category) if draft.category else "not stated",
            instruction=json.dumps(draft.prompt.text, ensure_ascii=False),
            answer=f"Its answer: {json.dumps(draft.answer, ensure_ascii=False)}"
            if draft.answer
            else "It has no answer in words.",
        )
        return Question(prompt, outlined_pixels, Score)
