"""The held-out suite: a split of a dataset, with whole categories in seen and unseen words.

The paper's triplets mean one region each (`TASKS`). Three kinds of questions are added: all of a
category, by name or by question; a category that is absent; and the same targets in words that are
held back from every generator (`data.instructions.whole_category`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from unigeoseg.data.instructions import whole_category
from unigeoseg.data.instructions.draft import Draft, ScoredDraft
from unigeoseg.data.instructions.samples import samples_from_drafts
from unigeoseg.data.patches.patch import Patch
from unigeoseg.errors import DataError
from unigeoseg.evaluate.suites.catalog import Suite
from unigeoseg.evaluate.suites.layouts import ShardLayout
from unigeoseg.sample import Sample, Split

TASKS = ("box", "point", "referring", "attribute", "context")
"""Families of the paper's triplets."""

WORDS = ("category", "question")
"""Families of all of a category."""

ABSENT = "absent"
"""Family of categories that are absent."""

UNSEEN = ", unseen words"
"""Suffix of the family of the same target in words that are held back from every generator."""

FAMILIES = (*TASKS, *WORDS, ABSENT, *(family + UNSEEN for family in WORDS))
"""All families, in the order of a table."""

_DRAWS = 2  # samples of each kind on an image, at most


@dataclass(frozen=True, slots=True)
class HeldOutSamples:
    """The samples of a held-out suite.

    Attributes:
        samples: By image, in the order of the dataset.
        pairs: Ids of two samples with the same target: in words that training uses, in words that
            no generator may use.
        left_out: How many images of the split have pixels of unknown class.
    """

    samples: tuple[Sample, ...]
    pairs: tuple[tuple[str, str], ...]
    left_out: int


@dataclass(frozen=True, eq=False)
class HeldOutLayout(ShardLayout):
    """The layout of a held-out suite: the split of a dataset, and more questions on its images.

    Masks cannot be scored where the truth is unknown, so images with such pixels are left out.

    Attributes:
        images: Only so many images of each source, the first; None for all.
    """

    images: int | None = None

    @cached_property
    def selection(self) -> HeldOutSamples:
        """All samples; those of an image do not depend on other images.

        Raises:
            DataError: If the dataset is damaged, or has no image to ask about.
        """
        images, left_out = self._images()
        triplets: defaultdict[str, list[Sample]] = defaultdict(list)
        for sample in super().samples():
            triplets[sample.image].append(sample)
        samples: list[Sample] = []
        pairs: list[tuple[str, str]] = []
        for image in images:
            questions, image_pairs = _category_samples(self._dataset.patch(image))
            samples += [*triplets[image], *questions]
            pairs += image_pairs
        return HeldOutSamples(tuple(samples), tuple(pairs), left_out)

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`."""
        return iter(self.selection.samples)

    @property
    def boxes(self) -> str:
        """The system that made the masks of sources that label boxes alone, or "none"."""
        return str(self._dataset.summary.options.get("boxes", "none"))

    def _images(self) -> tuple[list[str], int]:
        """Ids of the images to ask about, and how many were left out for unknown pixels."""
        counts: Counter[str] = Counter()
        images: list[str] = []
        left_out = 0
        for row in self._dataset.image_rows(("id", "source", "split", "unknown")):
            if row["split"] != self.suite.split:
                continue
            if row["unknown"] is not None:
                left_out += 1
            elif self.images is None or counts[row["source"]] < self.images:
                counts[row["source"]] += 1
                images.append(row["id"])
        if not images:
            raise DataError(
                f"{self.folder} has no image in its split {self.suite.split!r} whose every pixel "
                f"is known ({left_out} have unknown ones); give another dataset or split"
            )
        return images, left_out


def open_held_out(folder: Path, split: Split = "test", images: int | None = None) -> HeldOutLayout:
    """A split of a dataset as a suite.

    Args:
        folder: The dataset.
        split: Which split.
        images: Only so many images of each source.
    """
    parts = [folder.resolve().name, split]
    if images is not None:
        parts.append(f"first {images} images of each source")
    suite = Suite(
        name="-".join(parts).replace(" ", "-"),
        title=", ".join(parts),
        layout="shards",
        split=split,
        protocol="every triplet of the images whose pixels are all known, and on each image up to "
        f"{_DRAWS} categories by name, {_DRAWS} by question and {_DRAWS} that are not there; masks "
        "at the image's own size",
    )
    return HeldOutLayout(suite, folder, images)


def _category_samples(patch: Patch) -> tuple[list[Sample], list[tuple[str, str]]]:
    """Samples of whole and absent categories on a patch, and the pairs; seeded by its id alone."""
    rng = np.random.default_rng([*patch.id.encode()])
    categories = whole_category.whole_categories(patch)
    draft_pairs = [
        (
            whole_category.name_draft(patch, category, rng),
            whole_category.held_out_name_draft(patch, category, rng),
        )
        for category in rng.permutation(categories).tolist()[:_DRAWS]
    ]
    by_question = [
        (draft, whole_category.held_out_question_draft(patch, category, rng))
        for category in rng.permutation(categories).tolist()
        if (draft := whole_category.question_draft(patch, category, rng)) is not None
    ]
    draft_pairs += by_question[:_DRAWS]
    in_trained_words = _samples(patch, [draft for draft, _ in draft_pairs])
    in_unseen_words = [
        replace(sample, family=sample.family + UNSEEN)
        for sample in _samples(patch, [draft for _, draft in draft_pairs])
    ]
    pairs = [
        (trained.id, unseen.id)
        for trained, unseen in zip(in_trained_words, in_unseen_words, strict=True)
    ]
    absent = _samples(patch, list(_absent(patch, rng)))
    return [*in_trained_words, *absent, *in_unseen_words], pairs


def _absent(patch: Patch, rng: np.random.Generator) -> Iterator[Draft]:
    """Absent categories, alternately by name and by question; which comes first is random."""
    first = int(rng.integers(2))
    missing = rng.permutation(whole_category.missing_categories(patch)).tolist()[:_DRAWS]
    for turn, category in enumerate(missing, first):
        draft = whole_category.question_draft(patch, category, rng) if turn % 2 else None
        yield draft or whole_category.name_draft(patch, category, rng)


def _samples(patch: Patch, drafts: Sequence[Draft]) -> list[Sample]:
    return samples_from_drafts(patch, [ScoredDraft(draft) for draft in drafts])
