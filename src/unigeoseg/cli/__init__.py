"""The command line: unigeoseg segment | bench | train | doctor."""

from unigeoseg.cli.main import main

__all__ = ("main",)
