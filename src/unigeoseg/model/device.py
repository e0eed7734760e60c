"""Where a network computes, and in what."""

import os
from typing import Literal

import torch

from unigeoseg.errors import OptionError
from unigeoseg.model.config import CausalLanguageConfig, ModelConfig

VARIABLE = "UNIGEOSEG_DEVICE"
"""The environment variable that says where, if nothing else does."""


def device_of(name: str | None = None) -> torch.device:
    """The device of a name.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps" or what else PyTorch knows; None for what the
            environment says, and the CPU if it says nothing.

    Raises:
        OptionError: If PyTorch does not know it, or this machine does not have it.
    """
    name = name or os.environ.get(VARIABLE) or "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(
            f"the device {name!r} has no meaning; give cpu, cuda, cuda:1 or mps"
        ) from error
    here = torch.accelerator.current_accelerator(check_available=True)
    count = 0 if here is None else torch.accelerator.device_count()
    if device.type != "cpu" and (here is None or device.type != here.type):
        seen = "no GPU" if here is None else f"only {here.type}"
        raise OptionError(
            f"the device {name!r} is not on this machine: PyTorch sees {seen}; give cpu, or "
            "install a PyTorch that is built for it"
        )
    if device.type != "cpu" and (device.index or 0) >= count:
        raise OptionError(f"the device {name!r} is not on this machine: there are {count} of it")
    return device


def suited_dtype(
    config: ModelConfig, device: torch.device, bits: Literal[8, 4] | None = None
) -> torch.dtype:
    """What a network computes in on a device: the faster type, if it is large.

    Processors without instructions for bfloat16 imitate it, ten times slower than float32; and on
    processors a language part in `bits` bits a weight takes and gives float32.
    """
    if not isinstance(config.language, CausalLanguageConfig):
        return torch.float32
    if bits is not None and device.type == "cpu":
        return torch.float32
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        known = torch.cpu.get_capabilities()
        able = device.type == "cpu" and (known.get("avx512_bf16") or known.get("amx_bf16"))
    return torch.bfloat16 if able else torch.float32
