"""A training run: from a recipe, datasets and an output folder to a trained model."""

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
from unigeoseg.train.loop import run_training_loop
from unigeoseg.train.objective.validation import Validation
from unigeoseg.train.overrides import config_values, flat_settings
from unigeoseg.train.pretrained_init import nano_from_pretrained
from unigeoseg.train.scale.launcher import ProcessLauncher
from unigeoseg.train.signals import stop_on_signals
from unigeoseg.train.state import STATE
from unigeoseg.train.trainer import Trainer


def run_training(
    config: TrainConfig,
    data: Sequence[Path],
    output: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> None:
    """Train by a recipe on the train split of datasets.

    The output folder gets `model`, a model directory; `best`, the one that scored best on val
    groups; `state.pt`, to resume from; `metrics.csv` and `events`; and `cache`, the decoded
    patches, which may be deleted.

    Args:
        config: The recipe.
        data: Directories that `unigeoseg data build` made.
        output: Folder of the run.
        start: Model directory to start from, whose configuration of the network replaces the
            recipe's; without it Nano starts from its pretrained parts.
        resume: Go on from the state in `output`.

    Raises:
        OptionError: If the recipe needs a start and none is named, or validates sharded weights.
        OutputExistsError: If there is a state and it is not to be resumed.
        DataError: If a dataset is not whole, or a task of the recipe is missing from all.
        CheckpointError: If `output` holds a state of another configuration.
        OutputUnwritableError: If the disk has no room.
    """
    _check(config, start)
    training_sets = _open_training_sets(config, data, output, resume=resume)
    network, processor = initial_network(config, start)
    config = replace(config, model=network.config)
    trainer = Trainer(network, processor, config)
    if (output / STATE).exists():
        trainer.resume(output)
    maker = BatchMaker(
        training_sets["train"],
        processor,
        config.batch,
        steps=config.steps,
        seed=config.seed,
        part=trainer.runner.part,
    )
    validation = (
        make_validation(config, training_sets["val"], processor) if "val" in training_sets else None
    )
    run_training_loop(trainer, maker, output, validation)


def run_training_in_processes(
    count: int,
    work: Callable[..., None],
    config: TrainConfig,
    data: Sequence[Path],
    output: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
) -> None:
    """`run_training` in several new processes, each on a part of every batch.

    A recipe for one process becomes one for several (`parallel` "data"). A request to stop is
    passed on to them.

    Args:
        count: Number of processes.
        work: `run_training`, or a function of a module that calls it with the same arguments.
        config: As for `run_training`, and so are the others.
        data: Of `run_training`.
        output: Of `run_training`.
        start: Of `run_training`.
        resume: Of `run_training`.

    Raises:
        OptionError: If the batch cannot be shared by so many, a process died, or as `run_training`.
        MissingExtraError: If `accelerate` is not installed.
        UniGeoSegError: As `run_training`.
    """
    if config.parallel == "none":
        config = replace(config, parallel="data")
    _check(config, start)
    # decoded patches are written once, and damage is found, before there is a process to stop
    _open_training_sets(config, data, output, resume=resume)
    call = partial(work, start=start, resume=resume)
    with (
        stop_on_signals() as stop_request,
        closing(ProcessLauncher(count, call, config, data, output)) as launcher,
    ):
        stopping = False
        while not launcher.poll(_POLL_SECONDS):
            if stop_request.is_set and not stopping:
                launcher.stop()
                stopping = True


_POLL_SECONDS = 0.5


def _check(config: TrainConfig, start: Path | None) -> None:
    """Refuse, before anything is loaded, what would fail late or wait for ever."""
    if config.parallel == "fsdp" and config.validation_batches:
        raise OptionError(
            f"parallel is 'fsdp' and validation_batches {config.validation_batches}: validation "
            "runs in the main process, which does not hold all weights; set validation_batches to 0"
        )
    if start is None and isinstance(config.model.language, CausalLanguageConfig):
        raise OptionError(
            f"the recipe trains {config.model.name}, for which there are no pretrained parts to "
            "begin with; name a model with --start: `base`, once `unigeoseg pull base` was run, or "
            "a directory with what `train.pretrained_init.base_from_language` gives"
        )


def check_start(start: Path, model: ModelConfig, usual: ModelConfig) -> None:
    """Check that a start has the network settings that a user changed, since its own are used.

    Args:
        start: Model directory to start from.
        model: Configuration of the network with the user's changes.
        usual: The recipe's own, which the start may differ from.

    Raises:
        OptionError: If the start has another value of a setting that was changed.
        DataError: If its configuration cannot be read.
    """
    usual_values = flat_settings(config_values(usual))
    changes = {
        name: value
        for name, value in flat_settings(config_values(model)).items()
        if value != usual_values.get(name)
    }
    if not changes:
        return
    start_values = flat_settings(read_json(start / checkpoint.CONFIG))
    for name, value in changes.items():
        if start_values.get(name) != value:
            raise OptionError(
                f"model.{name} is to be {value!r}, but of the model in {start}, which would be "
                f"trained as it is, it is {start_values.get(name)!r}: leave --start out, or ask "
                "for the same, or start from a model that was made so"
            )


def _open_training_sets(
    config: TrainConfig, data: Sequence[Path], output: Path, *, resume: bool
) -> dict[Split, TrainingSet]:
    if (output / STATE).exists() and not resume:
        raise OutputExistsError(
            f"{output} holds the state of a run; go on with --resume or name another folder"
        )
    splits: tuple[Split, ...] = ("train", "val") if config.validation_batches else ("train",)
    return TrainingSet.of_splits(data, splits, output / "cache")


def initial_network(config: TrainConfig, start: Path | None) -> tuple[UniGeoSegNetwork, Processor]:
    """The network that a run starts from: a model directory, or else Nano's pretrained parts.

    Raises:
        CheckpointError: If it is not there, or damaged.
    """
    torch.manual_seed(config.seed)
    if start is None:
        return nano_from_pretrained(config.model)
    network, processor = checkpoint.load_model(start, dtype=torch.float32)
    # calibration was fitted to the weights of the start, which are going to change
    network.config = replace(network.config, confidence=ConfidenceConfig())
    return network, processor


def make_validation(
    config: TrainConfig, training_set: TrainingSet, processor: Processor
) -> Validation:
    """A validation on batches of val groups, drawn as those of training but with even tasks.

    The batches do not depend on the recipe's seed.

    Args:
        config: The recipe.
        training_set: Of the val split.
        processor: Of the network.
    """
    tasks = [task for task, (names, _) in families_by_task(config.batch.families).items() if names]
    shares = {task: (task in tasks) / len(tasks) for task in Task}
    batch = replace(config.batch, mix=constant(shares), pasted=0.0)
    count = config.validation_batches
    return Validation(BatchMaker(training_set, processor, batch, steps=count, seed=0), count)
