"""Exports, read back with the libraries that they are for."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from unigeoseg.data.dataset import Dataset
from unigeoseg.data.export import to_huggingface, to_webdataset
from unigeoseg.errors import OutputExistsError
from unigeoseg.geo.mask import Rle, decode


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
    mask = decode(Rle(size=[row["height"], row["width"]], counts=triplet["rle"]))
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
    with pytest.raises(OutputExistsError, match="is not empty; give another directory"):
        export(dataset, tmp_path / "a")
