"""A sound dataset passes; every kind of damage is found."""

import shutil
from pathlib import Path

import builds
import numpy as np
import pytest

from unigeoseg.data.inspect.verify import verify_dataset
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.rows import sample_from_row
from unigeoseg.errors import DataError
from unigeoseg.geo.masks import encode_mask
from unigeoseg.geo.png import encode_png


def test_a_sound_dataset_passes(dataset: Dataset):
    report = verify_dataset(dataset)
    assert report.passed and report.failures == []
    told = dataset.summary.families
    assert report.checked["program"] == sum(
        told.get(family, 0) for family in ("referring", "attribute", "context")
    )
    assert report.checked["triplet id"] == dataset.summary.triplets
    assert report.checked["image id"] == dataset.summary.images


def test_another_byte_in_a_file_is_found(dataset: Dataset, tmp_path: Path):
    copy = Path(shutil.copytree(dataset.path, tmp_path / "copy"))
    shard = copy / "images-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    report = verify_dataset(Dataset.open(copy))
    assert report.failed == {"file": 1}
    (copy / "ledger.parquet").unlink()
    failures = verify_dataset(Dataset.open(copy)).failures
    assert failures[-1].startswith("file: ledger.parquet is missing, expected")


def with_id(row: dict) -> dict:
    """A triplet with the id that its content has."""
    return row | {"id": sample_from_row(row).id}


def test_changed_images_are_found(dataset: Dataset, tmp_path: Path):
    first = next(dataset.image_rows(["id"]))["id"]
    black = encode_png(np.zeros((96, 96, 3), np.uint8))
    changes = {
        "image id": {"bytes": black},
        "licence": {"licence": ""},
        "phash": {"phash": 7},
        "split": {"split": "somewhere"},
    }
    for kind, change in changes.items():

        def changed(what, row, change=change):
            return row | change if what == "image" and row["id"] == first else row

        report = verify_dataset(builds.changed(dataset, tmp_path / kind, changed))
        assert report.failed[kind] >= 1, kind
        assert any(first in line for line in report.failures)


WRONG = {
    "triplet id": {"id": "0" * 16},
    "mask": {"regions": [60000]},
    "family": {"family": "poem"},
    "source": {"source": "elsewhere"},
    "program": {"program": "(program 1 (largest (category 1)))"},
    "category": {"category": "Airport"},
    "writer": {"writer": "somebody/1"},
    "area": {"area_px": 1},
    "value": {"text": None},
    "triplet id of a box": {"box": [1.0]},
}


@pytest.mark.parametrize("kind", WRONG)
def test_changed_triplets_are_found(kind, dataset: Dataset, tmp_path: Path):
    chosen = next(row["id"] for row in dataset.rows(family="referring"))

    def changed(what, row):
        return row | WRONG[kind] if what == "triplet" and row["id"] == chosen else row

    report = verify_dataset(builds.changed(dataset, tmp_path / "out", changed))
    kind = kind.removesuffix(" of a box")
    assert report.failed[kind] == 1
    assert any(line.startswith(kind) for line in report.failures)


def test_empty_masks_missing_programs_and_doubles_are_found(dataset: Dataset, tmp_path: Path):
    chosen = next(row["id"] for row in dataset.rows(family="referring"))
    nothing = encode_mask(np.zeros((96, 96), bool))["counts"]

    def changed(what, row):
        if what == "image" or row["id"] != chosen:
            return row
        return with_id(row | {"rle": nothing, "area_px": 0, "program": ""})

    report = verify_dataset(builds.changed(dataset, tmp_path / "empty", changed))
    assert report.failed == {"mask": 2, "program": 1}
    double = {row["id"]: row for row in dataset.rows(family="box")}

    def repeated(what, row):
        return next(iter(double.values())) if what == "triplet" else row

    first = next(iter(double.values()))["image"]

    def within(what, row):
        return repeated(what, row) if what == "triplet" and row["image"] == first else row

    assert (
        verify_dataset(builds.changed(dataset, tmp_path / "double", within)).failed["unique id"]
        >= 1
    )


def test_a_region_too_small_and_a_question_that_names_its_answer(dataset: Dataset, tmp_path: Path):
    chosen = next(row for row in dataset.rows(family="referring"))

    def asked(what, row):
        if what == "image" or row["id"] != chosen["id"]:
            return row
        question = f"where is the {row['category']}?"
        return with_id(row | {"task": "reasoning", "family": "attribute", "text": question})

    report = verify_dataset(builds.changed(dataset, tmp_path / "out", asked))
    assert report.failed == {"leak": 1}

    def shrunk(what, row):
        if what == "triplet":
            return row
        regions = [each | {"rle": pixel(at)} for at, each in enumerate(row["regions"])]
        return row | {"regions": regions}

    report = verify_dataset(builds.changed(dataset, tmp_path / "small", shrunk))
    assert report.failed["area"] == dataset.summary.triplets


def alone(dataset: Dataset, out: Path, image: str, change) -> Dataset:
    """A copy of one image and its triplets, changed."""

    def changed(what, row):
        return change(what, row) if row["image" if what == "triplet" else "id"] == image else None

    return builds.changed(dataset, out, changed)


def forged(dataset: Dataset, out: Path, family: str, change) -> Dataset:
    """A copy in which the first triplet of a family is changed, with the id that fits it."""
    chosen = next(dataset.rows(family=family))

    def changed(what, row):
        return with_id(change(row)) if what == "triplet" and row["id"] == chosen["id"] else row

    return alone(dataset, out, chosen["image"], changed)


