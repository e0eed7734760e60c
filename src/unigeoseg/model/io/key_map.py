"""The key map of released checkpoints: one table renames every weight.

Every key of a released checkpoint is loaded, unused by design, or unknown; a weight of ours that
no key brings is missing. Legend: H heads, W head width, C input width.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from unigeoseg.errors import CheckpointDamagedError

# released name -> ours; \1, \2 are the numbers in the released name
_RENAMES: tuple[tuple[str, str], ...] = (
    # Swin
    (r"model\.vision_tower\.patch_embed\.proj\.(.+)", r"encoder.embed.\1"),
    (r"model\.vision_tower\.patch_embed\.norm\.(.+)", r"encoder.embed_norm.\1"),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.norm1\.(.+)",
        r"encoder.stages.\1.\2.attention_norm.\3",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table",
        r"encoder.stages.\1.\2.attention.bias_table",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.attn\.qkv\.(.+)",
        r"encoder.stages.\1.\2.attention.qkv.\3",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.attn\.proj\.(.+)",
        r"encoder.stages.\1.\2.attention.out.\3",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.norm2\.(.+)",
        r"encoder.stages.\1.\2.feed_norm.\3",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.(.+)",
        r"encoder.stages.\1.\2.up.\3",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.(.+)",
        r"encoder.stages.\1.\2.down.\3",
    ),
    (
        r"model\.vision_tower\.layers\.(\d+)\.downsample\.reduction\.(.+)",
        r"encoder.merges.\1.reduce.\2",
    ),
    (r"model\.vision_tower\.layers\.(\d+)\.downsample\.norm\.(.+)", r"encoder.merges.\1.norm.\2"),
    (r"model\.vision_tower\.norm(\d)\.(.+)", r"encoder.norms.\1.\2"),
    # connector, SparseConv_1
    (r"model\.mm_projector\.proj1\.(.+)", r"connector.first.\1"),
    (r"model\.mm_projector\.norm1\.(.+)", r"connector.first_norm.\1"),
    (r"model\.mm_projector\.proj2\.(.+)", r"connector.second.\1"),
    (r"model\.mm_projector\.norm2\.(.+)", r"connector.second_norm.\1"),
    (r"model\.mm_projector\.fc\.(.+)", r"connector.project.\1"),
    # Phi; its fused attention is in _FUSED
    (r"model\.embed_tokens\.(.+)", r"language.model.embed_tokens.\1"),
    (
        r"model\.layers\.(\d+)\.self_attn\.([qkv]_proj|dense|[qk]_layernorm)\.(.+)",
        r"language.model.layers.\1.self_attn.\2.\3",
    ),
    (r"model\.layers\.(\d+)\.mlp\.(fc[12])\.(.+)", r"language.model.layers.\1.mlp.\2.\3"),
    (
        r"model\.layers\.(\d+)\.input_layernorm\.(.+)",
        r"language.model.layers.\1.input_layernorm.\2",
    ),
    (r"model\.final_layernorm\.(.+)", r"language.model.final_layernorm.\1"),
    (r"lm_head\.weight", r"language.head.weight"),
    # TATE and LKM; the query of the referring branch is also the one that pools
    (r"enhanced_reasoning_pooling\.multi_query", r"enhance.reasoning.query_RD"),
    (r"enhanced_reasoning_pooling\.functional_proj\.(.+)", r"enhance.reasoning.function.\1"),
    (r"enhanced_reasoning_pooling\.fusion\.(.+)", r"enhance.reasoning.fuse.\1"),
    (r"enhanced_reasoning_pooling\.layer_norm\.(.+)", r"enhance.reasoning.norm.\1"),
    (r"intera_coord_project\.(.+)", r"enhance.interactive.project.\1"),
    (r"intera_fuse\.(.+)", r"enhance.interactive.join.\1"),
    (r"global_latents", r"memory.slots_MD"),
    (r"ref_attn\.query", r"target.query_D"),
    # SEG token
    (r"origin_SEG_token_projector\.(.+)", r"target.direct.\1"),
    (r"text_projector\.(.+)", r"target.text.\1"),
    (r"local_project\.(.+)", r"target.image.\1"),
    (r"d_layers\.layers\.0\.0\.norm_media\.(.+)", r"target.perceiver.media_norm.\1"),
    (r"d_layers\.layers\.0\.0\.norm_latents\.(.+)", r"target.perceiver.latent_norm.\1"),
    (r"d_layers\.layers\.0\.0\.to_q\.(.+)", r"target.perceiver.query.\1"),
    (r"d_layers\.layers\.0\.0\.to_kv\.(.+)", r"target.perceiver.key_value.\1"),
    (r"d_layers\.layers\.0\.0\.to_out\.(.+)", r"target.perceiver.out.\1"),
    (r"d_layers\.layers\.0\.1\.0\.(.+)", r"target.perceiver.feed_norm.\1"),
    (r"d_layers\.layers\.0\.1\.1\.(.+)", r"target.perceiver.up.\1"),
    (r"d_layers\.layers\.0\.1\.3\.(.+)", r"target.perceiver.down.\1"),
    (r"d_layers\.norm\.(.+)", r"target.perceiver.norm.\1"),
    (r"SEG_token_projector\.(.+)", r"target.join.\1"),
    # pixel decoder
    (r"pixel_decoder\.input_proj\.(\d)\.([01])\.(.+)", r"pixels.project.\1.\2.\3"),
    (r"pixel_decoder\.transformer\.level_embed", r"pixels.level_SC"),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.self_attn\.sampling_offsets\.(.+)",
        r"pixels.layers.\1.attention.offset.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.self_attn\.attention_weights\.(.+)",
        r"pixels.layers.\1.attention.weight.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.self_attn\.value_proj\.(.+)",
        r"pixels.layers.\1.attention.value.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.self_attn\.output_proj\.(.+)",
        r"pixels.layers.\1.attention.out.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm1\.(.+)",
        r"pixels.layers.\1.attention_norm.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.linear1\.(.+)",
        r"pixels.layers.\1.up.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.linear2\.(.+)",
        r"pixels.layers.\1.down.\2",
    ),
    (
        r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\.norm2\.(.+)",
        r"pixels.layers.\1.output_norm.\2",
    ),
    (r"pixel_decoder\.adapter_1\.([01])\.(.+)", r"pixels.lateral.\1.\2"),
    (r"pixel_decoder\.layer_1\.([01])\.(.+)", r"pixels.smooth.\1.\2"),
    (r"pixel_decoder\.mask_features\.(.+)", r"pixels.mask.\1"),
    # masked-attention decoder
    (
        r"predictor\.transformer_cross_attention_layers\.(\d+)\.multihead_attn\.(.+)",
        r"decoder.layers.\1.cross.\2",
    ),
    (
        r"predictor\.transformer_cross_attention_layers\.(\d+)\.norm\.(.+)",
        r"decoder.layers.\1.norms.0.\2",
    ),
    (
        r"predictor\.transformer_self_attention_layers\.(\d+)\.self_attn\.(.+)",
        r"decoder.layers.\1.itself.\2",
    ),
    (
        r"predictor\.transformer_self_attention_layers\.(\d+)\.norm\.(.+)",
        r"decoder.layers.\1.norms.1.\2",
    ),
    (r"predictor\.transformer_ffn_layers\.(\d+)\.linear1\.(.+)", r"decoder.layers.\1.feed.0.\2"),
    (r"predictor\.transformer_ffn_layers\.(\d+)\.linear2\.(.+)", r"decoder.layers.\1.feed.2.\2"),
    (r"predictor\.transformer_ffn_layers\.(\d+)\.norm\.(.+)", r"decoder.layers.\1.norms.2.\2"),
    (r"predictor\.decoder_norm\.(.+)", r"decoder.norm.\1"),
    (r"predictor\.level_embed\.weight", r"decoder.level_SC"),
    (r"predictor\.mask_embed\.layers\.0\.(.+)", r"decoder.mask_head.0.\1"),
    (r"predictor\.mask_embed\.layers\.1\.(.+)", r"decoder.mask_head.2.\1"),
    (r"predictor\.mask_embed\.layers\.2\.(.+)", r"decoder.mask_head.4.\1"),
)
_FUSED = r"model\.layers\.(\d+)\.self_attn\.query_key_value\.(weight|bias)"
# registered by the released code, but no output or gradient depends on them
_UNUSED = (
    r"seg_query|refer_pooling\..+|ref_attn\.proj\..+|reason_norm\..+",
    r"task_embed\.weight|global_projector\..+",
    r"predictor\.(query_feat|query_embed|SEG_query_embed|new_query_embed)\.weight",
    r"predictor\.(SEG_proj|CLASS_proj)\..+",
    r".+\.relative_position_index|.+\.rotary_emb\.inv_freq",
)


@dataclass(frozen=True, slots=True)
class LoadingReport:
    """The fate of each key of a released checkpoint.

    Attributes:
        loaded: Keys that brought weights.
        unused: Keys that the released code registers and never uses.
        unknown: Keys that the table does not know; the network has no place for them.
        missing: Weights of ours that no key brought.
    """

    loaded: tuple[str, ...]
    unused: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]

    def check(self, origin: str) -> None:
        """Check that nothing is missing.

        Raises:
            CheckpointDamagedError: If a weight is.
        """
        if self.missing:
            raise CheckpointDamagedError(
                f"{origin}: {len(self.missing)} weights are missing, such as {self.missing[0]} "
                f"({len(self.loaded)} keys loaded, {len(self.unknown)} unknown"
                f"{', such as ' + self.unknown[0] if self.unknown else ''}); "
                "fetch every file of the checkpoint again"
            )


def our_names(key: str) -> tuple[str, ...]:
    """Our names for a released key: none if it is unused or unknown, three if it is fused."""
    fused = re.fullmatch(_FUSED, key)
    if fused:
        layer, kind = fused.groups()
        stem = f"language.model.layers.{layer}.self_attn"
        return tuple(f"{stem}.{letter}_proj.{kind}" for letter in "qkv")
    for pattern, name in _RENAMES:
        match = re.fullmatch(pattern, key)
        if match:
            return (match.expand(name),)
    return ()


def loading_report(released: Iterable[str], names: Iterable[str]) -> LoadingReport:
    """What becomes of each released key, given the names of our weights."""
    expected, brought = set(names), set[str]()
    loaded, unused, unknown = [], [], []
    for key in sorted(released):
        targets = our_names(key)
        if targets and expected.issuperset(targets):
            loaded.append(key)
            brought.update(targets)
        elif any(re.fullmatch(pattern, key) for pattern in _UNUSED):
            unused.append(key)
        else:
            unknown.append(key)
    missing = sorted(expected - brought)
    return LoadingReport(tuple(loaded), tuple(unused), tuple(unknown), tuple(missing))


def renamed_weights(key: str, value: Tensor, heads: int) -> Iterator[tuple[str, Tensor]]:
    """Our weights from one released weight.

    Args:
        key: The released name.
        value: The released weight.
        heads: Attention heads of the language model; a fused projection's rows are ordered by
            head, then query, key and value.

    Yields:
        Our name and weight: none for an unused or unknown key.

    Raises:
        CheckpointDamagedError: If a fused projection does not fit the heads.
    """
    names = our_names(key)
    if len(names) == 3:
        if value.shape[0] % (3 * heads):
            raise CheckpointDamagedError(
                f"{key} has {value.shape[0]} rows, which {heads} attention heads cannot share: "
                "config.json and weights are of different models; fetch both from one place"
            )
        by_head = value.view(heads, 3, -1, *value.shape[1:])
        for index, name in enumerate(names):
            yield name, by_head[:, index].flatten(0, 1)
    elif names:
        # the pooling query is stored as one row
        yield names[0], value.squeeze(0) if names[0] == "target.query_D" else value
