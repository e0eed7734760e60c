"""Adapters in the language part: what they train, what is saved."""

import copy
import sys
from dataclasses import replace

import pytest
import sets
import torch
from families import FAMILIES, base_of, write_language
from networks import tiny_network
from safetensors.torch import load_file
from tiny_recipe import tiny_base_recipe

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.io import checkpoint
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.scale.lora import LoraConfig, add_adapters, merge_adapters
from unigeoseg.train.trainer import Trainer

pytest.importorskip("peft", reason="adapters need the extra 'train'")
ADAPTERS = LoraConfig(rank=2, alpha=8, dropout=0.0)


@pytest.fixture(params=sorted(FAMILIES))
def trained(request, tmp_path):
    """A trainer after three steps, its language model, and weights from before."""
    folder = write_language(tmp_path / "language", FAMILIES[request.param])
    network, processor = base_of(folder, "paper")
    before = copy.deepcopy(network)
    config = replace(tiny_base_recipe(network.config), adapters=ADAPTERS)
    trainer = Trainer(network, processor, config)
    training_set = TrainingSet.of(
        [sets.write_shards(tmp_path, images=4)], "train", tmp_path / "cache"
    )
    maker = BatchMaker(training_set, processor, config.batch, steps=config.steps, seed=0)
    for step in range(3):
        trainer.train_step(maker.batch(step))
    return trainer, before, maker.batch(5)


def test_adapters_alone_are_trained(trained):
    trainer, before, _ = trained
    names = {name for name, w in trainer.network.language.named_parameters() if w.requires_grad}
    assert names and all("lora_" in name for name in names)
    state = trainer.network.language.state_dict()
    for key, value in before.language.state_dict().items():
        wrapped = key.replace("model.", "model.base_model.model.", 1)
        stem, _, leaf = wrapped.rpartition(".")
        found = state.get(wrapped, state.get(f"{stem}.base_layer.{leaf}"))
        assert torch.equal(found if found is not None else state[key], value), key
    assert all(state[name].abs().max() > 0 for name in names if "lora_B" in name)
    kinds = {name.split(".")[-4] for name in names}
    assert {"q_proj", "k_proj", "v_proj"} < kinds and len(kinds) >= 6


@pytest.mark.usefixtures("processor_kind")
def test_merged_is_plain_and_says_the_same(trained, tmp_path):
    trainer, before, batch = trained
    network = trainer.network.eval()
    with torch.no_grad():
        expected = network(batch.pixel_values, batch.prompts)
        untrained = before.eval()(batch.pixel_values, batch.prompts)
    trainer.save(tmp_path / "run")
    again, _ = checkpoint.load_model(tmp_path / "run" / "model")
    assert again.state_dict().keys() == before.state_dict().keys()
    for plain in (merge_adapters(network), again):
        with torch.no_grad():
            found = plain(batch.pixel_values, batch.prompts)
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.hidden, expected.hidden, atol=1e-5, rtol=0)
    assert (untrained.hidden - expected.hidden).abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_keeps_the_precision(tmp_path, dtype, processor_kind):
    network, processor = base_of(write_language(tmp_path / "language", FAMILIES["phi"]))
    network.to(dtype)
    add_adapters(network, ADAPTERS)
    checkpoint.save_model(tmp_path / "model", merge_adapters(network), processor)
    stored = load_file(tmp_path / "model" / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {dtype}


def test_merging_leaves_the_network_as_it_is(trained):
    trainer, _, _ = trained
    before = copy.deepcopy(trainer.network.state_dict())
    merged = merge_adapters(trainer.network)
    assert merged is not trainer.network and merge_adapters(merged) is merged
    after = trainer.network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_a_resumed_run_has_the_adapters_of_the_first(trained, tmp_path):
    trainer, before, batch = trained
    trainer.save(tmp_path / "run")
    resumed = Trainer(copy.deepcopy(before), trainer.processor, trainer.config)
    resumed.resume(tmp_path / "run")
    for name, weight in trainer.network.named_parameters():
        assert torch.equal(resumed.network.get_parameter(name), weight), name
    loss = resumed.train_step(batch).total.item()
    resumed.resume(tmp_path / "run")  # dropout draws from the state's random numbers again
    assert resumed.train_step(batch).total.item() == loss


def test_targets_are_chosen(tmp_path):
    network, _ = base_of(write_language(tmp_path / "language", FAMILIES["llama"]))
    add_adapters(network, replace(ADAPTERS, targets=("q_proj", "v_proj")))
    kinds = {
        name.split(".")[-4] for name, w in network.language.named_parameters() if w.requires_grad
    }
    assert kinds == {"q_proj", "v_proj"}


def test_what_cannot_be_adapted_is_refused(tmp_path):
    with pytest.raises(OptionError, match="tiny"):
        add_adapters(tiny_network(), ADAPTERS)
    network, _ = base_of(write_language(tmp_path / "language", FAMILIES["phi"]))
    with pytest.raises(OptionError, match="nothing"):
        add_adapters(network, replace(ADAPTERS, targets=("nothing",)))
    assert merge_adapters(network) is network


def test_without_peft_it_is_said(monkeypatch, tmp_path):
    network, _ = base_of(write_language(tmp_path / "language", FAMILIES["phi"]))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"unigeoseg\[train\]"):
        add_adapters(network, ADAPTERS)
