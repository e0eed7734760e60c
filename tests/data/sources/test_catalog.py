"""Every row of the catalogue reads a tiny copy of what its publisher gives."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import sources
from unigeoseg.data.ledger import Rejection
from unigeoseg.data.sources.catalog import CATALOG, CATALOG_COLUMNS, catalog_source, catalog_table
from unigeoseg.data.sources.readers import open_labelled_source
from unigeoseg.errors import DataError
from unigeoseg.prompt import Task

LOSSLESS = (".png", ".tif")


def test_every_row_has_a_fixture_and_nothing_unknown():
    assert set(CATALOG) == set(sources.BUILDERS)
    for row in CATALOG.values():
        assert row.class_table().unmatched == ()
        assert row.licence and row.cite and row.url and row.notes


@pytest.mark.parametrize("name", CATALOG)
def test_row(name: str, tmp_path: Path):
    expected = sources.BUILDERS[name](tmp_path)
    rejected: list[Rejection] = []
    opened = open_labelled_source(name, tmp_path, rejected.append)
    items = {item.key: item for item in opened.items}
    assert list(items) == sorted(items)
    image = pickle.loads(pickle.dumps(opened)).read(items[expected.key], rejected.append)
    unknown = expected.more.get("unknown")
    assert [unknown in r.detail for r in rejected] == ([True] if unknown else [])
    assert (image.source, image.key, image.split) == (name, expected.key, expected.split)
    assert image.group == f"{name}/{expected.group}"
    assert image.licence == CATALOG[name].licence
    assert image.gsd_m == pytest.approx(expected.gsd_m)
    assert (image.grid.crs.to_epsg() if image.grid else None) == expected.crs
    assert image.pixels.shape == (sources.HEIGHT, sources.WIDTH, 3)
    check_pixels(image.pixels, expected.key)
    check_classes(image.classes, expected.classes)
    assert tuple(item.category for item in image.objects) == expected.objects
    assert tuple(box.category for box in image.boxes) == expected.boxes
    if expected.corners:
        np.testing.assert_array_equal(image.boxes[0].corners.ravel(), expected.corners)
    check_texts(image, expected)


def check_pixels(pixels: np.ndarray, key: str) -> None:
    """Colours are in order and rise as they were written, exactly where the file is lossless."""
    red, green, blue = (pixels[..., band].astype(int) for band in range(3))
    if key.endswith(LOSSLESS):
        np.testing.assert_array_equal(pixels, sources.rgb())
    assert red[:, -8:].mean() > red[:, :8].mean() + 60
    assert green[-8:].mean() > green[:8].mean() + 60
    assert np.ptp(blue) < 40


def check_classes(classes: np.ndarray | None, expected: tuple[int, int] | None) -> None:
    if expected is None:
        assert classes is None
        return
    mask = np.full((sources.HEIGHT, sources.WIDTH), expected[1], np.uint16)
    mask[sources.PATCH] = expected[0]
    np.testing.assert_array_equal(classes, mask)


def check_texts(image, expected: sources.Expected) -> None:
    assert tuple(text.text for text in image.texts) == expected.texts
    for text in image.texts:
        assert (text.target.x, text.target.y, text.target.mask.shape) == (8, 10, (20, 20))
        assert text.target.mask.all()
        assert text.category == expected.more.get("category", 0)
        assert text.answer == expected.more.get("answer", "")
        assert text.task == (Task.REASONING if "answer" in expected.more else Task.REFERRING)


def test_labelled_categories_are_those_of_the_table(tmp_path: Path):
    sources.loveda(tmp_path)
    opened = open_labelled_source("loveda", tmp_path, pytest.fail)
    assert opened.read(opened.items[0], pytest.fail).labelled == {25, 9, 5, 6, 4, 2}
    assert [item.split for item in opened.items] == ["train", "val"]


def test_both_editions_of_a_source_are_read(tmp_path: Path):
    sources.gid_15(tmp_path)
    opened = open_labelled_source("gid-15", tmp_path, pytest.fail)
    second = opened.read(opened.items[1], pytest.fail)
    assert second.split == "val"
    assert set(np.unique(second.classes)) == {23, 9}


def test_a_palette_is_read_by_its_colours_where_the_row_knows_colours_alone(tmp_path: Path):
    sources.potsdam(tmp_path)
    path = tmp_path / "5_Labels_all/top_potsdam_2_13_label.tif"
    PIL.Image.open(path).quantize(4, dither=PIL.Image.Dither.NONE).save(path)
    opened = open_labelled_source("potsdam", tmp_path, pytest.fail)
    check_classes(opened.read(opened.items[0], pytest.fail).classes, (63, 0))


def test_an_empty_mask_means_that_nothing_is_meant(tmp_path: Path):
    sources.earthreason(tmp_path)
    sources.image(tmp_path / "train/labels/beach_1.png", sources.coded(0, 0))
    opened = open_labelled_source("earthreason", tmp_path, pytest.fail)
    text = opened.read(opened.items[0], pytest.fail).texts[0]
    assert text.target is None


def test_an_image_of_two_splits_is_in_the_one_held_out(tmp_path: Path):
    sources.refsegrs(tmp_path)
    sources.text(tmp_path / "output_phrase_test.txt", "4213 the white van\n")
    opened = open_labelled_source("refsegrs", tmp_path, pytest.fail)
    assert {item.key: item.split for item in opened.items}["images/4213.tif"] == "test"


def test_the_table_and_unknown_names():
    rows = catalog_table()
    assert len(rows) == len(CATALOG) and all(len(row) == len(CATALOG_COLUMNS) for row in rows)
    assert all(all(cell for cell in row) for row in rows)
    with pytest.raises(DataError, match="no source is called 'imagenet'"):
        catalog_source("imagenet")


def test_a_row_with_a_class_that_nobody_knows_says_so_once(tmp_path: Path):
    sources.loveda(tmp_path)
    row = replace(CATALOG["loveda"], classes={7: "gravel heap", 1: "background"})
    rejected: list[Rejection] = []
    opened = open_labelled_source(row, tmp_path, rejected.append)
    image = opened.read(opened.items[0], rejected.append)
    assert [(r.stage, r.rule, r.key) for r in rejected] == [("read", "unknown_class", "")]
    check_classes(image.classes, (65535, 0))
