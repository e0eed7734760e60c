"""How the choice between regions is learnt: on labelled regions, made to look as they are found.

What the network will choose between are parts of its own masks: some faint, some frayed, with
things of other kinds and specks among them. Labelled regions are exact and known without running
the mask decoder, so they are made uncertain instead, which allows many more expressions a second.

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

_STRIDE = 2  # of the maps on which regions are measured
_MOST = 24  # regions of a prompt
_LOST = 0.08  # share of regions that are not found
_STRANGE = (0.4, 0.6)  # share of prompts with regions of other kinds, and the most of those
_FAINT = (0.08, 0.12)  # share that is found faintly: of the one that is meant, of others
_FRAYED = 0.05  # of its side, by which an edge of a region is off


@dataclass(frozen=True, slots=True)
class _Found:
    """What is found of the regions of one prompt.

    Attributes:
        places: (256,) int64, by the region's number in the batch: its place among those that are
            found, from 1, or 0.
        scores: (K, 2) mean and highest score of each.
        meant: Which is meant, from 0.
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float32]
    meant: int


_ALONE = _Found(np.ones(256, np.int64), np.ones((1, 2), np.float32), 0)
"""Nothing to choose from: the whole view is what is meant."""


def choice_loss(network: UniGeoSegNetwork, image: ImageFeatures, batch: Batch) -> Tensor:
    """Cross-entropy of the region that is meant, over all prompts of the batch.

    Prompts that have nothing to choose from cost nothing.

    Args:
        network: Nano; gradients reach its choice alone.
        image: What it has seen of the batch.
        batch: P prompts.
    """
    assert network.choice is not None, "the recipe is for networks that choose"
    found = [_found(*each) for each in zip(batch.rivals, batch.seeds.tolist(), strict=True)]
    # a step without any choice still passes through all weights, as several processes need
    at = [index for index, each in enumerate(found) if each] or [0]
    told = [found[index] or _ALONE for index in at]
    maps = tuple(maps[batch.prompts.image_index[at]].detach() for maps in image.maps)
    labels = torch.stack(
        [
            torch.from_numpy(each.places)[rivals[::_STRIDE, ::_STRIDE].long()]
            for each, rivals in zip(told, batch.rivals[at].cpu(), strict=True)
        ]
    )
    labels = labels.to(maps[0].device)
    regions = Regions.of(labels, torch.zeros_like(labels, dtype=maps[0].dtype), maps)
    ids, real = batch.prompts.token_ids[at], batch.prompts.attention_mask[at]
    with torch.no_grad():
        text = network.language.read(ids, real)
    logits = network.choice(_as_found(regions, told, batch.seeds[at]), maps[-1], text, real)
    meant = torch.tensor([each.meant for each in told]).to(logits.device)
    return functional.cross_entropy(logits, meant, reduction="sum") / len(found)


def _found(rivals: Tensor, seed: int) -> _Found | None:
    """What is found of the regions (S, S) of a prompt; None where there is nothing to choose."""
    small = rivals[::_STRIDE, ::_STRIDE].cpu().numpy()
    shown = np.flatnonzero(np.bincount(small.ravel(), minlength=2)[1:]) + 1
    if (shown < OTHER_CATEGORIES).sum() < 2 or shown[0] != TARGET:
        return None
    rng = np.random.default_rng(seed)
    strange = _STRANGE[1] * rng.random() * (rng.random() < _STRANGE[0])
    kept = rng.random(len(shown)) < np.where(shown < OTHER_CATEGORIES, 1 - _LOST, strange)
    others = rng.permutation(shown[1:][kept[1:]])[: _MOST - 1]
    regions = rng.permutation(np.r_[TARGET, others])
    faint = rng.random(len(regions)) < np.where(regions == TARGET, *_FAINT)
    faint |= regions >= OTHER_CATEGORIES
    chance = rng.random(len(regions))
    high = np.where(faint, 0.1 + 0.6 * chance, 1 - 0.5 * chance**2)
    mean = np.maximum(0.1, high * rng.uniform(0.5, 0.95, len(regions)))
    places = np.zeros(256, np.int64)
    places[regions] = np.arange(1, len(regions) + 1)
    scores = np.stack([mean, high], axis=1).astype(np.float32)
    return _Found(places, scores, int(np.flatnonzero(regions == TARGET)[0]))


def _as_found(regions: Regions, told: Sequence[_Found], seeds: Tensor) -> Regions:
    """Regions with the scores of what was found, and edges a little off."""
    shape = regions.shape.clone()
    for at, (found, seed) in enumerate(zip(told, seeds.tolist(), strict=True)):
        count = len(found.scores)
        drawn = np.random.default_rng([seed]).normal(scale=_FRAYED, size=(count, 7))
        off, here = torch.from_numpy(drawn).to(shape), shape[at, :count]
        sides = here[:, 4:6] - here[:, 2:4]
        here[:, :6] += off[:, :6] * sides.repeat(1, 3)
        here[:, 6] *= 1 + off[:, 6]
        here[:, 7:9] = torch.from_numpy(found.scores).to(shape)
    return replace(regions, shape=shape)
