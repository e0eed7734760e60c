"""The training loop: one process, one batch ahead, checkpoints that resume exactly."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import torch

from unigeoseg.errors import CheckpointError
from unigeoseg.model import checkpoint
from unigeoseg.model.loss import LossParts, segmentation_loss
from unigeoseg.model.network import UniGeoSegNetwork, channels_last
from unigeoseg.model.processor import Processor
from unigeoseg.train.batches import Batch, BatchMaker
from unigeoseg.train.recipes import TrainConfig

log = logging.getLogger(__name__)


class Trainer:
    """A network in training: optimiser, moving average, step."""

    def __init__(
        self, network: UniGeoSegNetwork, processor: Processor, config: TrainConfig
    ) -> None:
        """Prepare `network` for training; its words and text layers are frozen."""
        torch.manual_seed(config.seed)
        self.network = channels_last(network.train())
        self.processor, self.config = processor, config
        network.language.requires_grad_(False)
        network.language.joint_layers.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(_groups(network, config), fused=True)
        self.average = deepcopy(network).requires_grad_(False)
        self.step = 0

    def train_step(self, batch: Batch) -> LossParts:
        """Take one optimiser step."""
        rate = rate_at(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * rate
        output = self.network(batch.pixel_values, batch.prompts)
        weight = torch.ones(len(batch.truth))
        loss = segmentation_loss(output, batch.truth, batch.valid, weight)
        if not torch.isfinite(loss.total):
            raise CheckpointError(f"the loss is {loss.total.item()} at step {self.step}: lower lr")
        self.optimizer.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return loss

    def _update_average(self) -> None:
        keep = min(self.config.average, (1 + self.step) / (10 + self.step))
        averaged: list[torch.Tensor] = []
        current: list[torch.Tensor] = []
        for slow, fast in zip(self.average.parameters(), self.network.parameters(), strict=True):
            if fast.requires_grad:
                averaged.append(slow)
                current.append(fast.detach())
        torch._foreach_lerp_(averaged, current, 1 - keep)

    def save(self, directory: Path) -> None:
        """Write the state to resume from, and the averaged weights as a model directory."""
        directory.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        temporary = directory / ".state.pt.partial"
        torch.save(state, temporary)
        temporary.replace(directory / "state.pt")
        checkpoint.save(directory / "model", self.average, self.processor)

    def resume(self, directory: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: If the state belongs to another network.
        """
        state = torch.load(directory / "state.pt", map_location="cpu", weights_only=True)
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{directory / 'state.pt'} belongs to another configuration: {error}"
            ) from error
        torch.set_rng_state(state["random"])
        self.step = state["step"]


def train(trainer: Trainer, maker: BatchMaker, directory: Path) -> None:
    """Train to the recipe's last step, saving on the way and at the end."""
    config, began, first = trainer.config, time.perf_counter(), trainer.step
    for batch in _ahead(maker, trainer.step, config.steps):
        loss = trainer.train_step(batch)
        if trainer.step % 10 == 0:
            seconds = (time.perf_counter() - began) / (trainer.step - first)
            log.info(
                "step %d/%d loss %.3f bce %.3f dice %.3f score %.3f %.2f s/step",
                trainer.step,
                config.steps,
                loss.total.item(),
                loss.bce.item(),
                loss.dice.item(),
                loss.score.item(),
                seconds,
            )
        if trainer.step % config.save_every == 0 or trainer.step == config.steps:
            trainer.save(directory)


def _ahead(maker: BatchMaker, start: int, stop: int) -> Iterator[Batch]:
    """Batches of steps `start` to `stop`, each made while the one before is trained on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(maker.batch, start)
        for step in range(start + 1, stop + 1):
            batch, coming = coming.result(), pool.submit(maker.batch, step)
            yield batch


def rate_at(step: int, config: TrainConfig) -> float:
    """Share of the peak learning rate: a linear rise, a plateau, a linear fall to zero.

    The plateau makes a run that is given more steps go on from any checkpoint.
    """
    warm = max(1, round(config.warmup * config.steps))
    falling = max(1, round(config.decay * config.steps))
    return min(1.0, (step + 1) / warm, (config.steps - step) / falling)


def _groups(network: UniGeoSegNetwork, config: TrainConfig) -> list[dict[str, object]]:
    """Parameters by learning rate; norms, biases and embeddings are not decayed."""
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
