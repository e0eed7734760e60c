"""A language part of fewer bits."""

import sys

import pytest
import torch

import tiny_base
from networks import tiny_network
from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.chat import ChatProcessor
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.quantise import quantise_language
from unigeoseg.prompt import Prompt

pytest.importorskip("transformers", reason="Base needs the extra 'base'")


def network() -> UniGeoSegNetwork:
    torch.manual_seed(0)
    return UniGeoSegNetwork(tiny_base.config()).eval()


def size(part, tmp_path) -> int:
    torch.save(part.state_dict(), tmp_path / "part.pt")
    return (tmp_path / "part.pt").stat().st_size


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes another way")
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
        found = quantise_language(base, 8)(pixels, inputs)
    assert not torch.equal(found.hidden, expected.hidden)
    assert (found.hidden - expected.hidden).abs().mean() < 0.05 * expected.hidden.std()
    assert (found.logits - expected.logits).abs().mean() < 0.1 * expected.logits.std()
    assert size(base.language.model.layers[0].mlp, tmp_path) < 0.6 * before


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can")
def test_four_bits_need_a_gpu():
    with pytest.raises(OptionError, match="CUDA GPU"):
        quantise_language(network(), 4)


def test_nano_is_not_quantised():
    with pytest.raises(OptionError, match="tiny"):
        quantise_language(tiny_network(), 8)


def test_a_gpu_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"unigeoseg\[quantise\]"):
        quantise_language(network(), 4)
