"""What a network is made of: frozen dataclasses, and the presets as functions.

The presets cite where each number comes from. The type of a part's configuration chooses the
part: `EncoderConfig` is EfficientNet-Lite0, `SwinConfig` is Swin. `prompt_maps` is a field so that
it can be ablated by a recipe; no other switch exists in the forward pass.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unigeoseg.prompt import Task

# ImageNet's, on 0..255 values
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """EfficientNet-Lite0: ImageNet accuracy 75 % at 0.4 GFLOP, no squeeze-excite, so fast on CPUs.

    Attributes:
        channels: Width of the maps at strides 4, 8, 16 and 32.
        mean: Per-channel mean of the input, on 0..255 values.
        std: Per-channel spread of the input, on 0..255 values.
    """

    channels: tuple[int, int, int, int] = (24, 40, 112, 320)
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)


@dataclass(frozen=True, kw_only=True)
class SwinConfig:
    """A Swin transformer; the defaults are Swin-B of Mask2Former, pretrained at 384 px.

    Attributes:
        kind: Names this type in a file.
        width: Channels at stride 4; they double at each further stride.
        depths: Blocks per stage.
        heads: Attention heads per stage.
        attention_window: Side of an attention window, in places of the map.
        drop_path: Chance that training leaves the last block out; less for earlier ones.
        mean: Per-channel mean of the input, on 0..255 values.
        std: Per-channel spread of the input, on 0..255 values.
    """

    kind: Literal["swin"] = "swin"
    width: int = 128
    depths: tuple[int, int, int, int] = (2, 2, 18, 2)
    heads: tuple[int, int, int, int] = (4, 8, 16, 32)
    attention_window: int = 12
    drop_path: float = 0.3
    mean: tuple[float, float, float] = _MEAN
    std: tuple[float, float, float] = _STD

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Width of the maps at strides 4, 8, 16 and 32."""
        return self.width, 2 * self.width, 4 * self.width, 8 * self.width


@dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """A BERT-style encoder; the defaults are MiniLM-L6-H384.

    Attributes:
        joint_layers: How many of the last layers see the image tokens beside the text; the layers
            below see the text alone.
        max_tokens: Longer instructions are refused.
    """

    vocabulary: int = 30522
    width: int = 384
    layers: int = 6
    joint_layers: int = 2
    heads: int = 12
    feed_forward: int = 1536
    max_tokens: int = 128


def _phi_1_5() -> dict[str, Any]:
    """The sizes of Phi-1.5 (Li et al., arXiv 2309.05463)."""
    return {
        "vocab_size": 51200,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
        "layer_norm_eps": 1e-5,
        "hidden_act": "gelu_new",
    }


@dataclass(frozen=True, kw_only=True)
class CausalLanguageConfig:
    """A decoder-only language model of `transformers`; the defaults are Phi-1.5.

    Attributes:
        kind: Names this type in a file.
        architecture: Its name in `transformers`.
        settings: Its settings, by the names that `transformers` has for them.
        prefix: Token ids of what is said before the image.
        max_tokens: Longer instructions are refused.
        end: The token, as text, that ends a conversation.
    """

    kind: Literal["causal"] = "causal"
    architecture: str = "phi"
    settings: Mapping[str, Any] = field(default_factory=_phi_1_5)
    prefix: tuple[int, ...] = ()
    max_tokens: int = 512
    end: str = "<|endoftext|>"

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(self.settings["hidden_size"])

    @property
    def vocabulary(self) -> int:
        """How many tokens are known."""
        return int(self.settings["vocab_size"])


