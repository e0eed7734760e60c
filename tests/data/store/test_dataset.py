"""What a dataset gives back, and what is refused."""

import json
import pickle
import shutil
from pathlib import Path

import builds
import numpy as np
import pytest

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import TableWriter, read_rows, read_schema
from unigeoseg.data.store.summary import SUMMARY
from unigeoseg.errors import DataError
from unigeoseg.prompt import Task


def test_samples_come_back_with_their_ids(dataset: Dataset):
    rows = list(dataset.rows())
    samples = list(dataset.samples())
    assert [sample.id for sample in samples] == [row["id"] for row in rows]
    assert len({sample.id for sample in samples}) == dataset.summary.triplets
    for row, sample in zip(rows, samples, strict=True):
        assert row["area_px"] == sample.mask().sum() > 0
        assert row["text"] == sample.prompt.instruction(sample.width, sample.height)
        assert bool(row["program"]) == (sample.family not in ("point", "box"))


def test_samples_by_split_and_family(dataset: Dataset):
    for split, count in dataset.summary.splits.items():
        assert len(list(dataset.samples(split=split))) == count
    boxes = list(dataset.samples(family="box"))
    assert len(boxes) == dataset.summary.families["box"]
    assert all(sample.prompt.task is Task.INTERACTIVE and sample.prompt.box for sample in boxes)


def test_patches_come_back_as_they_were(dataset: Dataset, towns: Path):
    for sample in list(dataset.samples())[::17]:
        patch = dataset.patch(sample.image)
        assert patch.id == sample.image
        assert (dataset.image(sample.image) == patch.pixels).all()
        assert (np.isin(patch.regions, sample.regions) == sample.mask()).all()
        assert set(patch.categories.values()) <= {builds.BUILDING, builds.RIVER}
        assert patch.labelled == {builds.BUILDING, builds.RIVER}
        assert patch.gsd_m == 0.5 and patch.licence == "CC0-1.0"


def test_records_hold_each_triplet_once(dataset: Dataset):
    pairs = [(image["id"], row["id"]) for image, rows in dataset.records() for row in rows]
    assert [name for _, name in pairs] == [row["id"] for row in dataset.rows()]
    assert all(row["image"] == image["id"] for image, rows in dataset.records() for row in rows)


def test_a_dataset_goes_to_other_processes_before_and_after_it_was_read(dataset: Dataset):
    opened = Dataset.open(dataset.path)
    name = next(opened.samples()).image
    for _ in range(2):
        copied = pickle.loads(pickle.dumps(opened))
        assert copied == opened
        assert (copied.image(name) == opened.image(name)).all()


def test_an_image_that_is_not_there(dataset: Dataset):
    for name in ("0" * 16, "f" * 16, "é"):
        with pytest.raises(DataError, match="has no image"):
            dataset.image(name)


@pytest.fixture
def copy(dataset: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset.path, tmp_path / "copy"))


def test_what_is_no_dataset_is_refused(copy: Path):
    with pytest.raises(DataError, match=r"holds no dataset\.json"):
        Dataset.open(copy.parent)
    summary = json.loads((copy / SUMMARY).read_text())
    (copy / SUMMARY).write_text(json.dumps(summary | {"schema": 7}))
    with pytest.raises(DataError, match="is of schema 7, this version reads 2"):
        Dataset.open(copy)
    (copy / SUMMARY).write_text(json.dumps(summary | {"files": {"ledger.parquet": ""}}))
    with pytest.raises(DataError, match=r"names no shards images-\*"):
        Dataset.open(copy)
    for name in ("images-../../x", "../ledger.parquet", "/etc/hosts", "..\\x", ""):
        (copy / SUMMARY).write_text(json.dumps(summary | {"files": {name: ""}}))
        with pytest.raises(DataError, match="which is not beside it"):
            Dataset.open(copy)
    (copy / SUMMARY).write_text(json.dumps(summary | {"sources": None}))
    with pytest.raises(DataError, match=r"sources: .*; build the dataset again"):
        Dataset.open(copy)
    (copy / SUMMARY).write_text("[]")
    with pytest.raises(DataError, match="holds list, expected an object"):
        Dataset.open(copy)


def test_damaged_shards_are_data_errors(copy: Path):
    opened = Dataset.open(copy)
    name = next(opened.samples()).image
    shard = copy / "triplets-00000.parquet"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"triplets-00000\.parquet is missing or damaged"):
        list(opened.samples())
    with pytest.raises(DataError, match="is missing or damaged"):
        Dataset.open(copy)
    (copy / "images-00000.parquet").unlink()
    with pytest.raises(DataError, match=r"images-00000\.parquet is missing or damaged"):
        opened.image(name)
    shutil.copy(copy / "ledger.parquet", shard)
    shutil.copy(copy / "ledger.parquet", copy / "images-00000.parquet")
    with pytest.raises(DataError, match="has other columns than schema 2"):
        Dataset.open(copy)


def test_the_columns_of_every_shard_are_looked_at(copy: Path):
    summary = json.loads((copy / SUMMARY).read_text())
    shutil.copy(copy / "ledger.parquet", copy / "images-00001.parquet")
    summary["files"]["images-00001.parquet"] = ""
    (copy / SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(DataError, match=r"images-00001\.parquet has other columns than schema 2"):
        Dataset.open(copy)


def test_triplets_without_their_image_are_noticed(dataset: Dataset, tmp_path: Path):
    first = next(dataset.image_rows(["id"]))["id"]
    broken = builds.changed(
        dataset,
        tmp_path / "broken",
        lambda kind, row: None if kind == "image" and row["id"] == first else row,
    )
    with pytest.raises(DataError, match=f"is of image {first}, which is not among the images"):
        list(broken.records())


def test_rows_of_the_ledger_have_no_place_of_their_own(dataset: Dataset):
    stages = {row["stage"] for row in read_rows(dataset.path / "ledger.parquet")}
    assert stages == set(dataset.summary.rejections)


def test_a_shard_says_its_schema_itself(dataset: Dataset, tmp_path: Path):
    copy = Path(shutil.copytree(dataset.path, tmp_path / "copy"))
    shard = copy / "triplets-00000.parquet"
    schema = read_schema(shard)
    assert schema.metadata == {b"unigeoseg.schema": b"2"}
    older = schema.with_metadata({"unigeoseg.schema": "1"})
    with TableWriter(shard, older, group=100) as writer:
        writer.write(dataset.rows())
    with pytest.raises(DataError, match=r"triplets-00000\.parquet has other columns than schema 2"):
        Dataset.open(copy)
