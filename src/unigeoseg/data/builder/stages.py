"""The stages on one patch, in order: candidates, rules, judge, instructions, scores.

Source: paper section 2, stages 3 to 7.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from unigeoseg.data.builder.unit import Scored
from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.candidates.filters import filter_candidates
from unigeoseg.data.candidates.measuring import measure_candidates
from unigeoseg.data.instructions.clicks_boxes import box_draft, point_draft
from unigeoseg.data.instructions.draft import PUBLISHED, Draft
from unigeoseg.data.instructions.protocols import Judge, Scorer, Verdict, Writer
from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.patches.patch import Patch, patch_rejection
from unigeoseg.data.sources.annotated import LabelledText
from unigeoseg.prompt import Prompt, Task


@dataclass(frozen=True, slots=True)
class Stages:
    """Writes the instructions of a patch.

    Attributes:
        seed: Of the build.
        judge: Accepts the regions that go on.
        writer: Gives the writer, which takes note of what it drops.
        scorers: All of them have to accept a draft.
    """

    seed: int
    judge: Judge
    writer: Callable[[RejectionHandler], Writer]
    scorers: Sequence[Scorer]

    def __call__(self, patch: Patch, reject: RejectionHandler) -> Iterator[Scored]:
        """The instructions of one patch that every check accepted, and those of its source."""
        kept = filter_candidates(
            patch, measure_candidates(patch, reject), self.chance(patch, "rules"), reject
        )
        accepted = judged(patch, kept, self.judge, reject)
        told = [each for each in accepted if each.describable]
        drafts = [
            *interactive(accepted, self.chance(patch, "interactive")),
            *self.writer(reject).write(patch, told, self.chance(patch, "writer")),
        ]
        yield from cross_scored(patch, drafts, self.scorers, reject)
        yield from (Scored(published(patch, text)) for text in patch.texts)

    def chance(self, patch: Patch, stage: str) -> np.random.Generator:
        """Chances of one stage on one patch: the same in every run of the same seed."""
        digest = hashlib.sha256(f"{self.seed}/{stage}/{patch.id}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def judged(
    patch: Patch, kept: Sequence[Candidate], judge: Judge, reject: RejectionHandler
) -> list[Candidate]:
    """Stage "judge": candidates that are whole and distinct; no other goes on."""
    accepted = []
    for each, verdict in zip(kept, judge.judge(patch, kept), strict=True):
        if verdict.accepted:
            accepted.append(each)
        else:
            reject(_rejection("judge", patch, verdict, f"region {each.region}"))
    return accepted


def interactive(accepted: Sequence[Candidate], rng: np.random.Generator) -> Iterator[Draft]:
    """Points or a box for each accepted candidate, as often the one as the other."""
    for each in accepted:
        yield point_draft(each, rng) if rng.random() < 0.5 else box_draft(each)


def cross_scored(
    patch: Patch, drafts: Sequence[Draft], scorers: Sequence[Scorer], reject: RejectionHandler
) -> Iterator[Scored]:
    """Stage "score": drafts that every scorer accepts, with the scores of all."""
    verdicts = [scorer.score(patch, drafts) for scorer in scorers]
    for at, draft in enumerate(drafts):
        scores: dict[str, float] = {}
        for scorer, given in zip(scorers, verdicts, strict=True):
            verdict = given[at]
            if not verdict.accepted:
                said = draft.prompt.instruction(*patch.regions.shape[::-1])
                reject(_rejection("score", patch, verdict, f"{scorer.name}: {said}"))
                break
            scores |= {f"{scorer.name}/{name}": score for name, score in verdict.scores.items()}
        else:
            yield Scored(draft, scores)


def published(patch: Patch, text: LabelledText) -> Draft:
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
