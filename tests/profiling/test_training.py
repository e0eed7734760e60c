"""bench training: both kinds of step on tiny data with a tiny network."""

from dataclasses import replace
from pathlib import Path

import pytest
import sets
import torch
from command_line import typed
from networks import save_tiny, tiny_network, tiny_processor

from unigeoseg.profiling import training
from unigeoseg.train.input.training_set import TrainingSet


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return sets.write_shards(tmp_path_factory.mktemp("throughput"), images=4)


@pytest.fixture(autouse=True)
def small_views(monkeypatch):
    batch = replace(training.RECIPE.batch, sizes=(64,))
    monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, batch=batch))


def test_the_command_compares_both(shards, tmp_path: Path, monkeypatch, capsys):
    model = save_tiny(tmp_path / "tiny")
    words = ("training", "--data", shards, "--start", model, "--steps", 1, "--processes", 2)
    assert typed(monkeypatch, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "|  | plain loop | recipe nano | recipe nano, 2 processes |"
    assert "| prompts of a step | 8 | 64 (8.00) | 64 (8.00) |" in lines


def test_a_step_is_what_it_says(shards, tmp_path: Path):
    networks = []

    def start():
        networks.append(tiny_network())
        return networks[-1], tiny_processor()

    done = []
    timings = training.time_training_steps(
        training.RECIPE,
        [shards],
        tmp_path,
        start,
        steps=1,
        progress=lambda *count: done.append(count),
    )
    assert done == [(1, 2), (2, 2)]
    (baseline,), (recipe,) = timings[training.BASELINE], timings[training.NANO]
    assert (baseline.images, baseline.prompts, recipe.images, recipe.prompts) == (8, 8, 8, 64)
    assert baseline.batch_s + baseline.train_s == pytest.approx(baseline.total_s)
    assert 0 < recipe.train_s < recipe.total_s
    plain_network, our_network = networks
    trained = [network.language.tokens.weight.requires_grad for network in networks]
    assert trained == [True, False]
    convolution = plain_network.encoder.stem[0].weight
    assert convolution.is_contiguous()
    assert our_network.encoder.stem[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_plain_loop_decodes_the_same_patches(shards, tmp_path: Path):
    training_set = TrainingSet.of([shards], "train", tmp_path)
    decoded = training._with_decoding(training_set, [shards]).patches
    for number in range(len(decoded.ids)):
        kept, anew = training_set.patches[number], decoded[number]
        assert (kept.pixels == anew.pixels).all() and (kept.regions == anew.regions).all()
        assert kept.categories == anew.categories
    assert decoded[0].pixels is not decoded[0].pixels
