"""How the choice between regions is learnt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sets
import torch
from networks import tiny_config, tiny_network, tiny_processor

from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import OTHER_CATEGORIES, TARGET, Batch
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.objective.region_choice import _simulate_regions, choice_loss
from unigeoseg.train.recipes import choice_recipe
from unigeoseg.train.trainer import Trainer

CONFIG = replace(
    choice_recipe(),
    model=tiny_config(),
    batch=replace(choice_recipe().batch, sizes=(64,), images=4, prompts=2, sources={}, never={}),
    steps=40,
    lr=3e-3,
)


def numbers() -> torch.Tensor:
    """The region that is meant, two like it, and one of another kind."""
    rivals = torch.zeros(64, 64, dtype=torch.uint8)
    rivals[4:20, 4:20], rivals[30:50, 4:20], rivals[4:20, 30:50] = TARGET, 2, 3
    rivals[40:60, 40:60] = OTHER_CATEGORIES
    return rivals


@pytest.fixture
def maker(tmp_path: Path) -> BatchMaker:
    training_set = TrainingSet.of(
        [sets.write_shards(tmp_path, images=8)], "train", tmp_path / "cache"
    )
    return BatchMaker(training_set, tiny_processor(), CONFIG.batch, steps=40, seed=0)


def choosing(maker: BatchMaker) -> Batch:
    """A batch with something to choose in each prompt."""
    batch = maker.batch(0)
    return replace(batch, rivals=numbers().expand(len(batch.rivals), -1, -1))


def test_what_is_meant_is_always_found_and_others_mostly():
    simulations = [_simulate_regions(numbers(), seed) for seed in range(200)]
    assert all(each.index_of_label[TARGET] == each.target + 1 for each in simulations)
    rivals = np.mean([each.index_of_label[2] > 0 for each in simulations])
    distractors = np.mean([each.index_of_label[OTHER_CATEGORIES] > 0 for each in simulations])
    assert 0.85 < rivals < 1
    assert 0.03 < distractors < 0.3
    assert len({each.target for each in simulations}) > 1  # its index does not give it away
    for simulation in simulations:
        mean, highest = simulation.scores.T
        assert (0.05 < mean).all() and (mean <= highest).all() and (highest <= 1).all()
    again = _simulate_regions(numbers(), 5)
    assert (again.index_of_label == simulations[5].index_of_label).all()


@pytest.mark.parametrize("gone", [TARGET, (2, 3)])
def test_without_a_choice_there_is_nothing_to_find(gone):
    rivals = numbers()
    rivals[torch.isin(rivals, torch.tensor(gone, dtype=torch.uint8))] = 0
    assert _simulate_regions(rivals, 0) is None


def test_the_choice_is_learnt_and_nothing_else(maker):
    network = tiny_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer, batch = Trainer(network, tiny_processor(), CONFIG), choosing(maker)
    losses = [trainer.train_step(batch).parts["choice"].item() for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    after = trainer.network.state_dict()
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert moved == {"choice"}


def test_a_step_without_a_choice_costs_nothing_and_passes_through_all_weights(maker):
    network, batch = tiny_network().train(), choosing(maker)
    batch = replace(batch, rivals=torch.zeros_like(batch.rivals))
    loss = choice_loss(network, network.encode(batch.pixel_values), batch)
    loss.backward()
    assert loss == 0
    assert all(each.grad is not None for each in network.choice.parameters())


def test_prompts_that_do_not_choose_only_thin_the_loss(maker):
    network, batch = tiny_network(), choosing(maker)
    image = network.encode(batch.pixel_values)
    whole = choice_loss(network, image, batch)
    half = batch.rivals.clone()
    half[len(half) // 2 :] = 0
    part = choice_loss(network, image, replace(batch, rivals=half))
    assert 0 < part < whole


def test_the_recipe_asks_what_means_one_region():
    config: TrainConfig = choice_recipe()
    assert set(config.batch.families) == {"referring", "attribute", "context"}
    parts = {name for name, _ in tiny_network().named_children()}
    assert parts - set(config.frozen) == {"choice"}
