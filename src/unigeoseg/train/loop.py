"""The training loop: one batch ahead, checkpoints that resume exactly."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch

from unigeoseg.errors import CheckpointError, OptionError
from unigeoseg.model.io import checkpoint
from unigeoseg.model.loss import LossParts
from unigeoseg.model.network import UniGeoSegNetwork, channels_last
from unigeoseg.model.processor import Processor
from unigeoseg.runtime.atomic import atomic_file
from unigeoseg.runtime.prefetch import prefetch
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import Batch
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.metrics_log import PROMPTS, Record
from unigeoseg.train.objective.losses import LossModule
from unigeoseg.train.objective.validation import Validation
from unigeoseg.train.overrides import config_values, current_names, flat_settings
from unigeoseg.train.scale.activation_checkpoint import checkpoint_activations
from unigeoseg.train.scale.distributed import runner_of
from unigeoseg.train.scale.lora import add_adapters, merged
from unigeoseg.train.signals import stopping

log = logging.getLogger(__name__)

STATE = "state.pt"
"""What a run goes on from, in its folder."""


class Trainer:
    """A network in training: optimiser, moving average, step."""

    def __init__(
        self, network: UniGeoSegNetwork, processor: Processor, config: TrainConfig
    ) -> None:
        """Prepare `network` for training as `config` says; in place.

        Raises:
            OptionError: If a part that is to be frozen does not exist, the network cannot have
                adapters, or the machine cannot run what is asked for.
            MissingExtraError: If a package that the recipe needs is not installed.
        """
        torch.manual_seed(config.seed)
        if config.adapters:
            add_adapters(network, config.adapters)
        _freeze(network.train(), config.frozen)
        if config.activation_checkpointing:
            checkpoint_activations(network)
        self.processor, self.config = processor, config
        self.runner = runner_of(network, config)
        self.network = channels_last(network.to(self.runner.device))
        self.average = deepcopy(network).requires_grad_(False) if config.average else network
        loss_module = LossModule(network, config.loss, half=config.half)
        optimizer = torch.optim.AdamW(_groups(network, config), fused=True)
        self.loss_module, self.optimizer = self.runner.prepare(loss_module, optimizer)
        self.step = 0
        self.best = 0.0  # score of the best weights so far

    def train_step(self, batch: Batch) -> LossParts:
        """Take one optimiser step; gives the loss, the mean over processes.

        Raises:
            CheckpointError: If the loss is not finite.
        """
        rate = rate_at(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * rate
        loss = LossParts(self.loss_module(batch.to(self.runner.device)))
        # of all processes, so that they stop together
        said = LossParts(self.runner.mean(loss.parts))
        if not torch.isfinite(said.total):
            raise CheckpointError(f"the loss is {said.total.item()} at step {self.step}: lower lr")
        self.optimizer.zero_grad()
        self.runner.backward(loss.total)
        self.runner.clip(self.loss_module, self.config.clip)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return said

    def _update_average(self) -> None:
        if self.average is self.network:
            return
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        averaged: list[torch.Tensor] = []
        current: list[torch.Tensor] = []
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            if fast.requires_grad:
                averaged.append(slow)
                current.append(fast.detach())
        torch._foreach_lerp_(averaged, current, 1 - keep)

    def save(self, directory: Path) -> None:
        """Write the state to resume from, and the weights as a plain model directory.

        The weights are the averaged ones if the recipe averages, with the adapters merged in.

        Raises:
            OutputUnwritableError: If the disk does not take them; the state before is still there.
        """
        directory.mkdir(parents=True, exist_ok=True)
        parts = directory / f"parts-{self.step}"
        state = self.runner.keep(parts, self.loss_module, self.optimizer) | {
            "step": self.step,
            "best": self.best,
            "processes": self.runner.part[1],
            "configuration": config_values(self.config),
        }
        averaged = self.average is not self.network
        if averaged:
            state["average"] = self.average.state_dict()
        kept = self.average if averaged else self.runner.whole(self.network, self.loss_module)
        if not self.runner.main:
            return
        # the state comes last: a run that is ended in between makes these weights again
        checkpoint.save_model(directory / "model", merged(kept), self.processor)
        with atomic_file(
            directory / STATE,
            errors=(OSError, RuntimeError),
            remedy="the state before is still there",
            sole_writer=True,
        ) as temporary:
            torch.save(state, temporary)
        for earlier in directory.glob("parts-*"):
            if earlier != parts:
                shutil.rmtree(earlier)

    def resume(self, directory: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: If the state is damaged, of another number of processes, or belongs to
                another configuration; what says only how long or how often may differ.
        """
        state = _state(directory / STATE)
        wrote, here = state.get("processes", 1), self.runner.part[1]
        if wrote != here:
            raise CheckpointError(
                f"{directory / STATE} was written by a run of {wrote} processes, expected {here}: "
                f"go on with --processes {wrote}"
            )
        _check_same(directory, state.get("configuration"), self.config)
        try:
            self.runner.restore(directory, state, self.loss_module, self.optimizer)
            if self.average is not self.network:
                self.average.load_state_dict(state["average"])
            self.step, self.best = state["step"], state.get("best", 0.0)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{directory / STATE} belongs to another configuration: {error}"
            ) from error


_MAY_DIFFER = {"steps", "save_every", "validate_every", "validation_batches"}
"""Settings that say only how long or how often."""


def _check_same(directory: Path, before: Mapping[str, Any] | None, config: TrainConfig) -> None:
    """Refuse to go on with another configuration: the state would bring back parts of the old."""
    if before is None:
        log.warning("%s does not say its configuration, so none is compared", directory / STATE)
        return
    then, now = flat_settings(current_names(before)), flat_settings(config_values(config))
    for name in {**then, **now}:
        was, here = (values.get(name, _ABSENT) for values in (then, now))
        if was != here and name not in _MAY_DIFFER:
            raise CheckpointError(
                f"{directory / STATE} belongs to another configuration: {name} was {was!r} and is "
                f"{here!r} now; give what was given then, or begin in another folder with --start "
                f"{directory / 'model'}"
            )


