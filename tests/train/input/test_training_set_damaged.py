"""Data that is damaged or of another version ends a training before its first step."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import sets
from mixes import only
from networks import save_tiny, tiny_config

from unigeoseg.cli import main
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import pa, pq
from unigeoseg.data.store.summary import SUMMARY
from unigeoseg.errors import DataError
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.input.training_set import TrainingSet
from unigeoseg.train.run import run_training

CONFIG = TrainConfig(
    model=tiny_config(),
    batch=only(BatchConfig(sizes=(64,), images=2, prompts=3, families={}), box=1),
    steps=2,
    validation_batches=0,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return sets.write_shards(tmp_path_factory.mktemp("whole"), images=4)


@pytest.fixture
def shards(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "shards"))


def overwrite(path: Path, column: str) -> None:
    """Put zeros where the file has the values of a column; what it says of itself stays whole."""
    group = pq.read_metadata(path).row_group(0)
    (chunk,) = (
        group.column(at)
        for at in range(group.num_columns)
        if group.column(at).path_in_schema == column
    )
    content = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)


def cut(path: Path, column: str) -> None:
    del column
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_whole_data_trains(shards: Path, tmp_path: Path):
    run_training(CONFIG, [shards], tmp_path / "out", start=save_tiny(tmp_path / "start"))
    assert (tmp_path / "out" / "state.pt").is_file()


@pytest.mark.parametrize("damage", [overwrite, cut])
@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("images-00000.parquet", "bytes"),
        ("images-00000.parquet", "id"),
        ("triplets-00000.parquet", "rle"),
        ("triplets-00000.parquet", "text"),
    ],
)
def test_a_damaged_shard_ends_the_run_before_its_first_step(
    shards: Path, tmp_path: Path, name: str, column: str, damage
):
    damage(shards / name, column)
    with pytest.raises(DataError, match=rf"{name} is missing or damaged: .*; copy it again"):
        run_training(CONFIG, [shards], tmp_path / "out", start=tmp_path / "never looked at")
    assert [path for path in tmp_path.glob("out/**/*") if path.name != "cache"] == []


def test_a_picture_that_is_damaged_leaves_no_cache(shards: Path, tmp_path: Path):
    table = pq.read_table(shards / "images-00000.parquet")
    pictures = [*table["bytes"].to_pylist()[:-1], b"no picture"]
    at = table.schema.get_field_index("bytes")
    table = table.set_column(at, table.schema.field(at), pa.array(pictures, table.schema.types[at]))
    pq.write_table(table, shards / "images-00000.parquet")
    splits = table["split"].to_pylist()
    with pytest.raises(DataError, match=r"the picture of image .* is damaged"):
        TrainingSet.of([shards], splits[-1], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_instruction_for_an_image_that_is_not_there_is_named(shards: Path, tmp_path: Path):
    table = pq.read_table(shards / "triplets-00000.parquet")
    rows = [row | {"image": "0" * 16, "writer": "published"} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), shards / "triplets-00000.parquet")
    with pytest.raises(DataError, match="of the image 0000000000000000, which is not among its"):
        TrainingSet.of([shards], rows[0]["split"], tmp_path / "cache")


def test_triplets_are_read_once_for_all_splits(shards: Path, tmp_path: Path, monkeypatch):
    table = pq.read_table(shards / "triplets-00000.parquet")
    images = pq.read_table(shards / "images-00000.parquet")
    ids = images["id"].to_pylist()
    splits = dict(zip(ids, ["train", "val"] * 2, strict=True))
    for name, key in (("images", "id"), ("triplets", "image")):
        stored = {"images": images, "triplets": table}[name]
        rows = [
            row | {"split": splits[row[key]]} | ({"writer": "published"} if key == "image" else {})
            for row in stored.to_pylist()
        ]
        pq.write_table(pa.Table.from_pylist(rows, stored.schema), shards / f"{name}-00000.parquet")
    read: list[Path] = []
    rows_of = Dataset.rows
    monkeypatch.setattr(
        Dataset, "rows", lambda self, **asked: read.append(self.path) or rows_of(self, **asked)
    )
    both = TrainingSet.of_splits([shards], ("train", "val"), tmp_path / "cache")
    assert read == [shards]
    for split, training_set in both.items():
        alone = TrainingSet.of([shards], split, tmp_path / "cache")
        assert list(alone.patches.ids) == [image for image in ids if splits[image] == split]
        assert training_set.instructions == alone.instructions and set(
            training_set.instructions
        ) == {0, 1}
        for number, samples in training_set.instructions.items():
            assert {sample.image for sample in samples} == {training_set.patches.ids[number]}


def test_a_dataset_of_another_schema_is_refused(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    summary = json.loads((shards / SUMMARY).read_text())
    (shards / SUMMARY).write_text(json.dumps(summary | {"schema": 1}))
    words = ["train", "smoke", "--data", str(shards), "-o", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["unigeoseg", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "is of schema 1, this version reads 2; build it again" in said
    assert not (tmp_path / "out").exists()
