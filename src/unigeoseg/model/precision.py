"""The number type that a network computes in: one setting, decided here and nowhere else.

Only `Segmenter` lets the setting be "auto", which looks at the processor. Whatever trains,
converts, merges, compares or stores weights names its type, so that its results and files are the
same on every kind of processor.
"""

import os
from typing import Literal

import torch

from unigeoseg.errors import OptionError
from unigeoseg.model.config import CausalLanguageConfig, ModelConfig

VARIABLE = "UNIGEOSEG_DTYPE"
"""The environment variable that names the type where neither call nor command line does."""
AUTO = "auto"
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""The types by the names that the setting has for them, beside "auto"."""

DtypeSetting = str | torch.dtype | None
"""A name, a type of PyTorch, or None for what the environment says, and "auto" if it says nothing.
"""


def checked_dtype(setting: DtypeSetting = None) -> torch.dtype | None:
    """The type that a setting names; None for "auto".

    Raises:
        OptionError: If it names none.
    """
    if isinstance(setting, torch.dtype):
        name = str(setting).removeprefix("torch.")
    else:
        name = setting or os.environ.get(VARIABLE) or AUTO
    if name != AUTO and name not in DTYPES:
        raise OptionError(f"the dtype {name!r} has no meaning; give {AUTO}, {', '.join(DTYPES)}")
    return DTYPES.get(name)


def inference_dtype(
    setting: DtypeSetting,
    config: ModelConfig,
    device: torch.device,
    bits: Literal[8, 4] | None = None,
) -> torch.dtype:
    """The type that a network computes in when it segments.

    "auto" is float32, but bfloat16 for a network of Base's size on a device that multiplies it:
    other processors imitate it, ten times slower than float32. A network of Nano's size gains
    nothing by it.

    Args:
        setting: What was asked for.
        config: Of the network.
        device: Where it computes.
        bits: Of a weight of the language part, as in `quantise_language`; 8 on the CPU take and
            give float32.

    Raises:
        OptionError: If the setting names no type, or one that `bits` cannot take.
    """
    dtype = checked_dtype(setting)
    dynamic_int8 = bits is not None and device.type == "cpu"
    if dynamic_int8 and dtype not in (None, torch.float32):
        raise OptionError(
            f"{bits} bits a weight on the CPU compute in float32, not in "
            f"{str(dtype).removeprefix('torch.')}; leave one of the two out"
        )
    if dtype is not None:
        return dtype
    large = isinstance(config.language, CausalLanguageConfig)
    if large and not dynamic_int8 and multiplies_bfloat16(device):
        return torch.bfloat16
    return torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for products of bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and processor_multiplies_bfloat16()


def processor_multiplies_bfloat16() -> bool:
    """Whether this machine's processor does: AVX-512 BF16, or AMX."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
