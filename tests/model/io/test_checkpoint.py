"""Weights on disk: the same back, and clear words when they are damaged."""

import json
import re
from pathlib import Path

import pytest
import tiny_base
import torch
from networks import save_tiny, tiny_network
from safetensors.torch import load_file, save_file

from unigeoseg.errors import CheckpointDamagedError, CheckpointNotFoundError
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.store import weights_directory
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.prompt import Task


def test_weights_come_back(tmp_path: Path):
    network, _ = checkpoint.load_model(save_tiny(tmp_path / "model"))
    original = tiny_network().state_dict()
    for key, value in network.state_dict().items():
        # half precision, or int8 for the words
        assert torch.allclose(value.float(), original[key].float(), rtol=0.02, atol=0.02), key
    assert not network.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_base_is_stored_in_the_precision_it_has(tmp_path: Path, dtype, processor_kind):
    pytest.importorskip("transformers", reason="Base needs the extra 'base'")
    config = tiny_base.config()
    network = UniGeoSegNetwork(config).to(dtype)
    checkpoint.save_model(tmp_path, network, ChatProcessor(tiny_base.tokenizer(), config))
    stored = load_file(tmp_path / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {dtype}
    again, _ = checkpoint.load_model(tmp_path, dtype=None)
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    single, _ = checkpoint.load_model(tmp_path)
    assert {value.dtype for value in single.state_dict().values()} == {torch.float32}


def test_nano_is_stored_in_half_precision_and_eight_bits(tmp_path: Path, processor_kind):
    stored = load_file(save_tiny(tmp_path) / "model.safetensors")
    kinds = {key: value.dtype for key, value in stored.items() if value.is_floating_point()}
    assert kinds.pop("language.tokens.weight.int8_scale") == torch.float32
    assert set(kinds.values()) == {torch.float16}
    assert stored["language.tokens.weight"].dtype == torch.int8
    again, _ = checkpoint.load_model(tmp_path, dtype=None)
    assert again.memory.slots_MD.dtype == torch.float16


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str):
    folder = save_tiny(tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(CheckpointNotFoundError, match=name):
        checkpoint.load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_truncated_file_is_damaged(tmp_path: Path, name: str):
    folder = save_tiny(tmp_path / "model")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointDamagedError, match=name):
        checkpoint.load_model(folder)


def test_unknown_missing_and_misshapen_weights_are_named(tmp_path: Path):
    folder = save_tiny(tmp_path / "model")
    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file(weights | {"stray": torch.zeros(1)}, path)
    with pytest.raises(CheckpointDamagedError, match=r"1 unknown.*stray"):
        checkpoint.load_model(folder)
    save_file({key: value for key, value in weights.items() if key != "memory.slots_MD"}, path)
    with pytest.raises(CheckpointDamagedError, match=r"1 weights missing.*slots_MD"):
        checkpoint.load_model(folder)
    save_file(weights | {"memory.slots_MD": torch.zeros(9, 9)}, path)
    with pytest.raises(CheckpointDamagedError, match=r"slots_MD \(9, 9\)"):
        checkpoint.load_model(folder)


def test_a_configuration_of_another_format_is_refused(tmp_path: Path):
    folder = save_tiny(tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    for change in ({"format": 99}, {"surprise": 1}):
        (folder / "config.json").write_text(json.dumps(values | change))
        with pytest.raises(CheckpointDamagedError, match="not a model configuration"):
            checkpoint.load_model(folder)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("memory", {"slots": "four"}, "memory.slots: 'four' is str, expected int"),
        ("encoder", {"kind": "vit"}, "encoder: unknown kind 'vit'; known are 'swin', or none"),
        ("encoder", {"depths": [1, 1, 1, 1]}, "encoder: unknown fields depths"),
        ("encoder", {"channels": [24, 40]}, "encoder.channels: "),
        ("decoder", {"widths": [32, 64, "wide"]}, "decoder.widths[2]: 'wide' is str"),
        ("variant", "own", "variant: "),
    ],
)
def test_a_wrong_field_of_a_configuration_is_named(tmp_path: Path, part, change, message):
    path = save_tiny(tmp_path) / "config.json"
    values = json.loads(path.read_text())
    values[part] = {**values[part], **change} if isinstance(change, dict) else change
    path.write_text(json.dumps(values))
    with pytest.raises(CheckpointDamagedError, match=re.escape(f"{path}: {message}")):
        checkpoint.read_config(tmp_path)


def test_the_configuration_of_nano_is_written_as_it_was(tmp_path: Path):
    shipped = weights_directory("nano")
    checkpoint.copy_model(shipped, tmp_path)
    checkpoint.set_confidence(tmp_path, checkpoint.read_config(shipped).confidence)
    for name in checkpoint.FILES:
        assert (tmp_path / name).read_bytes() == (shipped / name).read_bytes(), name


def test_how_confident_a_model_is_is_stored_with_it(tmp_path: Path):
    folder = save_tiny(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    confidence = ConfidenceConfig(referring=(0.5, -1.0), nothing=(-0.25, 2.0))
    checkpoint.set_confidence(folder, confidence)
    assert checkpoint.load_model(folder)[0].config.confidence == confidence
    assert (folder / "model.safetensors").read_bytes() == weights


def test_an_older_model_is_not_calibrated(tmp_path: Path):
    folder = save_tiny(tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    del values["confidence"]
    (folder / "config.json").write_text(json.dumps(values))
    confidence = checkpoint.load_model(folder)[0].config.confidence
    for task in Task:
        assert confidence.of(1.5, task, empty=False) == pytest.approx(0.817574, abs=1e-6)
        assert confidence.of(1.5, task, empty=True) == pytest.approx(1 - 0.817574, abs=1e-6)


def test_a_copy_is_whole(tmp_path: Path):
    folder, other = save_tiny(tmp_path / "model"), tmp_path / "other"
    other.mkdir()
    (folder / "README.md").write_text("of other weights")
    checkpoint.copy_model(folder, other)
    assert {path.name for path in other.iterdir()} == set(checkpoint.FILES)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"tokenizer\.json"):
        checkpoint.copy_model(folder, other)
