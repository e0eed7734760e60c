"""The released code's way through its large parts, as a baseline of time.

The released code is not part of this package. What takes its time is in `transformers`: the eager
modules of Swin and Phi there give its tensors, and Mask2Former's pixel decoder does the same work.
They run in the released order: the image is encoded twice, all attention maps are kept, and the
whole conversation is read for every prompt. What is small (prompt encodings, the mask decoder) is
left out, so the released code takes a little longer than this.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.model.build import build_connector
from unigeoseg.model.config import (
    CausalLanguageConfig,
    Mask2FormerConfig,
    ModelConfig,
    SwinConfig,
)


class ReleasedWay(nn.Module):
    """The large parts of the released code at the size of a network, with random weights."""

    def __init__(self, config: ModelConfig) -> None:
        """Build them for a network of Base's kind; needs `transformers`."""
        super().__init__()
        encoder, language, decoder = config.encoder, config.language, config.decoder
        assert isinstance(encoder, SwinConfig), "asked of Base's kind"
        assert isinstance(language, CausalLanguageConfig), "asked of Base's kind"
        assert isinstance(decoder, Mask2FormerConfig), "asked of Base's kind"
        self.prefix, self.width = len(language.prefix), language.width
        self.vision = _vision(encoder, config.image_size)
        self.connector = build_connector(config)
        self.language = _language(language)
        self.pixels = _pixels(encoder, decoder)
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, pixel_values: Tensor, text_PLD: Tensor) -> Tensor:
        """Read one image and one text.

        Args:
            pixel_values: Normalised (1, 3, H, W).
            text_PLD: Embeddings of the text behind the image (1, L, D).

        Returns:
            The features (1, C, H/4, W/4) that masks are read off.
        """
        self.vision(pixel_values)
        pyramid = self.vision(pixel_values).feature_maps
        image = self.connector(pyramid[-1])
        prefix = text_PLD.new_zeros(1, self.prefix, self.width)
        self.language(inputs_embeds=torch.cat([prefix, image, text_PLD], dim=1))
        features: Tensor = self.pixels(list(pyramid)).mask_features
        return features


_EAGER: dict[str, Any] = {"attn_implementation": "eager", "output_attentions": True}


def _vision(config: SwinConfig, side: int) -> Any:  # noqa: ANN401  (transformers' own type)
    from transformers import SwinBackbone
    from transformers import SwinConfig as Settings

    settings = Settings(
        image_size=side,
        embed_dim=config.width,
        depths=list(config.depths),
        num_heads=list(config.heads),
        window_size=config.attention_window,
        **_EAGER | {"out_features": [f"stage{number}" for number in (1, 2, 3, 4)]},
    )
    return SwinBackbone(settings)


def _language(config: CausalLanguageConfig) -> Any:  # noqa: ANN401  (transformers' own type)
    from transformers import AutoConfig, AutoModel

    settings = AutoConfig.for_model(config.architecture, **config.settings, **_EAGER)
    return AutoModel.from_config(settings, attn_implementation="eager")  # type: ignore[no-untyped-call]


def _pixels(encoder: SwinConfig, config: Mask2FormerConfig) -> Any:  # noqa: ANN401
    from transformers import Mask2FormerConfig as Settings
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerPixelDecoder

    settings = Settings(
        feature_size=config.width,
        mask_feature_size=config.mask_width,
        encoder_layers=config.pixel_layers,
        encoder_feedforward_dim=config.pixel_feed_forward,
        num_attention_heads=config.heads,
    )
    decoder = Mask2FormerPixelDecoder(settings, feature_channels=list(encoder.channels))
    # its constructor leaves this one as the memory was, which may be NaN
    nn.init.normal_(decoder.level_embed)
    return decoder
