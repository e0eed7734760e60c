"""Sampling of instructions for a view, written by the data engine's own programs and grammar.

A view shows other objects at other places than the patch it was cropped from: an instruction for
the patch ("the leftmost roof") may be false there. So instructions are written anew for every view.
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
"""Families of instruction, and the task of each."""

# for views, which are smaller than patches and show objects down to a few pixels
_RULES = FilterRules(least_share=0.0015, most_share=0.8, apart_px=6, per_category=3)
_EXPRESSION_WORDS = (3, 25)  # fewest and most; three as in "the largest building"
_MAX_TARGETS = 6  # regions of a view that expressions and questions are written about
_LOOSE_BOX_PROBABILITY = 0.5
_LOOSE_BOX_OFFSET = 0.06  # largest error of a loose box's edge, as a share of the side
_FUNCTION_QUESTION_SHARE = 0.4  # questions that are composed from what a category is used for
_NEGATIVE_CLICK_PROBABILITY = 0.15
_WORD_DROPOUT_PROBABILITY = 0.35  # questions with words left out
_KNOWN_ABSENT_PROBABILITY = 0.6  # absent categories that the source shows in other patches


class InstructionSampler:
    """Samples instructions for one view.

    Args:
        view: The view, a patch cropped by `crops`.
        rng: Source of randomness.
        never: Taxonomy ids of categories that the view's source never shows.
    """

    def __init__(self, view: Patch, rng: np.random.Generator, never: tuple[int, ...] = ()) -> None:
        self._view, self._rng, self._never = view, rng, never
        self._written: dict[str, list[Draft]] | None = None

    def sample(self, family: str) -> Draft | None:
        """A random instruction of a family; None if the view allows none."""
        return _SAMPLERS[family](self)

    def box(self) -> Draft | None:
        """A box round one object, half the time loose, as drawn by hand."""
        target = self._random_object()
        if target is None:
            return None
        draft = box_draft(target)
        if draft.prompt.box is None or self._rng.random() < _LOOSE_BOX_PROBABILITY:
            return draft
        edges = np.array(target.box, float)
        offsets = self._rng.uniform(-_LOOSE_BOX_OFFSET, _LOOSE_BOX_OFFSET, 4)
        edges += offsets * np.tile(edges[2:] - edges[:2], 2)
        height, width = target.mask.shape
        loose_box = Box(*np.clip(edges, 0, (width, height, width, height)).tolist())
        return replace(draft, prompt=Prompt.from_box(loose_box))

    def point(self) -> Draft | None:
        """One to three clicks on one object, sometimes with a negative click outside it."""
        target = self._random_object()
        if target is None:
            return None
        draft = point_draft(target, self._rng)
        outside = np.argwhere(~target.mask & (self._view.regions != UNKNOWN_REGION))
        if not len(outside) or self._rng.random() >= _NEGATIVE_CLICK_PROBABILITY:
            return draft
        row, column = outside[int(self._rng.integers(len(outside)))]
        negative = Point(float(column) + 0.5, float(row) + 0.5, positive=False)
        return replace(draft, prompt=Prompt.from_points([*draft.prompt.points, negative]))

    def category(self) -> Draft | None:
        """All of one category by its name."""
        category = self._random_of(self._whole_categories)
        return (
            None if category is None else whole_category.name_draft(self._view, category, self._rng)
        )

    def described(self) -> Draft | None:
        """All of one category by a phrase that does not name it."""
        return self._unnamed(whole_category.description_draft, self._whole_categories)

    def question(self) -> Draft | None:
        """All of one category by a question."""
        return self._unnamed(whole_category.question_draft, self._whole_categories)

    def absent_name(self) -> Draft | None:
        """A category that the view does not show, by its name."""
        category = self._random_of(self._absent_categories())
        return (
            None if category is None else whole_category.name_draft(self._view, category, self._rng)
        )

    def absent_question(self) -> Draft | None:
        """A category that the view does not show, by a question."""
        return self._unnamed(whole_category.question_draft, self._absent_categories())

    def next_written(self, family: str) -> Draft | None:
        """The next of the expressions or questions of a family that single out a region."""
        if self._written is None:
            self._written = self._write()
        return self._written[family].pop() if self._written.get(family) else None

    @cached_property
    def _objects(self) -> list[Candidate]:
        return filter_candidates(
            self._view, measure_candidates(self._view, _discard), self._rng, _discard, _RULES
        )

    @cached_property
    def _by_category(self) -> list[list[Candidate]]:
        by_category: dict[int, list[Candidate]] = {}
        for candidate in self._objects:
            by_category.setdefault(candidate.category, []).append(candidate)
        return list(by_category.values())

    @cached_property
    def _whole_categories(self) -> list[int]:
        return whole_category.whole_categories(self._view)

    @cached_property
    def _missing(self) -> list[int]:
        return whole_category.missing_categories(self._view, self._never)

    def _absent_categories(self) -> list[int]:
        """Categories that the view does not show; often only those that its source shows."""
        labelled = [category for category in self._missing if category in self._view.labelled]
        if labelled and self._rng.random() < _KNOWN_ABSENT_PROBABILITY:
            return labelled
        return self._missing

    def _random_object(self) -> Candidate | None:
        """A random object of a random category: rare categories are as likely as frequent ones."""
        if not self._by_category:
            return None
        objects = self._by_category[int(self._rng.integers(len(self._by_category)))]
        return objects[int(self._rng.integers(len(objects)))]

    def _unnamed(self, write: Callable[..., Draft | None], categories: list[int]) -> Draft | None:
        """A phrase or question for one of some categories that does not name it."""
        category = self._random_of(categories)
        if category is None:
            return None
        draft = write(self._view, category, self._rng, template_share=_FUNCTION_QUESTION_SHARE)
        if draft is None or self._rng.random() >= _WORD_DROPOUT_PROBABILITY:
            return draft
        text = augment_words(draft.prompt.text, self._rng)
        return replace(draft, prompt=replace(draft.prompt, text=text))

    def _random_of(self, categories: list[int]) -> int | None:
        return categories[int(self._rng.integers(len(categories)))] if categories else None

    def _write(self) -> dict[str, list[Draft]]:
        """Expressions and questions about some regions, by family, in random order."""
        describable = [candidate for candidate in self._objects if candidate.describable]
        order = self._rng.permutation(len(describable))[:_MAX_TARGETS]
        executor = ProgramExecutor(scene_graph(self._view))
        common = self._view, executor, SceneFacts(executor, self._rng), self._rng, _discard
        writers = ReferringWriter(*common, words=_EXPRESSION_WORDS), ReasoningWriter(*common)
        by_family: dict[str, list[Draft]] = {}
        for index in order.tolist():
            for writer in writers:
                for draft in writer.write(describable[index]):
                    by_family.setdefault(draft.family, []).append(draft)
        for drafts in by_family.values():
            self._rng.shuffle(drafts)
        return by_family


_SAMPLERS: Mapping[str, Callable[[InstructionSampler], Draft | None]] = {
    "box": InstructionSampler.box,
    "point": InstructionSampler.point,
    "category": InstructionSampler.category,
    "described": InstructionSampler.described,
    "referring": lambda sampler: sampler.next_written("referring"),
    "absent name": InstructionSampler.absent_name,
    "attribute": lambda sampler: sampler.next_written("attribute"),
    "context": lambda sampler: sampler.next_written("context"),
    "question": InstructionSampler.question,
    "absent question": InstructionSampler.absent_question,
}


def _discard(_: Rejection) -> None:
    """Rejections of views are not kept: no ledger has them."""
