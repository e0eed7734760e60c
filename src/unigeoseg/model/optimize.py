"""Inference in float32 on a CPU, faster: weights laid out once, small convolutions as one product.

The network can then no longer be trained or saved. A language model multiplies a few dozen rows by
weights of tens of megabytes, and lays the weights out anew for every product. Laid out once, a
layer takes 0.9 of the time at 80 rows, 0.65 at 18. A convolution of a thousand channels over 256
places takes 0.3 to 0.8 of the time as one product. See `unigeoseg bench speed --model base`.

Legend: L rows, I inputs, O outputs, B images, H W map, h w map of outputs, K weights of an output.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.errors import OptionError
from unigeoseg.model.network import UniGeoSegNetwork

_ROWS = 64  # for which the layout of weights is chosen; other numbers of rows take it as well
_MOST_PLACES = 256  # with more places a convolution gains nothing as one product


class PackedProduct(NamedTuple):
    """A linear layer with weights of an opaque layout.

    Attributes:
        reorder: Weights (O, I), and the number of rows to expect, to the layout.
        multiply: Rows (L, I), laid out weights, and a bias (O,) or None, to (L, O).
    """

    reorder: Callable[[Tensor, int], Tensor]
    multiply: Callable[[Tensor, Tensor, Tensor | None], Tensor]


@cache
def onednn_product() -> PackedProduct | None:
    """OneDNN's linear layer, which lays weights out once; None where PyTorch has none that works.

    The two operators are private: PyTorch's compiler uses them, from 2.0 on and in 2.13, with which
    this is tested. So they are tried on a tiny product before a network relies on them.
    """
    try:
        operators = torch.ops.mkldnn
        reorder, pointwise = operators._reorder_linear_weight, operators._linear_pointwise

        def multiply(rows: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
            product: Tensor = pointwise(rows, packed, bias, "none", [], "")
            return product

        weight, bias, rows = torch.arange(6.0).view(2, 3), torch.ones(2), torch.ones(4, 3)
        product = multiply(rows, reorder(weight, _ROWS), bias)
        works = torch.equal(product, functional.linear(rows, weight, bias))
    except (AttributeError, RuntimeError, TypeError):  # missing, failing, of another signature
        return None
    return PackedProduct(reorder, multiply) if works else None


class PackedLinear(nn.Module):
    """A linear layer whose weights lie as oneDNN multiplies them."""

    def __init__(self, layer: nn.Linear, product: PackedProduct) -> None:
        """Take the weights of a layer, which may then be forgotten."""
        super().__init__()
        self.product = product
        # copied, so that what the layer took can be used whole for the next one
        self.bias = None if layer.bias is None else layer.bias.detach().clone()
        # neither parameter nor buffer: its layout is opaque
        self.packed = product.reorder(layer.weight.detach(), _ROWS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., L, I) to (..., L, O)."""
        return self.product.multiply(inputs, self.packed, self.bias)

    def _save_to_state_dict(self, *_: Any) -> None:  # noqa: ANN401 - as of its parent
        raise OptionError(
            "this network was made fast for inference and has no weights to save; load it with "
            "unigeoseg.model.io.checkpoint.load_model, which leaves them as they are"
        )


class ProductConv2d(nn.Conv2d):
    """A convolution, padded with zeros, that is one matrix product where places are few."""

    padding: tuple[int, ...]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, I, H, W) to (B, O, h, w)."""
        size = inputs.shape[2:]
        if size.numel() > _MOST_PLACES:
            return super().forward(inputs)
        geometry = self.kernel_size, self.dilation, self.padding, self.stride
        # (O, K) times (B, K, h*w)
        maps = self.weight.flatten(1) @ functional.unfold(inputs, *geometry)
        if self.bias is not None:
            maps += self.bias[:, None]
        sides = [
            (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel, dilation, padding, stride in zip(size, *geometry, strict=True)
        ]
        return maps.view(*maps.shape[:2], *sides)


def optimize_for_inference(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """Lay out the parts that read few rows or places, language and connector; in place."""
    pack_layers(network.language)
    pack_layers(network.connector)
    return network


def pack_layers(module: nn.Module) -> None:
    """Lay out the plain linear layers and convolutions below a module; in place.

    Linear layers stay as they are where `onednn_product` is not to be had.
    """
    product = onednn_product()
    for name, part in module.named_children():
        if product and type(part) is nn.Linear and _is_cpu_float32(part.weight):
            setattr(module, name, PackedLinear(part, product))
        elif type(part) is nn.Conv2d and _becomes_product(part):
            part.__class__ = ProductConv2d
            # channels last would be turned for every product
            part.weight.data = part.weight.data.contiguous()
        else:
            pack_layers(part)


def _becomes_product(layer: nn.Conv2d) -> bool:
    return (
        _is_cpu_float32(layer.weight)
        and (layer.groups, layer.padding_mode) == (1, "zeros")
        and isinstance(layer.padding, tuple)
    )


def _is_cpu_float32(weight: Tensor) -> bool:
    return (weight.dtype, weight.device.type) == (torch.float32, "cpu")
