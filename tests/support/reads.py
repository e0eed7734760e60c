"""Reading all of a source, with what it notes."""

from pathlib import Path

from unigeoseg.data.ledger import Rejection
from unigeoseg.data.sources.annotated import AnnotatedImage
from unigeoseg.data.sources.readers import declared_source, open_labelled_source
from unigeoseg.data.sources.source import Source

Read = tuple[list[AnnotatedImage | None], list[Rejection]]


def read_all(source: str | Source | None, root: Path) -> Read:
    """Every image of a source, or of a folder that declares itself, and every rejection."""
    rejected: list[Rejection] = []
    opened = open_labelled_source(source or declared_source(root), root, rejected.append)
    return [opened.read(item, rejected.append) for item in opened.items], rejected


def rules(rejected: list[Rejection]) -> list[str]:
    return [r.rule for r in rejected]
