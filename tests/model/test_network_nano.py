"""The network of Nano: what its parts promise."""

from dataclasses import replace

import pytest
import torch
from networks import tiny_config, tiny_network, tiny_processor

from unigeoseg.errors import PromptError
from unigeoseg.model.config import EnhanceConfig, MemoryConfig, ModelConfig
from unigeoseg.model.lkm import LatentKnowledgeMemory
from unigeoseg.model.loss import segmentation_loss
from unigeoseg.model.nano.fusion import draw_prompts
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.tate import ReferringEnhance, TaskAdaptiveEnhancement
from unigeoseg.prompt import Box, Point, Prompt

PROMPTS = (
    Prompt.from_text("the roof"),
    Prompt.from_text("where could boats float ?"),
    Prompt.from_points([Point(10, 20), Point(40, 50, positive=False)]),
    Prompt.from_box(Box(5, 6, 40, 30)),
)


def images(count: int = 2, side: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def inputs(prompts=PROMPTS, owners=(0, 1, 0, 1), side: int = 64):
    return tiny_processor().prompts(prompts, owners, (side, side))


@torch.inference_mode()
def test_shapes():
    output = tiny_network()(images(), inputs())
    assert output.logits.shape == (4, 16, 16)
    assert output.score_logits.shape == (4,)
    assert len(output.earlier) == tiny_config().decoder.layers


@torch.inference_mode()
def test_each_prompt_is_answered_alone():
    """Tasks may mix in a batch: neighbours and padding do not change an answer."""
    network, pixels = tiny_network(), images()
    together = network(pixels, inputs())
    for index, (prompt, owner) in enumerate(zip(PROMPTS, (0, 1, 0, 1), strict=True)):
        alone = network(pixels[owner : owner + 1], inputs([prompt], [0]))
        assert torch.allclose(alone.logits[0], together.logits[index], atol=1e-4)
        assert torch.allclose(alone.score_logits[0], together.score_logits[index], atol=1e-4)


@torch.inference_mode()
def test_every_prompt_matters():
    network, pixels = tiny_network(), images(1)
    box, other = Prompt.from_box(Box(5, 6, 40, 30)), Prompt.from_box(Box(20, 6, 60, 30))
    logits = network(pixels, inputs([box, other], [0, 0])).logits
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_every_parameter_learns():
    network = tiny_network().train()
    output = network(images(), inputs())
    truth = (torch.rand(4, 16, 16) > 0.5).float()
    every = torch.ones(4)
    losses = segmentation_loss(output, truth, torch.ones_like(truth), every, every)
    labels = torch.ones(4, 16, 16, dtype=torch.int64)
    labels[:, :, 8:] = 2
    told = network.choose(network.encode(images()), inputs(), labels, truth.float())
    (losses.total + told[:, 0].sum()).backward()
    silent = [name for name, value in network.named_parameters() if value.grad is None]
    assert silent == []


def test_prompt_maps_can_be_left_out():
    config = tiny_config()
    plain = replace(config, decoder=replace(config.decoder, prompt_maps=False))
    with_maps = {name for name, _ in UniGeoSegNetwork(config).named_parameters()}
    without = {name for name, _ in UniGeoSegNetwork(plain).named_parameters()}
    assert {name.rsplit(".", 2)[0] for name in with_maps - without} == {"fusion.draw"}


def test_boxes_are_drawn_to_the_part_of_a_cell():
    rows = torch.tensor([[[0.0, 0.25, 0.375, 0.5, 1.0]]])
    maps = draw_prompts(rows, torch.tensor([[True]]), 4, 4)
    assert maps.shape == (1, 3, 4, 4)
    expected = torch.zeros(4, 4)
    expected[1, :2] = torch.tensor([1.0, 0.5])
    assert torch.equal(maps[0, 2], expected)
    assert not maps[0, :2].any()


def test_points_are_drawn_where_they_are():
    rows = torch.tensor([[[0.3, 0.8, 0.3, 0.8, 1.0], [0.9, 0.1, 0.9, 0.1, -1.0]]])
    maps = draw_prompts(rows, torch.tensor([[True, True]]), 10, 20)
    for channel, (row, column) in enumerate([(7, 5), (0, 17)]):
        peak = divmod(int(maps[0, channel].argmax()), 20)
        assert abs(peak[0] - row) <= 1 and abs(peak[1] - column) <= 1
    absent = draw_prompts(rows, torch.tensor([[False, False]]), 10, 20)
    assert not absent.any()


def test_enhancement_starts_by_keeping_the_words():
    """Nano's words come pretrained: untrained TATE must not scramble them."""
    enhance = TaskAdaptiveEnhancement(16, EnhanceConfig(dropout=0.0)).eval()
    text = torch.randn(3, 5, 16)
    mask = torch.ones(3, 5, dtype=torch.bool)
    nothing = torch.zeros(3, 1, 5), torch.zeros(3, 1, dtype=torch.bool)
    out = enhance(text, mask, torch.tensor([0, 1, 2]), nothing)
    assert torch.allclose(out[:2], text[:2], atol=1e-5)
    assert torch.cosine_similarity(out[2], text[2], dim=-1).min() > 0.7


def test_referring_weighs_tokens_by_equation_2():
    branch = ReferringEnhance(8)
    torch.nn.init.normal_(branch.query_D)
    text, mask = torch.randn(1, 4, 8), torch.tensor([[True, True, True, False]])
    weight = torch.softmax(text[0, :3] @ branch.query_D / 8**0.5, dim=0)
    expected = 3 * weight[:, None] * text[0, :3]
    assert torch.allclose(branch(text, mask)[0, :3], expected, atol=1e-6)


def test_memory_recalls_by_equations_6_and_7():
    memory = LatentKnowledgeMemory(8, MemoryConfig(slots=3, weight=0.25))
    hidden = torch.randn(2, 5, 8)
    match = torch.softmax(torch.einsum("pld,md->plm", hidden, memory.slots_MD), dim=-1)
    expected = 0.75 * hidden + 0.25 * torch.einsum("plm,md->pld", match, memory.slots_MD)
    assert torch.allclose(memory(hidden), expected, atol=1e-6)


def test_long_instructions_are_refused():
    with pytest.raises(PromptError, match="at most 128"):
        inputs([Prompt.from_text("roof " * 200)], [0])


def test_presets_differ_in_size_only():
    tiny, nano = ModelConfig.tiny(100), ModelConfig.nano()
    assert type(tiny.encoder) is type(nano.encoder)
    assert tiny.language.width < nano.language.width
