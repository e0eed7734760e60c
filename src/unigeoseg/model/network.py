"""The network of the paper's figure: encoder, connector, language model, TATE, LKM, decoder.

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
    """The segmentation network: image and instruction in, mask logits out.

    The names of its parts are those of its weights on disk.
    """

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
        image_index, instruction = prompts.image_index, prompts.instruction
        coordinates = (prompts.coordinates, prompts.present)
        text = self._enhanced(prompts)  # (P, L, D)
        context = image.context and context_of_prompts(image.context, image_index)
        hidden, image_hidden, context = self.language(
            text, prompts.attention_mask, image.tokens[image_index], context
        )
        # LKM (Eq. 6-7), then queries (P, Q, D') and which of them are real
        pooled, words = self.memory.gather(hidden, instruction, prompts.task, self.target.pool)
        queries, query_mask = self.target(pooled, words, instruction, image.coarse[image_index])
        maps = tuple(level[image_index] for level in image.maps)
        maps = self.fusion(maps, image_hidden, (queries, query_mask), coordinates)
        logits, score = self.decoder(queries, query_mask, maps)
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
        assert self.choice is not None, "only networks that tell one region from all choose"
        maps = tuple(level[prompts.image_index] for level in image.maps)
        text = self.language.read(prompts.token_ids, prompts.attention_mask)
        regions = Regions.of(labels, scores, maps)
        region_logits: Tensor = self.choice(regions, maps[-1], text, prompts.attention_mask)
        return region_logits

    def answer(
        self, image: ImageFeatures, prompts: PromptInputs, style: AnswerStyle
    ) -> list[list[int]]:
        """Generate the language model's replies to P prompts on B images that it has read.

        Returns:
            Token ids of each reply.
        """
        assert image.context is not None, "`decode` reads the images first"
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
        coordinates = (prompts.coordinates, prompts.present)
        text = self.language.embed(prompts.token_ids)
        enhanced: Tensor = self.enhance(
            text, prompts.instruction, prompts.task, coordinates, self.target.pooling_weights
        )
        return enhanced

    def forward(self, pixel_values: Tensor, prompts: PromptInputs) -> SegmentationOutput:
        """Segment P prompts on B images (B, 3, H, W); see `SegmentationOutput` for shapes."""
        return self.decode(self.encode(pixel_values), prompts)


def channels_last(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """Channels-last layout of convolution weights, which CPUs are faster with; in place."""
    converted: UniGeoSegNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return converted
