"""Folders of this checkout."""

from pathlib import Path

import unigeoseg

ROOT = Path(__file__).parents[2]
"""Of the repository."""
TESTS = ROOT / "tests"
GOLDENS = TESTS / "goldens"
DOCS = ROOT / "docs"
SOURCE = Path(unigeoseg.__file__).parents[1]
"""Folder that holds the package, for `PYTHONPATH`."""
SUPPORT = (
    str(SOURCE),
    str(TESTS / "support"),
    *(str(TESTS / "support" / name) for name in ("models", "servers")),
)
"""Folders that a process of its own needs on its path to import what tests import."""
