"""The network of the paper's figure.

Legend: B images, P prompts, L text tokens, T image tokens, D width, H W image, M coordinate rows.
An image is encoded once; any number of prompts on it are decoded from that.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unigeoseg.model.config import ModelConfig
from unigeoseg.model.connector import Connector
from unigeoseg.model.decoder import MaskedAttentionDecoder, PixelDecoder
from unigeoseg.model.encoder import EfficientNetLite
from unigeoseg.model.enhance import TaskAdaptiveEnhancement
from unigeoseg.model.fusion import PromptFusion
from unigeoseg.model.language import LanguageModel
from unigeoseg.model.memory import LatentKnowledgeMemory


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """A batch of prompts as tensors.

    Attributes:
        image_index: (P,) int64, which image of the batch each prompt is about.
        token_ids: (P, L) int64, the instruction.
        attention_mask: (P, L) bool, True where a token is real.
        task: (P,) int64, ids of `enhance`.
        coordinates: (P, M, 5) float: x0, y0, x1, y1 in [0, 1] of the image, and a sign.
        present: (P, M) bool, which coordinate rows exist.
    """

    image_index: Tensor
    token_ids: Tensor
    attention_mask: Tensor
    task: Tensor
    coordinates: Tensor
    present: Tensor


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What is computed once per image.

    Attributes:
        tokens: Image tokens for the language model (B, T, D).
        maps: Pixel maps (B, C, h, w) at strides 4, 8 and 16.
    """

    tokens: Tensor
    maps: tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class SegmentationOutput:
    """What the network says of each prompt.

    Attributes:
        logits: Mask logits (P, H/4, W/4), the final ones.
        earlier: Mask logits before the last decoder layers, for deep supervision.
        score_logits: (P,), the logit of the mask's expected IoU with what was meant.
    """

    logits: Tensor
    earlier: tuple[Tensor, ...]
    score_logits: Tensor


class TargetPooling(nn.Module):
    """One learnable query gathers the instruction's hidden states into the target's embedding."""

    def __init__(self, language_width: int, decoder_width: int) -> None:
        """Pool states of `language_width`, project to `decoder_width`."""
        super().__init__()
        self.match = nn.Linear(language_width, 1)
        self.project = nn.Linear(language_width, decoder_width)

    def forward(self, hidden_PLD: Tensor, attention_mask: Tensor) -> Tensor:
        """Gather (P, L, D) under (P, L) bool into queries (P, 1 + L, D'), the target first."""
        match_PL = self.match(hidden_PLD).squeeze(-1).masked_fill(~attention_mask, -torch.inf)
        pooled_P1D = match_PL.softmax(dim=-1).unsqueeze(1) @ hidden_PLD
        queries: Tensor = self.project(torch.cat([pooled_P1D, hidden_PLD], dim=1))
        return queries


class UniGeoSegNetwork(nn.Module):
    """Image and instruction in, mask logits out."""

    def __init__(self, config: ModelConfig) -> None:
        """Build every part of `config`, randomly initialised."""
        super().__init__()
        width, decoder = config.language.width, config.decoder
        self.config = config
        self.encoder = EfficientNetLite(config.encoder)
        self.connector = Connector(config.encoder.channels[-1], width, config.image_grid)
        self.pixels = PixelDecoder(config.encoder.channels, decoder.widths)
        self.language = LanguageModel(config.language)
        self.enhance = TaskAdaptiveEnhancement(width, config.enhance)
        self.memory = LatentKnowledgeMemory(width, config.memory)
        self.target = TargetPooling(width, decoder.widths[-1])
        self.fusion = PromptFusion(width, decoder)
        self.decoder = MaskedAttentionDecoder(decoder.widths, decoder)

    def encode(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode normalised images (B, 3, H, W), H and W multiples of 32, once for all prompts."""
        pyramid = self.encoder(pixel_values)
        return ImageFeatures(tokens=self.connector(pyramid[-1]), maps=self.pixels(pyramid))

    def decode(self, image: ImageFeatures, prompts: PromptInputs) -> SegmentationOutput:
        """Segment P prompts on B encoded images; see `SegmentationOutput` for shapes."""
        mask, drawn = prompts.attention_mask, (prompts.coordinates, prompts.present)
        text = self.language.embed(prompts.token_ids)  # (P, L, D)
        text = self.enhance(text, mask, prompts.task, drawn)  # Eq. 1-5
        hidden, seen = self.language(text, mask, image.tokens[prompts.image_index])
        queries = self.target(self.memory(hidden), mask)  # Eq. 6-7; (P, 1 + L, D')
        fine, middle, coarse = (maps[prompts.image_index] for maps in image.maps)
        fused = self.fusion((fine, middle, coarse), seen, queries[:, 0], drawn)
        real = torch.cat([mask[:, :1], mask], dim=1)  # the target is as real as the first token
        logits, score = self.decoder(queries, real, fused)
        return SegmentationOutput(logits[-1], tuple(logits[:-1]), score)

    def forward(self, pixel_values: Tensor, prompts: PromptInputs) -> SegmentationOutput:
        """Segment P prompts on B images (B, 3, H, W); see `SegmentationOutput` for shapes."""
        return self.decode(self.encode(pixel_values), prompts)


def channels_last(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """Lay convolution weights out channels last, which CPUs are faster with; in place."""
    moved: UniGeoSegNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