QUESTION = {"task": "reasoning", "text": "Which of them is worth a second look today?"}


@pytest.mark.parametrize("family", ["referring", "attribute", "context"])
@pytest.mark.parametrize("lost", [("regions",), ("program",), ("regions", "program")])
def test_a_text_without_regions_or_program_has_no_proof(
    family, lost, dataset: Dataset, tmp_path: Path
):
    asked = {"family": family} | ({} if family == "referring" else QUESTION)
    empty = {"regions": [], "program": ""}

    def change(row):
        return row | asked | {name: empty[name] for name in lost}

    report = verify_dataset(forged(dataset, tmp_path / "out", "referring", change))
    found = {"program": 1} | ({"regions": 1, "mask": 1} if "regions" in lost else {})
    assert report.failed == found


@pytest.mark.parametrize("writer", ["published", "points and boxes/1", "", "gpt/prompts-1"])
def test_no_writer_takes_a_text_out_of_the_checks(writer, dataset: Dataset, tmp_path: Path):
    def change(row):
        return row | {"writer": writer, "regions": [], "program": "", "text": "all of this"}

    assert (
        verify_dataset(forged(dataset, tmp_path / "out", "referring", change)).failed["writer"] == 1
    )


def test_a_category_is_that_of_the_regions(dataset: Dataset, tmp_path: Path):
    airport = {"category": "Airport", "category_id": 80}
    report = verify_dataset(forged(dataset, tmp_path / "other", "box", lambda row: row | airport))
    assert report.failed == {"regions": 1}
    odd = {"category": "", "category_id": 60000}
    report = verify_dataset(forged(dataset, tmp_path / "odd", "box", lambda row: row | odd))
    assert report.failed == {"category": 1, "regions": 1}

    def renamed(what, row):
        if what == "triplet":
            return row
        return row | {"regions": [each | {"category": 60000} for each in row["regions"]]}

    first = next(dataset.image_rows(["id"]))["id"]
    report = verify_dataset(alone(dataset, tmp_path / "regions", first, renamed))
    assert report.failed == {"category": 1}


def test_a_box_or_a_point_elsewhere_is_found(dataset: Dataset, tmp_path: Path):
    def moved(row):
        edges = [0.0, 0.0, 5.0, 5.0]
        prompt = sample_from_row(row | {"box": edges}).prompt
        return row | {"box": edges, "text": prompt.instruction(96, 96)}

    assert verify_dataset(forged(dataset, tmp_path / "box", "box", moved)).failed == {"prompt": 1}

    def said(row):
        return row | {"text": "click anywhere"}

    assert verify_dataset(forged(dataset, tmp_path / "text", "box", said)).failed == {"text": 1}

    def outside(row):
        points = [{"x": 1e9, "y": -3.0, "positive": True}]
        prompt = sample_from_row(row | {"points": points}).prompt
        return row | {"points": points, "text": prompt.instruction(96, 96)}

    assert verify_dataset(forged(dataset, tmp_path / "point", "point", outside)).failed == {
        "prompt": 1
    }


def test_a_source_of_the_catalogue_has_the_licence_of_the_catalogue(
    dataset: Dataset, tmp_path: Path
):
    first = next(dataset.image_rows(["id"]))["id"]
    copy = alone(dataset, tmp_path / "out", first, lambda _, row: row | {"source": "loveda"})
    report = verify_dataset(copy)
    assert report.failed["licence"] == 1
    assert "has 'CC0-1.0', its source has ['CC BY-NC-SA 4.0']" in " ".join(report.failures)


ROWS = {
    "another picture": {"bytes": encode_png(np.zeros((96, 64, 3), np.uint8))},
    "another size": {"width": 48, "height": 192},
    "no picture": {"bytes": b""},
    "no CRS": {"crs": "the moon", "transform": [1.0, 0.0, 0.0, 0.0, -1.0, 0.0]},
    "flat": {"transform": [0.0] * 6},
    "short": {"transform": [1.0]},
}


@pytest.mark.parametrize("kind", ROWS)
def test_an_image_whose_row_makes_no_sense_is_found(kind, dataset: Dataset, tmp_path: Path):
    first = next(dataset.image_rows(["id"]))["id"]

    def changed(what, row):
        return row | ROWS[kind] if what == "image" else row

    copy = alone(dataset, tmp_path / "out", first, changed)
    assert verify_dataset(copy).failed["image id"] == 1
    with pytest.raises(DataError, match=first):
        copy.patch(first)


@pytest.mark.parametrize("number", [None, 0, 65535])
def test_regions_that_overlap_or_are_misnumbered_are_found(number, dataset: Dataset, tmp_path):
    first = next(dataset.image_rows(["id"]))["id"]

    def changed(what, row):
        if what == "triplet":
            return row
        one, *rest = row["regions"]
        again = one | {"region": 600 if number is None else number}
        return row | {"regions": [one, *rest, again]}

    report = verify_dataset(alone(dataset, tmp_path / "out", first, changed))
    assert report.failed["image id"] == 1


def pixel(at: int) -> str:
    """Run-lengths of one pixel of a patch."""
    mask = np.zeros((96, 96), bool)
    mask[at, 3] = True
    return encode_mask(mask)["counts"]
