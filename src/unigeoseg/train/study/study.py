"""An ablation study at Nano's scale: short trainings of each row with several seeds, and scores.

Runs of one seed see the same views and prompts in the same order, and start with the same weights
in the parts that they have in common, so rows are compared seed by seed. A row that changes the mix
of tasks ("even") sees the same views with other prompts, by its nature.
"""

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.prompt import Task
from unigeoseg.runtime.atomic import exclusive_directory, write_bytes
from unigeoseg.runtime.records import record_from_json, record_json
from unigeoseg.runtime.workers import map_in_processes
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.patch_cache import datasets_key
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.loop import prefetch_batches
from unigeoseg.train.overrides import config_values, current_names
from unigeoseg.train.pretrained_init import nano_from_pretrained
from unigeoseg.train.run import make_validation
from unigeoseg.train.study.ablations import ABLATIONS
from unigeoseg.train.trainer import Trainer

BASELINE = "full"
ROWS = (BASELINE, *"no-tate no-lkm neither all-referring all-reasoning even no-maps".split())
"""Rows that are compared by default."""

RESULTS, INPUTS = "results.csv", "study.json"
_COLUMNS = ("row", "seed", "task", "gIoU", "seconds")

Start = Callable[[ModelConfig], tuple[UniGeoSegNetwork, Processor]]
"""Gives the network and processor that a run starts from; can be pickled."""


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """One short training: a row of `ABLATIONS`, and a seed."""

    row: str
    seed: int


