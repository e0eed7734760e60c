"""How fast a training is: steps of the recipe `nano` beside steps of a plain loop, by turns.

The recipe's are taken in one process, and in several as `unigeoseg train --processes` takes them.

The plain loop is what one writes first, with the same network and loss and views and prompts of the
same kinds: it decodes an image for each view, asks one prompt about it, makes a batch before
each step, and trains everything in PyTorch's default memory layout. It does not average weights.
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
from unigeoseg.report.document import Table, table_markdown
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

OURS, PLAIN = "recipe nano", "plain loop"

Start = Callable[[], tuple[UniGeoSegNetwork, Processor]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it was timed, in seconds.

    Attributes:
        making: Making one batch.
        learning: Forward, backward and the optimiser's step.
        whole: From one step to the next.
        images: Views that were encoded, in all processes.
        prompts: Prompts that were learnt from, in all processes.
    """

    making: float
    learning: float
    whole: float
    images: int
    prompts: int


def compare(
    recipe: TrainConfig,
    data: Sequence[Path],
    cache: Path,
    start: Start,
    *,
    steps: int,
    processes: int = 1,
    progress: Callable[[int, int], None],
) -> dict[str, list[Step]]:
    """Time all kinds of step by turns, after one of each that does not count.

    The encoded images of the train split are held in memory, so that the plain loop does not pay
    for Parquet.

    Args:
        recipe: `RECIPE`, or a smaller one.
        data: Directories that `unigeoseg data build` made.
        cache: Folder for decoded patches.
        start: Gives a new network and its processor; can be pickled if there are processes.
        steps: Steps of each kind.
        processes: Time the recipe in so many processes, too, if they are more than one.
        progress: Takes how many steps are done, and of how many.

    Raises:
        DataError: If a dataset is not whole, or lacks a task.
        OutputUnwritableError: If the disk has no room.
        OptionError: If a process died.
    """
    training_set = TrainingSet.of(data, "train", cache)
    timed = {
        PLAIN: _plain(recipe, _decoding(training_set, data), start, steps + 1),
        OURS: _ours(recipe, training_set, start, steps + 1),
    }
    with ExitStack() as stack:
        if processes > 1:
            several = replace(recipe, parallel="data")
            begin = partial(_opened, several, data, cache, start, steps + 1)
            launcher = _Timed(processes, begin, steps + 1)
            stack.enter_context(closing(launcher))
            timed[f"{OURS}, {processes} processes"] = launcher.step
        found: dict[str, list[Step]] = {name: [] for name in timed}
        for step in range(steps + 1):
            for name, time_step in timed.items():
                found[name].append(time_step(step))
            progress(step + 1, steps + 1)
    return {name: each[1:] for name, each in found.items()}


def table(found: Mapping[str, Sequence[Step]]) -> str:
    """Medians as Markdown, those of the recipe with how many times the plain loop's they are."""
    rows: dict[str, Callable[[Step], float]] = {
        "prompts per second": lambda step: step.prompts / step.whole,
        "images per second": lambda step: step.images / step.whole,
        "seconds of making a batch": lambda step: step.making,
        "seconds of learning from it": lambda step: step.learning,
        "seconds of a whole step": lambda step: step.whole,
        "prompts of a step": lambda step: step.prompts,
    }
    lines = []
    for name, value in rows.items():
        plain, *others = (statistics.median(map(value, found[kind])) for kind in found)
        said = (f"{other:.3g} ({other / plain:.2f})" for other in others)
        lines.append((name, f"{plain:.3g}", *said))
    note = (
        f"Medians of {len(found[OURS])} steps of each, by turns; {torch.get_num_threads()} "
        "threads. In brackets the ratio to the plain loop."
    )
    return table_markdown(Table(("", *found), lines, note))


