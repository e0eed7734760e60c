"""The training loop: steps to the end of a recipe, with metrics, validations and checkpoints."""

import logging
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from unigeoseg.model.io import checkpoint
from unigeoseg.model.loss import LossParts
from unigeoseg.runtime.prefetch import prefetch
from unigeoseg.train.input.batch import Batch
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.metrics_log import PROMPTS, MetricsLog
from unigeoseg.train.objective.validation import Validation
from unigeoseg.train.scale.lora import merge_adapters
from unigeoseg.train.signals import stop_on_signals
from unigeoseg.train.trainer import Trainer

log = logging.getLogger(__name__)

_LOG_EVERY = 10  # steps between two lines of the metrics log


def run_training_loop(
    trainer: Trainer, maker: BatchMaker, directory: Path, validation: Validation | None = None
) -> None:
    """Train to the recipe's last step, saving on the way and at the end.

    A run that is asked to stop (SIGTERM, Ctrl-C) stops after its step, with its state saved. With
    `validation` the best weights so far are in `directory/best`, a model directory.

    Args:
        trainer: New, or resumed at some step.
        maker: Makes the batches.
        directory: Folder of the run.
        validation: Scores the weights every so many steps, in the main process alone.

    Raises:
        CheckpointError: If the loss is not finite.
        OutputUnwritableError: If the state cannot be written.
        MissingExtraError: If TensorBoard is not installed.
    """
    config, runner, meter = trainer.config, trainer.runner, _StepMeter(maker.part_count)
    with stop_on_signals() as stop_request, _open_metrics_log(trainer, directory) as metrics:
        for batch in prefetch_batches(maker.batch, trainer.step, config.steps):
            meter.add(trainer.train_step(batch), batch)
            step = trainer.step
            if metrics and step % _LOG_EVERY == 0:
                metrics.add(step, {PROMPTS: maker.prompts_before[step]} | meter.read_and_reset())
            if metrics and validation and step % config.validate_every == 0:
                _validate(trainer, validation, metrics, directory)
            due = step % config.save_every == 0 or step == config.steps
            if due:
                trainer.save(directory)
            # a signal reaches processes at different steps; they have to stop after the same one
            if runner.any_process(stop_request.is_set):
                if not due:
                    trainer.save(directory)
                if metrics:
                    log.info("stopped at step %d; run again to go on", step)
                return


def _open_metrics_log(
    trainer: Trainer, directory: Path
) -> AbstractContextManager[MetricsLog | None]:
    """The run's metrics log in the main process, nothing in others."""
    return MetricsLog(directory, trainer.step) if trainer.runner.is_main else nullcontext()


class _StepMeter:
    """Averages losses and throughput over some steps, of all processes of a run."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._reset()

    def _reset(self) -> None:
        self._losses: list[LossParts] = []
        self._views = self._prompts = 0
        self._start = time.perf_counter()

    def add(self, loss: LossParts, batch: Batch) -> None:
        self._losses.append(loss)
        self._views += len(batch.pixel_values) * self._processes
        self._prompts += len(batch.families) * self._processes

    def read_and_reset(self) -> dict[str, float]:
        """Mean loss and its parts, views and prompts a second since the last call."""
        seconds, count = time.perf_counter() - self._start, len(self._losses)
        names = self._losses[0].parts
        parts = {
            name: sum(loss.parts[name].item() for loss in self._losses) / count for name in names
        }
        metrics = {"loss": sum(parts.values())} | parts
        metrics |= {"images_per_s": self._views / seconds, "prompts_per_s": self._prompts / seconds}
        self._reset()
        return metrics


def _validate(
    trainer: Trainer, validation: Validation, metrics: MetricsLog, directory: Path
) -> None:
    """Score the weights, and save them if they are the best so far."""
    scores = validation(trainer.average)
    metrics.add(trainer.step, {f"val/{name}": score for name, score in scores.items()})
    if scores["mean"] > trainer.best_score:
        trainer.best_score = scores["mean"]
        averaged = merge_adapters(trainer.average)
        checkpoint.save_model(directory / "best", averaged, trainer.processor)


def prefetch_batches(make: Callable[[int], Batch], start: int, stop: int) -> Generator[Batch]:
    """Batches of steps `start` to `stop`, each made while the one before is trained on."""
    with ThreadPoolExecutor(1) as pool:
        yield from prefetch(make, range(start, stop), ahead=1, pool=pool)
