"""Parts of Base against definitions written out, and the whole on random weights."""

import copy
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import tiny_base
import torch
from places import SOURCE
from torch import nn

from unigeoseg.errors import CheckpointDamagedError, MissingExtraError, PromptError
from unigeoseg.model.base.chat import IGNORED, ChatProcessor
from unigeoseg.model.base.mask_decoder import Mask2FormerDecoder
from unigeoseg.model.base.pixel_decoder import DeformableAttention, SamplingTable, sine_positions
from unigeoseg.model.base.swin import SwinBlock
from unigeoseg.model.base.tate_released import TemplateEnhancement
from unigeoseg.model.config import Mask2FormerConfig, MemoryConfig, SegTokenConfig
from unigeoseg.model.connector import CompressionConnector
from unigeoseg.model.io import checkpoint
from unigeoseg.model.lkm import PooledKnowledgeMemory
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.point_loss import PointLossConfig, answer_loss, point_losses
from unigeoseg.model.target import PerceiverBlock, SegToken
from unigeoseg.prompt import Box, Point, Prompt, Task

SHAPES = [(2, 3), (4, 6), (8, 12)]


def bilinear(maps, x, y):
    """Value of maps (C, h, w) at a place in [0, 1], zero beyond the border."""
    height, width = maps.shape[1:]
    column, row = x * width - 0.5, y * height - 0.5
    value = torch.zeros(len(maps))
    for near_row in (math.floor(row), math.floor(row) + 1):
        for near_column in (math.floor(column), math.floor(column) + 1):
            if 0 <= near_row < height and 0 <= near_column < width:
                share = (1 - abs(row - near_row)) * (1 - abs(column - near_column))
                value += share * maps[:, near_row, near_column]
    return value


def table_of(attention: DeformableAttention) -> SamplingTable:
    return SamplingTable.of(SHAPES, attention.points, torch.device("cpu"))


def test_deformable_attention_is_the_naive_loop():
    torch.manual_seed(0)
    attention = DeformableAttention(Mask2FormerConfig(width=8, heads=2, points=2))
    nn.init.normal_(attention.offset.weight)
    nn.init.normal_(attention.weight.weight)
    reference = [
        ((column + 0.5) / width, (row + 0.5) / height)
        for height, width in SHAPES
        for row in range(height)
        for column in range(width)
    ]
    count = len(reference)
    queries, places = torch.randn(2, 2, count, 8)
    expected = torch.zeros(2, count, 8)
    with torch.no_grad():
        values = attention.value(places)
        offset = attention.offset(queries).view(2, count, 2, 3, 2, 2)
        weight = attention.weight(queries).view(2, count, 2, 6).softmax(-1)
        weight = weight.view(2, count, 2, 3, 2)
        for image, query, head in torch.cartesian_prod(*map(torch.arange, (2, count, 2))).tolist():
            start = 0
            for level, (height, width) in enumerate(SHAPES):
                part = values[image, start : start + height * width, 4 * head : 4 * head + 4]
                maps = part.T.reshape(4, height, width)
                start += height * width
                for point in range(2):
                    away = offset[image, query, head, level, point]
                    x = (reference[query][0] + away[0] / width).item()
                    y = (reference[query][1] + away[1] / height).item()
                    share = weight[image, query, head, level, point]
                    seen = share * bilinear(maps, x, y)
                    expected[image, query, 4 * head : 4 * head + 4] += seen
        expected = attention.out(expected)
        found = attention(queries, places, table_of(attention))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_deformable_attention_in_half_precision():
    attention = DeformableAttention(Mask2FormerConfig(width=8, heads=2)).bfloat16()
    places = torch.randn(1, 126, 8, dtype=torch.bfloat16)
    found = attention(places, places, table_of(attention))
    assert found.dtype == torch.bfloat16
    assert found.shape == (1, 126, 8)


def test_deformable_attention_hides_no_nan():
    attention = DeformableAttention(Mask2FormerConfig(width=8, heads=2))
    places = torch.randn(1, 126, 8)
    places[0, 3] = torch.nan
    found = attention(places, torch.zeros_like(places), table_of(attention))
    assert found[0, 3].isnan().all()
    assert found.isfinite().all(dim=-1).sum() == 125


