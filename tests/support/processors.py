"""Processors that multiply bfloat16, and plain ones, both on any machine."""

import pytest

from unigeoseg.model import precision

KINDS = ("bfloat16", "plain")
VARIABLE = precision.VARIABLE
this_one_multiplies_bfloat16 = precision.processor_multiplies_bfloat16
"""What is asked of the machine's own processor, whatever a test pretends."""


def pretend(patch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the package see a processor of a kind of `KINDS`; what is slow there is imitated."""
    patch.setattr(precision, "processor_multiplies_bfloat16", lambda: kind == "bfloat16")
