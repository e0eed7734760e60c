"""Checkpoints: a directory with config.json, tokenizer.json and model.safetensors.

Nano is stored in half precision, its word embeddings as int8 with a scale per row; Base as it is.
What is read back is float32, on every kind of processor, unless another type is asked for.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from unigeoseg.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    DataError,
)
from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.config import CausalLanguageConfig, ConfidenceConfig, ModelConfig
from unigeoseg.model.io.quantise import quantise_language
from unigeoseg.model.network import UniGeoSegNetwork, channels_last
from unigeoseg.model.processor import Processor
from unigeoseg.runtime.atomic import (
    atomic_directory,
    atomic_file,
    check_new_directory,
    read_json,
)
from unigeoseg.runtime.records import record_from, record_values

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
FILES = (CONFIG, TOKENIZER, WEIGHTS)
_CPU = torch.device("cpu")
_FORMAT = 1
_WRITE_ERRORS = (OSError, SafetensorError)
_INT8_SCALE = ".int8_scale"
_INT8_MOST, _SMALLEST_ROW = 127, 1e-8
_INT8_KEYS = ("language.tokens.weight",)


def save_model(directory: Path, network: UniGeoSegNetwork, processor: Processor) -> None:
    """Write a network and its processor; files are replaced one by one, each atomically.

    Raises:
        OptionError: If the network went through `optimize_for_inference`.
        OutputUnwritableError: If the disk does not take a file; what was there of it stays.
    """
    state = network.state_dict()
    if not isinstance(network.config.language, CausalLanguageConfig):
        state = _packed(state)
    write_model(directory, network.config, processor.tokenizer, state)


def write_model(
    directory: Path, config: ModelConfig, tokenizer: Tokenizer, state: Mapping[str, Tensor]
) -> None:
    """Write the three files of a model from its weights as they are, each atomically.

    Raises:
        OutputUnwritableError: If the disk does not take one; what was there of it stays.
    """
    _write_config(directory / CONFIG, config)
    with _model_file(directory / TOKENIZER) as temporary:
        temporary.write_text(tokenizer.to_str(pretty=False))
    with _model_file(directory / WEIGHTS) as temporary:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary)


def check_free(target: Path) -> None:
    """Check that a model can be made at `target`.

    Raises:
        OutputExistsError: If something is there, an empty directory aside.
    """
    check_new_directory(target, "replace_empty")


def model_directory(target: Path) -> AbstractContextManager[Path]:
    """A temporary directory for a model's files, which becomes `target` when it is whole.

    Raises:
        OutputExistsError: If something is there, an empty directory aside.
        OutputUnwritableError: If the disk does not take it.
    """
    return atomic_directory(
        target, errors=_WRITE_ERRORS, existing="replace_empty", sole_writer=True
    )


def copy_model(source: Path, target: Path) -> None:
    """Copy the three files of a model into a directory that is there.

    Raises:
        CheckpointNotFoundError: If one of them is missing.
    """
    _check_whole(source)
    for name in FILES:
        shutil.copyfile(source / name, target / name)


def set_confidence(directory: Path, confidence: ConfidenceConfig) -> None:
    """Change how a stored model's scores become confidences; all else stays.

    Raises:
        CheckpointNotFoundError: If one of its files is missing.
        CheckpointDamagedError: If its configuration cannot be read.
    """
    config = read_config(directory)
    _write_config(directory / CONFIG, replace(config, confidence=confidence))


def empty_network(config: ModelConfig, *, device: str = "meta") -> UniGeoSegNetwork:
    """A network whose weights have shapes but no values.

    Args:
        config: What it is made of.
        device: Where they are: "meta" for `load_state_dict(assign=True)`.

    Raises:
        MissingExtraError: If the language model needs packages that are not installed.
    """
    with torch.device("meta"):
        network = UniGeoSegNetwork(config)
    if device != "meta":
        network = network.to_empty(device=device)
    if isinstance(network.language, CausalLanguage):
        network.language.settle()
    return network


def load_model(
    directory: Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    device: torch.device = _CPU,
    bits: Literal[8, 4] | None = None,
) -> tuple[UniGeoSegNetwork, Processor]:
    """Read a network, in evaluation mode, and its processor.

    Args:
        directory: Holds the three files.
        dtype: What the network computes in; None for the type in which each weight is stored.
        device: Where it computes.
        bits: As in `quantise_language`; None leaves the language part as it is.

    Raises:
        MissingExtraError: If the language model, or `bits`, need packages that are not installed.
        OptionError: As `quantise_language`.
        CheckpointNotFoundError: If one of the three files is missing.
        CheckpointDamagedError: If a file cannot be read, or its weights do not fit its config.
    """
    config = read_config(directory)
    processor = _read_processor(directory / TOKENIZER, config)
    network = _to_fill(config)
    weights = _read_weights(directory / WEIGHTS, dtype)
    check_fit(str(directory / WEIGHTS), network.state_dict(), weights)
    network.load_state_dict(weights, assign=True)
    return to_evaluation(network, device, bits), processor


def to_evaluation(
    network: UniGeoSegNetwork, device: torch.device, bits: Literal[8, 4] | None
) -> UniGeoSegNetwork:
    """A network of the CPU in evaluation mode on a device, laid out as is fast there; in place.

    Arguments and errors are those of `load_model`.
    """
    if bits is not None:
        quantise_language(network, bits, device)
    return channels_last(network.eval().to(device))


def _check_whole(directory: Path) -> None:
    for name in FILES:
        if not (directory / name).is_file():
            raise CheckpointNotFoundError(
                f"{directory} has no {name}: a model directory holds {CONFIG}, {TOKENIZER} "
                f"and {WEIGHTS}; reinstall the package or give another directory"
            )


def _to_fill(config: ModelConfig) -> UniGeoSegNetwork:
    """A network whose weights will be replaced.

    A small one is drawn at random, in a third of a second: to build it without values PyTorch
    imports its compiler, which takes longer.
    """
    if isinstance(config.language, CausalLanguageConfig):
        return empty_network(config)
    with torch.random.fork_rng(devices=[]):
        return UniGeoSegNetwork(config)


def read_config(directory: Path) -> ModelConfig:
    """Read what a stored network is made of.

    Raises:
        CheckpointNotFoundError: If one of the three files is missing.
        CheckpointDamagedError: If the configuration cannot be read.
    """
    _check_whole(directory)
    path = directory / CONFIG
    try:
        values = dict(read_json(path))
        if values.pop("format", None) != _FORMAT:
            raise DataError(f"{path}: format is not {_FORMAT}")
        return record_from(ModelConfig, values, str(path))
    except DataError as error:
        raise CheckpointDamagedError(
            f"{error}; not a model configuration of this version: reinstall the package or fetch "
            "the model again"
        ) from error


def _write_config(path: Path, config: ModelConfig) -> None:
    values = {"format": _FORMAT, **record_values(config)}
    with _model_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json.

    Raises:
        CheckpointDamagedError: If it is none.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointDamagedError(
            f"{path} is not a tokenizer ({error}): reinstall the package or fetch the model again"
        ) from error


def _read_processor(path: Path, config: ModelConfig) -> Processor:
    causal = isinstance(config.language, CausalLanguageConfig)
    return (ChatProcessor if causal else Processor)(read_tokenizer(path), config)


def _read_weights(path: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Weights as `dtype`, or as stored; read one by one so that both are never held at once."""
    try:
        with safe_open(path, "pt") as file:
            names, weights = set(file.keys()), {}
            for key in sorted(name for name in names if not name.endswith(_INT8_SCALE)):
                value = file.get_tensor(key)
                if key + _INT8_SCALE in names:
                    scale = file.get_tensor(key + _INT8_SCALE)
                    value = (value.float() * scale.float()).to(dtype or scale.dtype)
                weights[key] = value.to(dtype) if dtype and value.is_floating_point() else value
            return weights
    except (SafetensorError, OSError) as error:
        raise CheckpointDamagedError(
            f"{path} cannot be read ({error}): it is damaged or incomplete; reinstall the "
            "package or fetch the model again"
        ) from error


