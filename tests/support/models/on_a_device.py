"""Segmenting and learning on a device that may not meet the CPU, compared with the CPU."""

import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

sys.path[:0] = [
    str(Path(__file__).parents[3] / "src"),
    *(str(folder) for folder in Path(__file__).parents[:2]),
]

import sets  # noqa: E402
import tiny_base  # noqa: E402
from elsewhere import DEVICE, Device  # noqa: E402
from networks import tiny_config, tiny_processor  # noqa: E402
from tiny_recipe import tiny_base_recipe  # noqa: E402

from unigeoseg.model.base.chat import ChatProcessor  # noqa: E402
from unigeoseg.model.network import UniGeoSegNetwork  # noqa: E402
from unigeoseg.predict.segmenter import Segmenter  # noqa: E402
from unigeoseg.prompt import Box, Point, Prompt  # noqa: E402
from unigeoseg.train.config import TrainConfig  # noqa: E402
from unigeoseg.train.input.batch_maker import BatchMaker  # noqa: E402
from unigeoseg.train.input.training_set import TrainingSet  # noqa: E402
from unigeoseg.train.objective.losses import LossModule  # noqa: E402
from unigeoseg.train.objective.validation import Validation  # noqa: E402
from unigeoseg.train.recipes import nano_recipe  # noqa: E402

PROMPTS = [
    Prompt.from_text("the largest house"),
    Prompt.from_text("where would a boat float?"),
    Prompt.from_points([Point(30, 40)]),
    Prompt.from_box(Box(8, 8, 50, 60)),
]


def network(config: TrainConfig) -> UniGeoSegNetwork:
    torch.manual_seed(0)
    return UniGeoSegNetwork(config.model).eval()


def scores(segmenter: Segmenter, *, answer: bool) -> tuple[np.ndarray, list[str | None]]:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    with segmenter.open(pixels) as session:
        results = session.segment(PROMPTS, answer=answer)
    return np.stack([result.score for result in results]), [result.answer for result in results]


def compare_masks(config: TrainConfig, processor: object) -> None:
    expected = scores(Segmenter(network(config), processor), answer=config.model.name == "base")
    with Device():
        segmenter = Segmenter(network(config).to(DEVICE), processor)
        assert segmenter.device == DEVICE
        results = scores(segmenter, answer=segmenter.speaks)
    np.testing.assert_allclose(results[0], expected[0], atol=2e-3)
    assert results[1] == expected[1]


def compare_losses(config: TrainConfig, processor: object, training_set: TrainingSet) -> None:
    """Forward alone: autograd has no threads for a device that is not there."""
    maker = BatchMaker(training_set, processor, config.batch, steps=8, seed=0)
    on_cpu, batch = LossModule(network(config), config.loss, half=False), maker.batch(0)
    with Device(), torch.no_grad():
        on_device = copy.deepcopy(on_cpu).to(DEVICE)
        losses = {name: value.cpu() for name, value in on_device(batch.to(DEVICE)).items()}
        torch.testing.assert_close(losses, dict(on_cpu(batch)), rtol=1e-3, atol=1e-4)


def compare_validation(config: TrainConfig, processor: object, training_set: TrainingSet) -> None:
    validate = Validation(BatchMaker(training_set, processor, config.batch, steps=2, seed=0), 2)
    expected = validate(network(config))
    with Device():
        measured = validate(network(config).to(DEVICE))
    assert measured.keys() == expected.keys()
    np.testing.assert_allclose(list(measured.values()), list(expected.values()), atol=2e-2)


def main() -> None:
    base, small = tiny_base_recipe(tiny_base.config()), replace(nano_recipe(), model=tiny_config())
    batch = replace(small.batch, sizes=(64,), images=4, prompts=4, sources={}, never={}, pasted=0)
    both = (
        (base, ChatProcessor(tiny_base.tokenizer(), base.model)),
        (replace(small, batch=batch), tiny_processor()),
    )
    with tempfile.TemporaryDirectory() as folder:
        shards = sets.write_shards(Path(folder), images=8)
        training_set = TrainingSet.of([shards], "train", Path(folder) / "cache")
        for config, processor in both:
            compare_masks(config, processor)
            compare_losses(config, processor, training_set)
            compare_validation(config, processor, training_set)
    sys.stdout.write("all as on the CPU\n")


if __name__ == "__main__":
    # tensors of inference mode cannot be wrapped
    with patch("torch.inference_mode", torch.no_grad):
        main()
