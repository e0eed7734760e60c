"""What makes a loaded network fast on a CPU in float32; it can then no longer be trained or saved.

Legend: L rows, I inputs, O outputs, B images, H W map, h w map of outputs, K weights of an output.
A language model multiplies a few dozen rows by weights of tens of megabytes, and lays the weights
out anew for every product. Laid out once, a layer takes 0.9 of the time at 80 rows, 0.65 at 18. A
convolution of a thousand channels over 256 places takes 0.3 to 0.8 of the time as one product. See
`unigeoseg bench speed --model base`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.errors import OptionError
from unigeoseg.model.network import UniGeoSegNetwork

_ROWS = 64  # that the layout of weights is chosen for; others take it as well
_FEW = 256  # with more places a convolution gains nothing as one product


class PackedLinear(nn.Module):
    """A linear layer whose weights lie as oneDNN multiplies them."""

    def __init__(self, plain: nn.Linear) -> None:
        """Take the weights of a plain layer, which may then be forgotten."""
        super().__init__()
        # copied, so that what the plain layer took can be used whole for the next one
        self.bias = None if plain.bias is None else plain.bias.detach().clone()
        # neither parameter nor buffer: its layout is opaque
        self.packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), _ROWS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., L, I) to (..., L, O)."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self.packed, self.bias, "none", [], ""
        )
        return out

    def _save_to_state_dict(self, *_: Any) -> None:  # noqa: ANN401 - as of its parent
        raise OptionError(
            "this network was made fast for inference and has no weights to save; load it with "
            "unigeoseg.model.io.checkpoint.load_model, which leaves them as they are"
        )


class ProductConv2d(nn.Conv2d):
    """A convolution, padded with zeros, that is one product where places are few."""

    padding: tuple[int, ...]

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, I, H, W) to (B, O, h, w)."""
        places = inputs.shape[2:]
        if places.numel() > _FEW:
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


def optimize_for_inference(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """Make the parts that read few rows or places fast; in place."""
    pack(network.language)
    pack(network.connector)
    return network


def pack(module: nn.Module) -> None:
    """Lay out the plain linear layers and convolutions below a module; in place."""
    for name, part in module.named_children():
        if type(part) is nn.Linear and _packs(part):
            setattr(module, name, PackedLinear(part))
        elif type(part) is nn.Conv2d and _multiplies(part):
            part.__class__ = ProductConv2d
            # channels last would be turned for every product
            part.weight.data = part.weight.data.contiguous()
        else:
            pack(part)


def _packs(part: nn.Linear) -> bool:
    known: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return known and _plain(part.weight)


def _multiplies(part: nn.Conv2d) -> bool:
    return (
        _plain(part.weight)
        and (part.groups, part.padding_mode) == (1, "zeros")
        and isinstance(part.padding, tuple)
    )


def _plain(weight: Tensor) -> bool:
    return (weight.dtype, weight.device.type) == (torch.float32, "cpu")
