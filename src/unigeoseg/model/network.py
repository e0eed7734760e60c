"""The network of the paper's figure.

Legend: B images, P prompts, L text tokens, T image tokens, D width, H W image, h w coarsest map,
M coordinate rows, Q queries.
An image is encoded once; any number of prompts on it are decoded from that.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.model import build
from unigeoseg.model.base.causal_lm import Context, of_prompts
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.nano.region_choice import Regions


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """A batch of prompts as tensors.

    Attributes:
        image_index: (P,) int64, which image of the batch each prompt is about.
        token_ids: (P, L) int64, the text that the language model reads.
        attention_mask: (P, L) bool, True where a token is real.
        instruction: (P, L) bool, True where a token belongs to the instruction.
        task: (P,) int64, ids of `enhance`.
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
        """The same on `device`."""
        return PromptInputs(
            **{each.name: getattr(self, each.name).to(device) for each in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What is computed once per image.

    Attributes:
        tokens: Image tokens for the language model (B, T, D).
        maps: Pixel maps (B, C, h, w); Nano's at strides 4, 8 and 16, Base's mask features and
            levels at strides 32, 16 and 8.
        coarse: The encoder's coarsest map (B, C, H/32, W/32).
        context: What a language model that reads from left to right remembers (B images): of
            all that stands before an image, or of the image too.
    """

    tokens: Tensor
    maps: tuple[Tensor, ...]
    coarse: Tensor
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class SegmentationOutput:
    """What the network says of each prompt.

    Attributes:
        logits: Mask logits (P, H/4, W/4), the final ones.
        earlier: Mask logits before the last decoder layers, for deep supervision.
        score_logits: (P,), the logit of the mask's expected IoU with what was meant.
        one_logits: (P,), the logit of one region being meant rather than all that fit.
        hidden: Hidden states of the text (P, L, D), from which words can be predicted.
        context: What the language model remembers of each prompt's image, for `ImageFeatures`;
            None where it cannot, where gradients are wanted, or where it is known already.
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
        opening: Token ids that are put into its mouth.
        ending: Token ids of which any ends it.
        limit: Most tokens that are said.
    """

    opening: tuple[int, ...]
    ending: frozenset[int]
    limit: int = 96


class UniGeoSegNetwork(nn.Module):
    """Image and instruction in, mask logits out."""

    # parts of one box share their calls, not their class
    language: Any
    enhance: Any
    connector: Any

    def __init__(self, config: ModelConfig) -> None:
        """Build every part of `config`, randomly initialised.

        Raises:
            MissingExtraError: If the language model needs packages that are not installed.
        """
        super().__init__()
        self.config = config
        self.encoder = build.encoder(config)
        self.connector = build.connector(config)
        self.pixels = build.pixels(config)
        self.language = build.language(config)
        self.enhance = build.enhance(config)
        self.memory = build.memory(config)
        self.target = build.target(config)
        self.one = build.one(config)
        self.choice = build.choice(config)
        self.fusion = build.fusion(config)
        self.decoder = build.decoder(config)

    def encode(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode normalised images (B, 3, H, W), H and W multiples of 32, once for all prompts."""
        pyramid = self.encoder(pixel_values)
        tokens = self.connector(pyramid[-1])
        return ImageFeatures(tokens=tokens, maps=self.pixels(pyramid), coarse=pyramid[-1])

    def decode(self, image: ImageFeatures, prompts: PromptInputs) -> SegmentationOutput:
        """Segment P prompts on B encoded images; see `SegmentationOutput` for shapes."""
        which, said, task = prompts.image_index, prompts.instruction, prompts.task
        drawn = (prompts.coordinates, prompts.present)
        text = self._enhanced(prompts)  # (P, L, D)
        remembered = image.context and of_prompts(image.context, which)
        hidden, seen, context = self.language(
            text, prompts.attention_mask, image.tokens[which], remembered
        )
        pooled, words = self.memory.gather(hidden, said, task, self.target.pool)  # Eq. 6-7
        queries, real = self.target(pooled, words, said, image.coarse[which])  # (P, Q, D')
        maps = tuple(maps[which] for maps in image.maps)
        maps = self.fusion(maps, seen, (queries, real), drawn)
        logits, score = self.decoder(queries, real, maps)
        return SegmentationOutput(
            logits=logits[-1],
            earlier=tuple(logits[:-1]),
            score_logits=score,
            one_logits=self.one(queries[:, 0]),
            hidden=hidden,
            context=context,
        )

    def choose(
        self, image: ImageFeatures, prompts: PromptInputs, labels: Tensor, scores: Tensor
    ) -> Tensor:
        """The logit of each region being the one that is meant, (P, K); -inf where there is none.

        Args:
            image: B images.
            prompts: P prompts.
            labels: (P, h, w) int64: 0 none, from 1 to K a region.
            scores: (P, h, w) of the masks, in [0, 1].
        """
        assert self.choice is not None, "asked of networks that tell one region from all"
        maps = tuple(maps[prompts.image_index] for maps in image.maps)
        text = self.language.read(prompts.token_ids, prompts.attention_mask)
        regions = Regions.of(labels, scores, maps)
        chosen: Tensor = self.choice(regions, maps[-1], text, prompts.attention_mask)
        return chosen

    def answer(
        self, image: ImageFeatures, prompts: PromptInputs, style: AnswerStyle
    ) -> list[list[int]]:
        """Token ids of the language model's replies to P prompts on B images that it remembers."""
        assert image.context is not None, "the images were read by `decode` before"
        text, lengths = self._enhanced(prompts), prompts.attention_mask.sum(dim=1).tolist()
        return [
            self.language.generate(
                text[[index], :length],
                of_prompts(image.context, prompts.image_index[[index]]),
                style.opening,
                style.ending,
                style.limit,
            )
            for index, length in enumerate(lengths)
        ]

    def _enhanced(self, prompts: PromptInputs) -> Tensor:
        """Embeddings of the text (P, L, D) after TATE (Eq. 1-5)."""
        drawn = (prompts.coordinates, prompts.present)
        text = self.language.embed(prompts.token_ids)
        enhanced: Tensor = self.enhance(
            text, prompts.instruction, prompts.task, drawn, self.target.weigh
        )
        return enhanced

    def forward(self, pixel_values: Tensor, prompts: PromptInputs) -> SegmentationOutput:
        """Segment P prompts on B images (B, 3, H, W); see `SegmentationOutput` for shapes."""
        return self.decode(self.encode(pixel_values), prompts)


def channels_last(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """Lay convolution weights out channels last, which CPUs are faster with; in place."""
    moved: UniGeoSegNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
