"""Reading all of a source, with what it notes."""

from pathlib import Path

from unigeoseg.data.ledger import Rejection
from unigeoseg.data.sources.annotated import AnnotatedImage
from unigeoseg.data.sources.readers import open_source, recognise
from unigeoseg.data.sources.source import Source

Read = tuple[list[AnnotatedImage | None], list[Rejection]]


def read_all(source: str | Source | None, root: Path) -> Read:
    """Every image of a source, or of a folder that declares itself, and every rejection."""
    rejected: list[Rejection] = []
    opened = open_source(source or recognise(root), root, rejected.append)
    return [opened.read(item, rejected.append) for item in opened.items], rejected


def rules(rejected: list[Rejection]) -> list[str]:
    return [r.rule for r in rejected]
