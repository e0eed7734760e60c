"""The network of the paper's figure.

Legend: B images, P prompts, L text tokens, T image tokens, D width, H W image, h w coarsest map,
M coordinate rows, Q queries.
An image is encoded once; any number of prompts on it are decoded from that.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.model.build import (
    build_connector,
    build_encoder,
    build_enhancement,
    build_fusion,
    build_language,
    build_mask_decoder,
    build_memory,
    build_one_or_all,
    build_pixel_decoder,
    build_region_choice,
    build_target,
)
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.nano.region_choice import Regions
from unigeoseg.model.values import (
    AnswerStyle,
    ImageFeatures,
    PromptInputs,
    SegmentationOutput,
    context_of_prompts,
)


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
        self.encoder = build_encoder(config)
        self.connector = build_connector(config)
        self.pixels = build_pixel_decoder(config)
        self.language = build_language(config)
        self.enhance = build_enhancement(config)
        self.memory = build_memory(config)
        self.target = build_target(config)
        self.one = build_one_or_all(config)
        self.choice = build_region_choice(config)
        self.fusion = build_fusion(config)
        self.decoder = build_mask_decoder(config)

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
        remembered = image.context and context_of_prompts(image.context, which)
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
                context_of_prompts(image.context, prompts.image_index[[index]]),
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
            text, prompts.instruction, prompts.task, drawn, self.target.pooling_weights
        )
        return enhanced

    def forward(self, pixel_values: Tensor, prompts: PromptInputs) -> SegmentationOutput:
        """Segment P prompts on B images (B, 3, H, W); see `SegmentationOutput` for shapes."""
        return self.decode(self.encode(pixel_values), prompts)


def channels_last(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """Lay convolution weights out channels last, which CPUs are faster with; in place."""
    moved: UniGeoSegNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
