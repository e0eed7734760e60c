"""Conversion of released checkpoints: foreign names, files and settings stop here.

Sizes are read off the weights' shapes where shapes tell them. A pickled file is read as plain
tensors only; it cannot run code.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from unigeoseg.errors import CheckpointDamagedError, CheckpointNotFoundError, MissingExtraError
from unigeoseg.model.base.chat import ChatProcessor, for_tokenizer
from unigeoseg.model.config import (
    CausalLanguageConfig,
    EnhanceConfig,
    Mask2FormerConfig,
    MemoryConfig,
    ModelConfig,
    SegTokenConfig,
    SwinConfig,
)
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.key_map import LoadingReport, loading_report, renamed_weights

Shapes = Mapping[str, tuple[int, ...]]

_FILES = ("model.safetensors", "pytorch_model.bin")
_INDEX = ".index.json"
_AGAIN = "fetch every file of the checkpoint again"


def convert_released(source: Path, target: Path) -> LoadingReport:
    """Turn a released model directory into one that `checkpoint.load_model` reads; values are kept.

    Args:
        source: Holds config.json, the tokenizer as tokenizer.json or as the files that
            `transformers` makes one of, and the weights as model.safetensors or
            pytorch_model.bin, whole or in parts with an index.
        target: Directory to make; it appears when it is whole.

    Returns:
        What became of each released key.

    Raises:
        MissingExtraError: If `transformers` is not installed.
        CheckpointNotFoundError: If a file is missing.
        CheckpointDamagedError: If a file cannot be read, a weight is missing, comes twice or has
            another shape, or the tokenizer is of another model.
        OutputExistsError: If there is something at `target`.
        OutputUnwritableError: If the disk does not take it.
    """
    checkpoint.check_free(target)
    settings = read_settings(source / "config.json")
    tokenizer = _tokenizer(source)
    files = weight_files(source)
    shapes = {key: tuple(value.shape) for key, value in _weights(files)}
    config = for_tokenizer(config_of(shapes, settings), tokenizer)
    processor = ChatProcessor(tokenizer, config)
    state, became = rename_all(_weights(files), config, str(source))
    with checkpoint.model_directory(target) as partial:
        checkpoint.write_model(partial, config, processor.tokenizer, state)
    return became


def rename_all(
    weights: Iterable[tuple[str, Tensor]], config: ModelConfig, origin: str
) -> tuple[dict[str, Tensor], LoadingReport]:
    """Our weights from released ones.

    Args:
        weights: Released names and weights.
        config: What they are for.
        origin: Names their source in messages.

    Returns:
        Weights by our names, complete and of the right shapes, and what became of each key.

    Raises:
        CheckpointDamagedError: If a weight is missing, comes twice or has another shape.
    """
    expected = checkpoint.empty_network(config).state_dict()
    assert isinstance(config.language, CausalLanguageConfig)
    heads, keys, state = config.language.settings["num_attention_heads"], [], dict[str, Tensor]()
    for key, value in weights:
        keys.append(key)
        for name, weight in renamed_weights(key, value, heads):
            if name in state:
                raise CheckpointDamagedError(f"{origin}: {key} brings {name} again; {_AGAIN}")
            if name in expected:
                state[name] = weight.contiguous()
    became = loading_report(keys, expected)
    became.check(origin)
    checkpoint.check_fit(origin, expected, state)
    return state, became


def weight_choices(source: Path) -> Iterator[tuple[str, ...]]:
    """Names of the files that may hold a model's weights, the best choice first.

    Args:
        source: A released directory, in which only the indices are read.

    Raises:
        CheckpointDamagedError: If an index cannot be read.
    """
    for name in _FILES:
        index = source / f"{name}{_INDEX}"
        if index.is_file():
            parts = read_settings(index).get("weight_map")
            names = {str(part) for part in parts.values()} if isinstance(parts, dict) else set()
            # a part lies beside its index, whatever the index says
            yield tuple(sorted(Path(part).name for part in names))
        else:
            yield (name,)


def weight_files(source: Path) -> tuple[Path, ...]:
    """The files that hold the weights of a released directory.

    Raises:
        CheckpointNotFoundError: If there is none, or one that the index names is missing.
        CheckpointDamagedError: If the index cannot be read.
    """
    for single, names in zip(_FILES, weight_choices(source), strict=True):
        absent = [name for name in names if not (source / name).is_file()]
        if names and not absent:
            return tuple(source / name for name in names)
        if names != (single,):
            index = source / f"{single}{_INDEX}"
            raise CheckpointNotFoundError(f"{index} names {absent or 'no file'}; {_AGAIN}")
    raise CheckpointNotFoundError(
        f"{source} has neither {' nor '.join(_FILES)}, whole or in parts: {_AGAIN}"
    )


def _weights(files: Iterable[Path]) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of all files, one after another."""
    for path in files:
        try:
            if path.suffix == ".bin":
                # mapped, so that reading the shapes does not read the values
                state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                yield from _named_tensors(path, state)
            else:
                with safe_open(path, "pt") as file:
                    for key in file.keys():
                        yield key, file.get_tensor(key)
        except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError) as error:
            raise CheckpointDamagedError(f"{path} cannot be read ({error}); {_AGAIN}") from error


