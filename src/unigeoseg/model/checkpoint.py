"""Weights on disk: a directory with config.json, tokenizer.json and model.safetensors.

Half precision, and the word embeddings as int8 with a scale per row: what is read back is float32.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unigeoseg.errors import CheckpointDamagedError, CheckpointNotFoundError
from unigeoseg.model.config import ModelConfig
from unigeoseg.model.network import UniGeoSegNetwork, channels_last
from unigeoseg.model.processor import Processor

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
_FORMAT = 1
_INT8_SCALE = ".int8_scale"
_INT8_KEYS = ("language.tokens.weight",)

T = TypeVar("T")


def save(directory: Path, network: UniGeoSegNetwork, processor: Processor) -> None:
    """Write a network and its processor; files are replaced one by one, each atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {"format": _FORMAT, **asdict(network.config)}
    _replace_text(directory / CONFIG, json.dumps(config, indent=1) + "\n")
    _replace_text(directory / TOKENIZER, processor.tokenizer.to_str(pretty=False))
    temporary = directory / f".{WEIGHTS}.partial"
    save_file(_packed(network.state_dict()), temporary)
    temporary.replace(directory / WEIGHTS)


def load(directory: Path) -> tuple[UniGeoSegNetwork, Processor]:
    """Read a network, in evaluation mode, and its processor.

    Raises:
        CheckpointNotFoundError: If one of the three files is missing.
        CheckpointDamagedError: If a file cannot be read, or its weights do not fit its config.
    """
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        if not (directory / name).is_file():
            raise CheckpointNotFoundError(
                f"{directory} has no {name}: a model directory holds {CONFIG}, {TOKENIZER} "
                f"and {WEIGHTS}; reinstall the package or give another directory"
            )
    config = _read_config(directory / CONFIG)
    processor = _read_processor(directory / TOKENIZER, config)
    with torch.device("meta"):
        network = UniGeoSegNetwork(config)
    weights = _unpacked(_read_weights(directory / WEIGHTS))
    _check_fit(directory / WEIGHTS, network.state_dict(), weights)
    network.load_state_dict(weights, assign=True)
    return channels_last(network.eval()), processor


def _read_config(path: Path) -> ModelConfig:
    try:
        values = json.loads(path.read_text())
        if values.pop("format", None) != _FORMAT:
            raise ValueError(f"format is not {_FORMAT}")
        return _build(ModelConfig, values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointDamagedError(
            f"{path} is not a model configuration of this version ({error}): reinstall the "
            "package or fetch the model again"
        ) from error


def _build(kind: type[T], values: Mapping[str, Any]) -> T:
    """A frozen dataclass from plain JSON values, nested ones and tuples included."""
    unknown = set(values) - {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    built: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(kind(), name)
        if is_dataclass(default):
            built[name] = _build(type(default), value)
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return kind(**built)


def _read_processor(path: Path, config: ModelConfig) -> Processor:
    try:
        return Processor.from_file(path, config)
    except Exception as error:
        raise CheckpointDamagedError(
            f"{path} is not a tokenizer ({error}): reinstall the package or fetch the model again"
        ) from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointDamagedError(
            f"{path} cannot be read ({error}): it is damaged or incomplete; reinstall the "
            "package or fetch the model again"
        ) from error


def _check_fit(path: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    missing, unknown = (
        sorted(expected.keys() - found.keys()),
        sorted(found.keys() - expected.keys()),
    )
    if missing or unknown:
        raise CheckpointDamagedError(
            f"{path}: {len(missing)} weights missing {missing[:3]}, {len(unknown)} unknown "
            f"{unknown[:3]}; the file belongs to another configuration"
        )
    wrong = [key for key in expected if expected[key].shape != found[key].shape]
    if wrong:
        key = wrong[0]
        raise CheckpointDamagedError(
            f"{path}: {len(wrong)} weights have another shape, such as {key} "
            f"{tuple(found[key].shape)} where the configuration says {tuple(expected[key].shape)}"
        )


def _packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    packed = {}
    for key, value in state.items():
        if key in _INT8_KEYS:
            scale = value.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
            packed[key] = (value / scale).round().to(torch.int8)
            packed[key + _INT8_SCALE] = scale
        else:
            packed[key] = value.half() if value.is_floating_point() else value
    return {key: value.contiguous() for key, value in packed.items()}


def _unpacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = {}
    for key, value in state.items():
        if key.endswith(_INT8_SCALE):
            continue
        value = value.float() if value.is_floating_point() or value.dtype == torch.int8 else value
        weights[key] = value * state[key + _INT8_SCALE] if key + _INT8_SCALE in state else value
    return weights


def _replace_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text)
    temporary.replace(path)
