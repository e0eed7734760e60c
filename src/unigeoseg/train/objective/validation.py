"""Validation during training: gIoU per task and family on views of val groups.

It is quick and compares runs with each other. Scores to publish come from `evaluate`, where scenes
are segmented as for users.

Legend: P prompts, S side of a view, h w mask logits.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.tate import INTERACTIVE, REASONING, REFERRING
from unigeoseg.predict.region_selection import choose_regions, means_one_region, with_choices
from unigeoseg.prompt import Task
from unigeoseg.train.input.batch_maker import BatchMaker

_TASKS = {INTERACTIVE: Task.INTERACTIVE, REFERRING: Task.REFERRING, REASONING: Task.REASONING}


class Validation:
    """Scores a network on the same views and prompts every time.

    Args:
        maker: Makes batches of the val split.
        batches: Number of batches.
    """

    def __init__(self, maker: BatchMaker, batches: int) -> None:
        self._maker, self._steps = maker, range(batches)

    @torch.no_grad()
    def __call__(self, network: UniGeoSegNetwork) -> dict[str, float]:
        """Mean IoU of each task, of the tasks as "mean", and of each family as "family/box" ...

        It runs on the network's device; each part keeps its mode.
        """
        device = next(network.parameters()).device
        tasks: defaultdict[str, list[float]] = defaultdict(list)
        families: defaultdict[str, list[float]] = defaultdict(list)
        with _evaluation_mode(network):
            for step in self._steps:
                batch = self._maker.batch(step).to(device)
                image = network.encode(batch.pixel_values)
                output = network.decode(image, batch.prompts)
                means_one = means_one_region(batch.prompts, output)
                choices = choose_regions(network, image, batch.prompts, output, means_one)
                logits = with_choices(output.logits, choices)
                ious = mask_iou(logits, batch.truth, batch.valid).tolist()
                prompt_tasks = batch.prompts.task.tolist()
                for task, family, iou in zip(prompt_tasks, batch.families, ious, strict=True):
                    tasks[_TASKS[task]].append(iou)
                    families[f"family/{family}"].append(iou)
        means = _means(tasks)
        return means | {"mean": sum(means.values()) / len(means)} | _means(families)


@contextmanager
def _evaluation_mode(network: UniGeoSegNetwork) -> Iterator[None]:
    """Evaluation mode within the context; afterwards each part has its own mode again.

    `network.train()` would put frozen parts into training mode, too.
    """
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _means(scores: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: sum(values) / len(values) for name, values in sorted(scores.items())}


def mask_iou(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """IoU of predicted masks with the truth, (P,) float; 1 where both are empty.

    Args:
        logits: (P, h, w), resized bilinearly to the truth.
        truth: (P, S, S) bool.
        valid: (P, S, S) bool, False where the label is unknown.
    """
    large = functional.interpolate(logits[:, None], size=truth.shape[-2:], mode="bilinear")
    mask = (large[:, 0] > 0) & valid
    truth = truth & valid
    overlap, union = (mask & truth).sum((1, 2)), (mask | truth).sum((1, 2))
    return torch.where(union > 0, overlap / union.clamp(min=1), torch.ones_like(overlap).float())
