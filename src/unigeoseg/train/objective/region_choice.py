"""The loss of Nano's choice between regions, on labelled regions that look like predicted ones.

In use the network chooses between parts of its own masks: some faint, some frayed, among regions of
other categories and specks. Labelled regions are exact and need no mask decoder, so the loss makes
them uncertain instead, which allows many more expressions a second.

Legend: P prompts, K regions, S side of a view, h w map.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from unigeoseg.model.nano.region_choice import Regions
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.values import ImageFeatures
from unigeoseg.train.input.batch import OTHER_CATEGORIES, TARGET, Batch

_STRIDE = 2  # of the maps on which regions are measured, in pixels
_LABELS = 256  # values of `Batch.rivals`, uint8
_MAX_REGIONS = 24  # of a prompt
_MISS_PROBABILITY = 0.08  # of a rival of the target's category
_DISTRACTOR_PROBABILITY = 0.4  # of a prompt to have regions of other categories
_MAX_DISTRACTOR_SHARE = 0.6  # of those regions, uniform from 0
_FAINT_PROBABILITY = (0.08, 0.12)  # of the target, of its rivals; distractors are always faint
_FAINT_SCORE, _FAINT_RANGE = 0.1, 0.6  # highest score of a faint region, uniform
_CLEAR_MIN_SCORE = 0.5  # of the highest scores of other regions, which are densest at 1
_MIN_MEAN_SCORE = 0.1
_MEAN_TO_HIGHEST = (0.5, 0.95)  # mean score of a region as a share of its highest
_EDGE_NOISE = 0.05  # standard deviation of the edges of a region, as a share of its sides

_CENTRE_AND_BOX, _BOX_MIN, _BOX_MAX = slice(0, 6), slice(2, 4), slice(4, 6)
_ROOT_AREA, _SCORES = 6, slice(7, 9)
"""Columns of `Regions.shape`."""


@dataclass(frozen=True, slots=True)
class _SimulatedRegions:
    """The regions of one prompt as if they were predicted.

    Attributes:
        index_of_label: (256,) int64: the index of a region, from 1, by its value in
            `Batch.rivals`; 0 for what is not predicted.
        scores: (K, 2) mean and highest score of each region.
        target: Index of the target, from 0.
    """

    index_of_label: NDArray[np.int64]
    scores: NDArray[np.float32]
    target: int


_WHOLE_VIEW = _SimulatedRegions(np.ones(_LABELS, np.int64), np.ones((1, 2), np.float32), 0)
"""One region that is the whole view: nothing to choose from."""


def choice_loss(network: UniGeoSegNetwork, image: ImageFeatures, batch: Batch) -> Tensor:
    """Cross-entropy of the target among the regions of a prompt, over all prompts of the batch.

    Prompts that have nothing to choose from cost nothing.

    Args:
        network: Nano; gradients reach its region choice alone.
        image: Features of the batch's views.
        batch: P prompts.

    Returns:
        A scalar: the sum over prompts with a choice, divided by P.
    """
    assert network.choice is not None, "the recipe is for networks that choose"
    simulations = [
        _simulate_regions(rivals, seed)
        for rivals, seed in zip(batch.rivals, batch.seeds.tolist(), strict=True)
    ]
    # a step without any choice still uses all weights, as several processes need
    indices = [index for index, regions in enumerate(simulations) if regions] or [0]
    simulated = [simulations[index] or _WHOLE_VIEW for index in indices]
    maps = tuple(maps[batch.prompts.image_index[indices]].detach() for maps in image.maps)
    labels = torch.stack(
        [
            torch.from_numpy(regions.index_of_label)[rivals[::_STRIDE, ::_STRIDE].long()]
            for regions, rivals in zip(simulated, batch.rivals[indices].cpu(), strict=True)
        ]
    )
    labels = labels.to(maps[0].device)
    regions = Regions.of(labels, torch.zeros_like(labels, dtype=maps[0].dtype), maps)
    regions = _with_noise(regions, simulated, batch.seeds[indices])
    ids, real = batch.prompts.token_ids[indices], batch.prompts.attention_mask[indices]
    with torch.no_grad():
        text = network.language.read(ids, real)
    logits = network.choice(regions, maps[-1], text, real)
    targets = torch.tensor([regions.target for regions in simulated]).to(logits.device)
    return functional.cross_entropy(logits, targets, reduction="sum") / len(simulations)


def _simulate_regions(rivals: Tensor, seed: int) -> _SimulatedRegions | None:
    """Regions of a prompt's map (S, S) as if predicted; None where there is nothing to choose."""
    small = rivals[::_STRIDE, ::_STRIDE].cpu().numpy()
    visible = np.flatnonzero(np.bincount(small.ravel(), minlength=2)[1:]) + 1
    if (visible < OTHER_CATEGORIES).sum() < 2 or visible[0] != TARGET:
        return None
    rng = np.random.default_rng(seed)
    # the target is always found; rivals are missed at times, few distractors are found
    distractor_share = _MAX_DISTRACTOR_SHARE * rng.random()
    distractor_share *= rng.random() < _DISTRACTOR_PROBABILITY
    probability = np.where(visible < OTHER_CATEGORIES, 1 - _MISS_PROBABILITY, distractor_share)
    is_found = rng.random(len(visible)) < probability
    not_targets = rng.permutation(visible[1:][is_found[1:]])[: _MAX_REGIONS - 1]
    regions = rng.permutation(np.r_[TARGET, not_targets])
    faint = rng.random(len(regions)) < np.where(regions == TARGET, *_FAINT_PROBABILITY)
    faint |= regions >= OTHER_CATEGORIES
    scores = _simulate_scores(faint, rng)
    index_of_label = np.zeros(_LABELS, np.int64)
    index_of_label[regions] = np.arange(1, len(regions) + 1)
    return _SimulatedRegions(index_of_label, scores, int(np.flatnonzero(regions == TARGET)[0]))


def _simulate_scores(faint: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Mean and highest score (K, 2) of regions that are found faintly or clearly."""
    draws = rng.random(len(faint))
    clear_scores = 1 - (1 - _CLEAR_MIN_SCORE) * draws**2
    highest = np.where(faint, _FAINT_SCORE + _FAINT_RANGE * draws, clear_scores)
    mean = np.maximum(_MIN_MEAN_SCORE, highest * rng.uniform(*_MEAN_TO_HIGHEST, len(faint)))
    return np.stack([mean, highest], axis=1).astype(np.float32)


def _with_noise(regions: Regions, simulated: Sequence[_SimulatedRegions], seeds: Tensor) -> Regions:
    """Regions with simulated scores, and with noise on their edges, centres and areas."""
    shape = regions.shape.clone()
    for index, (simulation, seed) in enumerate(zip(simulated, seeds.tolist(), strict=True)):
        count = len(simulation.scores)
        rng = np.random.default_rng([seed])
        normal = rng.normal(scale=_EDGE_NOISE, size=(count, _ROOT_AREA + 1))
        noise, columns = torch.from_numpy(normal).to(shape), shape[index, :count]
        sides = columns[:, _BOX_MAX] - columns[:, _BOX_MIN]
        columns[:, _CENTRE_AND_BOX] += noise[:, _CENTRE_AND_BOX] * sides.repeat(1, 3)
        columns[:, _ROOT_AREA] *= 1 + noise[:, _ROOT_AREA]
        columns[:, _SCORES] = torch.from_numpy(simulation.scores).to(shape)
    return replace(regions, shape=shape)
