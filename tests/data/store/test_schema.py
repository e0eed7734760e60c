"""Patches as rows and back, with everything that may be missing."""

import os
import subprocess
import sys

import numpy as np
import pytest
from affine import Affine
from places import SOURCE
from rasterio.crs import CRS

from unigeoseg.data.patches.patch import UNKNOWN_REGION, Patch
from unigeoseg.data.store.parquet import ShardedWriter, TableWriter, read_rows
from unigeoseg.data.store.rows import image_row, patch_from_row
from unigeoseg.data.store.schema import IMAGES, LEDGER
from unigeoseg.errors import DataError, OutputUnwritableError
from unigeoseg.geo.grid import Grid


def patch(grid: Grid | None) -> Patch:
    regions = np.zeros((6, 8), np.uint16)
    regions[:2, :3], regions[4:, 5:], regions[3] = 1, 700, UNKNOWN_REGION
    return Patch(
        source="made",
        key="ä/b.tif",
        x=256,
        y=0,
        group="made/ä",
        licence="CC0-1.0",
        gsd_m=None if grid is None else 0.3,
        grid=grid,
        pixels=np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3),
        regions=regions,
        categories={1: 25, 700: 201},
        labelled=frozenset({25, 201}),
        split="val",
    )


GRIDS = [
    None,
    Grid.of_image(8, 6),
    Grid(8, 6, Affine(0.3, 0.1, 5e5, 0.1, -0.3, 4e6), CRS.from_epsg(32650)),
]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("phash", [None, 2**64 - 1])
def test_a_patch_comes_back(grid, phash, tmp_path):
    before = patch(grid)
    with TableWriter(tmp_path / "images.parquet", IMAGES, group=2) as file:
        file.write([image_row(before, phash)])
    (row,) = read_rows(tmp_path / "images.parquet")
    after = patch_from_row(row)
    assert row["phash"] == phash and after.id == before.id == row["id"]
    assert (after.regions == before.regions).all() and (after.pixels == before.pixels).all()
    for name in ("source", "key", "x", "y", "group", "licence", "gsd_m", "categories", "split"):
        assert getattr(after, name) == getattr(before, name)
    assert after.labelled == before.labelled
    assert (after.grid is None) == (grid is None)
    if grid is not None:
        assert after.grid.transform == grid.transform and after.grid.crs == grid.crs


def test_a_damaged_picture_is_a_data_error():
    row = image_row(patch(None), None)
    for content in (b"", b"no picture"):
        with pytest.raises(DataError, match=r"the picture of image .* is damaged"):
            patch_from_row(row | {"bytes": content})


def rejection(number: int) -> dict:
    texts = dict.fromkeys(("stage", "rule", "source", "key", "detail"), str(number))
    return texts | {"value": number, "limit": None}


def test_rows_go_to_as_many_files_as_they_need(tmp_path):
    with ShardedWriter(tmp_path, "some", LEDGER, group=2, shard=3) as files:
        files.write(rejection(number) for number in range(7))
    names = ["some-00000.parquet", "some-00001.parquet", "some-00002.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    found = [row["value"] for name in names for row in read_rows(tmp_path / name)]
    assert found == list(range(7))
    with ShardedWriter(tmp_path, "none", LEDGER, group=2, shard=3):
        pass
    assert list(read_rows(tmp_path / "none-00000.parquet")) == []


def test_nothing_is_half_written(tmp_path):
    with (
        pytest.raises(RuntimeError, match="stop"),
        TableWriter(tmp_path / "a.parquet", LEDGER, group=1) as file,
    ):
        file.write([rejection(1)])
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []
    with (
        pytest.raises(OutputUnwritableError, match="was not written"),
        TableWriter(tmp_path / "no" / "a.parquet", LEDGER, group=1),
    ):
        pass


def test_without_the_extra_the_engine_says_what_to_install():
    code = "import sys; sys.modules['pyarrow'] = None; import unigeoseg.data.store.parquet"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MissingExtraError: the data engine needs packages" in done.stderr
    assert "pip install 'unigeoseg[data]'" in done.stderr
