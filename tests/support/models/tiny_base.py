"""A Base of a few thousand weights, and released names for its weights."""

from collections.abc import Iterator

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from unigeoseg.model.base.chat import for_tokenizer
from unigeoseg.model.config import (
    CausalLanguageConfig,
    Mask2FormerConfig,
    ModelConfig,
    SegTokenConfig,
    SwinConfig,
)
from unigeoseg.model.io.key_map import our_names

DEPTHS = (2, 1, 1, 1)
WIDTH, LAYERS, HEADS, VOCABULARY = 32, 2, 4, 300
PIXEL_LAYERS, MASK_LAYERS = 2, 3
SETTINGS = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
}


def tokenizer() -> Tokenizer:
    """One token per byte, and the two special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = {letter: index for index, letter in enumerate(alphabet)}
    bytes_tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    bytes_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_tokenizer.add_tokens(["[SEG]"])
    bytes_tokenizer.add_special_tokens(["<|endoftext|>"])
    return bytes_tokenizer


def config() -> ModelConfig:
    """Every part of Base, narrow, for images of 64 x 64 pixels."""
    base = ModelConfig(
        name="base",
        image_size=64,
        variant="released",
        encoder=SwinConfig(width=8, depths=DEPTHS, heads=(1, 2, 4, 8), attention_window=4),
        language=CausalLanguageConfig(settings=CausalLanguageConfig().settings | SETTINGS),
        target=SegTokenConfig(width=512),
        decoder=Mask2FormerConfig(
            width=32,
            mask_width=16,
            pixel_layers=PIXEL_LAYERS,
            pixel_feed_forward=40,
            layers=MASK_LAYERS,
            feed_forward=48,
        ),
    )
    return for_tokenizer(base, tokenizer())


def released_names(*, fused: bool) -> list[str]:
    """Names that the released code gives the weights of such a model, written out by hand."""
    attention = "query_key_value" if fused else "q_proj k_proj v_proj"
    return [
        *"global_latents seg_query model.embed_tokens.weight lm_head.weight".split(),
        *"ref_attn.query refer_pooling.query task_embed.weight".split(),
        *"enhanced_reasoning_pooling.multi_query pixel_decoder.transformer.level_embed".split(),
        *(f"predictor.{name}.weight" for name in "query_feat query_embed level_embed".split()),
        *(f"predictor.{name}.weight" for name in "SEG_query_embed new_query_embed".split()),
        *_both("model.final_layernorm refer_pooling.proj ref_attn.proj reason_norm"),
        *_both("global_projector intera_coord_project intera_fuse text_projector local_project"),
        *_both("origin_SEG_token_projector SEG_token_projector"),
        *_both("functional_proj fusion layer_norm", "enhanced_reasoning_pooling."),
        *_both("proj1 norm1 proj2 norm2 fc", "model.mm_projector."),
        *_both("norm_media norm_latents", "d_layers.layers.0.0."),
        *(f"d_layers.layers.0.0.{name}.weight" for name in "to_q to_kv to_out".split()),
        *_both("0", "d_layers.layers.0.1."),
        *("d_layers.layers.0.1.1.weight", "d_layers.layers.0.1.3.weight"),
        *_both("d_layers.norm predictor.decoder_norm pixel_decoder.mask_features"),
        *_both("0 1", "pixel_decoder.adapter_1."),
        *_both("0 1", "pixel_decoder.layer_1."),
        *_both("SEG_proj.layers.0 SEG_proj.layers.1 CLASS_proj.layers.0", "predictor."),
        *_both("layers.0 layers.1 layers.2", "predictor.mask_embed."),
        *_layers("pixel_decoder.input_proj.", 3, "0 1"),
        *_layers("model.layers.", LAYERS, "mlp.fc1 mlp.fc2 input_layernorm self_attn.dense"),
        *_layers("model.layers.", LAYERS, *(f"self_attn.{name}" for name in attention.split())),
        *_swin(),
        *_decoders(),
    ]


def _both(stems: str, before: str = "") -> Iterator[str]:
    for stem in stems.split():
        yield from (f"{before}{stem}.weight", f"{before}{stem}.bias")


def _layers(before: str, count: int, *stems: str) -> Iterator[str]:
    for index in range(count):
        yield from _both(" ".join(stems), f"{before}{index}.")


def _swin() -> Iterator[str]:
    tower = "model.vision_tower."
    yield from _both("patch_embed.proj patch_embed.norm norm0 norm1 norm2 norm3", tower)
    for stage, depth in enumerate(DEPTHS):
        blocks = f"{tower}layers.{stage}.blocks."
        yield from _layers(blocks, depth, "norm1 norm2 attn.qkv attn.proj mlp.fc1 mlp.fc2")
        for index in range(depth):
            yield f"{blocks}{index}.attn.relative_position_bias_table"
            yield f"{blocks}{index}.attn.relative_position_index"
        if stage < 3:
            yield f"{tower}layers.{stage}.downsample.reduction.weight"
            yield from _both("norm", f"{tower}layers.{stage}.downsample.")


def _decoders() -> Iterator[str]:
    yield from _layers(
        "pixel_decoder.transformer.encoder.layers.",
        PIXEL_LAYERS,
        "norm1 norm2 linear1 linear2 self_attn.sampling_offsets self_attn.attention_weights",
        "self_attn.value_proj self_attn.output_proj",
    )
    for kind, inside in (("cross", "multihead_attn"), ("self", "self_attn")):
        before = f"predictor.transformer_{kind}_attention_layers."
        yield from _layers(before, MASK_LAYERS, f"norm {inside}.out_proj")
        for index in range(MASK_LAYERS):
            yield f"{before}{index}.{inside}.in_proj_weight"
            yield f"{before}{index}.{inside}.in_proj_bias"
    yield from _layers("predictor.transformer_ffn_layers.", MASK_LAYERS, "norm linear1 linear2")


def released_state(ours: dict[str, Tensor], *, fused: bool) -> dict[str, Tensor]:
    """Weights of such a model under their released names."""
    state = {}
    for key in released_names(fused=fused):
        names = our_names(key)
        if len(names) == 3:
            by_head = [ours[name].unflatten(0, (HEADS, -1)) for name in names]
            state[key] = torch.stack(by_head, dim=1).flatten(0, 2).contiguous()
        elif names:
            value = ours[names[0]]
            state[key] = value[None] if key == "ref_attn.query" else value
        else:
            state[key] = torch.zeros(1)
    return state
