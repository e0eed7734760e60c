"""The stages on one patch, in order: candidates, rules, judge, instructions, scores.

Source: paper section 2, stages 3 to 7.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.candidates.filters import filter_candidates
from unigeoseg.data.candidates.measuring import measure_candidates
from unigeoseg.data.instructions.clicks_boxes import box_draft, point_draft
from unigeoseg.data.instructions.draft import PUBLISHED, Draft, ScoredDraft
from unigeoseg.data.instructions.protocols import Judge, Scorer, Verdict, Writer
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.sources.annotated import LabelledText
from unigeoseg.prompt import Prompt, Task

_POINT_SHARE = 0.5  # of interactive instructions; the others are boxes


@dataclass(frozen=True, slots=True)
class Stages:
    """Writes the instructions of a patch.

    Attributes:
        seed: Of the build.
        judge: Accepts or rejects regions.
        writer: Makes the writer, which calls the handler with what it drops.
        scorers: All of them have to accept a draft.
    """

    seed: int
    judge: Judge
    writer: Callable[[RejectionHandler], Writer]
    scorers: Sequence[Scorer]

    def __call__(self, patch: Patch, reject: RejectionHandler) -> Iterator[ScoredDraft]:
        """The instructions of one patch that every scorer accepted, and those of its source."""
        filtered = filter_candidates(
            patch, measure_candidates(patch, reject), self.rng(patch, "rules"), reject
        )
        accepted = accepted_candidates(patch, filtered, self.judge, reject)
        describable = [candidate for candidate in accepted if candidate.describable]
        drafts = [
            *interactive_drafts(accepted, self.rng(patch, "interactive")),
            *self.writer(reject).write(patch, describable, self.rng(patch, "writer")),
        ]
        yield from cross_score(patch, drafts, self.scorers, reject)
        yield from (ScoredDraft(published_draft(patch, text)) for text in patch.texts)

    def rng(self, patch: Patch, stage: str) -> np.random.Generator:
        """Random numbers of one stage on one patch: the same in every run of the same seed."""
        digest = hashlib.sha256(f"{self.seed}/{stage}/{patch.id}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def accepted_candidates(
    patch: Patch, filtered: Sequence[Candidate], judge: Judge, reject: RejectionHandler
) -> list[Candidate]:
    """Stage "judge": candidates that are whole and distinct; the others are rejected."""
    accepted = []
    for candidate, verdict in zip(filtered, judge.judge(patch, filtered), strict=True):
        if verdict.accepted:
            accepted.append(candidate)
        else:
            reject(_rejection("judge", patch, verdict, f"region {candidate.region}"))
    return accepted


def interactive_drafts(accepted: Sequence[Candidate], rng: np.random.Generator) -> Iterator[Draft]:
    """Points or a box for each accepted candidate, one as often as the other."""
    for candidate in accepted:
        by_points = rng.random() < _POINT_SHARE
        yield point_draft(candidate, rng) if by_points else box_draft(candidate)


def cross_score(
    patch: Patch, drafts: Sequence[Draft], scorers: Sequence[Scorer], reject: RejectionHandler
) -> Iterator[ScoredDraft]:
    """Stage "score": drafts that every scorer accepts, with the scores of all."""
    verdicts_by_scorer = [scorer.score(patch, drafts) for scorer in scorers]
    for number, draft in enumerate(drafts):
        scores: dict[str, float] = {}
        for scorer, verdicts in zip(scorers, verdicts_by_scorer, strict=True):
            verdict = verdicts[number]
            if not verdict.accepted:
                instruction = draft.prompt.instruction(*patch.regions.shape[::-1])
                reject(_rejection("score", patch, verdict, f"{scorer.name}: {instruction}"))
                break
            scores |= {f"{scorer.name}/{name}": score for name, score in verdict.scores.items()}
        else:
            yield ScoredDraft(draft, scores)


def published_draft(patch: Patch, text: LabelledText) -> Draft:
    """An instruction of the source, as it was published."""
    mask = np.zeros(patch.regions.shape, np.bool_)
    if text.target is not None:
        height, width = text.target.mask.shape
        x, y = text.target.x, text.target.y
        mask[y : y + height, x : x + width] = text.target.mask
    return Draft(
        family="referring" if text.task is Task.REFERRING else "attribute",
        prompt=Prompt.from_text(text.text, text.task),
        regions=(),
        mask=mask,
        category=text.category,
        writer=PUBLISHED,
        answer=text.answer,
    )


def _rejection(stage: str, patch: Patch, verdict: Verdict, detail: str) -> Rejection:
    return patch_rejection(patch, stage, verdict.rule, detail, (verdict.value, verdict.limit))
