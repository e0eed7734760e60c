"""Batches: views of patches, with the prompts that a step's tasks ask for.

Encoding an image is dear and a prompt is cheap, so each view carries many prompts. A batch is a
pure function of the seed and the step, so a resumed run goes on exactly, and several processes
make the batch of one between them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from unigeoseg.data.instructions.draft import ONE_REGION, Draft
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.processor import Processor
from unigeoseg.model.values import PromptInputs
from unigeoseg.prompt import Task
from unigeoseg.train.input import crops
from unigeoseg.train.input.augment import augment_pixels
from unigeoseg.train.input.copy_paste import RareObjects
from unigeoseg.train.input.instruction_sampler import FAMILIES, InstructionSampler
from unigeoseg.train.input.task_schedule import EVEN, Mix, TaskSampler, pts
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.overrides import check_at_least

MEANT, OTHER_KINDS = 1, 128  # numbers of regions in `Batch.rivals`


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a step is made of.

    Attributes:
        sizes: Sides of views in pixels, multiples of 32; each step has one of them. A step of
            larger views has fewer, each with fewer prompts.
        images: Views of a step of the smallest size.
        prompts: Prompts on each of those.
        mix: Share of each task by progress.
        families: Chance of each kind of instruction within its task.
        sources: Chance of each source, before normalisation; those that are not named have as
            many images as they have.
        never: Categories, by source, that it never shows and does not label.
        whole: Share of views that show a whole patch.
        focus: Share of the other views that are placed round one object, at its own scale.
        stored: Share of views that show a whole patch upright, with the instructions that others
            than this program wrote for it, where there are any.
        pasted: Share of the other views into which rare objects are pasted; see `train.paste`.

    Raises:
        OptionError: If there are no images or no prompts.
    """

    sizes: tuple[int, ...] = (256,)
    images: int = 8
    prompts: int = 8
    mix: Mix = field(default_factory=lambda: pts(EVEN))
    families: Mapping[str, float]
    sources: Mapping[str, float] = field(default_factory=dict)
    never: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    whole: float = 0.3
    focus: float = 0.5
    stored: float = 0.5
    pasted: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(self, 1, "images", "prompts")


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's tensors: B views, P prompts, side S.

    Attributes:
        pixel_values: (B, 3, S, S) float, normalised.
        prompts: P prompts.
        truth: (P, S, S) bool, the target.
        valid: (P, S, S) bool, False where the label does not say.
        rivals: (P, S, S) uint8: `MEANT` the one region that is meant, then the others of its
            category, from `OTHER_KINDS` on those of others, 0 elsewhere; all 0 where a prompt does
            not choose between regions.
        labels: (P, L) int64, the words to say, as in `model.chat`; None if the network says none.
        seeds: (P,) int64, for what a loss draws at random for each prompt.
        families: Family of each prompt.
    """

    pixel_values: Tensor
    prompts: PromptInputs
    truth: Tensor
    valid: Tensor
    rivals: Tensor
    labels: Tensor | None
    seeds: Tensor
    families: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`; seeds stay, since points are drawn on the CPU."""
        return replace(
            self,
            pixel_values=self.pixel_values.to(device),
            prompts=self.prompts.to(device),
            truth=self.truth.to(device),
            valid=self.valid.to(device),
            rivals=self.rivals.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


_TRIES = 200  # views that are looked at for one that allows what is wanted


class BatchMaker:
    """Makes the batch of any step, or one process's part of it."""

    def __init__(
        self,
        training_set: TrainingSet,
        processor: Processor,
        config: BatchConfig,
        *,
        steps: int,
        seed: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Draw from `training_set`.

        Args:
            training_set: Patches and what is written about them.
            processor: Of the network.
            config: What a step is made of.
            steps: Of the run, by which tasks are scheduled.
            seed: Of all that is drawn.
            part: Which part of a step's views is made here, and of how many equal ones.

        Raises:
            OptionError: If the views of a step cannot be shared equally, or a family is unknown.
        """
        self.which, self.parts = part
        if config.images % self.parts:
            raise OptionError(
                f"{config.images} images a step cannot be shared by {self.parts} processes; make "
                "the number of images a multiple of that of processes"
            )
        self.training_set, self.processor, self.config, self.seed = (
            training_set,
            processor,
            config,
            seed,
        )
        self.asks = asks_of(config.families)
        self.rare = RareObjects.of(training_set.patches) if config.pasted else None
        # summed once: to draw by chances would sum them for every view
        self.reached = training_set.patch_weights(config.sources).cumsum()
        rng = np.random.default_rng(seed)
        self.sizes = rng.choice(config.sizes, size=steps).tolist()
        prompts = [self._shape(size)[1] for size in self.sizes]
        self.tasks = TaskSampler(config.mix, prompts)
        self.seen = [0, *accumulate(prompts)]  # prompts of all processes before each step

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same for the same step, seed and data.

        Raises:
            DataError: If no view allows what is asked.
        """
        size = self.sizes[step]
        drawn = [self._drawn(size, hand, rng) for hand, rng in self._hands(step)]
        said = [(view, draft) for view, drafts in drawn for draft in drafts]
        asked, labels = self.processor.training_inputs(
            [draft.prompt for _, draft in said],
            [draft.answer for _, draft in said],
            np.repeat(np.arange(len(drawn)), [len(drafts) for _, drafts in drawn]).tolist(),
            (size, size),
        )
        pixels = np.stack([view.pixels for view, _ in drawn])
        return Batch(
            pixel_values=self.processor.pixel_values(pixels.transpose(0, 3, 1, 2)),
            prompts=asked,
            truth=torch.from_numpy(np.stack([draft.mask for _, draft in said])),
            valid=torch.from_numpy(np.stack([v.regions != UNKNOWN_REGION for v, _ in said])),
            rivals=torch.from_numpy(np.stack([rivals(view, draft) for view, draft in said])),
            labels=labels,
            seeds=torch.from_numpy(self._seeds(step)),
            families=tuple(draft.family for _, draft in said),
        )

    def _shape(self, size: int) -> tuple[int, int]:
        """Views and prompts of a step of one size, in all processes together.

        Prompts fall with the square of the side, which is what they cost; views with the side, so
        that no step hangs on the labels of one or two images.
        """
        scale = size / min(self.config.sizes)
        each = max(1, round(self.config.images / self.parts / scale))
        prompts = round(self.config.images * self.config.prompts / scale**2)
        return each * self.parts, max(prompts, each * self.parts)

    def _hands(self, step: int) -> Iterator[tuple[list[Task], np.random.Generator]]:
        """The tasks of the prompts on each of this process's views, and its own chances."""
        tasks = list(Counter(self.tasks.counts(step)).elements())
        dealt = np.random.default_rng((self.seed, step)).permutation(len(tasks))
        for view, (first, last) in self._views(step):
            yield (
                [tasks[at] for at in dealt[first:last]],
                np.random.default_rng((self.seed, step, view)),
            )

    def _views(self, step: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Numbers of this process's views, and which of the step's prompts are on each."""
        views, prompts = self._shape(self.sizes[step])
        for view in range(views * self.which // self.parts, views * (self.which + 1) // self.parts):
            yield view, (prompts * view // views, prompts * (view + 1) // views)

    def _seeds(self, step: int) -> np.ndarray:
        """A number for each prompt (P,), whichever process has it."""
        _, prompts = self._shape(self.sizes[step])
        drawn = np.random.default_rng((self.seed, step)).integers(2**62, size=prompts)
        return np.concatenate([drawn[first:last] for _, (first, last) in self._views(step)])

    def _drawn(
        self, size: int, hand: list[Task], rng: np.random.Generator
    ) -> tuple[Patch, list[Draft]]:
        """A view with prompts of the tasks in `hand`."""
        wanted = Counter(hand)
        for _ in range(_TRIES):
            view, drafts = self._tried(size, wanted, rng)
            if len(drafts) == len(hand):
                return replace(view, pixels=augment_pixels(view.pixels, rng)), drafts
        raise DataError(
            f"none of {_TRIES} views allowed prompts of {', '.join(wanted)}; give data with more "
            "to ask for, or leave a task out of the mix"
        )

    def _tried(
        self, size: int, wanted: Counter[Task], rng: np.random.Generator
    ) -> tuple[Patch, list[Draft]]:
        """A view and what of the wanted it allows."""
        number = int(self.reached.searchsorted(rng.random() * self.reached[-1], side="right"))
        patch = self.training_set.patches[number]
        if self.training_set.written(number) and rng.random() < self.config.stored:
            view = crops.crop(patch, crops.whole(patch), size)
            return view, self.training_set.drafts(number, wanted, size, rng)
        window = self._window(patch, size, rng)
        view = crops.crop(patch, window, size, int(rng.integers(8)))
        if self.rare and rng.random() < self.config.pasted:
            view = self.rare.paste(view, size / max(window[2:]), rng)
        sampler = InstructionSampler(view, rng, self.config.never.get(patch.source, ()))
        drafts = [
            draft
            for task, count in sorted(wanted.items())
            for draft in _asked(sampler, *self.asks[task], count, rng)
            if self.processor.accepts(draft.prompt)
        ]
        return view, drafts

    def _window(self, patch: Patch, size: int, rng: np.random.Generator) -> crops.Window:
        if rng.random() < self.config.whole:
            return crops.whole(patch)
        focused = rng.random() < self.config.focus
        return (crops.round_object if focused else crops.anywhere)(patch, size, rng)


def rivals(view: Patch, draft: Draft) -> np.ndarray:
    """The region that a text means among all, as `Batch.rivals` (S, S) uint8."""
    numbers = np.zeros(int(UNKNOWN_REGION) + 1, np.uint8)
    told = draft.prompt.task is not Task.INTERACTIVE
    if told and draft.family in ONE_REGION and len(draft.regions) == 1:
        for first, last, same in ((MEANT + 1, OTHER_KINDS, True), (OTHER_KINDS, 256, False)):
            found = [r for r, kind in view.categories.items() if (kind == draft.category) is same]
            found = [region for region in found if region not in draft.regions][: last - first]
            numbers[found] = np.arange(first, first + len(found))
        numbers[list(draft.regions)] = MEANT
    return numbers[view.regions]


Asks = Mapping[Task, tuple[list[str], np.ndarray]]
"""Kinds of instruction of each task, and the chance of each."""


def asks_of(families: Mapping[str, float]) -> Asks:
    """Families by task.

    Raises:
        OptionError: If a family is unknown.
    """
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise OptionError(f"there is no family {unknown[0]!r}; name some of {list(FAMILIES)}")
    asks = {}
    for task in Task:
        names = [name for name in families if FAMILIES[name] is task]
        chances = np.array([families[name] for name in names])
        asks[task] = names, chances / max(chances.sum(), 1e-9)
    return asks


def _asked(
    sampler: InstructionSampler,
    names: list[str],
    chances: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Draft]:
    """Up to `count` instructions of one task; of another family where the drawn one has none."""
    for _ in range(count):
        drawn = rng.choice(len(names), size=len(names), replace=False, p=chances) if names else ()
        draft = next(filter(None, (sampler.ask(names[at]) for at in drawn)), None)
        if draft is None:
            return
        yield draft
