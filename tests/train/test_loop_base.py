"""Base in training: the loss falls, a stopped run goes on exactly, memory and precision."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import sets
import tiny_base
import torch
from families import FAMILIES as LANGUAGES
from families import write_language
from mixes import only
from networks import tiny_network, tiny_processor
from tiny_recipe import tiny_base_recipe

from unigeoseg.errors import OptionError
from unigeoseg.model.base.chat import IGNORED, ChatProcessor
from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.prompt import Prompt
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.loop import run_training_loop
from unigeoseg.train.objective.losses import LossModule
from unigeoseg.train.pretrained_init import base_from_language
from unigeoseg.train.recipes import paper_recipe
from unigeoseg.train.run import run_training
from unigeoseg.train.scale.activation_checkpoint import checkpoint_activations
from unigeoseg.train.scale.lora import LoraConfig
from unigeoseg.train.trainer import Trainer, learning_rate_factor

pytest.importorskip("transformers", reason="Base needs the extra 'base'")


@pytest.fixture(scope="module")
def training_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return TrainingSet.of([sets.write_shards(folder, images=8)], "train", folder / "cache")


def recipe(variant: str = "paper") -> TrainConfig:
    return tiny_base_recipe(replace(tiny_base.config(), variant=variant))


def make(training_set, config: TrainConfig) -> tuple[Trainer, BatchMaker]:
    torch.manual_seed(config.seed)
    network = UniGeoSegNetwork(config.model)
    processor = ChatProcessor(tiny_base.tokenizer(), config.model)
    maker = BatchMaker(training_set, processor, config.batch, steps=config.steps, seed=config.seed)
    return Trainer(network, processor, config), maker


def gradients(network: UniGeoSegNetwork, config: TrainConfig, batch) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    parts = LossModule(network, config.loss, half=config.half)(batch)
    torch.stack(list(parts.values())).sum().backward()
    grads = ((name, weight.grad) for name, weight in network.named_parameters())
    return {name: grad for name, grad in grads if grad is not None}


def test_a_batch_has_conversations_with_answers(training_set):
    config = recipe()
    config = replace(config, batch=replace(only(config.batch, question=1, box=1), prompts=3))
    _, maker = make(training_set, config)
    batch = maker.batch(1)
    assert batch.pixel_values.shape == (2, 3, 64, 64)
    assert batch.truth.shape == batch.valid.shape == (6, 64, 64)
    assert set(batch.families) == {"question", "box"}
    for family, labels, ids in zip(
        batch.families, batch.labels, batch.prompts.token_ids, strict=True
    ):
        said = maker.processor.tokenizer.decode(labels[labels != IGNORED].tolist())
        said = said.replace(" ", "").replace("\u0120", " ")  # bytes, of which this is the space
        assert ("The target region belongs to" in said) == (family == "question")
        assert (labels[labels != IGNORED] == ids[labels != IGNORED]).all()


def test_points_to_leave_out_are_not_drawn(training_set):
    config = recipe()
    config = replace(config, batch=only(config.batch, point=1))
    _, maker = make(training_set, config)
    for step in range(20):
        batch = maker.batch(step)
        assert (batch.prompts.coordinates[batch.prompts.present][:, 4] == 1).all()


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_step_trains_all_but_the_encoder(training_set, variant):
    trainer, maker = make(training_set, recipe(variant))
    before = copy.deepcopy(trainer.network.state_dict())
    seen: set[str] = set()
    for step in range(8):
        loss = trainer.train_step(maker.batch(step))
        assert set(loss.parts) == {"bce", "dice", "answer"}
        asked = {
            name for name, weight in trainer.network.named_parameters() if weight.grad is not None
        }
        seen |= asked
    after = trainer.network.state_dict()
    same = {key for key in before if torch.equal(before[key], after[key])}
    encoder = {key for key in before if key.startswith("encoder.")}
    assert same == encoder
    assert not any(name.startswith("encoder.") for name in seen)
    assert not any(module.training for module in trainer.network.encoder.modules())
    assert trainer.network.language.training


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("family", ["box", "referring", "question"])
def test_every_weight_has_a_gradient_whatever_is_asked(training_set, variant, family):
    # processes that train together wait for each other's gradient of every weight
    config = recipe(variant)
    config = replace(config, batch=only(config.batch, **{family: 1}))
    trainer, maker = make(training_set, config)
    trainer.train_step(maker.batch(0))
    trained = [weight for weight in trainer.network.parameters() if weight.requires_grad]
    assert trained and all(weight.grad is not None for weight in trained)


@pytest.fixture(scope="module")
def whole(training_set) -> tuple[Trainer, list[float], float, float]:
    """Thirty steps: the trainer, each step's loss, and the loss on other batches around them."""
    trainer, maker = make(training_set, recipe())
    other = BatchMaker(training_set, maker.processor, trainer.config.batch, steps=8, seed=1)
    others = [other.batch(step) for step in range(8)]

    def elsewhere() -> float:
        # what dropout draws here must not change what it draws in the steps
        with torch.no_grad(), torch.random.fork_rng():
            parts = [trainer.loss_module(batch) for batch in others]
        return sum(sum(each.values()).item() for each in parts) / len(parts)

    before = elsewhere()
    losses = [trainer.train_step(maker.batch(step)).total.item() for step in range(30)]
    return trainer, losses, before, elsewhere()


def test_the_loss_falls(whole):
    _, _, before, after = whole
    assert after < 0.9 * before


