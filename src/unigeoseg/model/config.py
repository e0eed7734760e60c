"""What a network is made of: frozen dataclasses, and the presets as functions.

The presets cite where each number comes from. `prompt_maps` is a field so that it can be ablated
by a recipe; no other switch exists in the forward pass.
"""

from dataclasses import dataclass, field


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


@dataclass(frozen=True, kw_only=True)
class EnhanceConfig:
    """TATE (paper section 4).

    Attributes:
        reasoning_queries: h, the learnable queries of the reasoning branch.
        dropout: Dropout of the reasoning branch.
    """

    reasoning_queries: int = 4
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """LKM (paper section 4, Table 6: N=4 and lambda=0.2 are best).

    Attributes:
        slots: N, the learnable slots.
        weight: Lambda, the share of what is recalled.
    """

    slots: int = 4
    weight: float = 0.2


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Pixel decoder, fusion and masked-attention decoder.

    Attributes:
        widths: Width of the pixel maps at strides 4, 8 and 16.
        layers: Masked-attention layers.
        heads: Attention heads.
        feed_forward: Hidden width of a layer's feed-forward part.
        prompt_maps: Draw points and boxes as maps beside the image features.
    """

    widths: tuple[int, int, int] = (32, 64, 128)
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    prompt_maps: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One network. `image_grid` is the side of the square of image tokens given to language."""

    name: str = "nano"
    image_grid: int = 8
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    language: LanguageConfig = field(default_factory=LanguageConfig)
    enhance: EnhanceConfig = field(default_factory=EnhanceConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    @classmethod
    def nano(cls) -> "ModelConfig":
        """Nano: EfficientNet-Lite0 and MiniLM-L6, 64 image tokens, sized for two CPU cores."""
        return cls()

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
        )
