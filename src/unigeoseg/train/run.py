"""A recipe, datasets and an output folder: one training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from unigeoseg.model import checkpoint
from unigeoseg.train.batches import BatchMaker
from unigeoseg.train.initial import nano_from_pretrained
from unigeoseg.train.lessons import Lessons
from unigeoseg.train.loop import Trainer, train
from unigeoseg.train.recipes import TrainConfig


def run(
    config: TrainConfig, data: Sequence[Path], output: Path, *, start: Path | None = None
) -> None:
    """Train `config` on the train split of datasets.

    Goes on from `output` if it holds an earlier state of the same configuration; leaves
    `output/model`, a model directory, `output/state.pt`, to resume from, and `output/cache`,
    the decoded patches, which may be deleted.

    Args:
        config: The recipe.
        data: Directories that `unigeoseg data build` made.
        output: Folder of the run.
        start: Model directory to start from, whose configuration of the network counts; without
            it Nano starts from its pretrained parts.

    Raises:
        DataError: If a dataset is not whole, or a task of the recipe is missing from all.
        CheckpointError: If `output` holds a state of another configuration.
        OutputUnwritableError: If the disk has no room.
    """
    lessons = Lessons.of(data, "train", output / "cache")
    torch.manual_seed(config.seed)
    if start is None:
        network, processor = nano_from_pretrained(config.model)
    else:
        network, processor = checkpoint.load(start)
        config = replace(config, model=network.config)
    trainer = Trainer(network, processor, config)
    if (output / "state.pt").exists():
        trainer.resume(output)
    maker = BatchMaker(
        lessons,
        processor,
        config.batch,
        steps=config.steps,
        seed=config.seed,
        part=trainer.runner.part,
    )
    train(trainer, maker, output)
