"""Training throughput: steps of the recipe `nano` beside steps of a baseline loop, interleaved.

The recipe's steps run in one process, and in several as in `unigeoseg train --processes`.

The baseline is the loop that one writes first, with the same network and loss, and views and
prompts of the same kinds: it decodes an image for each view, has one prompt on each, makes a batch
before each step, and trains everything in PyTorch's default memory layout. It averages no weights.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Semaphore
from pathlib import Path

import torch

from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.data.store.rows import patch_from_row
from unigeoseg.model.loss import LossParts
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.report.document import Table
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import Batch
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.patch_cache import PatchCache
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.loop import prefetch_batches
from unigeoseg.train.objective.losses import LossModule
from unigeoseg.train.recipes import nano_recipe
from unigeoseg.train.scale.launcher import ProcessLauncher
from unigeoseg.train.trainer import Trainer

RECIPE = replace(
    nano_recipe(), batch=replace(nano_recipe().batch, sizes=(256,), sources={}, never={})
)
"""`nano` with views of one size, on whatever data; 64 prompts on 8 views."""

NANO, BASELINE = "recipe nano", "plain loop"
"""Columns of the table: the kinds of step."""

Start = Callable[[], tuple[UniGeoSegNetwork, Processor]]
"""Gives a new network and its processor."""

_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class StepTiming:
    """Times of one training step in seconds.

    Attributes:
        batch_s: Making one batch.
        train_s: Forward, backward and the optimiser's step.
        total_s: From one step to the next.
        images: Views of the step, in all processes.
        prompts: Prompts of the step, in all processes.
    """

    batch_s: float
    train_s: float
    total_s: float
    images: int
    prompts: int


TimeStep = Callable[[int], StepTiming]
"""Takes the training step of a number and times it."""


def time_training_steps(
    recipe: TrainConfig,
    data: Sequence[Path],
    cache: Path,
    start: Start,
    *,
    steps: int,
    processes: int = 1,
    progress: Callable[[int, int], None],
) -> dict[str, list[StepTiming]]:
    """Time all kinds of step, interleaved, after one of each as a warm-up.

    The encoded images of the train split are held in memory, so that the baseline does not pay
    for Parquet.

    Args:
        recipe: `RECIPE`, or a smaller one.
        data: Directories that `unigeoseg data build` made.
        cache: Folder for decoded patches.
        start: Gives a new network and its processor; can be pickled if there are processes.
        steps: Steps of each kind.
        processes: Time the recipe in so many processes, too, if they are more than one.
        progress: Takes the number of finished steps, and of all.

    Raises:
        DataError: If a dataset is not whole, or lacks a task.
        OutputUnwritableError: If the disk has no room.
        OptionError: If a process died.
    """
    training_set = TrainingSet.of(data, "train", cache)
    time_step: dict[str, TimeStep] = {
        BASELINE: _baseline_steps(recipe, _with_decoding(training_set, data), start, steps + 1),
        NANO: _recipe_steps(recipe, training_set, start, steps + 1),
    }
    with ExitStack() as stack:
        if processes > 1:
            parallel_recipe = replace(recipe, parallel="data")
            prepare = partial(_prepare_steps, parallel_recipe, data, cache, start, steps + 1)
            timer = _MultiProcessTimer(processes, prepare, steps + 1)
            stack.enter_context(closing(timer))
            time_step[f"{NANO}, {processes} processes"] = timer.step
        timings: dict[str, list[StepTiming]] = {name: [] for name in time_step}
        for number in range(steps + 1):
            for name, time_one in time_step.items():
                timings[name].append(time_one(number))
            progress(number + 1, steps + 1)
    return {name: step_timings[1:] for name, step_timings in timings.items()}


def throughput_table(timings: Mapping[str, Sequence[StepTiming]]) -> Table:
    """Medians of each kind of step; in brackets the ratio to the baseline."""
    quantities: dict[str, Callable[[StepTiming], float]] = {
        "prompts per second": lambda step: step.prompts / step.total_s,
        "images per second": lambda step: step.images / step.total_s,
        "seconds of making a batch": lambda step: step.batch_s,
        "seconds of learning from it": lambda step: step.train_s,
        "seconds of a whole step": lambda step: step.total_s,
        "prompts of a step": lambda step: step.prompts,
    }
    rows = []
    for name, quantity in quantities.items():
        baseline, *medians = (statistics.median(map(quantity, timings[kind])) for kind in timings)
        cells = (f"{median:.3g} ({median / baseline:.2f})" for median in medians)
        rows.append((name, f"{baseline:.3g}", *cells))
    note = (
        f"Medians of {len(timings[NANO])} steps of each, interleaved; {torch.get_num_threads()} "
        "threads. In brackets the ratio to the plain loop."
    )
    return Table(("", *timings), rows, note)


def _recipe_steps(
    recipe: TrainConfig, training_set: TrainingSet, start: Start, steps: int
) -> TimeStep:
    """Steps as in `train.loop`: the batch of the next step is made during a step."""
    network, processor = start()
    trainer = Trainer(network, processor, replace(recipe, model=network.config, steps=steps))
    # a step here has two batches: it trains on one while the other is made
    part = trainer.runner.part
    maker = BatchMaker(training_set, processor, recipe.batch, steps=2 * steps, seed=0, part=part)
    seconds: dict[int, float] = {}

    def make(number: int) -> Batch:
        start_s = time.perf_counter()
        batch = maker.batch(number)
        seconds[number] = time.perf_counter() - start_s
        return batch

    def step(number: int) -> StepTiming:
        with closing(prefetch_batches(make, 2 * number, 2 * number + 2)) as batches:
            batch = next(batches)
            start_s = time.perf_counter()
            trainer.train_step(batch)
            trained_s = time.perf_counter()
            next(batches)
            end_s = time.perf_counter()
        return _timing(
            batch, seconds[2 * number + 1], trained_s - start_s, end_s - start_s, maker.part_count
        )

    return step


class _MultiProcessTimer:
    """Times steps of a recipe in several processes, which wait between the steps."""

    def __init__(self, count: int, prepare: Callable[[], TimeStep], steps: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._count = count
        self._requests, self._results = context.Semaphore(0), context.SimpleQueue()
        queues = self._requests, self._results
        self._launcher = ProcessLauncher(count, _run_timed_steps, prepare, steps, *queues)

    def step(self, number: int) -> StepTiming:
        """Time the next step."""
        del number  # each process counts its own
        for _ in range(self._count):
            self._requests.release()
        while self._results.empty():
            self._launcher.poll(_POLL_SECONDS)
        timing: StepTiming = self._results.get()
        return timing

    def close(self) -> None:
        """End the processes."""
        self._launcher.close()


def _run_timed_steps(
    prepare: Callable[[], TimeStep],
    steps: int,
    requests: Semaphore,
    results: "SimpleQueue[StepTiming]",
) -> None:
    """One process of `_MultiProcessTimer`."""
    time_step = prepare()
    for number in range(steps):
        # no process takes two requests of a step: a step ends in all processes or in none
        requests.acquire()
        timing = time_step(number)
        if os.environ["RANK"] == "0":
            results.put(timing)


def _prepare_steps(
    recipe: TrainConfig, data: Sequence[Path], cache: Path, start: Start, steps: int
) -> TimeStep:
    return _recipe_steps(recipe, TrainingSet.of(data, "train", cache), start, steps)


def _baseline_steps(
    recipe: TrainConfig, training_set: TrainingSet, start: Start, steps: int
) -> TimeStep:
    """Steps of the baseline loop, one prompt on each view."""
    network, processor = start()
    network.train().requires_grad_(True).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    loss_module = LossModule(network, recipe.loss, half=recipe.half)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    config = replace(recipe.batch, prompts=1)
    maker = BatchMaker(training_set, processor, config, steps=steps, seed=0)

    def step(number: int) -> StepTiming:
        start_s = time.perf_counter()
        batch = maker.batch(number)
        batch = replace(batch, pixel_values=batch.pixel_values.contiguous())
        made_s = time.perf_counter()
        optimizer.zero_grad()
        LossParts(loss_module(batch)).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        end_s = time.perf_counter()
        return _timing(batch, made_s - start_s, end_s - made_s, end_s - start_s)

    return step


def _timing(
    batch: Batch, batch_s: float, train_s: float, total_s: float, processes: int = 1
) -> StepTiming:
    images, prompts = len(batch.pixel_values), len(batch.families)
    return StepTiming(batch_s, train_s, total_s, images * processes, prompts * processes)


@dataclass(frozen=True, slots=True, eq=False)
class _DecodedPatches(PatchCache):
    """Patches that are decoded at each access.

    Attributes:
        rows: The dataset's row of each image.
    """

    rows: Sequence[Row]

    def __getitem__(self, number: int) -> Patch:
        return patch_from_row(self.rows[number])


def _with_decoding(training_set: TrainingSet, data: Sequence[Path]) -> TrainingSet:
    """A training set whose patches are decoded at each access."""
    stored = (row for path in data for row in Dataset.open(path).image_rows())
    rows = [row for row in stored if row["split"] == "train"]
    cached = {field.name: getattr(training_set.patches, field.name) for field in fields(PatchCache)}
    return replace(training_set, patches=_DecodedPatches(**cached, rows=rows))
