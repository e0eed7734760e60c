"""What goes into the network and comes out of it: batches of tensors as frozen values.

Legend: B images, P prompts, L text tokens, T image tokens, D width, H W image, h w feature map,
M coordinate rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

Context = tuple[tuple[Tensor, Tensor], ...]
"""A key-value cache: keys and values (B, heads, tokens, head width) of the tokens that were read,
one pair per layer."""


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """A batch of prompts as tensors.

    Attributes:
        image_index: (P,) int64, which image of the batch each prompt is about.
        token_ids: (P, L) int64, the text that the language model reads.
        attention_mask: (P, L) bool, True where a token is real.
        instruction: (P, L) bool, True where a token belongs to the instruction.
        task: (P,) int64, one of the ids of `model.tate`.
        coordinates: (P, M, 5) float: x0, y0, x1, y1 in [0, 1] of the image, and a sign.
        present: (P, M) bool, which coordinate rows exist.
    """

    image_index: Tensor
    token_ids: Tensor
    attention_mask: Tensor
    instruction: Tensor
    task: Tensor
    coordinates: Tensor
    present: Tensor

    def to(self, device: torch.device) -> "PromptInputs":
        """Move the batch to `device`."""
        return PromptInputs(
            **{field.name: getattr(self, field.name).to(device) for field in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """Encoded images: what is computed once, whatever the number of prompts.

    Attributes:
        tokens: Image tokens for the language model (B, T, D).
        maps: Pixel maps (B, C, h, w); Nano's at strides 4, 8 and 16, Base's mask features and
            levels at strides 32, 16 and 8.
        coarse: The encoder's coarsest map (B, C, H/32, W/32).
        context: Key-value cache of a causal language model (B images): of all that stands before
            an image, or of the image too.
    """

    tokens: Tensor
    maps: tuple[Tensor, ...]
    coarse: Tensor
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class SegmentationOutput:
    """The network's output for each prompt.

    Attributes:
        logits: Mask logits (P, H/4, W/4), the final ones.
        earlier: Mask logits before the last decoder layers, for deep supervision.
        score_logits: (P,), the logit of the mask's expected IoU with what was meant.
        one_logits: (P,), the logit of the prompt meaning one region rather than all that fit.
        hidden: Hidden states of the text (P, L, D), from which words can be predicted.
        context: The language model's key-value cache of each prompt's image, for `ImageFeatures`;
            None without a causal model, where gradients are wanted, or where it was passed in.
    """

    logits: Tensor
    earlier: tuple[Tensor, ...]
    score_logits: Tensor
    one_logits: Tensor
    hidden: Tensor
    context: Context | None


@dataclass(frozen=True, slots=True)
class AnswerStyle:
    """How a reply starts and ends.

    Attributes:
        opening: Token ids that it starts with, whatever the prompt.
        ending: Token ids of which any ends it.
        limit: Most tokens to generate.
    """

    opening: tuple[int, ...]
    ending: frozenset[int]
    limit: int = 96


def context_of_prompts(context: Context, image_index: Sequence[int] | Tensor) -> Context:
    """The context of each prompt's image (P prompts), from those of B images.

    Args:
        context: Of B images.
        image_index: Which of them each of the P prompts is about.
    """
    return tuple((keys[image_index], values[image_index]) for keys, values in context)