def check_fit(origin: str, expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Check that weights are those expected, in names and shapes.

    Args:
        origin: Names the file in messages.
        expected: Of the network.
        weights: To load into it.

    Raises:
        CheckpointDamagedError: If one is missing, unknown, or of another shape.
    """
    missing, unknown = (
        sorted(expected.keys() - weights.keys()),
        sorted(weights.keys() - expected.keys()),
    )
    if missing or unknown:
        raise CheckpointDamagedError(
            f"{origin}: {len(missing)} weights missing {missing[:3]}, {len(unknown)} unknown "
            f"{unknown[:3]}; the file belongs to another configuration"
        )
    wrong = [key for key in expected if expected[key].shape != weights[key].shape]
    if wrong:
        key = wrong[0]
        raise CheckpointDamagedError(
            f"{origin}: {len(wrong)} weights have another shape, such as {key} "
            f"{tuple(weights[key].shape)} where the configuration says {tuple(expected[key].shape)}"
        )


def _packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    packed = {}
    for key, value in state.items():
        if key in _INT8_KEYS:
            scale = value.abs().amax(dim=1, keepdim=True).clamp(min=_SMALLEST_ROW) / _INT8_MOST
            packed[key] = (value / scale).round().to(torch.int8)
            packed[key + _INT8_SCALE] = scale
        else:
            packed[key] = value.half() if value.is_floating_point() else value
    return packed


def _model_file(path: Path) -> AbstractContextManager[Path]:
    """A temporary file, which becomes `path` when it is whole."""
    return atomic_file(path, errors=_WRITE_ERRORS, parents=True, sole_writer=True)
