"""Linear layers that multiply from the other side."""

import pytest
import torch
from torch import nn

from unigeoseg.model.tall import TallLinear, hasten


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


def test_other_types_stay_as_they_are():
    network = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(3, 3, 1)).bfloat16()
    names = list(network.state_dict())
    hasten(network)
    assert list(network.state_dict()) == names
    assert type(network[1]) is nn.Conv2d
    assert network[0](torch.zeros(2, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
