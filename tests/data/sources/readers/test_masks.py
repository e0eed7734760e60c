"""Class masks: palettes of any size, and no more memory than the mask itself."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from reads import read_all, rules

import sources
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.sources.annotated import UNKNOWN
from unigeoseg.data.sources.catalog import CATALOG
from unigeoseg.data.sources.readers.masks import read_class_mask
from unigeoseg.data.sources.readers.reading import Folder, ImageItem, Reading
from unigeoseg.errors import DataError

BUILDING, CAR = 25, 63
RED, BLUE, YELLOW = (255, 0, 0), (0, 0, 255), (255, 255, 0)  # clutter, building, car of Potsdam


def with_palette(path: Path, ids: np.ndarray, palette: dict[int, tuple[int, int, int]]) -> None:
    height, width = ids.shape
    profile = {"count": 1, "height": height, "width": width, "dtype": ids.dtype.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", photometric="palette", **profile) as file:
            file.write(ids, 1)
            file.write_colormap(1, palette)


@pytest.fixture
def label(tmp_path: Path) -> Path:
    sources.potsdam(tmp_path)
    return tmp_path / "5_Labels_all/top_potsdam_2_13_label.tif"


def test_a_palette_of_16_bits_is_read(label: Path, tmp_path: Path):
    ids = sources.coded(1, 0).astype(np.uint16)
    ids[0] = 300
    with_palette(label, ids, {0: RED, 1: BLUE, 300: YELLOW})
    (image,), rejected = read_all("potsdam", tmp_path)
    assert not rejected
    assert (image.classes[sources.PATCH] == BUILDING).all() and (image.classes[0] == CAR).all()
    assert image.classes[-1, -1] == 0


def test_ids_whose_colour_has_no_class_are_unknown_and_counted(label: Path, tmp_path: Path):
    ids = sources.coded(1, 0).astype(np.uint16)
    ids[0] = 300
    with_palette(label, ids, {0: RED, 1: BLUE, 300: (1, 2, 3)})
    (image,), rejected = read_all("potsdam", tmp_path)
    assert (image.classes[0] == UNKNOWN).all() and (image.classes[sources.PATCH] == BUILDING).all()
    assert [(r.rule, r.value) for r in rejected] == [("unknown_id", 64)]
    assert "1 ids without a class, first 300 (#010203)" in rejected[0].detail


def test_ids_beyond_the_palette_are_unknown_and_counted(label: Path, tmp_path: Path, monkeypatch):
    ids = sources.coded(1, 0)
    ids[0] = 200
    with_palette(label, ids, {0: RED, 1: BLUE})
    short = {0: RED, 1: BLUE}  # GDAL fills a palette of TIFF up; that of a PNG may be short
    monkeypatch.setattr("unigeoseg.data.sources.readers.masks.mask_palette", lambda _: short)
    (image,), rejected = read_all("potsdam", tmp_path)
    assert (image.classes[0] == UNKNOWN).all()
    assert "1 ids without a class, first 200" in rejected[0].detail


def test_ids_where_only_colours_are_declared_are_refused(label: Path, tmp_path: Path):
    sources.image(label, sources.coded(1, 0))
    images, rejected = read_all("potsdam", tmp_path)
    assert images == [None] and rules(rejected) == ["unknown_id", "unknown_colour"]


def test_a_mask_in_colours_takes_little_more_memory_than_its_pixels(tmp_path: Path):
    side, row = 2000, CATALOG["potsdam"]
    mask = np.zeros((side, side, 3), np.uint8)
    mask[: side // 2] = BLUE
    sources.image(tmp_path / "mask.png", mask)
    folder = Folder(row, tmp_path, row.class_table())
    rejected: list[Rejection] = []
    reading = Reading(folder, ImageItem("x.png", "", label="mask.png"), rejected.append)
    read_class_mask(reading, (side, side))  # the lookup is made once
    tracemalloc.start()
    classes = read_class_mask(reading, (side, side))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    counts, block = 4 * 2**24, 40 * 2**20
    assert peak < mask.nbytes + classes.nbytes + counts + block
    assert rules(rejected) == ["unknown_colour"] * 2


@pytest.mark.parametrize("ignore_id", [-1, 65536])
def test_an_id_that_no_mask_can_hold_is_refused(ignore_id: int, tmp_path: Path):
    sources.text(
        tmp_path / "source.json",
        '{"reader": "masks", "licence": "CC0", "images": "{n}.png", "labels": "m/{n}.png", '
        f'"classes": {{"1": "road"}}, "ignore_id": {ignore_id}}}',
    )
    with pytest.raises(DataError, match="is no class code"):
        read_all(None, tmp_path)
