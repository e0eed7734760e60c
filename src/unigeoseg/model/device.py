"""The device that a network computes on."""

import os

import torch

from unigeoseg.errors import OptionError

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
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    count = 0 if accelerator is None else torch.accelerator.device_count()
    if device.type != "cpu" and (accelerator is None or device.type != accelerator.type):
        visible = "no GPU" if accelerator is None else f"only {accelerator.type}"
        raise OptionError(
            f"the device {name!r} is not on this machine: PyTorch sees {visible}; give cpu, or "
            "install a PyTorch that is built for it"
        )
    if device.type != "cpu" and (device.index or 0) >= count:
        raise OptionError(f"the device {name!r} is not on this machine: there are {count} of it")
    return device