def test_sine_positions_tell_all_places_apart():
    positions = sine_positions(torch.zeros(1, 16, 3, 5))
    assert positions.shape == (1, 16, 3, 5)
    assert len(positions[0].flatten(1).T.unique(dim=0)) == 15
    # rows in the first half of the channels
    assert (positions[0, :8] == positions[0, :8, :, :1]).all()
    assert (positions[0, 8:] == positions[0, 8:, :1]).all()


@pytest.mark.parametrize("count", [1, 3])
def test_perceiver_keeps_the_latents_shape(count):
    block = PerceiverBlock(SegTokenConfig(width=24, heads=2, head_width=5))
    assert block(torch.randn(2, count, 24), torch.randn(2, 7, 24)).shape == (2, count, 24)


def test_perceiver_sees_media_in_any_order():
    block = PerceiverBlock(SegTokenConfig(width=24, heads=2, head_width=5))
    latent, media = torch.randn(1, 1, 24), torch.randn(1, 7, 24)
    there, back = block(latent, media), block(latent, media.flip(1))
    torch.testing.assert_close(there, back)
    assert not torch.allclose(there, block(latent, -media))


def test_each_prompt_has_its_own_memory_weight():
    memory = PooledKnowledgeMemory(6, MemoryConfig(slots=3))
    nn.init.normal_(memory.slots_MD)
    hidden, said = torch.randn(4, 5, 6), torch.ones(4, 5, dtype=torch.bool)
    task = torch.tensor([1, 0, 2, 0])  # referring, interactive, reasoning, interactive

    def pool(states, mask):
        assert mask is said
        return states.mean(dim=1, keepdim=True)

    pooled, words = memory.gather(hidden, said, task, pool)
    before = pool(hidden, said)
    recalled = torch.softmax(before @ memory.slots_MD.T, dim=-1) @ memory.slots_MD
    assert torch.equal(words, hidden)
    torch.testing.assert_close(pooled[[1, 3]], before[[1, 3]], atol=0, rtol=0)
    torch.testing.assert_close(pooled[[0, 2]], (0.8 * before + 0.2 * recalled)[[0, 2]])
    for order in ([1, 0, 2, 3], [3, 2, 1, 0]):
        again, _ = memory.gather(
            hidden[order], said, task[order], lambda states, _: pool(states, said)
        )
        torch.testing.assert_close(again, pooled[order])


def test_template_branches():
    config = tiny_base.config()
    enhance = TemplateEnhancement(8, config.enhance).eval()
    text = torch.randn(3, 6, 8)
    said = torch.zeros(3, 6, dtype=torch.bool)
    said[:, 4:] = True
    drawn = torch.rand(3, 2, 5), torch.tensor([[True, False], [False, False], [True, True]])
    target = SegToken(8, 8, 8, SegTokenConfig(width=8, heads=1, head_width=8))
    out = enhance(text, said, torch.tensor([1, 2, 0]), drawn, target.pooling_weights)
    assert torch.equal(out[:, 4:], text[:, 4:])
    scale = out[0, :4] / text[0, :4]
    torch.testing.assert_close(scale.mean(dim=1).sum(), torch.tensor(1.0))
    assert (out[1, :4] == out[1, :1]).all()
    rows = enhance.interactive.project(drawn[0][2, :, :4])
    beside = torch.cat([rows, torch.zeros(2, 8)])
    expected = enhance.interactive.join(torch.cat([text[2, :4], beside], dim=-1))
    torch.testing.assert_close(out[2, :4], expected)


def test_a_point_is_a_row_with_two_zeros():
    interactive = TemplateEnhancement(8, tiny_base.config().enhance).interactive
    point = torch.tensor([[[0.25, 0.5, 0.25, 0.5, 1.0]]])
    expected = interactive.project(torch.tensor([[[0.25, 0.5, 0.0, 0.0]]]))
    found = interactive.rows(point, torch.ones(1, 1, dtype=torch.bool))
    assert torch.equal(found, expected)


