"""The training set: patches of datasets, and the instructions that are stored for them.

Most instructions are written anew for every view (`instruction_sampler`); those that a person or a
language model wrote are stored, and hold for a whole patch.
"""

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
from unigeoseg.data.store.rows import sample_from_row
from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.processor import letterbox, letterbox_place
from unigeoseg.prompt import Task
from unigeoseg.sample import Sample, Split
from unigeoseg.train.input.patch_cache import PatchCache

_PROGRAM_WRITERS = frozenset({OfflineWriter.name, POINTS_AND_BOXES})
"""Writers that write anew for every view; their stored instructions are not needed."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Patches of one split and the instructions that no program can write again.

    Attributes:
        patches: The patches.
        instructions: Stored samples, by the number of their patch.
    """

    patches: PatchCache
    instructions: Mapping[int, Sequence[Sample]]

    @classmethod
    def of(cls, paths: Sequence[Path], split: Split, cache: Path) -> "TrainingSet":
        """The training set of one split; see `of_splits`."""
        return cls.of_splits(paths, (split,), cache)[split]

    @classmethod
    def of_splits(
        cls, paths: Sequence[Path], splits: Sequence[Split], cache: Path
    ) -> dict[Split, "TrainingSet"]:
        """The training set of each split of some datasets.

        Args:
            paths: Directories of the datasets.
            splits: Such as "train" and "val".
            cache: Folder of the decoded patches; missing ones are written there.

        Raises:
            DataError: If one is no whole dataset, is damaged, or none has images of a split.
            OutputUnwritableError: If the disk has no room for the decoded patches.
        """
        datasets = [Dataset.open(path) for path in paths]
        # texts are quick to read: damage shows before any image is decoded
        stored = _stored_instructions(datasets, splits)
        training_sets = {}
        for split in splits:
            patches = PatchCache.of(datasets, split, cache)
            numbers = {image: number for number, image in enumerate(patches.ids)}
            unknown = sorted(stored[split].keys() - numbers)
            if unknown:
                raise DataError(
                    f"{', '.join(map(str, paths))}: triplets of {split} are of the image "
                    f"{unknown[0]}, which is not among its images; build the dataset again"
                )
            training_sets[split] = cls(
                patches, {numbers[image]: samples for image, samples in stored[split].items()}
            )
        return training_sets

    def patch_weights(self, sources: Mapping[str, float]) -> np.ndarray:
        """Sampling weight of each patch, (N,), summing to 1: by source, area and rarity.

        A view is cropped somewhere in a patch, and a larger patch has more of them. A patch with a
        category that few patches of its source show counts more (`_repeat_factors`).

        Args:
            sources: Weight of each source, before normalisation; without any, patches are weighted
                by area and rarity alone.

        Raises:
            OptionError: If a source of the data has no weight.
        """
        names = [patch.source for patch in self.patches.patches]
        missing = sorted(set(names) - set(sources)) if sources else []
        if missing:
            raise OptionError(f"the recipe names no weight for {missing}; add them to sources")
        repeats = _repeat_factors(self.patches)
        areas = [
            height * width * repeat
            for (height, width), repeat in zip(self.patches.shapes, repeats, strict=True)
        ]
        source_areas: dict[str, float] = defaultdict(float)
        for name, area in zip(names, areas, strict=True):
            source_areas[name] += area
        weights = np.array(
            [
                area * (sources[name] / source_areas[name] if sources else 1.0)
                for name, area in zip(names, areas, strict=True)
            ]
        )
        total: float = weights.sum()
        return np.asarray(weights / total)

    def has_instructions(self, number: int) -> bool:
        """Whether instructions are stored for a patch."""
        return number in self.instructions

    def drafts(
        self, number: int, tasks: Mapping[Task, int], size: int, rng: np.random.Generator
    ) -> list[Draft]:
        """Stored instructions of a patch, drawn without replacement.

        Args:
            number: Of the patch.
            tasks: How many instructions of each task, at most.
            size: Side in pixels of the square into which the whole patch is fitted.
            rng: Source of randomness.
        """
        samples = self.instructions[number]
        remaining, drafts = Counter(tasks), []
        for index in rng.permutation(len(samples)).tolist():
            sample = samples[index]
            if remaining[sample.prompt.task] > 0:
                remaining[sample.prompt.task] -= 1
                drafts.append(_letterboxed_draft(sample, size))
        return drafts


_COMMON = 0.25
"""Share of a source's patches from which on a category is not rare: LVIS's threshold t."""


def _repeat_factors(patches: PatchCache) -> list[float]:
    """Repeat factor of each patch: that of its rarest category.

    It is max(1, sqrt(t / f)), f being the share of the source's patches that show the category
    (Gupta et al., LVIS, arXiv 1908.03195).
    """
    shares = patches.category_shares()
    rarest_shares = (
        min(
            (shares[patch.source, category] for category in patch.categories.values()),
            default=_COMMON,
        )
        for patch in patches.patches
    )
    return [max(1.0, (_COMMON / share) ** 0.5) for share in rarest_shares]


def _stored_instructions(
    datasets: Sequence[Dataset], splits: Sequence[Split]
) -> dict[Split, dict[str, list[Sample]]]:
    """Samples that no program writes, by split and image id, read once for all splits."""
    stored: dict[Split, dict[str, list[Sample]]] = {split: {} for split in splits}
    for dataset in datasets:
        for row in dataset.rows():
            if row["split"] in stored and row["writer"] not in _PROGRAM_WRITERS:
                stored[row["split"]].setdefault(row["image"], []).append(sample_from_row(row))
    return stored


def _letterboxed_draft(sample: Sample, size: int) -> Draft:
    """A sample as a draft on its patch letterboxed into a square of `size` pixels."""
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