def test_a_resumed_run_is_the_same_run(training_set, whole, tmp_path: Path):
    trainer, losses, _, _ = whole
    first, maker = make(training_set, recipe())
    for step in range(15):
        first.train_step(maker.batch(step))
    first.save(tmp_path / "run")
    second, maker = make(training_set, recipe())
    second.resume(tmp_path / "run")
    assert second.step == 15
    found = [second.train_step(maker.batch(step)).total.item() for step in range(15, 30)]
    assert found == losses[15:]
    for key, value in trainer.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key]), key


def test_a_resumed_run_with_adapters_is_the_same_run(training_set, tmp_path: Path):
    pytest.importorskip("peft", reason="adapters need the extra 'train'")
    config = replace(recipe(), adapters=LoraConfig(rank=2))
    trainer, maker = make(training_set, config)
    losses = []
    for step in range(4):
        if step == 2:
            trainer.save(tmp_path / "run")
        losses.append(trainer.train_step(maker.batch(step)).total.item())
    second, _ = make(training_set, config)
    second.resume(tmp_path / "run")
    assert [second.train_step(maker.batch(step)).total.item() for step in (2, 3)] == losses[2:]


@pytest.mark.usefixtures("processor_kind")
def test_what_is_saved_is_a_model(training_set, tmp_path: Path):
    config = replace(recipe(), steps=2, activation_checkpointing=True)
    trainer, maker = make(training_set, config)
    run_training_loop(trainer, maker, tmp_path)
    network, _ = checkpoint.load_model(tmp_path / "model")
    batch = maker.batch(0)
    with torch.no_grad():
        found = network(batch.pixel_values, batch.prompts).logits
        expected = trainer.network.eval()(batch.pixel_values, batch.prompts).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_recomputing_gives_the_same_gradients(training_set, variant):
    config = recipe(variant)
    _, maker = make(training_set, config)
    batch = maker.batch(0)
    torch.manual_seed(0)
    plain = UniGeoSegNetwork(config.model).train()
    again = copy.deepcopy(plain)
    checkpoint_activations(again)
    assert again.state_dict().keys() == plain.state_dict().keys()
    assert [type(part) for part in again.modules()] == [type(part) for part in plain.modules()]
    calls = {"plain": 0, "again": 0}

    def count(name):
        def hook(*_):
            calls[name] += 1

        return hook

    for name, network in (("plain", plain), ("again", again)):
        for layer in (
            network.encoder.stages[0][0].attention,
            network.language.model.layers[0].self_attn,
            network.pixels.layers[0].attention,
            network.decoder.layers[0].cross,
        ):
            layer.register_forward_hook(count(name))
    expected, found = gradients(plain, config, batch), gradients(again, config, batch)
    assert calls == {"plain": 4, "again": 8}
    assert found.keys() == expected.keys()
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad, atol=1e-5, rtol=1e-5, msg=name)


def test_recomputing_works_for_nano_too():
    network = tiny_network()
    plain = copy.deepcopy(network)
    checkpoint_activations(network)
    prompts = tiny_processor().prompts([Prompt.from_text("the roof")], [0], (64, 64))
    pixels = torch.randn(1, 3, 64, 64)
    for each in (plain, network):
        each(pixels, prompts).logits.square().mean().backward()
    for one, other in zip(plain.parameters(), network.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-5)


def test_bfloat16_is_close(training_set):
    config = replace(recipe(), half=True)
    trainer, maker = make(training_set, config)
    single, _ = make(training_set, recipe())
    batch = maker.batch(0)
    found, expected = trainer.train_step(batch), single.train_step(batch)
    assert found.total != expected.total
    assert found.total.item() == pytest.approx(expected.total.item(), rel=0.05)
    assert {weight.dtype for weight in trainer.network.parameters()} == {torch.float32}


def test_a_part_that_does_not_exist_cannot_be_frozen(training_set):
    with pytest.raises(OptionError, match="no part 'brain'"):
        make(training_set, replace(recipe(), frozen=("brain",)))


def test_the_rate_is_a_cosine():
    config = replace(recipe(), steps=100, warmup=0.1)
    rates = [learning_rate_factor(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0
    assert rates[54] == pytest.approx(0.5)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[99] == rates[100] == pytest.approx(0)


def test_the_papers_numbers():
    config = paper_recipe()
    assert config.steps * config.batch.images >= 3 * 970_238 > (config.steps - 1) * 16
    assert config.lr == config.language_lr == 1e-4 and config.weight_decay == 0
    assert config.model.variant == "paper" and config.model.image_size == 512
    assert (config.warmup, config.schedule, config.half) == (0.03, "cosine", True)
    assert (config.activation_checkpointing, config.parallel) == (True, "deepspeed")


@pytest.mark.usefixtures("processor_kind")
def test_a_run_from_a_pretrained_language_model(tmp_path: Path):
    folder = write_language(tmp_path / "language", LANGUAGES["llama"])
    network, processor = base_from_language(recipe().model, folder)
    words = network.language.model.get_input_embeddings().weight
    assert network.enhance.reasoning.norm.weight.mean().item() == pytest.approx(words.std().item())
    checkpoint.save_model(tmp_path / "start", network, processor)
    checkpoint.set_confidence(tmp_path / "start", ConfidenceConfig(nothing=(-0.5, 1.0)))
    config = replace(recipe(), steps=2, validation_batches=0)
    shards = sets.write_shards(tmp_path, images=4)
    run_training(config, [shards], tmp_path / "out", start=tmp_path / "start")
    trained, _ = checkpoint.load_model(tmp_path / "out" / "model")
    assert trained.config == network.config  # what was fitted to the start is not kept
    before, after = network.state_dict(), trained.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert {key.split(".")[0] for key in changed} >= {"connector", "language", "memory", "decoder"}
    assert not any(key.startswith("encoder.") for key in changed)
