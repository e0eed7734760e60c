"""Referring expressions and reasoning questions, written by a vision-language model.

Source: paper section 2, stage 6.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.draft import Draft, Family
from unigeoseg.data.instructions.reasoning import MOST_OF_A_KIND
from unigeoseg.data.ledger import RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.taxonomy.categories import leaked_word, taxonomy
from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.answers import Cues, Expression, ReasonedQuestion
from unigeoseg.data.vlm.client import NoAnswer, OnlineClient, Question
from unigeoseg.data.vlm.drawing import draw_outlines
from unigeoseg.data.vlm.judge import category_label
from unigeoseg.prompt import Prompt, Task


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """What the model wrote: the instruction, and the reason if it is a question."""

    instruction: str
    reason: str = ""


_Write = Callable[[Patch, Candidate], _Text | NoAnswer]
_Job = tuple[Family, Candidate, _Write]


class OnlineWriter:
    """A `Writer` that asks a vision-language model; safe for threads.

    Each candidate gets a referring expression and a reasoning question: about an attribute if no
    other region of the patch has its category, about its context if one or two others have.

    Args:
        client: The model.
        reject: Takes note of what could not be written and of questions that name the category.
    """

    def __init__(self, client: OnlineClient, reject: RejectionHandler) -> None:
        self.name = f"{client.config.model}/prompts-{prompts.VERSION}"
        self._client = client
        self._reject = reject

    def write(
        self, patch: Patch, candidates: Sequence[Candidate], rng: np.random.Generator
    ) -> Iterable[Draft]:
        """Drafts about candidates of one patch, all written at the same time.

        Args:
            patch: The patch.
            candidates: Describable ones that were accepted.
            rng: Not used: requests depend on the patch alone, so that a resumed run finds its
                answers in the cache.

        Raises:
            OnlineError: As `OnlineClient.ask`.
        """
        jobs = [job for candidate in candidates for job in self._jobs(patch, candidate)]
        texts = self._client.map(lambda job: job[2](patch, job[1]), jobs)
        drafts = []
        for (family, candidate, _), text in zip(jobs, texts, strict=True):
            fault = _fault(text, family, candidate)
            if fault:
                detail = f"region {candidate.region}: {fault.detail}"
                self._reject(patch_rejection(patch, "write", fault.rule, detail))
            elif isinstance(text, _Text):
                drafts.append(self._draft(family, candidate, text))
        return drafts

    def _jobs(self, patch: Patch, candidate: Candidate) -> Iterable[_Job]:
        yield "referring", candidate, self._refer
        same_kind = 1 + len(_siblings(patch, candidate))
        if same_kind == 1:
            yield "attribute", candidate, self._ask_attribute
        elif same_kind <= MOST_OF_A_KIND:
            yield "context", candidate, self._ask_context

    def _refer(self, patch: Patch, candidate: Candidate) -> _Text | NoAnswer:
        outlined_pixels, (colour,) = draw_outlines(patch.pixels, [candidate.mask])
        prompt = prompts.fill_prompt(
            "referring", colour=colour, category=category_label(candidate.category)
        )
        answer = self._client.ask(Question(prompt, outlined_pixels, Expression))
        return answer if isinstance(answer, NoAnswer) else _Text(answer.expression)

    def _ask_attribute(self, patch: Patch, candidate: Candidate) -> _Text | NoAnswer:
        outlined_pixels, (colour,) = draw_outlines(patch.pixels, [candidate.mask])
        other_categories = sorted(set(patch.categories.values()) - {candidate.category})
        prompt = prompts.fill_prompt(
            "attribute",
            colour=colour,
            category=category_label(candidate.category),
            others=", ".join(map(category_label, other_categories)) or "nothing that is labelled",
        )
        return _reasoned(self._client.ask(Question(prompt, outlined_pixels, ReasonedQuestion)))

    def _ask_context(self, patch: Patch, candidate: Candidate) -> _Text | NoAnswer:
        """Two steps: what sets the target apart, then a question that needs it."""
        masks = [patch.regions == sibling for sibling in _siblings(patch, candidate)]
        outlined_pixels, (colour, *sibling_colours) = draw_outlines(
            patch.pixels, [candidate.mask, *masks]
        )
        scene = {
            "category": category_label(candidate.category),
            "colour": colour,
            "others": " and ".join(sibling_colours),
        }
        answer = self._client.ask(
            Question(prompts.fill_prompt("context_cues", **scene), outlined_pixels, Cues)
        )
        if isinstance(answer, NoAnswer):
            return answer
        cues = "\n".join(f"- {cue}" for cue in answer.cues)
        prompt = prompts.fill_prompt("context_question", **scene, cues=cues)
        return _reasoned(self._client.ask(Question(prompt, outlined_pixels, ReasonedQuestion)))

    def _draft(self, family: Family, candidate: Candidate, text: _Text) -> Draft:
        task = Task.REFERRING if family == "referring" else Task.REASONING
        name = category_label(candidate.category)
        answer = f"The target region belongs to {name}, and the reason is that {text.reason}."
        return Draft(
            family=family,
            prompt=Prompt.from_text(text.instruction, task),
            regions=(candidate.region,),
            mask=candidate.mask,
            category=candidate.category,
            writer=self.name,
            answer=answer if text.reason else "",
        )


def _siblings(patch: Patch, candidate: Candidate) -> list[int]:
    """Ids of the other regions of a candidate's category."""
    return [
        region
        for region, category in sorted(patch.categories.items())
        if category == candidate.category and region != candidate.region
    ]


def _reasoned(answer: ReasonedQuestion | NoAnswer) -> _Text | NoAnswer:
    if isinstance(answer, NoAnswer):
        return answer
    return _Text(answer.question, answer.reason.removeprefix("that ").rstrip(" ."))


def _fault(text: _Text | NoAnswer, family: Family, candidate: Candidate) -> NoAnswer | None:
    if isinstance(text, NoAnswer):
        return text
    if family == "referring":
        return None
    word = leaked_word(text.instruction, taxonomy()[candidate.category])
    return NoAnswer("names_category", f"{word!r} in: {text.instruction}") if word else None