def test_swin_windows_do_not_see_across_the_seam():
    block = SwinBlock(8, 2, 4, shift=2, drop=0.0).eval()
    maps = torch.randn(1, 8, 8, 8)
    changed = maps.clone()
    changed[:, 0, 0, 0] += 1  # its shifted window holds rows and columns 0 and 1 alone
    moved = (block(changed) - block(maps)).abs().amax(dim=-1)[0] > 1e-6
    assert moved[:2, :2].all()
    assert moved.sum() == 4


def test_connector_halves_the_map():
    tokens = CompressionConnector(6, 10, 4)(torch.randn(2, 6, 4, 4))
    assert tokens.shape == (2, 4, 10)


def test_point_losses_draw_in_order():
    draws = []

    def draw(prompts, points):
        draws.append((prompts, points))
        return 0.3 + 0.4 * torch.rand(prompts, points, 2)  # away from the border

    config = PointLossConfig(points=8)
    truth = torch.zeros(2, 8, 8)
    truth[1] = 1
    sure = (truth * 2 - 1) * 50
    bce, dice = point_losses([sure, sure], truth, config, draw)
    assert draws == [(2, 24), (2, 2)] * 2
    assert bce < 1e-4
    assert dice < 1e-4
    wrong, wrong_dice = point_losses([-sure, -sure], truth, config, draw)
    assert wrong > 100 and wrong_dice > 8
    point_losses([sure], truth, replace(config, uncertain=1.0), draw)
    assert draws[8:] == [(2, 24)]


def test_answer_loss_is_shifted():
    logits = torch.full((1, 3, 5), -50.0)
    logits[0, 0, 2] = logits[0, 1, 4] = 50.0
    assert answer_loss(logits, torch.tensor([[IGNORED, 2, 4]]), nn.Identity()) < 1e-6
    assert answer_loss(logits, torch.tensor([[2, 4, IGNORED]]), nn.Identity()) > 50


def test_without_an_answer_there_is_no_loss():
    hidden = torch.randn(2, 3, 5, requires_grad=True)
    loss = answer_loss(hidden, torch.full((2, 3), IGNORED), nn.Linear(5, 7))
    loss.backward()
    assert loss == 0
    assert (hidden.grad == 0).all()


