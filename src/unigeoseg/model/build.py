"""Construction of the network's parts: the type of a part's configuration chooses its class.

Legend: B images, C channels, T image tokens, D width, H W image, h w feature map.
"""

from torch import nn

from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.base.mask_decoder import Mask2FormerDecoder
from unigeoseg.model.base.pixel_decoder import DeformablePixelDecoder
from unigeoseg.model.base.swin import SwinEncoder
from unigeoseg.model.base.tate_released import TemplateEnhancement
from unigeoseg.model.config import (
    CausalLanguageConfig,
    EncoderConfig,
    Mask2FormerConfig,
    ModelConfig,
    SwinConfig,
)
from unigeoseg.model.connector import CompressionConnector, Connector
from unigeoseg.model.lkm import LatentKnowledgeMemory, PooledKnowledgeMemory
from unigeoseg.model.nano.efficientnet import EfficientNetLite
from unigeoseg.model.nano.fusion import NoFusion, PromptFusion
from unigeoseg.model.nano.mask_decoder import MaskedAttentionDecoder, PixelDecoder
from unigeoseg.model.nano.minilm import LanguageModel
from unigeoseg.model.nano.region_choice import RegionChoice
from unigeoseg.model.target import AlwaysAll, OneOrAll, SegToken, TargetPooling
from unigeoseg.model.tate import NoEnhancement, OneBranch, TaskAdaptiveEnhancement

_COARSEST = 32  # stride of the last encoder map


def build_encoder(config: ModelConfig) -> nn.Module:
    """The visual encoder: images (B, 3, H, W) to four maps (B, C, h, w)."""
    if isinstance(config.encoder, SwinConfig):
        return SwinEncoder(config.encoder)
    return EfficientNetLite(config.encoder)


def build_connector(config: ModelConfig) -> nn.Module:
    """The connector: the coarsest map (B, C, h, w) to tokens (B, T, D)."""
    channels, width = config.encoder.channels[-1], config.language.width
    if isinstance(config.encoder, EncoderConfig):
        return Connector(channels, width, config.image_grid)
    return CompressionConnector(channels, width, config.image_size // _COARSEST)


def build_language(config: ModelConfig) -> nn.Module:
    """The language model; see `LanguageModel`."""
    if isinstance(config.language, CausalLanguageConfig):
        return CausalLanguage(config.language)
    return LanguageModel(config.language)


def build_target(config: ModelConfig) -> TargetPooling | SegToken:
    """Hidden states to queries; see `TargetPooling`."""
    width, channels = config.language.width, config.encoder.channels[-1]
    if isinstance(config.decoder, Mask2FormerConfig):
        return SegToken(width, channels, config.decoder.width, config.target)
    return TargetPooling(width, config.decoder.widths[-1])


def build_one_or_all(config: ModelConfig) -> OneOrAll | AlwaysAll:
    """Whether one region is meant; see `OneOrAll`."""
    if isinstance(config.decoder, Mask2FormerConfig):
        return AlwaysAll()
    return OneOrAll(config.decoder.widths[-1])


def build_region_choice(config: ModelConfig) -> RegionChoice | None:
    """Which region is meant; see `RegionChoice`. Base's masks stay whole, so it has none."""
    if isinstance(config.decoder, Mask2FormerConfig):
        return None
    return RegionChoice(config.language.width, config.decoder.widths, config.choice)


def build_enhancement(config: ModelConfig) -> nn.Module:
    """TATE; see `TaskAdaptiveEnhancement`."""
    if config.variant == "released":
        return TemplateEnhancement(config.language.width, config.enhance)
    if config.enhance.branches == "none":
        return NoEnhancement()
    if config.enhance.branches != "task":
        return OneBranch(config.language.width, config.enhance)
    return TaskAdaptiveEnhancement(config.language.width, config.enhance)


def build_memory(config: ModelConfig) -> LatentKnowledgeMemory:
    """LKM; see `LatentKnowledgeMemory`."""
    kind = PooledKnowledgeMemory if config.variant == "released" else LatentKnowledgeMemory
    return kind(config.language.width, config.memory)


def build_pixel_decoder(config: ModelConfig) -> nn.Module:
    """The pixel decoder: the encoder's maps to the mask decoder's."""
    if isinstance(config.decoder, Mask2FormerConfig):
        return DeformablePixelDecoder(config.encoder.channels, config.decoder)
    return PixelDecoder(config.encoder.channels, config.decoder.widths)


def build_fusion(config: ModelConfig) -> nn.Module:
    """What a prompt adds to the maps; see `PromptFusion`."""
    if isinstance(config.decoder, Mask2FormerConfig):
        return NoFusion()
    return PromptFusion(config.language.width, config.decoder)


def build_mask_decoder(config: ModelConfig) -> nn.Module:
    """The mask decoder: queries and maps to mask logits."""
    if isinstance(config.decoder, Mask2FormerConfig):
        return Mask2FormerDecoder(config.decoder)
    return MaskedAttentionDecoder(config.decoder.widths, config.decoder)
