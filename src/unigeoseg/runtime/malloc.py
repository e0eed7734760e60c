"""What is known about glibc's malloc: freed memory is kept for the next layer, not given back.

By default blocks above a threshold are mapped one by one, and freed memory at the top of the heap
goes back to the system. Each layer of a network then fetches its memory anew, page by page, and has
it cleared: on two cores a scene takes a quarter longer (`docs/scenes.md`), a training step with
large maps a third (`docs/log.md`).

This process is set by a call, a new one by its environment, which glibc reads when it starts. Other
C libraries, such as musl, ignore both. How threads wait for work is left to OpenMP: letting them
sleep costs more than it saves.
"""

import ctypes
import sys
from collections.abc import Mapping
from types import MappingProxyType

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of mallopt's parameters in malloc.h
_LARGEST_INT = 2**31 - 1  # of mallopt's values
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc took no more before 2.35

KEEP_FREED_MEMORY: Mapping[str, str] = MappingProxyType(
    {
        "MALLOC_MMAP_THRESHOLD_": str(2**33),
        "MALLOC_TRIM_THRESHOLD_": str(2**34),
        "MALLOC_TOP_PAD_": str(2**28),
    }
)
"""Environment of a process that keeps freed memory, in bytes: a process that trains holds as much
at every step, so nothing is given back up to 16 GiB, and the heap grows 256 MiB at a time."""


def keep_freed_memory() -> None:
    """Let this process keep freed memory; before the network's libraries allocate theirs."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl has not
    if mallopt:
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
