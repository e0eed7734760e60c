"""Exports, read back with the libraries that they are for."""

import json
from pathlib import Path

import builds
import cv2
import numpy as np
import pytest
from rasterio.crs import CRS

from unigeoseg.data.exchange.benchmark import export_benchmark
from unigeoseg.data.exchange.export import EXPORTS, to_huggingface, to_webdataset
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.errors import DataError, OutputExistsError, OutputUnwritableError
from unigeoseg.geo.masks import Rle, decode_mask
from unigeoseg.runtime.atomic import atomic_directory


@pytest.fixture(scope="module")
def placed(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The towns on the ground, with a score for each triplet."""
    changes = {
        "image": {"crs": CRS.from_epsg(32650).to_wkt(), "transform": [0.5, 0, 4e5, 0, -0.5, 5e6]},
        "triplet": {"scores": [{"name": "one/clarity", "score": 4.0}]},
    }
    out = tmp_path_factory.mktemp("placed") / "towns"
    return builds.changed(dataset, out, lambda what, row: row | changes[what])


def stored(dataset: Dataset) -> dict[str, Row]:
    """What an export says of each image: all that is stored, apart from pixels."""
    repeated = ("image", "width", "height")
    return {
        image["id"]: {name: image[name] for name in image if name != "bytes"}
        | {"triplets": [{n: row[n] for n in row if n not in repeated} for row in rows]}
        for image, rows in dataset.records()
    }


def test_hugging_face_gives_all_that_is_stored(placed: Dataset, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    to_huggingface(placed, tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    rows = [row for split in loaded.values() for row in split.remove_columns("image")]
    assert {row["id"]: row for row in rows} == stored(placed)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_gives_all_that_is_stored(placed: Dataset, tmp_path: Path):
    webdataset = pytest.importorskip("webdataset")
    to_webdataset(placed, tmp_path / "out")
    tars = sorted(str(path) for path in (tmp_path / "out").glob("*.tar"))
    records = [json.loads(r["json"]) for r in webdataset.WebDataset(tars, shardshuffle=False)]
    assert {record["id"]: record for record in records} == stored(placed)


def by_split(dataset: Dataset) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in dataset.rows():
        found.setdefault(row["split"], set()).add(row["id"])
    return found


def test_hugging_face_reads_every_split(dataset: Dataset, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    to_huggingface(dataset, tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == set(by_split(dataset))
    for split, names in by_split(dataset).items():
        assert {each["id"] for row in loaded[split] for each in row["triplets"]} == names
    row = loaded["train"][0]
    assert (np.asarray(row["image"]) == dataset.image(row["id"])).all()
    triplet = row["triplets"][0]
    mask = decode_mask(Rle(size=[row["height"], row["width"]], counts=triplet["rle"]))
    sample = next(sample for sample in dataset.samples() if sample.id == triplet["id"])
    assert (mask == sample.mask()).all()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| towns |" in card and "CC0-1.0" in card


# webdataset 1 leaves the tars that it reads to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_every_split(dataset: Dataset, tmp_path: Path):
    webdataset = pytest.importorskip("webdataset")
    to_webdataset(dataset, tmp_path / "out")
    for split, names in by_split(dataset).items():
        tar = str(tmp_path / "out" / f"{split}-00000.tar")
        found = set()
        for record in webdataset.WebDataset(tar, shardshuffle=False):
            about = json.loads(record["json"])
            found |= {each["id"] for each in about["triplets"]}
            pixels = cv2.imdecode(np.frombuffer(record["png"], np.uint8), 1)[..., ::-1]
            assert (pixels == dataset.image(record["__key__"])).all()
            assert about["licence"] == "CC0-1.0"
        assert found == names


@pytest.mark.parametrize("export", [to_huggingface, to_webdataset])
def test_exports_are_the_same_bytes_and_replace_nothing(export, dataset: Dataset, tmp_path: Path):
    for name in ("a", "b"):
        export(dataset, tmp_path / name)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    (tmp_path / "empty").mkdir()
    for name in ("a", "empty"):
        with pytest.raises(OutputExistsError, match="exists; give the name of a new directory"):
            export(dataset, tmp_path / name)


@pytest.mark.parametrize("export", [*EXPORTS.values(), export_benchmark])
def test_an_export_that_fails_leaves_nothing(export, dataset: Dataset, tmp_path: Path):
    def misplaced(what: str, row: Row) -> Row:
        return row if what == "image" else row | {"image": "f" * 16}

    damaged = builds.changed(dataset, tmp_path / "damaged", misplaced)
    with pytest.raises(DataError, match="build the dataset again"):
        export(damaged, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(OutputUnwritableError, match="check the directory and the free space"),
        atomic_directory(tmp_path / "file" / "out"),
    ):
        pytest.fail("it was made")