@dataclass(frozen=True, kw_only=True)
class EnhanceConfig:
    """TATE (paper section 4).

    Attributes:
        branches: "task" sends each prompt through the branch of its task; the others are the
            paper's ablations: all through one branch, or none at all.
        reasoning_queries: h, the learnable queries of the reasoning branch.
        dropout: Dropout of the reasoning branch.
    """

    branches: Literal["task", "referring", "reasoning", "none"] = "task"
    reasoning_queries: int = 4
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """LKM (paper section 4, Table 6: N=4 and lambda=0.2 are best).

    Attributes:
        slots: N, the learnable slots.
        weight: Lambda, the share of what is recalled.
        interactive_weight: Lambda of interactive prompts in the released variant, which leaves the
            memory out for them; the paper has one lambda.
    """

    slots: int = 4
    weight: float = 0.2
    interactive_weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Pixel decoder, fusion and masked-attention decoder.

    Attributes:
        widths: Width of the pixel maps at strides 4, 8 and 16.
        place_layers: Layers in which the places of a prompt's map at stride 16 look at each other.
        layers: Masked-attention layers.
        heads: Attention heads.
        feed_forward: Hidden width of a layer's feed-forward part.
        prompt_maps: Draw points and boxes as maps beside the image features.
    """

    widths: tuple[int, int, int] = (32, 64, 128)
    place_layers: int = 2
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    prompt_maps: bool = True


@dataclass(frozen=True, kw_only=True)
class ChoiceConfig:
    """The choice between the regions of a mask.

    Attributes:
        width: Width of a region's token.
        layers: Layers in which regions look at each other, and at words and scene.
        heads: Attention heads.
        dropout: In training.
    """

    width: int = 128
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SegTokenConfig:
    """How Base makes the target's embedding (released code; the paper does not describe it).

    Attributes:
        width: Width in which text and image meet.
        heads: Attention heads of the Perceiver block.
        head_width: Width of one head.
    """

    width: int = 512
    heads: int = 8
    head_width: int = 64


@dataclass(frozen=True, kw_only=True)
class Mask2FormerConfig:
    """Mask2Former's two decoders; the defaults are those of its Swin-B.

    Attributes:
        kind: Names this type in a file.
        width: Width of the pixel maps and of the query.
        mask_width: Width in which query and pixels are compared.
        pixel_layers: Deformable layers of the pixel decoder.
        pixel_feed_forward: Hidden width of their feed-forward part.
        points: Places that a head looks at, per level.
        layers: Masked-attention layers.
        heads: Attention heads, of both decoders.
        feed_forward: Hidden width of a masked-attention layer's feed-forward part.
    """

    kind: Literal["mask2former"] = "mask2former"
    width: int = 256
    mask_width: int = 256
    pixel_layers: int = 6
    pixel_feed_forward: int = 1024
    points: int = 4
    layers: int = 9
    heads: int = 8
    feed_forward: int = 2048


@dataclass(frozen=True, kw_only=True)
class ConfidenceConfig:
    """How the logit of a mask's score becomes a confidence: the sigmoid of a line (Platt scaling).

    A line is a slope and a shift. As they stand here nothing is calibrated: what was found has its
    score for confidence, an empty mask what its score lacks to 1. `evaluate.confidence` fits them.

    Attributes:
        interactive: The line of what points and boxes found.
        referring: Of what phrases found.
        reasoning: Of what questions found.
        nothing: Of empty masks, whatever the task; it falls, since the score is of a target.
    """

    interactive: tuple[float, float] = (1.0, 0.0)
    referring: tuple[float, float] = (1.0, 0.0)
    reasoning: tuple[float, float] = (1.0, 0.0)
    nothing: tuple[float, float] = (-1.0, 0.0)

    def of(self, logit: float, task: Task, *, empty: bool) -> float:
        """Confidence in [0, 1]: the mask's expected IoU; of an empty one, that nothing is there.

        Args:
            logit: Of the mask's score.
            task: Of the prompt.
            empty: Whether the mask is.
        """
        line: tuple[float, float] = self.nothing if empty else getattr(self, task.value)
        slope, shift = line
        return (1 + math.tanh((slope * logit + shift) / 2)) / 2


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One network.

    Attributes:
        name: What the network is called.
        image_grid: Side of the square of image tokens given to language.
        image_size: Side in pixels of the square that the network takes; 0 where any multiple
            of 32 will do.
        variant: "paper" follows the paper's equations: TATE on the instruction, LKM on all its
            hidden states with one lambda. "released" follows the released code: TATE on the
            sentence between image and instruction, LKM on the pooled vector, and not for
            interactive prompts.
        encoder: The visual encoder.
        language: The language model.
        enhance: TATE.
        memory: LKM.
        target: How the target's embedding is made; Base only.
        decoder: Pixel decoder and mask decoder.
        choice: The choice between regions; Nano only.
        confidence: How a mask's score becomes a confidence; it belongs to one set of weights.
    """

    name: str = "nano"
    image_grid: int = 8
    image_size: int = 0
    variant: Literal["paper", "released"] = "paper"
    encoder: EncoderConfig | SwinConfig = field(default_factory=EncoderConfig)
    language: LanguageConfig | CausalLanguageConfig = field(default_factory=LanguageConfig)
    enhance: EnhanceConfig = field(default_factory=EnhanceConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    target: SegTokenConfig = field(default_factory=SegTokenConfig)
    decoder: DecoderConfig | Mask2FormerConfig = field(default_factory=DecoderConfig)
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)
    confidence: ConfidenceConfig = field(default_factory=ConfidenceConfig)

    @classmethod
    def nano(cls) -> "ModelConfig":
        """Nano: EfficientNet-Lite0 and MiniLM-L6, 64 image tokens, sized for two CPU cores."""
        return cls()

    @classmethod
    def base(cls) -> "ModelConfig":
        """Base: Swin-B, Phi-1.5 and Mask2Former's decoders, 1.6 billion weights, 512 x 512 px."""
        return cls(
            name="base",
            image_size=512,
            variant="released",
            encoder=SwinConfig(),
            language=CausalLanguageConfig(),
            decoder=Mask2FormerConfig(),
        )

    @classmethod
    def tiny(cls, vocabulary: int) -> "ModelConfig":
        """A network for tests: the same parts, two narrow language layers."""
        return cls(
            name="tiny",
            image_grid=4,
            language=LanguageConfig(
                vocabulary=vocabulary, width=32, layers=2, joint_layers=1, heads=2, feed_forward=64
            ),
            decoder=DecoderConfig(widths=(16, 16, 32), layers=1, heads=2, feed_forward=32),
            choice=ChoiceConfig(width=16, layers=1, heads=2),
        )
