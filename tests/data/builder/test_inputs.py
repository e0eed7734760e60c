"""What two builds of one input have in common."""

from dataclasses import replace
from pathlib import Path

import pytest

from unigeoseg.data.builder.inputs import Input
from unigeoseg.data.sources.catalog import CATALOG
from unigeoseg.data.sources.source import Source


def row_digest(source: Source, directory: Path) -> str:
    return str(Input(source, directory, ()).digests["row"])


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_digest_of_a_row_is_of_its_values_alone(name: str, tmp_path: Path):
    source = CATALOG[name]
    assert row_digest(source, tmp_path) == row_digest(replace(source), tmp_path / "elsewhere")
    assert row_digest(source, tmp_path) != row_digest(replace(source, licence="x"), tmp_path)
    assert " at 0x" not in repr(source), "an address differs from process to process"
