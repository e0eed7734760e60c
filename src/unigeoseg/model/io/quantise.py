"""A smaller language part for inference: 8 or 4 bits a weight, where the platform has it."""

import warnings
from typing import Any, Literal

import torch
from torch import nn

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.network import UniGeoSegNetwork


def quantise_language(
    network: UniGeoSegNetwork, bits: Literal[8, 4], device: torch.device
) -> UniGeoSegNetwork:
    """Store the linear layers of the language model in `bits` bits a weight; in place.

    On CPUs 8 bits are torch's dynamic int8, whose activations are rounded too. On GPUs both are
    those of bitsandbytes (int8, NF4), which rounds as the weights move there. Word embeddings and
    head stay as they are. The network can no longer be trained, nor saved.

    Args:
        network: On the CPU.
        bits: Of a weight.
        device: Where it will compute; it is to be moved there.

    Raises:
        OptionError: If the network has no such language part, or the device cannot.
        MissingExtraError: If the device is a GPU and bitsandbytes is not installed.
    """
    if not isinstance(network.language, CausalLanguage):
        raise OptionError(
            f"the language part of {network.config.name} is small and is not quantised; load it "
            "as it is"
        )
    if device.type == "cuda":
        _replace(network.language.model, bits, _bitsandbytes())
        return network
    if bits == 4 or device.type != "cpu":
        raise OptionError(
            f"{bits} bits a weight on {device.type}: 4 need a CUDA GPU, 8 that or the CPU; give "
            "another device, or leave the bits out"
        )
    _dynamic_int8(network.language)
    return network


def _dynamic_int8(language: CausalLanguage) -> None:
    try:
        with warnings.catch_warnings():
            # it is to move into another package, and says so at each call
            warnings.filterwarnings("ignore", message=".*(deprecated|reduce_range).*")
            from torch.ao.quantization import quantize_dynamic

            language.float()
            layers = {nn.Linear}
            language.model = quantize_dynamic(language.model, layers, torch.qint8, inplace=True)  # type: ignore[no-untyped-call]
    except (ImportError, RuntimeError) as error:
        raise OptionError(
            f"this build of torch has no dynamic int8 ({error}); load the language part as it is"
        ) from error


def _replace(model: nn.Module, bits: int, library: Any) -> None:  # noqa: ANN401  (a module)
    """Put layers of bitsandbytes in place of linear ones; they round when they move to the GPU."""
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        shape, bias = (layer.in_features, layer.out_features), layer.bias is not None
        if bits == 8:
            small = library.nn.Linear8bitLt(*shape, bias, has_fp16_weights=False)
        else:
            small = library.nn.Linear4bit(
                *shape, bias, compute_dtype=layer.weight.dtype, quant_type="nf4"
            )
        small.load_state_dict(layer.state_dict())
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, small)


def _bitsandbytes() -> Any:  # noqa: ANN401  (a module)
    try:
        import bitsandbytes
    except ImportError as error:
        raise MissingExtraError("a quantised language part on a GPU", "quantise") from error
    return bitsandbytes