def test_points_without_a_label_do_not_count():
    torch.manual_seed(0)

    def draw(prompts, points):
        return 0.3 + 0.4 * torch.rand(prompts, points, 2)  # away from the border

    truth = torch.ones(1, 16, 16)
    truth[:, :, :8] = 0  # of which nothing is known, and where the logits are wrong
    valid, logits = truth.clone(), torch.full((1, 8, 8), 9.0)
    config = PointLossConfig(points=64)
    assert sum(point_losses([logits], truth, config, draw)) > 10
    assert sum(point_losses([logits], truth, config, draw, valid=valid)) < 0.1
    bce, dice = point_losses([logits], truth, config, draw, valid=torch.zeros_like(valid))
    assert bce == dice == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_is_the_chance_inside_or_the_highest_of_an_empty_mask(sign):
    """Maps that are the same everywhere give one logit everywhere, and that as the score."""
    torch.manual_seed(0)
    config = Mask2FormerConfig(width=8, mask_width=8, heads=2, layers=3, feed_forward=16)
    decoder = Mask2FormerDecoder(config).eval()
    fine = sign * torch.randn(8)[None, :, None, None].expand(2, 8, 16, 16)
    levels = [torch.zeros(2, 8, side, side) for side in (2, 4, 8)]
    with torch.no_grad():
        logits, scores = decoder(
            torch.ones(2, 1, 8), torch.ones(2, 1, dtype=torch.bool), (fine, *levels)
        )
    torch.testing.assert_close(scores, logits[-1].mean(dim=(1, 2)), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def base() -> tuple[UniGeoSegNetwork, ChatProcessor]:
    pytest.importorskip("transformers", reason="Base needs the extra 'base'")
    torch.manual_seed(0)
    config = tiny_base.config()
    return UniGeoSegNetwork(config).eval(), ChatProcessor(tiny_base.tokenizer(), config)


PROMPTS = [
    Prompt.from_text("the lake"),
    Prompt.from_text("where could a helicopter land?", Task.REASONING),
    Prompt.from_box(Box(4, 8, 40, 60)),
    Prompt.from_points([Point(10, 20), Point(30, 40)]),
]


def test_a_prompt_does_not_depend_on_its_neighbours(base):
    network, processor = base
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        image = network.encode(pixels)
        which = [0, 1, 1, 0]
        together = network.decode(image, processor.prompts(PROMPTS, which, (64, 64)))
        assert together.logits.shape == (4, 16, 16)
        assert len(together.earlier) == tiny_base.MASK_LAYERS
        assert together.score_logits.shape == (4,)
        for index, prompt in enumerate(PROMPTS):
            alone = processor.prompts([prompt], [which[index]], (64, 64))
            found = network.decode(image, alone).logits[0]
            torch.testing.assert_close(found, together.logits[index], atol=1e-4, rtol=0)


def test_the_answer_does_not_leak(base):
    network, processor = base
    drawn = torch.zeros(1, 1, 5), torch.zeros(1, 1, dtype=torch.bool)
    pixels, logits = torch.randn(1, 3, 64, 64), []
    for answers in (None, ["a lake"], ["something much longer"]):
        prompts, labels = processor.pack(["it"], [Task.REASONING], drawn, [0], answers=answers)
        assert (labels != IGNORED).any() == (answers is not None)
        with torch.no_grad():
            logits.append(network(pixels, prompts).logits)
    torch.testing.assert_close(logits[1], logits[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(logits[2], logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", ["released", "paper"])
def test_base_runs_in_half_precision(base, variant):
    processor = base[1]
    torch.manual_seed(0)
    network = UniGeoSegNetwork(replace(base[0].config, variant=variant)).eval()
    pixels, prompts = torch.randn(1, 3, 64, 64), processor.prompts(PROMPTS, [0] * 4, (64, 64))
    with torch.no_grad():
        single = network(pixels, prompts).logits
        half = copy.deepcopy(network).bfloat16()(pixels.bfloat16(), prompts).logits
    assert half.dtype == torch.bfloat16
    assert (half - single).abs().mean() < 0.2 * single.std()


@pytest.mark.usefixtures("processor_kind")
def test_save_and_load(base, tmp_path):
    network, processor = base
    checkpoint.save_model(tmp_path / "model", network, processor)
    again, reader = checkpoint.load_model(tmp_path / "model")
    assert again.config == network.config
    pixels, prompts = torch.randn(1, 3, 64, 64), reader.prompts(PROMPTS, [0] * 4, (64, 64))
    with torch.no_grad():
        expected = network(pixels, processor.prompts(PROMPTS, [0] * 4, (64, 64))).logits
        torch.testing.assert_close(again(pixels, prompts).logits, expected, atol=1e-5, rtol=0)


def test_prompts_that_base_cannot_take_are_refused(base):
    _, processor = base
    with pytest.raises(PromptError, match="points to leave out"):
        processor.prompts([Prompt.from_points([Point(1, 1), Point(2, 2, False)])], [0], (64, 64))
    with pytest.raises(PromptError, match="shorten it"):
        processor.prompts([Prompt.from_text("lake " * 200)], [0], (64, 64))
    with pytest.raises(PromptError, match="give fewer"):
        many = Prompt.from_points(Point(index, 1) for index in range(120))
        processor.prompts([many], [0], (640, 640))


def test_a_tokenizer_of_another_model_is_refused():
    config = tiny_base.config()
    other = replace(config, language=replace(config.language, prefix=(1, 2)))
    with pytest.raises(CheckpointDamagedError, match="other tokens"):
        ChatProcessor(tiny_base.tokenizer(), other)
    settings = {**config.language.settings, "vocab_size": 10}
    other = replace(config, language=replace(config.language, settings=settings))
    with pytest.raises(CheckpointDamagedError, match="10"):
        ChatProcessor(tiny_base.tokenizer(), other)


def test_without_transformers_base_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"unigeoseg\[base\]"):
        UniGeoSegNetwork(tiny_base.config())


def test_nano_does_not_import_transformers():
    code = (
        "import sys, unigeoseg.model.network as n, unigeoseg.model.io.checkpoint;"
        "from unigeoseg.model.config import ModelConfig;"
        "n.UniGeoSegNetwork(ModelConfig.tiny(9)); assert 'transformers' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
