"""Commands as a user types them."""

import sys

import pytest

from unigeoseg.cli import main


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `unigeoseg WORDS`; its exit code."""
    monkeypatch.setattr(sys, "argv", ["unigeoseg", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `unigeoseg bench WORDS`; its exit code."""
    return command(monkeypatch, "bench", *words)
