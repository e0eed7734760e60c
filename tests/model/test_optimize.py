"""Weights laid out once, convolutions that are one product."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import save_tiny
from torch import nn

from unigeoseg.errors import OptionError
from unigeoseg.model.io import checkpoint
from unigeoseg.model.optimize import PackedLinear, ProductConv2d, onednn_product, pack_layers
from unigeoseg.predict.segmenter import Segmenter


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 7, 5), (3, 100, 5), (0, 5)])
def test_a_packed_layer_gives_the_same(shape, bias):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 9, bias=bias))
    inputs = torch.randn(shape)
    with torch.inference_mode():
        expected = module(inputs)
        pack_layers(module)
        assert type(module[0]) is PackedLinear
        found = module(inputs)
        turned = module(inputs.T.contiguous().T) if inputs.ndim == 2 else found
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(turned, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "how",
    [
        {"kernel_size": 1},
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
        {"kernel_size": (3, 1), "padding": (0, 2), "stride": (1, 3), "dilation": (2, 1)},
    ],
)
@pytest.mark.parametrize("shape", [(1, 5, 8, 8), (2, 5, 7, 9), (1, 5, 20, 30)])
def test_the_convolution_is_the_same(shape, how):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(5, 9, **how)).to(memory_format=torch.channels_last)
    inputs = torch.randn(shape)
    expected = module(inputs)
    pack_layers(module)
    assert type(module[0]) is ProductConv2d
    assert module[0].weight.is_contiguous()
    torch.testing.assert_close(module(inputs), expected, atol=1e-6, rtol=0)


def test_other_types_stay_as_they_are():
    convolutions = [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ]
    others = [nn.Linear(4, 4).bfloat16(), nn.LayerNorm(4), nn.Conv2d(4, 4, 3).bfloat16()]
    network = nn.Sequential(*convolutions, *others)
    types = [type(part) for part in network]
    pack_layers(network)
    assert [type(part) for part in network] == types


@pytest.fixture
def without_cache():
    """What was found out about PyTorch's operators is found out again, in the test and after it."""
    onednn_product.cache_clear()
    yield
    onednn_product.cache_clear()


def fails(*_: object) -> None:
    raise RuntimeError("not on this build")


def wrong(rows, packed, bias, *_: object):
    return rows.new_zeros(len(rows), 2)


@pytest.mark.parametrize(
    "operators",
    [
        SimpleNamespace(),
        SimpleNamespace(_reorder_linear_weight=fails, _linear_pointwise=fails),
        SimpleNamespace(_reorder_linear_weight=lambda weight: weight, _linear_pointwise=wrong),
        SimpleNamespace(_reorder_linear_weight=lambda weight, _: weight, _linear_pointwise=wrong),
    ],
    ids=["missing", "failing", "of another signature", "wrong"],
)
def test_without_its_operators_layers_stay_plain(tmp_path, monkeypatch, without_cache, operators):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = Segmenter.from_pretrained(save_tiny(tmp_path))(pixels, "the road").score
    onednn_product.cache_clear()
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    assert onednn_product() is None
    segmenter = Segmenter.from_pretrained(tmp_path)
    assert PackedLinear not in {type(part) for part in segmenter.network.modules()}
    np.testing.assert_allclose(segmenter(pixels, "the road").score, expected, atol=1e-5)


@pytest.mark.usefixtures("processor_kind")
def test_a_loaded_model_is_optimized_and_gives_the_same(tmp_path):
    plain = Segmenter(*checkpoint.load_model(save_tiny(tmp_path)))
    fast = Segmenter.from_pretrained(tmp_path)
    kinds = {type(part) for part in fast.network.language.modules()}
    assert PackedLinear in kinds
    assert nn.Linear not in kinds
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected, found = (model(pixels, "the road").score for model in (plain, fast))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_optimized_network_is_not_saved(tmp_path):
    segmenter = Segmenter.from_pretrained(save_tiny(tmp_path / "model"))
    with pytest.raises(OptionError, match="load it with"):
        checkpoint.save_model(tmp_path / "again", segmenter.network, segmenter.processor)
    assert not (tmp_path / "again").exists()
