"""Making the batch of any step: views of patches, with prompts of the tasks that are due.

A batch is a pure function of the seed and the step, so a resumed run goes on exactly, and several
processes make the batch of one between them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch

from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.processor import Processor
from unigeoseg.prompt import Task
from unigeoseg.train.input import crops
from unigeoseg.train.input.augment import augment_pixels
from unigeoseg.train.input.batch import Batch, BatchConfig, rival_map
from unigeoseg.train.input.copy_paste import RareObjects
from unigeoseg.train.input.instruction_sampler import FAMILIES, InstructionSampler
from unigeoseg.train.input.task_schedule import TaskSampler
from unigeoseg.train.input.training_set import TrainingSet

_MAX_TRIES = 200  # views that are tried for one that allows the tasks that are due
_SYMMETRIES = 8  # of a square

TaskFamilies = Mapping[Task, tuple[list[str], np.ndarray]]
"""Families of instruction of each task, and the probability of each."""


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
        """Prepare for the batches of a run.

        Args:
            training_set: Patches and their stored instructions.
            processor: Of the network.
            config: What a step is made of.
            steps: Of the run, over which tasks are scheduled.
            seed: Of all random draws.
            part: Index of the part of each batch that is made here, and the number of equal parts.

        Raises:
            OptionError: If the views of a step cannot be shared equally, or a family is unknown.
        """
        self.part_index, self.part_count = part
        if config.images % self.part_count:
            raise OptionError(
                f"{config.images} images a step cannot be shared by {self.part_count} processes; "
                "make the number of images a multiple of that of processes"
            )
        self.training_set, self.processor = training_set, processor
        self.config, self.seed = config, seed
        self.task_families = families_by_task(config.families)
        self.rare_objects = RareObjects.of(training_set.patches) if config.pasted else None
        # summed once: rng.choice with weights would sum them for every view
        self.cumulative_weights = training_set.patch_weights(config.sources).cumsum()
        rng = np.random.default_rng(seed)
        self.sizes = rng.choice(config.sizes, size=steps).tolist()
        prompts = [self._counts(size)[1] for size in self.sizes]
        self.task_sampler = TaskSampler(config.mix, prompts)
        self.prompts_before = [0, *accumulate(prompts)]  # each step, of all processes

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same for the same step, seed and data.

        Raises:
            DataError: If no view allows the tasks that are due.
        """
        size = self.sizes[step]
        views = [self._sample_view(size, tasks, rng) for tasks, rng in self._view_tasks(step)]
        pairs = [(view, draft) for view, drafts in views for draft in drafts]
        prompts, labels = self.processor.training_inputs(
            [draft.prompt for _, draft in pairs],
            [draft.answer for _, draft in pairs],
            np.repeat(np.arange(len(views)), [len(drafts) for _, drafts in views]).tolist(),
            (size, size),
        )
        pixels = np.stack([view.pixels for view, _ in views])
        valid = np.stack([view.regions != UNKNOWN_REGION for view, _ in pairs])
        return Batch(
            pixel_values=self.processor.pixel_values(pixels.transpose(0, 3, 1, 2)),
            prompts=prompts,
            truth=torch.from_numpy(np.stack([draft.mask for _, draft in pairs])),
            valid=torch.from_numpy(valid),
            rivals=torch.from_numpy(np.stack([rival_map(view, draft) for view, draft in pairs])),
            labels=labels,
            seeds=torch.from_numpy(self._prompt_seeds(step)),
            families=tuple(draft.family for _, draft in pairs),
        )

    def _counts(self, size: int) -> tuple[int, int]:
        """Views and prompts of a step of one size, in all processes together.

        Prompts fall with the square of the side, which is what they cost; views with the side, so
        that no step hangs on the labels of one or two images.
        """
        scale = size / min(self.config.sizes)
        views_per_part = max(1, round(self.config.images / self.part_count / scale))
        prompts = round(self.config.images * self.config.prompts / scale**2)
        views = views_per_part * self.part_count
        return views, max(prompts, views)

    def _view_tasks(self, step: int) -> Iterator[tuple[list[Task], np.random.Generator]]:
        """For each view of this process: the tasks of its prompts, and its random generator."""
        tasks = list(Counter(self.task_sampler.counts(step)).elements())
        order = np.random.default_rng((self.seed, step)).permutation(len(tasks))
        for view, (first, end) in self._prompt_ranges(step):
            yield (
                [tasks[index] for index in order[first:end]],
                np.random.default_rng((self.seed, step, view)),
            )

    def _prompt_ranges(self, step: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Numbers of this process's views, and the range of the step's prompts on each."""
        views, prompts = self._counts(self.sizes[step])
        first = views * self.part_index // self.part_count
        end = views * (self.part_index + 1) // self.part_count
        for view in range(first, end):
            yield view, (prompts * view // views, prompts * (view + 1) // views)

    def _prompt_seeds(self, step: int) -> np.ndarray:
        """A seed for each prompt (P,) int64, the same whichever process has the prompt."""
        _, prompts = self._counts(self.sizes[step])
        seeds = np.random.default_rng((self.seed, step)).integers(2**62, size=prompts)
        return np.concatenate([seeds[first:end] for _, (first, end) in self._prompt_ranges(step)])

    def _sample_view(
        self, size: int, tasks: list[Task], rng: np.random.Generator
    ) -> tuple[Patch, list[Draft]]:
        """A random view with an instruction for each of some tasks, by rejection sampling."""
        task_counts = Counter(tasks)
        for _ in range(_MAX_TRIES):
            view, drafts = self._try_view(size, task_counts, rng)
            if len(drafts) == len(tasks):
                return replace(view, pixels=augment_pixels(view.pixels, rng)), drafts
        raise DataError(
            f"none of {_MAX_TRIES} views allowed prompts of {', '.join(task_counts)}; give data "
            "with more to ask for, or leave a task out of the mix"
        )

    def _try_view(
        self, size: int, task_counts: Counter[Task], rng: np.random.Generator
    ) -> tuple[Patch, list[Draft]]:
        """A random view and as many instructions of each task as it allows, up to those due."""
        draw = rng.random() * self.cumulative_weights[-1]
        number = int(self.cumulative_weights.searchsorted(draw, side="right"))
        patch = self.training_set.patches[number]
        if self.training_set.has_instructions(number) and rng.random() < self.config.stored:
            view = crops.crop_view(patch, crops.full_window(patch), size)
            return view, self.training_set.drafts(number, task_counts, size, rng)
        window = self._sample_window(patch, size, rng)
        view = crops.crop_view(patch, window, size, int(rng.integers(_SYMMETRIES)))
        if self.rare_objects and rng.random() < self.config.pasted:
            view = self.rare_objects.paste(view, size / max(window[2:]), rng)
        sampler = InstructionSampler(view, rng, self.config.never.get(patch.source, ()))
        drafts = [
            draft
            for task, count in sorted(task_counts.items())
            for draft in _sample_drafts(sampler, *self.task_families[task], count, rng)
            if self.processor.accepts(draft.prompt)
        ]
        return view, drafts

    def _sample_window(self, patch: Patch, size: int, rng: np.random.Generator) -> crops.Window:
        if rng.random() < self.config.whole:
            return crops.full_window(patch)
        focused = rng.random() < self.config.focus
        return (crops.object_window if focused else crops.random_window)(patch, size, rng)


def families_by_task(families: Mapping[str, float]) -> TaskFamilies:
    """Families of instruction by task, weights normalised within each.

    Raises:
        OptionError: If a family is unknown.
    """
    unknown = sorted(set(families) - set(FAMILIES))
    if unknown:
        raise OptionError(f"there is no family {unknown[0]!r}; name some of {list(FAMILIES)}")
    by_task = {}
    for task in Task:
        names = [name for name in families if FAMILIES[name] is task]
        weights = np.array([families[name] for name in names])
        by_task[task] = names, weights / max(weights.sum(), 1e-9)
    return by_task


def _sample_drafts(
    sampler: InstructionSampler,
    names: list[str],
    probabilities: np.ndarray,
    count: int,
    rng: np.random.Generator,
) -> Iterator[Draft]:
    """Up to `count` instructions of one task; where the view allows none of a family, another."""
    if not names:
        return
    for _ in range(count):
        order = rng.choice(len(names), size=len(names), replace=False, p=probabilities)
        drafts = (sampler.sample(names[index]) for index in order)
        draft = next(filter(None, drafts), None)
        if draft is None:
            return
        yield draft
