"""Linear layers and convolutions that are fast for a few rows or places on a CPU.

Legend: L rows, I inputs, O outputs, B images, H W map, h w map of outputs, K weights of an output.
A language model multiplies a few dozen rows by weights of tens of megabytes. In float32 the weights
times the rows, turned, takes 0.6 of the time of the rows times the weights, turned, at 40 rows, and
0.8 at 104; see `unigeoseg bench speed --model base`. A convolution of a thousand channels over 256
places, as the same product, takes 0.3 to 0.8 of the time.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_FEW = 256  # with more rows there is nothing to gain


class TallLinear(nn.Linear):
    """A linear layer that multiplies from the other side where that is faster."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., L, I) to (..., L, O)."""
        rows = inputs.reshape(-1, self.in_features)
        if len(rows) > _FEW or inputs.dtype != torch.float32 or inputs.device.type != "cpu":
            return functional.linear(inputs, self.weight, self.bias)
        turned = self.weight @ rows.T
        if self.bias is not None:
            turned += self.bias[:, None]
        return turned.T.reshape(*inputs.shape[:-1], self.out_features)


class TallConv2d(nn.Conv2d):
    """A convolution, padded with zeros, that is one product where places are few."""

    padding: tuple[int, ...]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, I, H, W) to (B, O, h, w)."""
        places = inputs.shape[2:]
        if places.numel() > _FEW or inputs.dtype != torch.float32 or inputs.device.type != "cpu":
            return super().forward(inputs)
        how = self.kernel_size, self.dilation, self.padding, self.stride
        found = self.weight.flatten(1) @ functional.unfold(inputs, *how)  # O K times B K hw
        if self.bias is not None:
            found += self.bias[:, None]
        sides = [
            (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel, dilation, padding, stride in zip(places, *how, strict=True)
        ]
        return found.view(*found.shape[:2], *sides)


def hasten(module: nn.Module) -> None:
    """Let the plain linear layers and convolutions of a module be these; their values stay."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = TallLinear
        elif type(part) is nn.Conv2d and _plain(part):
            part.__class__ = TallConv2d
            # channels last would be turned for every product
            part.weight.data = part.weight.data.contiguous()


def _plain(part: nn.Conv2d) -> bool:
    """Whether a convolution can be one product, on a CPU in float32: others like channels last."""
    weight = part.weight
    return (
        (weight.dtype, weight.device.type) == (torch.float32, "cpu")
        and (part.groups, part.padding_mode) == (1, "zeros")
        and isinstance(part.padding, tuple)
    )
