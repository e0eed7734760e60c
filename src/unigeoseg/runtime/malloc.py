"""What is set for the whole process, before the network's libraries are loaded.

Without it freed memory goes back to the system after every layer and is fetched again, page by
page: on two cores a scene takes a quarter longer. How threads wait for work is left to OpenMP:
letting them sleep costs more than it saves, see `docs/scenes.md`.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_ constants of malloc.h
_KEEP = 2**31 - 1
_LARGEST = 32 * 2**20  # blocks up to this size come from what is kept; glibc allows no more


def tune() -> None:
    """Let freed memory be kept."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl has not
    if mallopt:
        mallopt(_TRIM_THRESHOLD, _KEEP)
        mallopt(_MMAP_THRESHOLD, _LARGEST)
