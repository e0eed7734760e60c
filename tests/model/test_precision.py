"""The number type that a network computes in: one setting, and what each part of it asks for."""

import numpy as np
import pytest
import tiny_base
import torch
from command_line import command
from networks import save_tiny, tiny_config
from processors import this_one_multiplies_bfloat16

from unigeoseg.errors import OptionError
from unigeoseg.model import precision
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.precision import (
    DTYPES,
    VARIABLE,
    checked_dtype,
    inference_dtype,
    multiplies_bfloat16,
)
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.prompt import Box, Prompt

pytest.importorskip("transformers", reason="Base needs the extra 'base'")

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PROMPTS = (Prompt.from_text("the largest roof"), Prompt.from_box(Box(8, 8, 50, 60)))


@pytest.fixture(scope="module")
def base_directory(tmp_path_factory):
    """A tiny Base on disk, in float32."""
    torch.manual_seed(0)
    config = tiny_base.config()
    directory = tmp_path_factory.mktemp("base")
    network = UniGeoSegNetwork(config).eval()
    checkpoint.save_model(directory, network, ChatProcessor(tiny_base.tokenizer(), config))
    return directory


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)


def scores(segmenter: Segmenter, pixels: np.ndarray) -> np.ndarray:
    with segmenter.open(pixels) as session:
        return np.stack([segmentation.score for segmentation in session.segment(PROMPTS)])


def test_the_setting_is_the_call_then_the_environment_then_auto(monkeypatch):
    assert checked_dtype() is None and checked_dtype("auto") is None
    monkeypatch.setenv(VARIABLE, "float16")
    assert checked_dtype() == torch.float16
    assert checked_dtype("auto") is None
    assert checked_dtype("bfloat16") == checked_dtype(torch.bfloat16) == torch.bfloat16
    monkeypatch.setenv(VARIABLE, "")
    assert checked_dtype() is None


@pytest.mark.parametrize("name", ["half", "Float32", "torch.float32", torch.float64, torch.int8])
def test_a_type_without_meaning_is_refused(name):
    with pytest.raises(OptionError, match="has no meaning; give auto, float32, bfloat16, float16"):
        checked_dtype(name)


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_a_type_that_is_named_is_taken_everywhere(name, processor_kind):
    for config in (tiny_base.config(), tiny_config()):
        for device in (CPU, GPU, torch.device("mps")):
            assert inference_dtype(name, config, device) == DTYPES[name]


def test_auto_is_bfloat16_for_large_networks_where_it_is_multiplied(processor_kind, monkeypatch):
    able = processor_kind == "bfloat16"
    expected = torch.bfloat16 if able else torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: able)
    large, small = tiny_base.config(), tiny_config()
    for device in (CPU, GPU):
        assert multiplies_bfloat16(device) == able
        assert inference_dtype(None, large, device) == expected
        assert inference_dtype("auto", small, device) == torch.float32
    assert inference_dtype("auto", large, torch.device("mps")) == torch.float32


def test_eight_bits_on_the_cpu_compute_in_float32(processor_kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert inference_dtype("auto", tiny_base.config(), CPU, 8) == torch.float32
    assert inference_dtype("float32", tiny_base.config(), CPU, 8) == torch.float32
    assert inference_dtype("auto", tiny_base.config(), GPU, 8) == torch.bfloat16
    with pytest.raises(OptionError, match="8 bits a weight on the CPU compute in float32"):
        inference_dtype("bfloat16", tiny_base.config(), CPU, 8)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_the_processor_is_asked_for_its_instructions(name, monkeypatch):
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {name: able})
        assert this_one_multiplies_bfloat16() == able
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert not this_one_multiplies_bfloat16()


def test_a_loaded_network_is_float32_on_every_processor(base_directory, tmp_path, processor_kind):
    for directory in (base_directory, save_tiny(tmp_path)):
        network, _ = checkpoint.load_model(directory)
        assert {weight.dtype for weight in network.state_dict().values()} <= {
            torch.float32,
            torch.int64,
        }


def test_the_segmenter_chooses(base_directory, tmp_path, processor_kind, monkeypatch):
    expected = torch.bfloat16 if processor_kind == "bfloat16" else torch.float32
    assert Segmenter.from_pretrained(base_directory).dtype == expected
    assert Segmenter.from_pretrained(base_directory, dtype="float32").dtype == torch.float32
    assert Segmenter.from_pretrained(save_tiny(tmp_path)).dtype == torch.float32
    monkeypatch.setenv(VARIABLE, "float16")
    assert Segmenter.from_pretrained(base_directory).dtype == torch.float16
    assert Segmenter.from_pretrained(base_directory, dtype="auto").dtype == expected


def test_base_answers_alike_on_every_processor(base_directory, pixels, processor_kind):
    found = scores(Segmenter.from_pretrained(base_directory), pixels)
    expected = scores(Segmenter.from_pretrained(base_directory, dtype="float32"), pixels)
    tolerance = 0.05 if processor_kind == "bfloat16" else 0
    assert np.abs(found - expected).mean() <= tolerance


def test_nano_answers_the_same_on_every_processor(pixels, processor_kind):
    found = scores(Segmenter.from_pretrained("nano"), pixels)
    expected = scores(Segmenter.from_pretrained("nano", dtype="float32"), pixels)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_nano_computes_in_what_is_asked_for(pixels, tmp_path, name):
    segmenter = Segmenter.from_pretrained(save_tiny(tmp_path), dtype=name)
    assert segmenter.dtype == DTYPES[name]
    apart = scores(segmenter, pixels) - scores(Segmenter.from_pretrained(tmp_path), pixels)
    assert np.abs(apart).mean() < 0.02


@pytest.mark.parametrize(
    "words",
    [
        ("segment", "scene.tif", "the roof", "-o", "mask.tif"),
        ("batch", "scene*.tif", "the roof", "-o", "masks"),
        ("bench", "speed"),
        ("bench", "speed", "--model", "base"),
        ("bench", "scene", "scene.tif"),
    ],
)
def test_commands_refuse_a_wrong_type(words, roof_scene, monkeypatch, capsys):
    monkeypatch.chdir(roof_scene.parent)
    roof_scene.rename("scene.tif")
    assert command(monkeypatch, *words, "--dtype", "double") == 2
    error = capsys.readouterr().err
    assert "the dtype 'double' has no meaning; give auto, float32, bfloat16, float16" in error
    monkeypatch.setenv(VARIABLE, "single")
    assert command(monkeypatch, *words) == 2
    assert "the dtype 'single' has no meaning" in capsys.readouterr().err


def test_commands_hand_the_type_on(roof_scene, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        precision, "checked_dtype", lambda setting=None: asked.append(setting) or torch.float32
    )
    model, mask = save_tiny(tmp_path / "model"), tmp_path / "mask.tif"
    words = ("segment", roof_scene, "the roof", "-o", mask, "--model", model)
    assert command(monkeypatch, *words, "--dtype", "bfloat16") == 0
    words = ("batch", roof_scene, "the roof", "-o", tmp_path / "masks", "--model", model)
    assert command(monkeypatch, *words, "--dtype", "float16") == 0
    assert asked == ["bfloat16", "float16"]