def _named_tensors(path: Path, state: object) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of what a pickled file holds."""
    for key, value in state.items() if isinstance(state, dict) else [(None, state)]:
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointDamagedError(f"{path} does not hold named weights alone; {_AGAIN}")
        yield key, value


def read_settings(path: Path, remedy: str = _AGAIN) -> dict[str, Any]:
    """The named values of a JSON file of a checkpoint.

    Args:
        path: The file.
        remedy: End of the message.

    Raises:
        CheckpointNotFoundError: If it is missing.
        CheckpointDamagedError: If it is something else.
    """
    if not path.is_file():
        raise CheckpointNotFoundError(f"{path} is missing; {remedy}")
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointDamagedError(f"{path} is not JSON ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise CheckpointDamagedError(f"{path} does not hold named values; {remedy}")
    return values


def _tokenizer(source: Path) -> Tokenizer:
    """The tokenizer in its fast form, with every added token at the id that is stated for it."""
    path = source / "tokenizer.json"
    tokenizer = checkpoint.read_tokenizer(path) if path.is_file() else _from_slow(source)
    added = source / "added_tokens.json"
    stated_ids = read_settings(added) if added.is_file() else {}
    if not all(isinstance(number, int) for number in stated_ids.values()):
        raise CheckpointDamagedError(f"{added} gives ids that are not whole numbers; {_AGAIN}")
    for token in sorted(stated_ids, key=stated_ids.__getitem__):
        if tokenizer.token_to_id(token) is None:
            tokenizer.add_tokens([token])
        if tokenizer.token_to_id(token) != stated_ids[token]:
            raise CheckpointDamagedError(
                f"{added} gives {token!r} the id {stated_ids[token]}, the tokenizer "
                f"{tokenizer.token_to_id(token)}; {_AGAIN}"
            )
    return tokenizer


def _from_slow(source: Path) -> Tokenizer:
    """The fast form of a tokenizer of which only vocabulary and merges were released."""
    if not (source / "tokenizer_config.json").is_file():
        raise CheckpointNotFoundError(
            f"{source} has neither tokenizer.json nor tokenizer_config.json; {_AGAIN}"
        )
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("a released tokenizer", "base") from error
    try:
        read = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        text = read.backend_tokenizer.to_str()
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointDamagedError(
            f"the tokenizer of {source} cannot be read ({error}); {_AGAIN}"
        ) from error
    return Tokenizer.from_str(text)


def config_of(shapes: Shapes, settings: Mapping[str, Any]) -> ModelConfig:
    """The configuration that released weights fit.

    Args:
        shapes: Shape of each released key.
        settings: The language model's settings, by the names of `transformers`.

    Raises:
        CheckpointDamagedError: If a weight that tells a size is missing.
    """
    language = dict(CausalLanguageConfig().settings)
    language |= {key: value for key, value in settings.items() if key in language}
    try:
        language["vocab_size"] = shapes["model.embed_tokens.weight"][0]
        return replace(
            ModelConfig.base(),
            image_size=32 * shapes["model.mm_projector.norm1.weight"][1],
            encoder=_swin(shapes),
            language=CausalLanguageConfig(settings=language),
            enhance=EnhanceConfig(
                reasoning_queries=shapes["enhanced_reasoning_pooling.multi_query"][0],
            ),
            memory=MemoryConfig(slots=shapes["global_latents"][0]),
            target=SegTokenConfig(width=shapes["text_projector.weight"][0]),
            decoder=_decoders(shapes),
        )
    except KeyError as error:
        raise CheckpointDamagedError(
            f"the checkpoint has no {error}, which tells a size of the network: it is incomplete, "
            "or of another model; fetch every file again"
        ) from error


def _swin(shapes: Shapes) -> SwinConfig:
    tower = "model.vision_tower"
    tables = [
        shapes[f"{tower}.layers.{stage}.blocks.0.attn.relative_position_bias_table"]
        for stage in range(4)
    ]
    first, second, third, fourth = (
        _count(shapes, rf"model\.vision_tower\.layers\.{stage}\.blocks\.(\d+)\..+")
        for stage in range(4)
    )
    return SwinConfig(
        width=shapes[f"{tower}.patch_embed.proj.weight"][0],
        depths=(first, second, third, fourth),
        heads=(tables[0][1], tables[1][1], tables[2][1], tables[3][1]),
        attention_window=(isqrt(tables[0][0]) + 1) // 2,
    )


def _decoders(shapes: Shapes) -> Mask2FormerConfig:
    layer = "pixel_decoder.transformer.encoder.layers"
    width = shapes["pixel_decoder.mask_features.weight"][1]
    return Mask2FormerConfig(
        width=width,
        mask_width=shapes["pixel_decoder.mask_features.weight"][0],
        pixel_layers=_count(shapes, r"pixel_decoder\.transformer\.encoder\.layers\.(\d+)\..+"),
        pixel_feed_forward=shapes[f"{layer}.0.linear1.weight"][0],
        layers=_count(shapes, r"predictor\.transformer_ffn_layers\.(\d+)\..+"),
        feed_forward=shapes["predictor.transformer_ffn_layers.0.linear1.weight"][0],
    )


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the highest number that a pattern finds in the keys."""
    matches = (re.fullmatch(pattern, key) for key in shapes)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)
