"""A training batch: views of patches, with several prompts on each.

Encoding an image is expensive and decoding a prompt is cheap, so each view carries many prompts.
`batch_maker` makes batches.

Legend: B views, P prompts, S side of a view in pixels, L tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from unigeoseg.data.instructions.draft import ONE_REGION, Draft
from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.model.values import PromptInputs
from unigeoseg.prompt import Task
from unigeoseg.train.input.task_schedule import EVEN, Mix, pts
from unigeoseg.train.overrides import check_at_least

TARGET, OTHER_CATEGORIES = 1, 128
"""Values of `Batch.rivals`: the region that is meant, and the first of those of other categories.

Between them are the other regions of the target's category, from `TARGET` + 1.
"""
_MAX_RIVALS = 256  # values of uint8


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """What a training step is made of.

    Attributes:
        sizes: Sides of views in pixels, multiples of 32; each step has one of them. A step of
            larger views has fewer, each with fewer prompts.
        images: Views of a step of the smallest size.
        prompts: Prompts on each of those.
        mix: Share of each task by progress.
        families: Weight of each family of instruction within its task.
        sources: Weight of each source, before normalisation; without any, patches count by area.
        never: Taxonomy ids of categories, by source, that it never shows and does not label.
        whole: Probability that a view shows a whole patch.
        focus: Probability that another view is placed round one object, at the object's scale.
        stored: Probability that a patch with stored instructions is shown whole and upright with
            those, instead of instructions written anew.
        pasted: Probability of copy-paste augmentation of a view; see `train.input.copy_paste`.

    Raises:
        OptionError: If there are no images or no prompts.
    """

    sizes: tuple[int, ...] = (256,)
    images: int = 8
    prompts: int = 8
    mix: Mix = field(default_factory=lambda: pts(EVEN))
    families: Mapping[str, float]
    sources: Mapping[str, float] = field(default_factory=dict)
    never: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    whole: float = 0.3
    focus: float = 0.5
    stored: float = 0.5
    pasted: float = 0.0

    def __post_init__(self) -> None:
        check_at_least(self, 1, "images", "prompts")


@dataclass(frozen=True, slots=True)
class Batch:
    """The tensors of one step.

    Attributes:
        pixel_values: (B, 3, S, S) float, normalised.
        prompts: P prompts.
        truth: (P, S, S) bool, the target mask.
        valid: (P, S, S) bool, False where the label is unknown.
        rivals: (P, S, S) uint8, the regions among which a prompt chooses one: `TARGET`, the others
            of its category from `TARGET` + 1, those of other categories from `OTHER_CATEGORIES`,
            0 elsewhere; all 0 where a prompt does not choose between regions.
        labels: (P, L) int64, the tokens of the answer, as in `model.base.chat`; None if the network
            gives no answers.
        seeds: (P,) int64, seeds of what a loss draws at random for each prompt.
        families: Family of each prompt's instruction.
    """

    pixel_values: Tensor
    prompts: PromptInputs
    truth: Tensor
    valid: Tensor
    rivals: Tensor
    labels: Tensor | None
    seeds: Tensor
    families: tuple[str, ...]

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`; seeds stay, since points are drawn on the CPU."""
        return replace(
            self,
            pixel_values=self.pixel_values.to(device),
            prompts=self.prompts.to(device),
            truth=self.truth.to(device),
            valid=self.valid.to(device),
            rivals=self.rivals.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


def rival_map(view: Patch, draft: Draft) -> np.ndarray:
    """The target region and its rivals, (S, S) uint8, as in `Batch.rivals`.

    It is all 0 for clicks and boxes, and for texts that mean a whole category.
    """
    values = np.zeros(int(UNKNOWN_REGION) + 1, np.uint8)  # of each region of the view
    is_text = draft.prompt.task is not Task.INTERACTIVE
    if is_text and draft.family in ONE_REGION and len(draft.regions) == 1:
        ranges = (TARGET + 1, OTHER_CATEGORIES, True), (OTHER_CATEGORIES, _MAX_RIVALS, False)
        for first, end, same_category in ranges:
            regions = [
                region
                for region, category in view.categories.items()
                if (category == draft.category) is same_category and region not in draft.regions
            ]
            regions = regions[: end - first]
            values[regions] = np.arange(first, first + len(regions))
        values[list(draft.regions)] = TARGET
    return values[view.regions]
