"""Linear layers that multiply from the other side, convolutions that are one product."""

import pytest
import torch
from torch import nn

from unigeoseg.model.tall import TallConv2d, TallLinear, hasten


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 7, 5), (3, 100, 5)])
def test_the_result_is_the_same(shape, bias):
    torch.manual_seed(0)
    plain = nn.Linear(5, 9, bias=bias)
    inputs = torch.randn(shape)
    expected = plain(inputs)
    hasten(plain)
    assert type(plain) is TallLinear
    found = plain(inputs)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


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
    plain = nn.Conv2d(5, 9, **how).to(memory_format=torch.channels_last)
    inputs = torch.randn(shape)
    expected = plain(inputs)
    hasten(plain)
    assert type(plain) is TallConv2d
    assert plain.weight.is_contiguous()
    torch.testing.assert_close(plain(inputs), expected, atol=1e-6, rtol=0)


def test_other_types_stay_as_they_are():
    convolutions = [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ]
    convolutions.append(nn.Conv2d(4, 4, 3).bfloat16())
    network = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), *convolutions)
    names = list(network.state_dict())
    hasten(network)
    assert list(network.state_dict()) == names
    assert [type(part) for part in network[1:]] == [nn.LayerNorm] + 4 * [nn.Conv2d]
    assert network[0].bfloat16()(torch.zeros(2, 4).bfloat16()).dtype == torch.bfloat16