_ABSENT = "not there"


def _state(path: Path) -> dict[str, Any]:
    try:
        if not is_zipfile(path):
            raise CheckpointError(f"{path} is damaged: it is no whole archive; {_DAMAGED}")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        said = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is damaged: {said}; {_DAMAGED}") from error
    return state


_DAMAGED = "copy it again, or begin anew in another folder"


def train(
    trainer: Trainer, maker: BatchMaker, directory: Path, validation: Validation | None = None
) -> None:
    """Train to the recipe's last step, saving on the way and at the end.

    A run that is asked to stop (SIGTERM, Ctrl-C) ends after its step, with its state saved. With
    `validation` the best weights so far are in `directory/best`, a model directory.

    Args:
        trainer: What is trained; where it is resumed, the run goes on.
        maker: Makes the batches.
        directory: Folder of the run.
        validation: Scores the weights now and then, in the main process alone.

    Raises:
        CheckpointError: If the loss is not finite.
        OutputUnwritableError: If the state cannot be written.
        MissingExtraError: If TensorBoard is not installed.
    """
    config, runner, meter = trainer.config, trainer.runner, _Meter(maker.part_count)
    with stopping() as stop, _record(trainer, directory) as record:
        for batch in prefetch_batches(maker.batch, trainer.step, config.steps):
            meter.add(trainer.train_step(batch), batch)
            if record and trainer.step % _SAID_EVERY == 0:
                record.add(
                    trainer.step, {PROMPTS: maker.prompts_before[trainer.step]} | meter.values()
                )
            if record and validation and trainer.step % config.validate_every == 0:
                _validate(trainer, validation, record, directory)
            due = trainer.step % config.save_every == 0 or trainer.step == config.steps
            if due:
                trainer.save(directory)
            # a signal reaches processes at different steps; they have to end after the same one
            if runner.any(stop.asked):
                if not due:
                    trainer.save(directory)
                if record:
                    log.info("stopped at step %d; run again to go on", trainer.step)
                return


def _record(trainer: Trainer, directory: Path) -> AbstractContextManager[Record | None]:
    """The run's record in the main process, nothing in others."""
    return Record(directory, trainer.step) if trainer.runner.main else nullcontext()


_SAID_EVERY = 10


class _Meter:
    """Gathers losses and times between two lines of the log, of all processes of a run."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._losses: list[LossParts] = []
        self._views = self._prompts = 0
        self._began = time.perf_counter()

    def add(self, loss: LossParts, batch: Batch) -> None:
        self._losses.append(loss)
        self._views += len(batch.pixel_values) * self._processes
        self._prompts += len(batch.families) * self._processes

    def values(self) -> dict[str, float]:
        """Mean loss and its parts, views and prompts a second since the last time."""
        seconds, count = time.perf_counter() - self._began, len(self._losses)
        names = self._losses[0].parts
        parts = {
            name: sum(loss.parts[name].item() for loss in self._losses) / count for name in names
        }
        said = {"loss": sum(parts.values())} | parts
        said |= {"images_per_s": self._views / seconds, "prompts_per_s": self._prompts / seconds}
        self._losses, self._views, self._prompts = [], 0, 0
        self._began = time.perf_counter()
        return said


def _validate(trainer: Trainer, validation: Validation, record: Record, directory: Path) -> None:
    scores = validation(trainer.average)
    record.add(trainer.step, {f"val/{name}": score for name, score in scores.items()})
    if scores["mean"] > trainer.best:
        trainer.best = scores["mean"]
        checkpoint.save_model(directory / "best", merged(trainer.average), trainer.processor)


def prefetch_batches(make: Callable[[int], Batch], start: int, stop: int) -> Generator[Batch]:
    """Batches of steps `start` to `stop`, each made while the one before is trained on."""
    with ThreadPoolExecutor(1) as pool:
        yield from prefetch(make, range(start, stop), ahead=1, pool=pool)


def rate_at(step: int, config: TrainConfig) -> float:
    """Share of the peak learning rate: a linear rise, then what the recipe's schedule says.

    "plateau" stays and falls linearly to zero at the end, so that a run that is given more steps
    goes on from any checkpoint. "cosine" falls to zero along half a wave.
    """
    warm = max(1, round(config.warmup * config.steps))
    if config.schedule == "cosine":
        gone = max(0, step + 1 - warm) / max(1, config.steps - warm)
        return min((step + 1) / warm, (1 + math.cos(math.pi * min(gone, 1.0))) / 2)
    falling = max(1, round(config.decay * config.steps))
    return min(1.0, (step + 1) / warm, (config.steps - step) / falling)


def _freeze(network: UniGeoSegNetwork, names: Iterable[str]) -> None:
    """Take parts out of the training: no gradients, and as in use (no dropout, no drop path)."""
    for name in names:
        try:
            part = network.get_submodule(name)
        except AttributeError as error:
            raise OptionError(
                f"the network {network.config.name} has no part {name!r} to freeze; name one of "
                f"{[child for child, _ in network.named_children()]}, or a part of those"
            ) from error
        part.requires_grad_(False).eval()


def _groups(network: UniGeoSegNetwork, config: TrainConfig) -> list[dict[str, object]]:
    """Parameters by learning rate; those of one dimension, norms and biases, are not decayed."""
    rates = {"encoder": config.encoder_lr, "language": config.language_lr}
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = rates.get(name.split(".")[0], config.lr)
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
