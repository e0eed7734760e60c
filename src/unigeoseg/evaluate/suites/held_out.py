"""A split of a dataset as a suite: its triplets, and all of a category, in words seen and unseen.

The paper's triplets mean one region each (`TASKS`). A model is also asked for all of a category by
name or by question, and for what is not there (`data.kinds`); and for the same targets in words
that are kept from every generator.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from unigeoseg.data.builder.unit import Scored, samples_of
from unigeoseg.data.instructions import whole_category
from unigeoseg.data.instructions.draft import Draft
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
"""Family of what is not there."""

UNSEEN = ", unseen words"
"""What the family of the same target in words kept from every generator has behind its name."""

FAMILIES = (*TASKS, *WORDS, ABSENT, *(family + UNSEEN for family in WORDS))
"""All families, in the order of a table."""

_MOST = 2  # samples of each kind that are drawn on an image


@dataclass(frozen=True, slots=True)
class HeldOutSamples:
    """All that is asked.

    Attributes:
        samples: By image, in the order of the dataset.
        pairs: Ids of samples with the same target: in words that training uses, in words that no
            generator may use.
        left_out: How many images of the split have pixels that nobody knows.
    """

    samples: tuple[Sample, ...]
    pairs: tuple[tuple[str, str], ...]
    left_out: int


@dataclass(frozen=True, eq=False)
class HeldOutLayout(ShardLayout):
    """The split of a dataset with what `kinds` asks on its images.

    Masks cannot be scored where nobody knows the truth, so images with such pixels are left out.

    Attributes:
        images: Only so many images of each source, the first; None for all.
    """

    images: int | None = None

    @cached_property
    def asked(self) -> HeldOutSamples:
        """All that is asked, the same whatever other images there are.

        Raises:
            DataError: If the dataset is damaged, or has no image to ask about.
        """
        images, left_out = self._images()
        told: defaultdict[str, list[Sample]] = defaultdict(list)
        for sample in super().samples():
            told[sample.image].append(sample)
        samples: list[Sample] = []
        pairs: list[tuple[str, str]] = []
        for image in images:
            drawn, alike = _drawn(self._dataset.patch(image))
            samples += [*told[image], *drawn]
            pairs += alike
        return HeldOutSamples(tuple(samples), tuple(pairs), left_out)

    def samples(self) -> Iterator[Sample]:
        """As `Layout.samples`."""
        return iter(self.asked.samples)

    @property
    def boxes(self) -> str:
        """The system that made the masks of sources that label boxes alone, or "none"."""
        return str(self._dataset.summary["options"].get("boxes", "none"))

    def _images(self) -> tuple[list[str], int]:
        """Ids of the images to ask about, and how many were left out for unknown pixels."""
        counts: Counter[str] = Counter()
        found: list[str] = []
        left_out = 0
        for row in self._dataset.image_rows(("id", "source", "split", "unknown")):
            if row["split"] != self.suite.split:
                continue
            if row["unknown"] is not None:
                left_out += 1
            elif self.images is None or counts[row["source"]] < self.images:
                counts[row["source"]] += 1
                found.append(row["id"])
        if not found:
            raise DataError(
                f"{self.folder} has no image in its split {self.suite.split!r} whose every pixel "
                f"is known ({left_out} have unknown ones); give another dataset or split"
            )
        return found, left_out


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
        f"{_MOST} categories by name, {_MOST} by question and {_MOST} that are not there; masks "
        "at the image's own size",
    )
    return HeldOutLayout(suite, folder, images)


def _drawn(patch: Patch) -> tuple[list[Sample], list[tuple[str, str]]]:
    """What `kinds` asks on one patch, by draws that follow from its id alone, and the pairs."""
    rng = np.random.default_rng([*patch.id.encode()])
    whole = whole_category.whole_categories(patch)
    both = [
        (
            whole_category.named(patch, category, rng),
            whole_category.named_unseen(patch, category, rng),
        )
        for category in rng.permutation(whole).tolist()[:_MOST]
    ]
    by_question = [
        (draft, whole_category.asked_unseen(patch, category, rng))
        for category in rng.permutation(whole).tolist()
        if (draft := whole_category.asked(patch, category, rng)) is not None
    ]
    both += by_question[:_MOST]
    seen = _samples(patch, [known for known, _ in both])
    unseen = [
        replace(sample, family=sample.family + UNSEEN)
        for sample in _samples(patch, [kept for _, kept in both])
    ]
    pairs = [(one.id, other.id) for one, other in zip(seen, unseen, strict=True)]
    return [*seen, *_samples(patch, list(_absent(patch, rng))), *unseen], pairs


def _absent(patch: Patch, rng: np.random.Generator) -> Iterator[Draft]:
    """What is not there, by turns by name and by question; which comes first is drawn."""
    first = int(rng.integers(2))
    missing = rng.permutation(whole_category.missing_categories(patch)).tolist()[:_MOST]
    for turn, category in enumerate(missing, first):
        draft = whole_category.asked(patch, category, rng) if turn % 2 else None
        yield draft or whole_category.named(patch, category, rng)


def _samples(patch: Patch, drafts: Sequence[Draft]) -> list[Sample]:
    return samples_of(patch, [Scored(draft) for draft in drafts])
