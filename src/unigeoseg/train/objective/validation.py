"""gIoU per task and family on views of the val groups, while a run goes on.

It is quick and compares runs with each other; scores to publish come from `bench`, which sees
scenes as a user's model sees them.
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
    """The same views and prompts every time.

    Args:
        maker: Makes batches of the val split.
        batches: How many.
    """

    def __init__(self, maker: BatchMaker, batches: int) -> None:
        self._maker, self._steps = maker, range(batches)

    @torch.no_grad()
    def __call__(self, network: UniGeoSegNetwork) -> dict[str, float]:
        """Mean IoU of each task, of the tasks as "mean", and of each family as "family/box" ...

        It runs where the network is; the mode of each of its parts is kept.
        """
        device = next(network.parameters()).device
        tasks: defaultdict[str, list[float]] = defaultdict(list)
        families: defaultdict[str, list[float]] = defaultdict(list)
        with _as_in_use(network):
            for step in self._steps:
                batch = self._maker.batch(step).to(device)
                image = network.encode(batch.pixel_values)
                output = network.decode(image, batch.prompts)
                which = means_one_region(batch.prompts, output)
                choices = choose_regions(network, image, batch.prompts, output, which)
                logits = with_choices(output.logits, choices)
                found = iou(logits, batch.truth, batch.valid).tolist()
                asked = zip(batch.prompts.task.tolist(), batch.families, found, strict=True)
                for task, family, score in asked:
                    tasks[_TASKS[task]].append(score)
                    families[f"family/{family}"].append(score)
        means = _means(tasks)
        return means | {"mean": sum(means.values()) / len(means)} | _means(families)


@contextmanager
def _as_in_use(network: UniGeoSegNetwork) -> Iterator[None]:
    """Evaluation mode for a while; afterwards each part has its own mode again.

    `network.train()` would wake parts that a training has frozen.
    """
    modes = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _means(scores: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: sum(found) / len(found) for name, found in sorted(scores.items())}


def iou(logits: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """IoU of masks with the truth (P,); 1 where both are empty.

    Args:
        logits: (P, h, w), brought to the truth's size bilinearly.
        truth: (P, S, S) bool.
        valid: (P, S, S) bool, False where nobody knows.
    """
    large = functional.interpolate(logits[:, None], size=truth.shape[-2:], mode="bilinear")
    mask = (large[:, 0] > 0) & valid
    truth = truth & valid
    overlap, union = (mask & truth).sum((1, 2)), (mask | truth).sum((1, 2))
    return torch.where(union > 0, overlap / union.clamp(min=1), torch.ones_like(overlap).float())
