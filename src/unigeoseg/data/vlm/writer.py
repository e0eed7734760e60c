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
from unigeoseg.data.vlm.drawing import outline
from unigeoseg.data.vlm.judge import label
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
            rng: Not used: what is asked depends on the patch alone, so that a resumed run finds
                its answers.

        Raises:
            OnlineError: As `OnlineClient.ask`.
        """
        jobs = [job for candidate in candidates for job in self._jobs(patch, candidate)]
        written = self._client.each(lambda job: job[2](patch, job[1]), jobs)
        drafts = []
        for (family, candidate, _), text in zip(jobs, written, strict=True):
            fault = _fault(text, family, candidate)
            if fault:
                what = f"region {candidate.region}: {fault.detail}"
                self._reject(patch_rejection(patch, "write", fault.rule, what))
            elif isinstance(text, _Text):
                drafts.append(self._draft(family, candidate, text))
        return drafts

    def _jobs(self, patch: Patch, candidate: Candidate) -> Iterable[_Job]:
        yield "referring", candidate, self._refer
        alike = 1 + len(_others(patch, candidate))
        if alike == 1:
            yield "attribute", candidate, self._ask_attribute
        elif alike <= MOST_OF_A_KIND:
            yield "context", candidate, self._ask_context

    def _refer(self, patch: Patch, candidate: Candidate) -> _Text | NoAnswer:
        drawn, (colour,) = outline(patch.pixels, [candidate.mask])
        prompt = prompts.fill("referring", colour=colour, category=label(candidate.category))
        answer = self._client.ask(Question(prompt, drawn, Expression))
        return answer if isinstance(answer, NoAnswer) else _Text(answer.expression)

    def _ask_attribute(self, patch: Patch, candidate: Candidate) -> _Text | NoAnswer:
        drawn, (colour,) = outline(patch.pixels, [candidate.mask])
        others = sorted(set(patch.categories.values()) - {candidate.category})
        prompt = prompts.fill(
            "attribute",
            colour=colour,
            category=label(candidate.category),
            others=", ".join(label(other) for other in others) or "nothing that is labelled",
        )
        return _reasoned(self._client.ask(Question(prompt, drawn, ReasonedQuestion)))

    def _ask_context(self, patch: Patch, candidate: Candidate) -> _Text | NoAnswer:
        """Two steps: what sets the target apart, then a question that needs it."""
        masks = [patch.regions == other for other in _others(patch, candidate)]
        drawn, (colour, *others) = outline(patch.pixels, [candidate.mask, *masks])
        scene = {
            "category": label(candidate.category),
            "colour": colour,
            "others": " and ".join(others),
        }
        found = self._client.ask(Question(prompts.fill("context_cues", **scene), drawn, Cues))
        if isinstance(found, NoAnswer):
            return found
        cues = "\n".join(f"- {cue}" for cue in found.cues)
        prompt = prompts.fill("context_question", **scene, cues=cues)
        return _reasoned(self._client.ask(Question(prompt, drawn, ReasonedQuestion)))

    def _draft(self, family: Family, candidate: Candidate, text: _Text) -> Draft:
        task = Task.REFERRING if family == "referring" else Task.REASONING
        name = label(candidate.category)
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


def _others(patch: Patch, candidate: Candidate) -> list[int]:
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
