"""Training a network step by step: optimiser, moving average, checkpoints that resume exactly."""

import math
import shutil
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import torch

from unigeoseg.errors import CheckpointError, OptionError
from unigeoseg.model.io import checkpoint
from unigeoseg.model.loss import LossParts
from unigeoseg.model.network import UniGeoSegNetwork, channels_last
from unigeoseg.model.processor import Processor
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import Batch
from unigeoseg.train.objective.losses import LossModule
from unigeoseg.train.overrides import config_values
from unigeoseg.train.scale.activation_checkpoint import checkpoint_activations
from unigeoseg.train.scale.distributed import make_runner
from unigeoseg.train.scale.lora import add_adapters, merge_adapters
from unigeoseg.train.state import STATE, check_state, read_state, write_state


class Trainer:
    """A network in training, with its optimiser and the moving average of its weights.

    Attributes:
        network: The network that is trained.
        average: Its moving average, or the network itself if the recipe averages none.
        runner: Where the training runs.
        step: Steps that are done.
        best_score: Validation score of the best weights so far.
    """

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
        _freeze_parts(network.train(), config.frozen)
        if config.activation_checkpointing:
            checkpoint_activations(network)
        self.processor, self.config = processor, config
        self.runner = make_runner(network, config)
        self.network = channels_last(network.to(self.runner.device))
        self.average = deepcopy(network).requires_grad_(False) if config.average else network
        loss_module = LossModule(network, config.loss, half=config.half)
        optimizer = torch.optim.AdamW(_parameter_groups(network, config), fused=True)
        self.loss_module, self.optimizer = self.runner.prepare(loss_module, optimizer)
        self.step = 0
        self.best_score = 0.0

    def train_step(self, batch: Batch) -> LossParts:
        """Take one optimiser step, and return the loss: the mean over processes.

        Raises:
            CheckpointError: If the loss is not finite.
        """
        factor = learning_rate_factor(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        loss = LossParts(self.loss_module(batch.to(self.runner.device)))
        # of all processes, so that they stop together
        mean_loss = LossParts(self.runner.mean(loss.parts))
        if not torch.isfinite(mean_loss.total):
            raise CheckpointError(
                f"the loss is {mean_loss.total.item()} at step {self.step}: lower lr"
            )
        self.optimizer.zero_grad()
        self.runner.backward(loss.total)
        self.runner.clip(self.loss_module, self.config.clip)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return mean_loss

    def _update_average(self) -> None:
        if self.average is self.network:
            return
        # the decay rises over the first steps, so that random initial weights are soon forgotten
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        averaged: list[torch.Tensor] = []
        current: list[torch.Tensor] = []
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            if fast.requires_grad:
                averaged.append(slow)
                current.append(fast.detach())
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def save(self, directory: Path) -> None:
        """Write the state to resume from, and the weights as a plain model directory.

        The weights are the averaged ones if the recipe averages, with the adapters merged in.

        Raises:
            OutputUnwritableError: If the disk does not take them; the state before is still there.
        """
        directory.mkdir(parents=True, exist_ok=True)
        shards = directory / f"parts-{self.step}"
        state = self.runner.save_state(shards, self.loss_module, self.optimizer) | {
            "step": self.step,
            "best": self.best_score,
            "processes": self.runner.part[1],
            "configuration": config_values(self.config),
        }
        if self.average is not self.network:
            state["average"] = self.average.state_dict()
            network = self.average
        else:
            network = self.runner.gather_network(self.network, self.loss_module)
        if not self.runner.is_main:
            return
        # the state comes last: a run that is killed in between makes these weights again
        checkpoint.save_model(directory / "model", merge_adapters(network), self.processor)
        write_state(directory, state)
        for earlier in directory.glob("parts-*"):
            if earlier != shards:
                shutil.rmtree(earlier)

    def resume(self, directory: Path) -> None:
        """Restore the state that `save` wrote.

        Raises:
            CheckpointError: If the state is damaged, of another number of processes, or belongs to
                another configuration; what says only how long or how often may differ.
        """
        state = read_state(directory)
        check_state(directory, state, self.config, self.runner.part[1])
        try:
            self.runner.load_state(directory, state, self.loss_module, self.optimizer)
            if self.average is not self.network:
                self.average.load_state_dict(state["average"])
            self.step, self.best_score = state["step"], state.get("best", 0.0)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{directory / STATE} belongs to another configuration: {error}"
            ) from error


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Learning rate of a step as a share of its peak: a linear warm-up, then a schedule.

    "plateau" is constant and falls linearly to zero at the end, so that a run that is given more
    steps goes on from any checkpoint. "cosine" falls to zero along half a cosine wave.
    """
    warmup = max(1, round(config.warmup * config.steps))
    if config.schedule == "cosine":
        progress = max(0, step + 1 - warmup) / max(1, config.steps - warmup)
        return min((step + 1) / warmup, (1 + math.cos(math.pi * min(progress, 1.0))) / 2)
    decay = max(1, round(config.decay * config.steps))
    return min(1.0, (step + 1) / warmup, (config.steps - step) / decay)


def _freeze_parts(network: UniGeoSegNetwork, names: Iterable[str]) -> None:
    """Freeze parts of a network: no gradients, and evaluation mode (no dropout, no drop path)."""
    for name in names:
        try:
            part = network.get_submodule(name)
        except AttributeError as error:
            raise OptionError(
                f"the network {network.config.name} has no part {name!r} to freeze; name one of "
                f"{[child for child, _ in network.named_children()]}, or a part of those"
            ) from error
        part.requires_grad_(False).eval()


def _parameter_groups(network: UniGeoSegNetwork, config: TrainConfig) -> list[dict[str, object]]:
    """Parameter groups of the optimiser, by learning rate and weight decay.

    Parameters of one dimension, norms and biases, are not decayed.
    """
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
