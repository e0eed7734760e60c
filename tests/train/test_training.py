"""Batches, the schedule of the rate, and a loop that resumes exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import sets
from mixes import only
from networks import tiny_config, tiny_network, tiny_processor
from unigeoseg.errors import CheckpointError
from unigeoseg.train.batches import BatchConfig, BatchMaker, asks_of
from unigeoseg.train.lessons import Lessons
from unigeoseg.train.loop import Trainer, rate_at, train
from unigeoseg.train.recipes import TrainConfig, base_paper, nano

BATCH = only(
    BatchConfig(sizes=(64,), images=2, prompts=3, families={}), box=0.4, point=0.3, category=0.3
)
CONFIG = TrainConfig(
    model=tiny_config(), batch=BATCH, steps=40, lr=3e-3, encoder_lr=1e-3, decay=0.3, save_every=20
)


@pytest.fixture
def lessons(tmp_path: Path):
    return Lessons.of([sets.write_shards(tmp_path, images=8)], "train", tmp_path / "cache")


def make(lessons, config: TrainConfig = CONFIG) -> tuple[Trainer, BatchMaker]:
    processor = tiny_processor()
    trainer = Trainer(tiny_network(), processor, config)
    return trainer, BatchMaker(
        lessons, processor, config.batch, steps=config.steps, seed=config.seed
    )


def test_a_batch_is_a_function_of_its_step(lessons):
    _, maker = make(lessons)
    first, again, other = maker.batch(3), maker.batch(3), maker.batch(4)
    assert torch.equal(first.pixel_values, again.pixel_values)
    assert torch.equal(first.truth, again.truth)
    assert not torch.equal(first.pixel_values, other.pixel_values)
    assert first.pixel_values.shape == (2, 3, 64, 64)
    assert first.truth.shape == first.valid.shape == (6, 64, 64)
    assert first.truth.dtype == first.valid.dtype == torch.bool


def test_the_loss_falls(lessons):
    trainer, maker = make(lessons)
    batch = maker.batch(0)
    losses = [trainer.train_step(batch).total.item() for _ in range(25)]
    assert losses[-1] < 0.75 * losses[0]


def test_a_resumed_run_is_the_same_run(lessons, tmp_path: Path):
    whole, maker = make(lessons)
    train(whole, maker, tmp_path / "whole")
    first, maker = make(lessons)
    for step in range(20):
        first.train_step(maker.batch(step))
    first.save(tmp_path / "cut")
    second, maker = make(lessons)
    second.resume(tmp_path / "cut")
    assert second.step == 20
    train(second, maker, tmp_path / "cut")
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key]), key
    for key, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[key]), key


def test_a_state_of_another_configuration_is_refused(lessons, tmp_path: Path):
    trainer, _ = make(lessons)
    trainer.save(tmp_path / "run")
    other = replace(
        CONFIG, model=replace(CONFIG.model, memory=replace(CONFIG.model.memory, slots=9))
    )
    from unigeoseg.model.network import UniGeoSegNetwork

    stranger = Trainer(UniGeoSegNetwork(other.model), tiny_processor(), other)
    with pytest.raises(CheckpointError, match="another configuration"):
        stranger.resume(tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run(lessons):
    trainer, maker = make(lessons)
    with torch.no_grad():
        next(iter(trainer.network.fusion.parameters())).fill_(float("nan"))
    with pytest.raises(CheckpointError, match="loss is nan at step 0"):
        trainer.train_step(maker.batch(0))


def test_what_is_frozen_stays(lessons):
    trainer, maker = make(lessons)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.train_step(maker.batch(0))
    after = trainer.network.state_dict()
    same = {key for key in before if torch.equal(before[key], after[key])}
    frozen = {key for key in before if key.startswith(("language.tokens", "language.text_layers"))}
    assert frozen <= same
    assert any(key.startswith("language.joint_layers") for key in before.keys() - same)
    assert any(key.startswith("encoder") for key in before.keys() - same)


def test_the_rate_rises_stays_and_falls():
    config = replace(CONFIG, steps=100, warmup=0.1, decay=0.3)
    rates = [rate_at(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[69] == 1.0
    assert rates[85] == pytest.approx(0.5) and rates[100] == 0.0


def test_the_recipes_are_whole():
    for config in (nano(), base_paper()):
        assert all(chances.size for _, chances in asks_of(config.batch.families).values())
