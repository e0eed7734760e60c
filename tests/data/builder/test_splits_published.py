"""Names of splits: one spelling of each inside, and nothing that names none."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
import sets
from reads import read_all

import sources
from unigeoseg.data.sources.catalog import CATALOG
from unigeoseg.data.sources.readers import declared_source, open_labelled_source
from unigeoseg.data.sources.readers.refs import load_refs
from unigeoseg.data.sources.source import parse_split
from unigeoseg.errors import DataError

SPELLINGS = {
    "Train": "train",
    "training": "train",
    "VAL": "val",
    "validation": "val",
    "testA": "test",
    " test ": "test",
    "": "",
}


def declare(root: Path, **keys: object) -> None:
    sources.text(root / "source.json", json.dumps({"licence": "CC0"} | keys))


def test_a_word_that_names_none_is_refused_with_those_that_do():
    with pytest.raises(DataError, match=r"a\.json: 'trainval' names no split; known are train, "):
        parse_split("trainval", "a.json")


@pytest.mark.parametrize("word", SPELLINGS)
def test_an_index_may_spell_its_split(word: str, tmp_path: Path):
    sources.isaid(tmp_path)
    index = {"file": "train/Annotations/iSAID_train.json", "images": "train/images", "split": word}
    declare(tmp_path, reader="coco", index=[index])
    (image,), _ = read_all(None, tmp_path)
    assert image.split == SPELLINGS[word]


@pytest.mark.parametrize("word", SPELLINGS)
def test_phrases_may_spell_their_split(word: str, tmp_path: Path):
    sources.refsegrs(tmp_path)
    index = {"file": "output_phrase_train.txt", "images": "./images", "masks": "./masks"}
    declare(tmp_path, reader="phrases", index=[index | {"split": word}])
    (image,), _ = read_all(None, tmp_path)
    assert (image.key, image.split) == ("images/4213.tif", SPELLINGS[word])


def masks(root: Path, folder: str, **keys: object) -> None:
    sources.image(root / f"{folder}/1.png")
    sources.image(root / "m/1.png", sources.coded(1, 0))
    where = {"images": "{split}/{n}.png", "labels": "m/{n}.png"}
    declare(root, **({"reader": "masks", "classes": {"1": "road"}} | where | keys))


def test_a_list_may_spell_its_split_and_outranks_the_folder(tmp_path: Path):
    sources.text(tmp_path / "val.txt", "1")
    masks(tmp_path, "trainval", splits={"Validation": "val.txt"})
    (image,), _ = read_all(None, tmp_path)
    assert image.split == "val"


def test_a_folder_that_names_no_split_is_refused(tmp_path: Path):
    masks(tmp_path, "trainval")
    with pytest.raises(DataError, match=r"trainval/1\.png: 'trainval' names no split"):
        _ = open_labelled_source(declared_source(tmp_path), tmp_path, pytest.fail).items


INDEX = {"file": "a.json", "images": "i", "split": "trainval"}
DECLARED = {
    "index": ({"reader": "coco", "index": [INDEX]}, "'trainval' names no split"),
    "list": ({"splits": {"trainval": "a.txt"}}, "'trainval' names no split"),
    "no file": ({"splits": {"val": "a.txt"}}, "\"splits\" has 'a.txt' for 'val'"),
    "no text": ({"splits": {"val": []}}, "splits['val']: [] is list, expected str"),
}


@pytest.mark.parametrize("kind", DECLARED)
def test_a_declaration_is_refused_before_anything_is_read(kind: str, tmp_path: Path):
    keys, message = DECLARED[kind]
    masks(tmp_path, "train", **keys)
    with pytest.raises(DataError, match=rf"source\.json: {re.escape(message)}"):
        declared_source(tmp_path)


def test_a_row_of_ones_own_is_held_to_the_same(tmp_path: Path):
    sources.isaid(tmp_path)
    layout = CATALOG["isaid"].layout
    row = replace(CATALOG["isaid"], layout=(replace(layout[0], split="Training"),))
    assert open_labelled_source(row, tmp_path, pytest.fail).items[0].split == "train"
    row = replace(row, layout=(replace(layout[0], split="all"),))
    with pytest.raises(DataError, match="'all' names no split"):
        _ = open_labelled_source(row, tmp_path, pytest.fail).items


def test_expressions_are_held_to_the_same(tmp_path: Path):
    sources.rrsis_d(tmp_path)
    path = tmp_path / "rrsisd/refs(unc).p"
    refs = load_refs(path)
    path.write_bytes(pickle.dumps([refs[0] | {"split": "testB"}]))
    assert read_all("rrsis-d", tmp_path)[0][0].split == "test"
    other = tmp_path / "other"
    sources.rrsis_d(other)
    (other / "rrsisd/refs(unc).p").write_bytes(pickle.dumps([refs[0] | {"split": "minival"}]))
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: 'minival' names no split"):
        read_all("rrsis-d", other)


@pytest.mark.parametrize("gsd", ["1e999", "NaN", "1" + "0" * 400])
def test_a_gsd_that_is_no_length_is_refused(gsd: str, tmp_path: Path):
    root = sets.write_set(tmp_path / "roofs", images=1)
    masks(root, "train")
    path = root / "source.json"
    path.write_text(path.read_text().replace('"licence"', f'"gsd_m": {gsd}, "licence"', 1))
    with pytest.raises(DataError, match="gsd_m"):
        declared_source(root)
