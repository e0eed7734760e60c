"""The choice between regions: what is measured, and what must not matter."""

from dataclasses import replace

import pytest
import torch
from networks import tiny_network

from unigeoseg.model.nano.region_choice import Regions, nearness

GENERATOR = torch.Generator().manual_seed(0)
MAPS = tuple(
    torch.randn(2, *shape, generator=GENERATOR) for shape in ((16, 16, 16), (16, 8, 8), (32, 4, 4))
)


def labels() -> torch.Tensor:
    """Three regions for the first prompt, one for the second."""
    labels = torch.zeros(2, 16, 16, dtype=torch.int64)
    labels[0, 0:4, 2:6], labels[0, 8:12, 8:16], labels[0, 14:16, 0:2] = 1, 2, 3
    labels[1, 4:8, 4:8] = 1
    return labels


@pytest.fixture
def regions() -> Regions:
    scores = torch.full((2, 16, 16), 0.4)
    scores[0, 0, 2] = 0.9
    return Regions.of(labels(), scores, MAPS)


def told() -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states of the text, and which tokens are real: six, and four."""
    real = torch.ones(2, 6, dtype=torch.bool)
    real[1, 4:] = False
    return torch.randn(2, 6, 32, generator=torch.Generator().manual_seed(1)), real


def test_regions_are_measured_in_parts_of_the_map(regions):
    assert regions.real.tolist() == [[True] * 3, [True, False, False]]
    first = [4 / 16, 2 / 16, 2.5 / 16, 0.5 / 16, 5.5 / 16, 3.5 / 16, (16 / 256) ** 0.5]
    assert regions.shape[0, 0].tolist() == pytest.approx([*first, 0.4 + 0.5 / 16, 0.9])
    assert (regions.shape[1, 1:] == 0).all()


def test_a_regions_look_is_the_mean_of_the_maps_over_it(regions):
    fine = MAPS[0][0, :, 8:12, 8:16].mean(dim=(1, 2))
    coarse = MAPS[2][0, :, 2:3, 2:4].mean(dim=(1, 2))
    assert torch.allclose(regions.look[0, 1], torch.cat([fine, coarse]), atol=1e-5)


@torch.inference_mode()
def test_the_order_of_regions_does_not_matter(regions):
    choice, (text, real) = tiny_network().choice, told()
    order = torch.tensor([2, 0, 1])
    turned = Regions(regions.shape[:, order], regions.look[:, order], regions.real[:, order])
    logits = choice(regions, MAPS[-1], text, real)
    again = choice(turned, MAPS[-1], text, real)
    assert torch.allclose(logits[:, order], again, atol=1e-5)
    assert torch.isinf(logits[1, 1:]).all() and logits[0].isfinite().all()


@torch.inference_mode()
def test_padding_and_neighbours_do_not_matter(regions):
    choice, (text, real) = tiny_network().choice, told()
    together = choice(regions, MAPS[-1], text, real)
    one = Regions(*(each[1:, :1] for each in (regions.shape, regions.look, regions.real)))
    alone = choice(one, MAPS[-1][1:], text[1:, :4], real[1:, :4])
    assert torch.allclose(together[1:, :1], alone, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("what", ["words", "places", "look", "scene"])
def test_everything_that_is_known_matters(regions, what):
    choice, (text, real) = tiny_network().choice, told()
    before = choice(regions, MAPS[-1], text, real)
    scene = MAPS[-1]
    if what == "words":
        text = text + torch.randn(2, 6, 32, generator=GENERATOR)
    elif what == "places":
        regions = replace(regions, shape=regions.shape * 0.5)
    elif what == "look":
        regions = replace(regions, look=regions.look + 1)
    else:
        scene = scene + torch.randn(2, 32, 4, 4, generator=GENERATOR)
    after = choice(regions, scene, text, real)
    assert not torch.allclose(before[0], after[0], atol=1e-4)


def test_nearness_falls_with_the_distance_from_a_regions_box():
    """Of three regions in a row; the landmark lies in the first cell."""
    shape = torch.zeros(1, 3, 9)
    for at, left in enumerate((0.0, 0.3, 0.6)):
        shape[0, at, 2:6] = torch.tensor([left, 0.0, left + 0.2, 0.1])
    landmarks = torch.zeros(1, 256, 4)
    landmarks[0, 0, 1] = 0.8
    regions = Regions(shape, torch.zeros(1, 3, 48), torch.tensor([[True, True, False]]))
    near, among = nearness(regions, landmarks).chunk(2, dim=-1)
    kinds = near.unflatten(-1, (3, 4))
    assert (kinds[..., [0, 2, 3]] == 0).all()
    beside = torch.tensor([0.0, 0.3 - 1 / 32, 0.6 - 1 / 32])
    spreads = torch.tensor([0.03, 0.1, 0.3])
    expected = 0.8 * torch.exp(-beside[:, None] / spreads)
    assert torch.allclose(kinds[0, :, :, 1], expected, atol=0.01)
    # half for itself, and a whole one for the one real region that is nearer
    wide = among.unflatten(-1, (3, 4))[0, :2, 2, 1] * 4
    assert wide.tolist() == pytest.approx([0.5, 1.5], abs=0.01)


@torch.inference_mode()
def test_half_precision_chooses_alike(regions):
    choice, (text, real) = tiny_network().choice, told()
    single = choice(regions, MAPS[-1], text, real)
    maps = tuple(level.bfloat16() for level in MAPS)
    scores = torch.full((2, 16, 16), 0.4)
    scores[0, 0, 2] = 0.9
    measured = Regions.of(labels(), scores, maps)
    half = choice.bfloat16()(measured, maps[-1], text.bfloat16(), real)
    assert half.dtype == torch.bfloat16
    assert (half - single)[regions.real].abs().max() < 0.05
