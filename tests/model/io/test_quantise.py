"""A language part of fewer bits."""

import sys

import numpy as np
import pytest
import tiny_base
import torch
from networks import tiny_network

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.quantise import quantise_language
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.prompt import Prompt

pytest.importorskip("transformers", reason="Base needs the extra 'base'")

CPU = torch.device("cpu")


def network() -> UniGeoSegNetwork:
    torch.manual_seed(0)
    return UniGeoSegNetwork(tiny_base.config()).eval()


def size(part, tmp_path) -> int:
    torch.save(part.state_dict(), tmp_path / "part.pt")
    return (tmp_path / "part.pt").stat().st_size


def test_eight_bits_are_close_and_small(tmp_path):
    base = network()
    layer = base.language.model.layers[0].mlp
    before = size(layer, tmp_path)
    inputs = ChatProcessor(tiny_base.tokenizer(), base.config).prompts(
        [Prompt.from_text("the lake")], [0], (64, 64)
    )
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = base(pixels, inputs)
        found = quantise_language(base, 8, CPU)(pixels, inputs)
    assert not torch.equal(found.hidden, expected.hidden)
    assert (found.hidden - expected.hidden).abs().mean() < 0.05 * expected.hidden.std()
    assert (found.logits - expected.logits).abs().mean() < 0.1 * expected.logits.std()
    assert size(base.language.model.layers[0].mlp, tmp_path) < 0.6 * before


@pytest.mark.parametrize(("bits", "device"), [(4, "cpu"), (4, "mps"), (8, "mps")])
def test_some_devices_cannot(bits, device):
    with pytest.raises(OptionError, match=f"{bits} bits a weight on {device}: 4 need a CUDA GPU"):
        quantise_language(network(), bits, torch.device(device))


@pytest.mark.usefixtures("processor_kind")
def test_a_model_is_loaded_with_eight_bits(tmp_path):
    whole = network()
    processor = ChatProcessor(tiny_base.tokenizer(), whole.config)
    checkpoint.save_model(tmp_path / "model", whole, processor)
    loaded = Segmenter.from_pretrained(tmp_path / "model", device="cpu", bits=8)
    kind = type(loaded.network.language.model.layers[0].mlp.fc1)
    assert "dynamic" in kind.__module__
    pixels = np.zeros((64, 64, 3), np.uint8)
    assert loaded(pixels, "the lake", answer=True).answer is not None
    with pytest.raises(OptionError, match="4 need a CUDA GPU"):
        Segmenter.from_pretrained(tmp_path / "model", device="cpu", bits=4)


def test_nano_is_not_quantised():
    with pytest.raises(OptionError, match="tiny"):
        quantise_language(tiny_network(), 8, CPU)


def test_a_gpu_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"unigeoseg\[quantise\]"):
        quantise_language(network(), 4, torch.device("cuda"))
