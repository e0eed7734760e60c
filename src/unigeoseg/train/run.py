"""A recipe, datasets and an output folder: one training."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from unigeoseg.errors import OptionError, OutputExistsError
from unigeoseg.model.config import CausalLanguageConfig, ConfidenceConfig, ModelConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.prompt import Task
from unigeoseg.runtime.atomic import read_json
from unigeoseg.sample import Split
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch_maker import BatchMaker, families_by_task
from unigeoseg.train.input.task_schedule import constant
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.loop import STATE, Trainer, train
from unigeoseg.train.objective.validation import Validation
from unigeoseg.train.overrides import config_values, flat_settings
from unigeoseg.train.pretrained_init import nano_from_pretrained
from unigeoseg.train.scale.launcher import ProcessLauncher
from unigeoseg.train.signals import stopping


def run(
    config: TrainConfig,
    data: Sequence[Path],
    output: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> None:
    """Train `config` on the train split of datasets.

    Leaves `output/model`, a model directory, `output/best`, the one that did best on val groups,
    `output/state.pt`, to resume from, `output/metrics.csv` and `output/events`, and
    `output/cache`, the decoded patches, which may be deleted.

    Args:
        config: The recipe.
        data: Directories that `unigeoseg data build` made.
        output: Folder of the run.
        start: Model directory to start from, whose configuration of the network counts; without
            it Nano starts from its pretrained parts.
        resume: Go on from the state in `output`.

    Raises:
        OptionError: If the recipe needs a start and none is named, or validates what no process
            holds whole.
        OutputExistsError: If there is a state and it is not to be resumed.
        DataError: If a dataset is not whole, or a task of the recipe is missing from all.
        CheckpointError: If `output` holds a state of another configuration.
        OutputUnwritableError: If the disk has no room.
    """
    _check(config, start)
    training_set = _training_sets(config, data, output, resume=resume)
    network, processor = beginning(config, start)
    config = replace(config, model=network.config)
    trainer = Trainer(network, processor, config)
    if (output / STATE).exists():
        trainer.resume(output)
    maker = BatchMaker(
        training_set["train"],
        processor,
        config.batch,
        steps=config.steps,
        seed=config.seed,
        part=trainer.runner.part,
    )
    watch = validation(config, training_set["val"], processor) if "val" in training_set else None
    train(trainer, maker, output, watch)


def run_in_processes(
    count: int,
    work: Callable[..., None],
    config: TrainConfig,
    data: Sequence[Path],
    output: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> None:
    """`run` in several new processes, each on a part of every batch; see `ProcessLauncher`.

    A recipe for one process becomes one for several (`parallel` "data"). A wish to stop is passed
    on to them.

    Args:
        count: How many processes.
        work: `run`, or a function of a module that calls it with the same arguments.
        config: As for `run`, and so are the others.
        data: Of `run`.
        output: Of `run`.
        start: Of `run`.
        resume: Of `run`.

    Raises:
        OptionError: If the batch cannot be shared by so many, a process died, or as `run`.
        MissingExtraError: If `accelerate` is not installed.
        UniGeoSegError: As `run`.
    """
    if config.parallel == "none":
        config = replace(config, parallel="data")
    _check(config, start)
    # decoded patches are written once, and damage is found, before there is a process to stop
    _training_sets(config, data, output, resume=resume)
    asked = partial(work, start=start, resume=resume)
    with (
        stopping() as stop,
        closing(ProcessLauncher(count, asked, config, data, output)) as launcher,
    ):
        told = False
        while not launcher.poll(_LOOK_SECONDS):
            if stop.asked and not told:
                launcher.stop()
                told = True


_LOOK_SECONDS = 0.5


def _check(config: TrainConfig, start: Path | None) -> None:
    """Refuse, before anything is loaded, what would fail after much work, or wait for ever."""
    if config.parallel == "fsdp" and config.validation_batches:
        raise OptionError(
            f"parallel is 'fsdp' and validation_batches {config.validation_batches}: validation "
            "runs in the main process, which does not hold all weights; set validation_batches to 0"
        )
    if start is None and isinstance(config.model.language, CausalLanguageConfig):
        raise OptionError(
            f"the recipe trains {config.model.name}, for which there are no pretrained parts to "
            "begin with; name a model with --start: `base`, once `unigeoseg pull base` was run, or "
            "a directory with what `train.initial.base_from_language` gives"
        )


def check_start(start: Path, model: ModelConfig, usual: ModelConfig) -> None:
    """Check that a start has what was changed in a recipe's network, since the start's counts.

    Args:
        start: Model directory to start from.
        model: The network that was asked for.
        usual: The one of the recipe, which the start may differ from.

    Raises:
        OptionError: If the start has another value of a setting that was changed.
        DataError: If its configuration cannot be read.
    """
    usually, wanted = flat_settings(config_values(usual)), flat_settings(config_values(model))
    asked = {name: value for name, value in wanted.items() if value != usually.get(name)}
    if not asked:
        return
    there = flat_settings(read_json(start / checkpoint.CONFIG))
    for name, value in asked.items():
        if there.get(name) != value:
            raise OptionError(
                f"model.{name} is to be {value!r}, but of the model in {start}, which would be "
                f"trained as it is, it is {there.get(name)!r}: leave --start out, or ask for the "
                "same, or start from a model that was made so"
            )


def _training_sets(
    config: TrainConfig, data: Sequence[Path], output: Path, *, resume: bool
) -> dict[Split, TrainingSet]:
    if (output / STATE).exists() and not resume:
        raise OutputExistsError(
            f"{output} holds the state of a run; go on with --resume or name another folder"
        )
    splits: tuple[Split, ...] = ("train", "val") if config.validation_batches else ("train",)
    return TrainingSet.of_splits(data, splits, output / "cache")


def beginning(config: TrainConfig, start: Path | None) -> tuple[UniGeoSegNetwork, Processor]:
    """What a run starts from: a model directory, or else Nano's pretrained parts.

    Raises:
        CheckpointError: If it is not there, or damaged.
    """
    torch.manual_seed(config.seed)
    if start is None:
        return nano_from_pretrained(config.model)
    network, processor = checkpoint.load_model(start, dtype=torch.float32)
    # what was fitted to the weights of the start does not hold for those that it becomes
    network.config = replace(network.config, confidence=ConfidenceConfig())
    return network, processor


def validation(config: TrainConfig, training_set: TrainingSet, processor: Processor) -> Validation:
    """Batches of the val groups, drawn as those of training but each task as often.

    They do not depend on the recipe's seed.

    Args:
        config: The recipe.
        training_set: Of the val split.
        processor: Of the network.
    """
    tasks = [task for task, (names, _) in families_by_task(config.batch.families).items() if names]
    even = {task: (task in tasks) / len(tasks) for task in Task}
    batch = replace(config.batch, mix=constant(even), pasted=0.0)
    count = config.validation_batches
    return Validation(BatchMaker(training_set, processor, batch, steps=count, seed=0), count)
