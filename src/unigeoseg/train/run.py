"""A recipe, a folder of labelled sets and an output folder: one training."""

from dataclasses import replace
from pathlib import Path

import torch

from unigeoseg.data.split import read_split
from unigeoseg.model import checkpoint
from unigeoseg.train.batches import BatchMaker
from unigeoseg.train.initial import nano_from_pretrained
from unigeoseg.train.loop import Trainer, train
from unigeoseg.train.recipes import TrainConfig


def run(config: TrainConfig, data: Path, output: Path, *, start: Path | None = None) -> None:
    """Train `config` on the train split of every set with masks in `data`.

    Goes on from `output` if it holds an earlier state of the same configuration; leaves
    `output/model`, a model directory, and `output/state.pt`, to resume from.

    Args:
        config: The recipe.
        data: Folder of labelled sets.
        output: Folder of the run.
        start: Model directory to start from, whose configuration of the network counts; without
            it Nano starts from its pretrained parts.

    Raises:
        DataError: If `data` holds no set with masks.
        CheckpointError: If `output` holds a state of another configuration.
    """
    images = read_split(data, "train")
    torch.manual_seed(config.seed)
    if start is None:
        network, processor = nano_from_pretrained(config.model)
    else:
        network, processor = checkpoint.load(start)
        config = replace(config, model=network.config)
    trainer = Trainer(network, processor, config)
    if (output / "state.pt").exists():
        trainer.resume(output)
    part = trainer.runner.part
    maker = BatchMaker(images, processor, config.batch, seed=config.seed, part=part)
    train(trainer, maker, output)
