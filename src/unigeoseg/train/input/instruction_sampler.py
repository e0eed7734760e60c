"""What can be asked about a view: instructions that the engine's own stages write for it.

A view shows other objects, at other places, than the patch it was cut from, so what was written
for the patch may be false there ("the leftmost"); the same programs and grammar write anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.candidates.filters import FilterRules, filter_candidates
from unigeoseg.data.candidates.measuring import measure_candidates
from unigeoseg.data.instructions import whole_category
from unigeoseg.data.instructions.clicks_boxes import box_draft, point_draft
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.reasoning import ReasoningWriter
from unigeoseg.data.instructions.referring import ReferringWriter
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.programs.execute import ProgramExecutor
from unigeoseg.data.programs.graph import scene_graph
from unigeoseg.data.programs.search import SceneFacts
from unigeoseg.prompt import Box, Point, Prompt, Task
from unigeoseg.train.input.augment import augment_words

FAMILIES: Mapping[str, Task] = {
    "box": Task.INTERACTIVE,
    "point": Task.INTERACTIVE,
    "category": Task.REFERRING,
    "described": Task.REFERRING,
    "referring": Task.REFERRING,
    "absent name": Task.REFERRING,
    "attribute": Task.REASONING,
    "context": Task.REASONING,
    "question": Task.REASONING,
    "absent question": Task.REASONING,
}
"""Kinds of instruction and the task that each belongs to."""

# views are smaller than patches, and show objects down to a few pixels
_RULES = FilterRules(least_share=0.0015, most_share=0.8, apart_px=6, per_category=3)
_WORDS = (3, 25)  # people also say "the largest building"
_TARGETS = 6  # regions of a view that expressions and questions are written about
_HAND = 0.06  # a hand that draws a box is off by up to this share of its side
_MADE = 0.4  # share of questions that are made from what a category does
_NEGATIVE = 0.15  # share of clicks with one beside the object
_THINNED = 0.35  # share of questions with words left out
_ELSEWHERE = 0.6  # share of absent things that are of the kinds its source shows elsewhere


class InstructionSampler:
    """Draws instructions about one view.

    Args:
        view: What is seen.
        rng: Draws.
        never: Categories that the view's source never shows.
    """

    def __init__(self, view: Patch, rng: np.random.Generator, never: tuple[int, ...] = ()) -> None:
        self._view, self._rng, self._never = view, rng, never
        self._told: dict[str, list[Draft]] | None = None

    def ask(self, family: str) -> Draft | None:
        """An instruction of a family; None if the view allows none."""
        return _ASKED[family](self)

    def box(self) -> Draft | None:
        """A box round one object, half the time drawn by a hand that is a little off."""
        target = self._any_object()
        if target is None:
            return None
        draft = box_draft(target)
        if draft.prompt.box is None or self._rng.random() < 0.5:
            return draft
        edges = np.array(target.box, float)
        edges += self._rng.uniform(-_HAND, _HAND, 4) * np.tile(edges[2:] - edges[:2], 2)
        height, width = target.mask.shape
        drawn = Box(*np.clip(edges, 0, (width, height, width, height)).tolist())
        return replace(draft, prompt=Prompt.from_box(drawn))

    def point(self) -> Draft | None:
        """One to three clicks on one object, sometimes one click beside it."""
        target = self._any_object()
        if target is None:
            return None
        draft = point_draft(target, self._rng)
        beside = np.argwhere(~target.mask & (self._view.regions != UNKNOWN_REGION))
        if not len(beside) or self._rng.random() >= _NEGATIVE:
            return draft
        row, column = beside[int(self._rng.integers(len(beside)))]
        wrong = Point(float(column) + 0.5, float(row) + 0.5, positive=False)
        return replace(draft, prompt=Prompt.from_points([*draft.prompt.points, wrong]))

    def category(self) -> Draft | None:
        """All of one category by its name."""
        category = self._any(self._wholes)
        return None if category is None else whole_category.named(self._view, category, self._rng)

    def described(self) -> Draft | None:
        """All of one category by a phrase that does not name it."""
        return self._unnamed(whole_category.described, self._wholes)

    def question(self) -> Draft | None:
        """All of one category by a question."""
        return self._unnamed(whole_category.asked, self._wholes)

    def absent_name(self) -> Draft | None:
        """By its name, what is not there."""
        category = self._any(self._absent())
        return None if category is None else whole_category.named(self._view, category, self._rng)

    def absent_question(self) -> Draft | None:
        """By a question, what is not there."""
        return self._unnamed(whole_category.asked, self._absent())

    def told(self, family: str) -> Draft | None:
        """The next of the expressions or questions that single out a region."""
        if self._told is None:
            self._told = self._write()
        return self._told[family].pop() if self._told.get(family) else None

    @cached_property
    def _objects(self) -> list[Candidate]:
        return filter_candidates(
            self._view, measure_candidates(self._view, _forget), self._rng, _forget, _RULES
        )

    @cached_property
    def _by_category(self) -> list[list[Candidate]]:
        found: dict[int, list[Candidate]] = {}
        for each in self._objects:
            found.setdefault(each.category, []).append(each)
        return list(found.values())

    @cached_property
    def _wholes(self) -> list[int]:
        return whole_category.whole_categories(self._view)

    @cached_property
    def _missing(self) -> list[int]:
        return whole_category.missing_categories(self._view, self._never)

    def _absent(self) -> list[int]:
        """What is not there, more often of the kinds that its source shows elsewhere."""
        elsewhere = [category for category in self._missing if category in self._view.labelled]
        return elsewhere if elsewhere and self._rng.random() < _ELSEWHERE else self._missing

    def _any_object(self) -> Candidate | None:
        """An object of any category, rare ones as often as frequent ones."""
        if not self._by_category:
            return None
        alike = self._by_category[int(self._rng.integers(len(self._by_category)))]
        return alike[int(self._rng.integers(len(alike)))]

    def _unnamed(self, ask: Callable[..., Draft | None], categories: list[int]) -> Draft | None:
        category = self._any(categories)
        draft = ask(self._view, category, self._rng, made=_MADE) if category is not None else None
        if draft is None or self._rng.random() >= _THINNED:
            return draft
        text = augment_words(draft.prompt.text, self._rng)
        return replace(draft, prompt=replace(draft.prompt, text=text))

    def _any(self, categories: list[int]) -> int | None:
        return categories[int(self._rng.integers(len(categories)))] if categories else None

    def _write(self) -> dict[str, list[Draft]]:
        describable = [each for each in self._objects if each.describable]
        order = self._rng.permutation(len(describable))[:_TARGETS]
        executor = ProgramExecutor(scene_graph(self._view))
        common = self._view, executor, SceneFacts(executor, self._rng), self._rng, _forget
        writers = ReferringWriter(*common, words=_WORDS), ReasoningWriter(*common)
        told: dict[str, list[Draft]] = {}
        for at in order.tolist():
            for writer in writers:
                for draft in writer.write(describable[at]):
                    told.setdefault(draft.family, []).append(draft)
        for drafts in told.values():
            self._rng.shuffle(drafts)
        return told


_ASKED: Mapping[str, Callable[[InstructionSampler], Draft | None]] = {
    "box": InstructionSampler.box,
    "point": InstructionSampler.point,
    "category": InstructionSampler.category,
    "described": InstructionSampler.described,
    "referring": lambda sampler: sampler.told("referring"),
    "absent name": InstructionSampler.absent_name,
    "attribute": lambda sampler: sampler.told("attribute"),
    "context": lambda sampler: sampler.told("context"),
    "question": InstructionSampler.question,
    "absent question": InstructionSampler.absent_question,
}


def _forget(_: Rejection) -> None:
    """Nobody keeps a ledger of views."""
