"""One process of a training: arguments are a folder, how the work is shared, and the last step."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import sets
import tiny_base
import torch
from mixes import only
from tiny_recipe import tiny_base_recipe

from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.trainer import Trainer


def main(folder: Path, parallel: str, last: int) -> None:
    torch.set_num_threads(1)
    model = replace(tiny_base.config(), variant="paper")
    # without dropout, whose draws are each process's own
    model = replace(model, enhance=replace(model.enhance, dropout=0.0))
    config = tiny_base_recipe(model)
    config = replace(config, batch=only(config.batch, box=1, question=1), parallel=parallel)
    processor = ChatProcessor(tiny_base.tokenizer(), model)
    torch.manual_seed(0)
    trainer = Trainer(UniGeoSegNetwork(model), processor, config)
    data = folder / f"data{trainer.runner.part[0]}{last}"
    training_set = TrainingSet.of([sets.write_shards(data, images=8)], "train", data / "cache")
    maker = BatchMaker(
        training_set, processor, config.batch, steps=config.steps, seed=0, part=trainer.runner.part
    )
    if (folder / "run" / "state.pt").exists():
        trainer.resume(folder / "run")
    losses = []
    while trainer.step < last:
        loss = trainer.train_step(maker.batch(trainer.step))
        losses.append({name: part.item() for name, part in loss.parts.items()})
    trainer.save(folder / "run")
    if trainer.runner.is_main:
        (folder / "losses.json").write_text(json.dumps(losses))


main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
