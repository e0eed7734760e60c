"""Freed memory is kept by the process, and not given back to the system."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import unigeoseg
from unigeoseg.runtime.malloc import KEEP_FREED_MEMORY

HELD = """
import resource, sys
if sys.argv[1] == "call":
    from unigeoseg.runtime.malloc import keep_freed_memory
    keep_freed_memory()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 2**20
before = resident()
for _ in range(3):
    blocks = [bytearray(b"x") * (16 * 2**20) for _ in range(8)]
    del blocks
print(resident() - before)
"""


def held_mib(way: str, environment: dict[str, str]) -> int:
    """MiB that a process still holds when it has freed 128 MiB."""
    path = {"PYTHONPATH": str(Path(unigeoseg.__file__).parent.parent)}
    finished = subprocess.run(
        [sys.executable, "-c", HELD, way],
        env=os.environ | path | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(finished.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
@pytest.mark.parametrize(("way", "environment"), [("call", {}), ("", dict(KEEP_FREED_MEMORY))])
def test_freed_memory_is_kept(way, environment):
    if "musl" in os.confstr("CS_GNU_LIBC_VERSION") or KEEP_FREED_MEMORY.keys() & os.environ.keys():
        pytest.skip("another malloc, or one that is set already")
    assert held_mib("", {}) < 64 < 120 < held_mib(way, environment)