@dataclass(frozen=True, slots=True)
class StudyInputs:
    """What the results of a study were made from.

    Attributes:
        data: Key of the datasets.
        recipe: Configuration of the row that the others are compared with, as plain values.
    """

    data: str
    recipe: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a run on one task.

    Attributes:
        run: The run.
        task: Task of the prompts.
        giou: Mean IoU on views of val groups, from 0 to 1.
        seconds: Time of training and scoring, to a tenth.
    """

    run: Run
    task: Task
    giou: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Study:
    """Runs that can be compared, and their folder.

    Attributes:
        recipe: Of the row that the others are compared with.
        data: Directories that `unigeoseg data build` made.
        output: Holds `results.csv`, `study.json` (a `StudyInputs`) and `cache`.
        start: Gives the network and processor that each run starts from.
    """

    recipe: TrainConfig
    data: tuple[Path, ...]
    output: Path
    start: Start = nano_from_pretrained

    @property
    def cache(self) -> Path:
        """Folder of the decoded patches."""
        return self.output / "cache"

    def run(
        self, rows: Sequence[str], *, seeds: int, workers: int
    ) -> Iterator[tuple[list[Score], int]]:
        """Train and score the runs that are not in `results.csv` yet, seed by seed.

        Args:
            rows: Names in `ABLATIONS`.
            seeds: Number of seeds, which are 0, 1, ...
            workers: Runs at a time, each in a process of its own if more than one. Scores do not
                depend on it, since each run computes in one thread.

        Yields:
            All scores so far and the number of remaining runs, at the beginning and after each
            run.

        Raises:
            OptionError: If a row is unknown, a number is below 1, the recipe is without
                validation, another process is at work in the folder, or a worker died.
            DataError: If a dataset is not whole, lacks a split or a task of the recipe, or the
                folder holds results of another recipe or other data.
            CheckpointError: If what a run starts from is not there, or a loss is not finite.
            OutputUnwritableError: If the disk has no room.
        """
        _check(self.recipe, rows, seeds, workers)
        with exclusive_directory(self.output):
            self._check_inputs()
            scores = read_results(self.output / RESULTS)
            finished = {score.run for score in scores}
            runs = (Run(row, seed) for seed in range(seeds) for row in dict.fromkeys(rows))
            remaining = [run for run in runs if run not in finished]
            yield scores, len(remaining)
            for count, new_scores in enumerate(self._scored(remaining, workers), start=1):
                scores = [*scores, *new_scores]
                write_results(self.output / RESULTS, scores)
                yield scores, len(remaining) - count

    def _check_inputs(self) -> None:
        """Write what the results are made from, or check that earlier ones were made from it."""
        path = self.output / INPUTS
        key = datasets_key([Dataset.open(directory) for directory in self.data])
        inputs = StudyInputs(key, config_values(self.recipe))
        if not path.exists():
            write_bytes(path, record_json(inputs, indent=1).encode())
            return
        earlier = record_from_json(StudyInputs, _read_bytes(path), str(path))
        earlier = replace(earlier, recipe=current_names(earlier.recipe))
        names = (field.name for field in fields(StudyInputs))
        different = [name for name in names if getattr(earlier, name) != getattr(inputs, name)]
        if different:
            raise DataError(
                f"{path} was written with other {' and '.join(different)}; name a new folder, or "
                "give what was given then"
            )

    def _scored(self, runs: Sequence[Run], workers: int) -> Iterator[list[Score]]:
        if not runs:
            return iter(())
        # patches are decoded here once, and only opened by the runs
        TrainingSet.of_splits(self.data, ("train", "val"), self.cache)
        work = partial(score_run, self)
        return map_in_processes(work, runs, workers) if workers > 1 else map(work, runs)


def score_run(study: Study, run: Run) -> list[Score]:
    """Train a row with a seed, and score its averaged weights on val views; none are saved.

    The val views and prompts are the same for all runs, a third of the prompts of each task.
    """
    start = time.perf_counter()
    config = replace(ABLATIONS[run.row].change(study.recipe), seed=run.seed)
    training_sets = TrainingSet.of_splits(study.data, ("train", "val"), study.cache)
    with _one_thread():
        network, processor = _initial_network(study, config)
        trainer = Trainer(network, processor, config)
        maker = BatchMaker(
            training_sets["train"], processor, config.batch, steps=config.steps, seed=config.seed
        )
        for batch in prefetch_batches(maker.batch, 0, config.steps):
            trainer.train_step(batch)
        scores = make_validation(config, training_sets["val"], processor)(trainer.average)
    seconds = round(time.perf_counter() - start, 1)
    return [Score(run, task, scores[task], seconds) for task in Task]


def _initial_network(study: Study, config: TrainConfig) -> tuple[UniGeoSegNetwork, Processor]:
    """The initial network of a row; it shares the weights of common parts with the full one.

    Random weights are drawn one part after another, so leaving out a part would change all others.
    """
    torch.manual_seed(config.seed)
    full, _ = study.start(study.recipe.model)
    torch.manual_seed(config.seed)
    network, processor = study.start(config.model)
    full_weights, weights = full.state_dict(), network.state_dict()
    shared = {
        name: full_weights[name]
        for name, weight in weights.items()
        if name in full_weights and full_weights[name].shape == weight.shape
    }
    network.load_state_dict(weights | shared)
    return network, processor


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: sums have one order then, and runs side by side do not wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check(recipe: TrainConfig, rows: Sequence[str], seeds: int, workers: int) -> None:
    unknown = [row for row in rows if row not in ABLATIONS]
    if unknown:
        raise OptionError(f"there is no row {unknown[0]!r}; choose of {', '.join(ABLATIONS)}")
    if min(seeds, workers) < 1:
        raise OptionError(f"seeds and workers must be >= 1, got {seeds} and {workers}")
    if recipe.validation_batches < 1:
        raise OptionError("validation_batches is 0, so nothing would be scored; set 1 or more")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_results(path: Path) -> list[Score]:
    """Scores of a study; none if there is no file.

    Raises:
        DataError: If it cannot be read.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                Score(
                    Run(line["row"], int(line["seed"])),
                    Task(line["task"]),
                    float(line["gIoU"]),
                    float(line["seconds"]),
                )
                for line in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the results of a study: {error}; delete it") from error


def write_results(path: Path, scores: Sequence[Score]) -> None:
    """Write the scores of a study as CSV, whole or not at all.

    Raises:
        OutputUnwritableError: If the file cannot be written.
    """
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for score in scores:
        run = score.run
        lines.writerow((run.row, run.seed, score.task, score.giou, score.seconds))
    write_bytes(path, text.getvalue().encode())
