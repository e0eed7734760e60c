"""The command line: unigeoseg segment | batch | bench | data | train | convert | pull | doctor."""

from unigeoseg.cli.main import main

__all__ = ("main",)
