"""A sound dataset passes; every kind of damage is found."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import builds
from unigeoseg.data.dataset import Dataset
from unigeoseg.data.rows import encode_png, sample_of
from unigeoseg.data.verify import verify
from unigeoseg.geo.mask import encode


def test_a_sound_dataset_passes(dataset: Dataset):
    report = verify(dataset)
    assert report.passed and report.failures == []
    told = dataset.summary["families"]
    assert report.checked["program"] == sum(
        told.get(family, 0) for family in ("referring", "attribute", "context")
    )
    assert report.checked["triplet id"] == dataset.summary["triplets"]
    assert report.checked["image id"] == dataset.summary["images"]


def test_another_byte_in_a_file_is_found(dataset: Dataset, tmp_path: Path):
    copy = Path(shutil.copytree(dataset.path, tmp_path / "copy"))
    shard = copy / "images-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    report = verify(Dataset.open(copy))
    assert report.failed == {"file": 1}
    (copy / "ledger.parquet").unlink()
    failures = verify(Dataset.open(copy)).failures
    assert failures[-1].startswith("file: ledger.parquet is missing, expected")


def with_id(row: dict) -> dict:
    """A triplet with the id that its content has."""
    return row | {"id": sample_of(row).id}


def test_changed_images_are_found(dataset: Dataset, tmp_path: Path):
    first = next(dataset.image_rows(["id"]))["id"]
    black = encode_png(np.zeros((96, 96, 3), np.uint8))
    changes = {
        "image id": {"bytes": black},
        "licence": {"licence": ""},
        "split": {"split": "somewhere"},
    }
    for kind, change in changes.items():

        def changed(what, row, change=change):
            return row | change if what == "image" and row["id"] == first else row

        report = verify(builds.changed(dataset, tmp_path / kind, changed))
        assert report.failed[kind] >= 1, kind
        assert any(first in line for line in report.failures)


WRONG = {
    "triplet id": {"id": "0" * 16},
    "mask": {"regions": [60000]},
    "family": {"family": "poem"},
    "source": {"source": "elsewhere"},
    "program": {"program": "(program 1 (largest (category 1)))"},
}


@pytest.mark.parametrize("kind", WRONG)
def test_changed_triplets_are_found(kind, dataset: Dataset, tmp_path: Path):
    chosen = next(row["id"] for row in dataset.rows(family="referring"))

    def changed(what, row):
        return row | WRONG[kind] if what == "triplet" and row["id"] == chosen else row

    report = verify(builds.changed(dataset, tmp_path / "out", changed))
    assert report.failed[kind] == 1
    assert any(line.startswith(kind) for line in report.failures)


def test_empty_masks_missing_programs_and_doubles_are_found(dataset: Dataset, tmp_path: Path):
    chosen = next(row["id"] for row in dataset.rows(family="referring"))
    nothing = encode(np.zeros((96, 96), bool))["counts"]

    def changed(what, row):
        if what == "image" or row["id"] != chosen:
            return row
        return with_id(row | {"rle": nothing, "program": ""})

    report = verify(builds.changed(dataset, tmp_path / "empty", changed))
    assert report.failed == {"mask": 2, "program": 1}
    double = {row["id"]: row for row in dataset.rows(family="box")}

    def repeated(what, row):
        return next(iter(double.values())) if what == "triplet" else row

    first = next(iter(double.values()))["image"]

    def within(what, row):
        return repeated(what, row) if what == "triplet" and row["image"] == first else row

    assert verify(builds.changed(dataset, tmp_path / "double", within)).failed["unique id"] >= 1


def test_a_region_too_small_and_a_question_that_names_its_answer(dataset: Dataset, tmp_path: Path):
    chosen = next(row for row in dataset.rows(family="referring"))

    def asked(what, row):
        if what == "image" or row["id"] != chosen["id"]:
            return row
        return with_id(row | {"task": "reasoning", "text": f"where is the {row['category']}?"})

    report = verify(builds.changed(dataset, tmp_path / "out", asked))
    assert report.failed == {"leak": 1}

    def shrunk(what, row):
        if what == "triplet":
            return row
        regions = [each | {"rle": ONE_PIXEL} for each in row["regions"]]
        return row | {"regions": regions}

    report = verify(builds.changed(dataset, tmp_path / "small", shrunk))
    assert report.failed["area"] == dataset.summary["triplets"]


ONE = np.zeros((96, 96), bool)
ONE[3, 3] = True
ONE_PIXEL = encode(ONE)["counts"]
