"""Training objectives: a loss runs the network on a batch and returns its named parts.

Legend: P prompts, S side of a view, L tokens, K points, h w mask logits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from unigeoseg.data.instructions.draft import ONE_REGION
from unigeoseg.model.base.chat import IGNORED
from unigeoseg.model.loss import LossParts, segmentation_loss
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.point_loss import PointLossConfig, answer_loss, point_losses
from unigeoseg.train.input.batch import OTHER_CATEGORIES, Batch
from unigeoseg.train.objective.region_choice import choice_loss

Loss = Callable[[UniGeoSegNetwork, Batch], LossParts]
"""Computes the loss of a network on a batch."""

_STRIDE = 4  # of Nano's mask logits, in pixels
_ALL_VALID = 0.99  # mean of a cell of which every pixel is valid, but for rounding


def cell_loss(network: UniGeoSegNetwork, batch: Batch) -> LossParts:
    """Nano's loss: masks cell by cell, their scores, whether one region is meant, and which.

    The target mask of a text that means one region has all regions of its category, among which
    the network then chooses.
    """
    image = network.encode(batch.pixel_values)
    output = network.decode(image, batch.prompts)
    same_category = (batch.rivals > 0) & (batch.rivals < OTHER_CATEGORIES)
    truth, valid = (
        functional.avg_pool2d(masks.unsqueeze(1).float(), _STRIDE).squeeze(1)
        for masks in (batch.truth | same_category, batch.valid)
    )
    weight = torch.ones(len(truth), device=truth.device)
    means_one = torch.tensor([family in ONE_REGION for family in batch.families]).to(weight)
    masks = segmentation_loss(output, truth, (valid > _ALL_VALID).float(), weight, means_one)
    return LossParts({**masks.parts, "choice": choice_loss(network, image, batch)})


def only_choice(network: UniGeoSegNetwork, batch: Batch) -> LossParts:
    """The loss of the choice between regions alone; no mask is decoded."""
    with torch.no_grad():
        image = network.encode(batch.pixel_values)
    return LossParts({"choice": choice_loss(network, image, batch)})


@dataclass(frozen=True, kw_only=True)
class BaseLoss:
    """Base's loss (paper section 4): masks at sampled points, and the words of the answer.

    The paper's class of the mask token is left out, as in the released code: with one query there
    is nothing to classify.

    Attributes:
        masks: Configuration of the point losses.
        answer_weight: Weight of the answer's cross-entropy.
    """

    masks: PointLossConfig = field(default_factory=PointLossConfig)
    answer_weight: float = 1.0

    def __call__(self, network: UniGeoSegNetwork, batch: Batch) -> LossParts:
        """The loss of a batch whose labels are those of a conversation."""
        assert batch.labels is not None, "the processor of this network gives labels"
        output = network(batch.pixel_values, batch.prompts)
        # points are sampled in float32, whatever precision the network computes in
        layers = [logits.float() for logits in (output.logits, *output.earlier)]
        bce, dice = point_losses(
            layers,
            batch.truth.float(),
            self.masks,
            _SeededPoints(batch.seeds),
            valid=batch.valid.float(),
        )
        words = answer_loss(output.hidden, batch.labels, network.language.head)
        share = share_over_processes((batch.labels[:, 1:] != IGNORED).sum())
        parts = {"bce": bce, "dice": dice, "answer": self.answer_weight * share * words}
        return LossParts(parts)


def share_over_processes(count: Tensor) -> Tensor:
    """A local count divided by its mean over processes; 1 in one process.

    A local mean times this share becomes, in the mean over processes, the global mean.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return torch.ones_like(count)
    summed = count.clone()
    torch.distributed.all_reduce(summed)
    return count * torch.distributed.get_world_size() / summed.clamp(min=1)


class _SeededPoints:
    """Uniform random points (P, K, 2) in [0, 1): those of a prompt depend on its seed alone."""

    def __init__(self, seeds: Tensor) -> None:
        self.streams = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]

    def __call__(self, prompts: int, points: int) -> Tensor:
        assert prompts == len(self.streams)
        return torch.stack([torch.rand(points, 2, generator=stream) for stream in self.streams])


class LossModule(torch.nn.Module):
    """Network and loss as one module, as wrappers for distributed training expect it."""

    def __init__(self, network: UniGeoSegNetwork, loss: Loss, *, half: bool) -> None:
        """Join `network` and `loss`; `half` computes in bfloat16 what is safe."""
        super().__init__()
        self.network, self.loss, self.half_precision = network, loss, half

    def forward(self, batch: Batch) -> Mapping[str, Tensor]:
        """The parts of the batch's loss."""
        kind = batch.pixel_values.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=self.half_precision):
            return self.loss(self.network, batch).parts
