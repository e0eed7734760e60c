"""The paper's ablations at Nano's scale: rows trained shortly with several seeds, and scored.

Runs of one seed see the same views and prompts in the same order, and start with the same weights
in what they have in common, so rows are compared seed by seed. A row that changes the mix of tasks
("even") sees the same views with other prompts, by its nature.
"""

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, OptionError
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.prompt import Task
from unigeoseg.runtime.atomic import exclusive_directory, read_json, write_bytes, write_json
from unigeoseg.runtime.workers import map_in_processes
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.patch_cache import datasets_key
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.loop import Trainer, prefetch_batches
from unigeoseg.train.overrides import config_values, current_names
from unigeoseg.train.pretrained_init import nano_from_pretrained
from unigeoseg.train.run import validation
from unigeoseg.train.study.ablations import ABLATIONS

BASELINE = "full"
ROWS = (BASELINE, *"no-tate no-lkm neither all-referring all-reasoning even no-maps".split())
"""What is compared if nothing else is said."""

RESULTS, MADE_OF = "results.csv", "study.json"
_COLUMNS = ("row", "seed", "task", "gIoU", "seconds")

Start = Callable[[ModelConfig], tuple[UniGeoSegNetwork, Processor]]
"""What a run starts from; a function that other processes can find by its name."""


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """One short training: a row of `ABLATIONS`, and a seed."""

    row: str
    seed: int


@dataclass(frozen=True, slots=True)
class Score:
    """What a run reached.

    Attributes:
        run: The run.
        task: On prompts of this task, on views of val groups.
        giou: Mean IoU, from 0 to 1.
        seconds: What training and scoring took, to a tenth.
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
        output: Holds `results.csv`, `study.json` (what they were made of) and `cache`.
        start: What each run starts from.
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
        """Do the runs that are not in `results.csv` yet, all rows of a seed before the next seed.

        Args:
            rows: Names in `ABLATIONS`.
            seeds: How many; they are 0, 1, ...
            workers: Runs at a time; more than one are processes. What a run reaches does not
                depend on it, since each computes in one thread.

        Yields:
            All scores so far and the number of runs that are left, once at the beginning and
            after each run.

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
            self._claim()
            scores = read_results(self.output / RESULTS)
            done = {score.run for score in scores}
            wanted = (Run(row, seed) for seed in range(seeds) for row in dict.fromkeys(rows))
            left = [run for run in wanted if run not in done]
            yield scores, len(left)
            for count, found in enumerate(self._measured(left, workers), start=1):
                scores = [*scores, *found]
                write_results(self.output / RESULTS, scores)
                yield scores, len(left) - count

    def _claim(self) -> None:
        """Say what the results are made of, or check that it is the same."""
        place = self.output / MADE_OF
        data = datasets_key([Dataset.open(path) for path in self.data])
        said = {"data": data, "recipe": config_values(self.recipe)}
        if not place.exists():
            write_json(place, said)
            return
        before = dict(read_json(place))
        before["recipe"] = current_names(before.get("recipe") or {})
        other = [part for part in said if before.get(part) != said[part]]
        if other:
            raise DataError(
                f"{place} was written with other {' and '.join(other)}; name a new folder, or give "
                "what was given then"
            )

    def _measured(self, runs: Sequence[Run], workers: int) -> Iterator[list[Score]]:
        if not runs:
            return iter(())
        # patches are decoded here once, and only opened by the runs
        TrainingSet.of_splits(self.data, ("train", "val"), self.cache)
        work = partial(measure, self)
        return map_in_processes(work, runs, workers) if workers > 1 else map(work, runs)


def measure(study: Study, run: Run) -> list[Score]:
    """Train a row with a seed, and score its averaged weights on val views; nothing is kept.

    The val views and prompts are the same for all runs, a third of the prompts of each task.
    """
    began = time.perf_counter()
    config = replace(ABLATIONS[run.row].change(study.recipe), seed=run.seed)
    training_set = TrainingSet.of_splits(study.data, ("train", "val"), study.cache)
    with _one_thread():
        network, processor = _beginning(study, config)
        trainer = Trainer(network, processor, config)
        maker = BatchMaker(
            training_set["train"], processor, config.batch, steps=config.steps, seed=config.seed
        )
        for batch in prefetch_batches(maker.batch, 0, config.steps):
            trainer.train_step(batch)
        found = validation(config, training_set["val"], processor)(trainer.average)
    seconds = round(time.perf_counter() - began, 1)
    return [Score(run, task, found[task], seconds) for task in Task]


def _beginning(study: Study, config: TrainConfig) -> tuple[UniGeoSegNetwork, Processor]:
    """A row's network; parts that the full one has too start as they do there.

    Random weights are drawn one part after the other, so a part less would change all that follow.
    """
    torch.manual_seed(config.seed)
    full, _ = study.start(study.recipe.model)
    torch.manual_seed(config.seed)
    network, processor = study.start(config.model)
    common, weights = full.state_dict(), network.state_dict()
    shared = {
        name: common[name]
        for name, weight in weights.items()
        if name in common and common[name].shape == weight.shape
    }
    network.load_state_dict(weights | shared)
    return network, processor


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: sums then keep one order, and runs side by side do not wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(recipe: TrainConfig, rows: Sequence[str], seeds: int, workers: int) -> None:
    unknown = [row for row in rows if row not in ABLATIONS]
    if unknown:
        raise OptionError(f"there is no row {unknown[0]!r}; choose of {', '.join(ABLATIONS)}")
    if min(seeds, workers) < 1:
        raise OptionError(f"seeds and workers must be >= 1, got {seeds} and {workers}")
    if recipe.validation_batches < 1:
        raise OptionError("validation_batches is 0, so nothing would be scored; set 1 or more")


def read_results(path: Path) -> list[Score]:
    """Scores that were written; none if there is no file.

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
    """Write scores, whole or not at all.

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