def _ours(
    recipe: TrainConfig, training_set: TrainingSet, start: Start, steps: int
) -> Callable[[int], Step]:
    """Steps as `train.loop.train` takes them, the batch of the next one being made meanwhile."""
    network, processor = start()
    trainer = Trainer(network, processor, replace(recipe, model=network.config, steps=steps))
    # a step here has two batches: one is there, one is made meanwhile
    part = trainer.runner.part
    maker = BatchMaker(training_set, processor, recipe.batch, steps=2 * steps, seed=0, part=part)
    seconds: dict[int, float] = {}

    def make(number: int) -> Batch:
        began = time.perf_counter()
        batch = maker.batch(number)
        seconds[number] = time.perf_counter() - began
        return batch

    def step(number: int) -> Step:
        with closing(prefetch_batches(make, 2 * number, 2 * number + 2)) as batches:
            batch = next(batches)
            began = time.perf_counter()
            trainer.train_step(batch)
            learnt = time.perf_counter()
            next(batches)
            ended = time.perf_counter()
        return _step(
            batch, seconds[2 * number + 1], learnt - began, ended - began, maker.part_count
        )

    return step


class _Timed:
    """The recipe in several processes, which wait between the steps that are asked for."""

    def __init__(self, count: int, begin: Callable[[], Callable[[int], Step]], steps: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._count = count
        self._asked, self._done = context.Semaphore(0), context.SimpleQueue()
        self._launcher = ProcessLauncher(count, _timed_steps, begin, steps, self._asked, self._done)

    def step(self, number: int) -> Step:
        """Time the next step."""
        del number  # each process counts its own
        for _ in range(self._count):
            self._asked.release()
        while self._done.empty():
            self._launcher.poll(0.01)
        done: Step = self._done.get()
        return done

    def close(self) -> None:
        """End the processes."""
        self._launcher.close()


def _timed_steps(
    begin: Callable[[], Callable[[int], Step]],
    steps: int,
    asked: Semaphore,
    done: "SimpleQueue[Step]",
) -> None:
    """One process of `_Timed`."""
    time_step = begin()
    for number in range(steps):
        # nobody takes two at a time: a step ends in all processes or in none
        asked.acquire()
        timed = time_step(number)
        if os.environ["RANK"] == "0":
            done.put(timed)


def _opened(
    recipe: TrainConfig, data: Sequence[Path], cache: Path, start: Start, steps: int
) -> Callable[[int], Step]:
    return _ours(recipe, TrainingSet.of(data, "train", cache), start, steps)


def _plain(
    recipe: TrainConfig, training_set: TrainingSet, start: Start, steps: int
) -> Callable[[int], Step]:
    """Steps of a plain loop, one prompt on each view."""
    network, processor = start()
    network.train().requires_grad_(True).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    loss_module = LossModule(network, recipe.loss, half=recipe.half)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    config = replace(recipe.batch, prompts=1)
    maker = BatchMaker(training_set, processor, config, steps=steps, seed=0)

    def step(number: int) -> Step:
        began = time.perf_counter()
        batch = maker.batch(number)
        batch = replace(batch, pixel_values=batch.pixel_values.contiguous())
        made = time.perf_counter()
        optimizer.zero_grad()
        LossParts(loss_module(batch)).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        ended = time.perf_counter()
        return _step(batch, made - began, ended - made, ended - began)

    return step


def _step(batch: Batch, making: float, learning: float, whole: float, processes: int = 1) -> Step:
    images, prompts = len(batch.pixel_values), len(batch.families)
    return Step(making, learning, whole, images * processes, prompts * processes)


@dataclass(frozen=True, slots=True, eq=False)
class _Decoding(PatchCache):
    """Patches that are decoded each time that they are asked for.

    Attributes:
        rows: Each image as it is stored.
    """

    rows: Sequence[Row]

    def __getitem__(self, number: int) -> Patch:
        return patch_from_row(self.rows[number])


def _decoding(training_set: TrainingSet, data: Sequence[Path]) -> TrainingSet:
    """The same training_set on patches that are decoded each time."""
    stored = (row for path in data for row in Dataset.open(path).image_rows())
    rows = [row for row in stored if row["split"] == "train"]
    known = {each.name: getattr(training_set.patches, each.name) for each in fields(PatchCache)}
    return replace(training_set, patches=_Decoding(**known, rows=rows))
