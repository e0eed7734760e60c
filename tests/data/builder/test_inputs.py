"""What two builds of one input have in common."""

import hashlib
from pathlib import Path

from unigeoseg.data.builder.inputs import Input
from unigeoseg.data.sources.catalog import CATALOG


def test_digests_of_rows_are_those_of_plans_that_are_stored(tmp_path: Path):
    rows = [str(Input(CATALOG[name], tmp_path, ()).digests["row"]) for name in sorted(CATALOG)]
    together = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    assert (len(rows), together[:16]) == (20, "4043d5e8313c64a1")
