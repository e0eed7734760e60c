"""One picture in two sources: it never both trains and tests, however each source cuts it."""

import shutil
from pathlib import Path

import builds
import cv2
import numpy as np
import pytest

import sources
from unigeoseg.data.builder.pipeline import build_dataset
from unigeoseg.data.builder.plan import Options
from unigeoseg.data.builder.tools import ToolsLoader
from unigeoseg.data.builder.unit import Job
from unigeoseg.data.inspect.verify import verify_dataset
from unigeoseg.data.sources.catalog import catalog_source
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import read_rows
from unigeoseg.data.store.summary import NearDuplicateCount
from unigeoseg.evaluate.systems.baselines import fill_box
from unigeoseg.prompt import Box, Prompt

BOX = "<bndbox><xmin>90</xmin><ymin>80</ymin><xmax>240</xmax><ymax>230</ymax></bndbox>"


def picture(path: Path) -> None:
    """A JPEG of 800 x 800, which is four windows of 512, with one bright square."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(7).integers(30, 130, (9, 9, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (800, 800), interpolation=cv2.INTER_CUBIC)
    pixels[80:230, 90:240] = 230
    cv2.imwrite(str(path), pixels)


def filled(pixels: np.ndarray, boxes: list[Box]) -> list[np.ndarray]:
    """Everything in a box is the object."""
    return [fill_box(pixels, Prompt.from_box(box)) for box in boxes]


def loaded():
    return filled


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """DIOR has the picture for testing with a box, RRSIS-D for training with words."""
    root = tmp_path_factory.mktemp("both")
    dior, rrsis = root / "dior", root / "rrsis"
    picture(dior / "JPEGImages-test/11726.jpg")
    label = dior / "Annotations/Horizontal Bounding Boxes/11726.xml"
    said = f"<annotation><object><name>airplane</name>{BOX}</object></annotation>"
    sources.text(label, said)
    sources.text(dior / "ImageSets/Main/test.txt", "11726\n")
    sources.rrsis_d(rrsis)
    shown = rrsis / "images/rrsisd/JPEGImages/00001.jpg"
    shutil.copy(dior / "JPEGImages-test/11726.jpg", shown)
    for below in ("rrsisd/instances.json", "rrsisd/refs(unc).p"):
        path = rrsis / below
        content = path.read_bytes().replace(b'"width": 64', b'"width": 800')
        content = content.replace(b'"height": 48', b'"height": 800')
        path.write_bytes(content.replace(b"X\x04\x00\x00\x00test", b"X\x05\x00\x00\x00train"))
    places = [(catalog_source("dior"), dior), (catalog_source("rrsis-d"), rrsis)]
    options = Options(boxes="fill-box")
    return build_dataset(
        Job(root / "out", options, ToolsLoader(options.seed, segmenter=loaded)), places
    )


def test_the_test_image_stays_and_the_other_goes(both: Dataset):
    assert {(row["source"], row["split"]) for row in both.image_rows(["source", "split"])} == {
        ("dior", "test")
    }
    found = {"stage": "leak", "dropped": "rrsis-d", "kept": "dior", "images": 1}
    assert both.summary.near_duplicates == [NearDuplicateCount(**found)]
    (line,) = [row for row in read_rows(both.path / "ledger.parquet") if row["stage"] == "leak"]
    assert (line["source"], line["rule"]) == ("rrsis-d", "near_duplicate")
    assert (line["value"], line["limit"]) == (0, 4)


def test_verify_finds_a_picture_in_two_splits(both: Dataset, dataset: Dataset, tmp_path: Path):
    assert verify_dataset(both).passed
    rows = list(dataset.image_rows(["key", "split", "image_phash"]))
    held, train = (
        next(row for row in rows if row["split"] == split) for split in ("test", "train")
    )

    def same(what: str, row: dict) -> dict:
        copied = what == "image" and row["key"] == train["key"]
        return row | {"image_phash": held["image_phash"]} if copied else row

    report = verify_dataset(builds.changed(dataset, tmp_path / "out", same))
    assert report.failed == {"split leak": sum(row["key"] == train["key"] for row in rows)}
    assert "in train shows what" in report.failures[0]
