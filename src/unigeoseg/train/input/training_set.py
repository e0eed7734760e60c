"""What a training learns from: the patches of datasets, and what others wrote about them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unigeoseg.data.instructions.clicks_boxes import WRITER as POINTS_AND_BOXES
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.instructions.program_writer import OfflineWriter
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.schema import sample_of
from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.processor import letterbox, letterbox_place
from unigeoseg.prompt import Task
from unigeoseg.sample import Sample, Split
from unigeoseg.train.input.patch_cache import PatchCache

_OURS = frozenset({OfflineWriter.name, POINTS_AND_BOXES})
"""Writers that write anew for every view, so that what they wrote before is not needed."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Patches of one split and the instructions that no program can write again.

    Attributes:
        patches: The patches.
        told: Instructions of others, by the number of the patch.
    """

    patches: PatchCache
    told: Mapping[int, Sequence[Sample]]

    @classmethod
    def of(cls, paths: Sequence[Path], split: Split, cache: Path) -> "TrainingSet":
        """Of one split alone; see `of_splits`."""
        return cls.of_splits(paths, (split,), cache)[split]

    @classmethod
    def of_splits(
        cls, paths: Sequence[Path], splits: Sequence[Split], cache: Path
    ) -> dict[Split, "TrainingSet"]:
        """Read the datasets in `paths`; decoded patches are kept in the folder `cache`.

        Raises:
            DataError: If one is no whole dataset, is damaged, or none has images of a split.
            OutputUnwritableError: If the disk has no room for the decoded patches.
        """
        datasets = [Dataset.open(path) for path in paths]
        # first what is quick to read, so that damage shows before anything is decoded
        told = _told(datasets, splits)
        found = {}
        for split in splits:
            patches = PatchCache.of(datasets, split, cache)
            numbers = {image: number for number, image in enumerate(patches.ids)}
            strangers = sorted(told[split].keys() - numbers)
            if strangers:
                raise DataError(
                    f"{', '.join(map(str, paths))}: triplets of {split} are of the image "
                    f"{strangers[0]}, which is not among its images; build the dataset again"
                )
            found[split] = cls(
                patches, {numbers[image]: samples for image, samples in told[split].items()}
            )
        return found

    def patch_weights(self, sources: Mapping[str, float]) -> np.ndarray:
        """Chance of each patch (N,): by source as said, by area and rarity within a source.

        A view is cut somewhere in a patch, and a larger patch holds more of them. A patch with a
        category that few patches of its source show counts more (`_repeats`).

        Args:
            sources: Chance of each source, before normalisation; without any, by area alone.

        Raises:
            OptionError: If a source of the data has no chance.
        """
        names = [patch.source for patch in self.patches.patches]
        missing = sorted(set(names) - set(sources)) if sources else []
        if missing:
            raise OptionError(f"the recipe names no chance for {missing}; add them to sources")
        areas = [
            height * width * repeat
            for (height, width), repeat in zip(
                self.patches.shapes, _repeats(self.patches), strict=True
            )
        ]
        of_source: dict[str, float] = defaultdict(float)
        for name, area in zip(names, areas, strict=True):
            of_source[name] += area
        weights = np.array(
            [
                area * (sources[name] / of_source[name] if sources else 1.0)
                for name, area in zip(names, areas, strict=True)
            ]
        )
        total: float = weights.sum()
        return np.asarray(weights / total)

    def written(self, number: int) -> bool:
        """Whether others wrote about a patch."""
        return number in self.told

    def drafts(
        self, number: int, wanted: Mapping[Task, int], size: int, rng: np.random.Generator
    ) -> list[Draft]:
        """What others wrote about a patch, seen whole in a square of `size`: as much as wanted."""
        samples = self.told[number]
        left, drafts = Counter(wanted), []
        for at in rng.permutation(len(samples)).tolist():
            sample = samples[at]
            if left[sample.prompt.task] > 0:
                left[sample.prompt.task] -= 1
                drafts.append(_shown(sample, size))
        return drafts


_USUAL = 0.25  # share of a source's patches from which on a category is not rare


def _repeats(patches: PatchCache) -> list[float]:
    """How often each patch counts: as often as its rarest category asks for.

    Repeat factors max(1, sqrt(t / f)) of Gupta et al. (LVIS, arXiv 1908.03195), f being the share
    of the source's patches that show a category.
    """
    shares = patches.shares()
    rarest = (
        min((shares[patch.source, kind] for kind in patch.categories.values()), default=_USUAL)
        for patch in patches.patches
    )
    return [max(1.0, (_USUAL / share) ** 0.5) for share in rarest]


def _told(
    datasets: Sequence[Dataset], splits: Sequence[Split]
) -> dict[Split, dict[str, list[Sample]]]:
    """What others wrote, by split and image, read once for all splits."""
    told: dict[Split, dict[str, list[Sample]]] = {split: {} for split in splits}
    for dataset in datasets:
        for row in dataset.rows():
            if row["split"] in told and row["writer"] not in _OURS:
                told[row["split"]].setdefault(row["image"], []).append(sample_of(row))
    return told


def _shown(sample: Sample, size: int) -> Draft:
    """A sample as a draft on its patch fitted into a square."""
    rows, columns = letterbox_place(sample.height, sample.width, size)
    scale = (columns.stop - columns.start) / sample.width
    mask = letterbox(sample.mask().astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return Draft(
        family=sample.family,  # type: ignore[arg-type]
        prompt=sample.prompt.scaled(scale, scale).shifted(columns.start, rows.start),
        regions=(),
        mask=mask.astype(np.bool_),
        category=sample.category_id,
        writer=sample.writer,
        answer=sample.answer,
    )
