"""A device that is not there: its tensors have real values and may not meet those of the CPU.

Where a GPU would refuse an operation on tensors of two devices, so does this one. PyTorch lets
one be made in Python, for a whole process: `test_device.py` starts this file in its own.

What it is made of is private to PyTorch: `_setup_privateuseone_for_python_backend` and
`_DummyBackendModule` are as here in 2.13, with which this is tested. `test_device.py` skips where
the first is missing, as it may be in earlier versions of those that are allowed, from 2.7 on.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)


class _Backend(_DummyBackendModule):
    """What PyTorch asks a device's own module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend(backend_module=_Backend())
DEVICE = torch.device("privateuseone", 0)

_BETWEEN = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
_INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default}
"""Operations on two devices that a GPU allows: copies, and places given by the CPU."""


class Elsewhere(torch.Tensor):
    """A tensor of the device, which holds one of the CPU."""

    held: torch.Tensor

    def __new__(cls, held: torch.Tensor) -> "Elsewhere":
        """Wrap `held`."""
        form = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        wrapper = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, dtype=held.dtype, device=DEVICE, **form
        )
        wrapper.held = held
        return wrapper

    def tolist(self) -> Any:
        """As of other tensors, which PyTorch does not allow subclasses."""
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        """Run an operation on the tensors that are held."""
        return _run(function, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it is on, tensors can be made on the device and moved there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """As `Elsewhere`."""
        return _run(function, args, kwargs or {})


def _run(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    on_cpu = [tensor for tensor in tensors if not isinstance(tensor, Elsewhere)]
    target = kwargs.get("device")
    if target is not None:
        kwargs = kwargs | {"device": "cpu"}
    some_on_device = len(on_cpu) < len(tensors)
    to_device = some_on_device if target is None else torch.device(target) == DEVICE
    mixes = some_on_device and any(tensor.dim() for tensor in on_cpu)
    if mixes and function not in _BETWEEN | _INDEXED:
        raise RuntimeError(f"{function} got tensors of two devices")
    result = function(*_held(args), **_held(kwargs))
    return tree_map_only(torch.Tensor, _wrapped, result) if to_device else result


def _held(values: Any) -> Any:
    return tree_map_only(Elsewhere, lambda tensor: tensor.held, values)


def _wrapped(tensor: torch.Tensor) -> Elsewhere:
    return tensor if isinstance(tensor, Elsewhere) else Elsewhere(tensor)


def _empty(shape: Any, stride: Any = None, *, dtype: Any = None, **_: object) -> Elsewhere:
    """What `torch.tensor(..., device=...)` asks for before it copies."""
    if stride is None:
        return Elsewhere(torch.empty(shape, dtype=dtype))
    return Elsewhere(torch.empty_strided(shape, stride, dtype=dtype))


def _copy(source: torch.Tensor, target: torch.Tensor, _: bool = False) -> torch.Tensor:
    _held(target).copy_(_held(source))
    return target


_LIBRARY = torch.library.Library("aten", "IMPL")
_LIBRARY.impl("empty_strided", _empty, "PrivateUse1")
_LIBRARY.impl("empty.memory_format", _empty, "PrivateUse1")
_LIBRARY.impl("_copy_from", _copy, "PrivateUse1")
