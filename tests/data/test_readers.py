"""Labelled sets on disk, and what is refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import sets
from unigeoseg.data.readers import IGNORE, group_of, has_masks, read_set
from unigeoseg.data.split import read_split, split_groups
from unigeoseg.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sets.write_set(tmp_path / "roofs")


def test_regions_are_connected_pieces_of_a_class(folder: Path):
    image = next(iter(read_set(folder)))
    assert sorted(image.categories.values()) == ["building"] * 3 + ["water"]
    assert image.labelled == {"building", "water"}
    assert (image.regions[:4] == IGNORE).all()
    for x0, y0, x1, y1 in sets.ROOFS:
        ids = np.unique(image.regions[y0:y1, x0:x1])
        assert len(ids) == 1 and image.categories[int(ids[0])] == "building"


def test_polygons_give_one_region_each_and_small_ones_lie_on_top(folder: Path):
    square = [10, 10, 50, 10, 50, 50, 10, 50]
    inner = [20, 20, 30, 20, 30, 30, 20, 30]
    annotations = [
        {"image_id": 1, "category_id": 1, "area": 100, "segmentation": [inner]},
        {"image_id": 1, "category_id": 1, "area": 1600, "segmentation": [square]},
    ]
    coco = {
        "images": [{"id": 1, "file_name": "0.jpg"}],
        "categories": [{"id": 1, "name": "building"}],
        "annotations": annotations,
    }
    (folder / "masks" / "instances.json").write_text(json.dumps(coco))
    mask = np.zeros((128, 128), np.uint8)
    mask[10:51, 10:51] = 1  # rendered with its outline: one more row and column
    cv2.imwrite(str(folder / "masks" / "0.png"), mask)
    image = next(iter(read_set(folder)))
    areas = {key: int((image.regions == key).sum()) for key in image.categories}
    assert areas == {1: 41 * 41 - 100, 2: 100}


def test_damage_is_named(folder: Path):
    (folder / "masks" / "0.png").unlink()
    with pytest.raises(DataError, match=r"0\.png is missing"):
        list(read_set(folder))
    cv2.imwrite(str(folder / "masks" / "0.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(DataError, match="they must be equal"):
        list(read_set(folder))
    (folder / "images" / "0.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be decoded"):
        list(read_set(folder))
    (folder / "meta.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        list(read_set(folder))
    (folder / "meta.json").unlink()
    with pytest.raises(DataError, match=r"meta\.json is missing"):
        list(read_set(folder))


def test_groups_follow_each_sets_rule():
    assert group_of("dubai_mbrsc", "t1_p002_x0_y512") == group_of("dubai_mbrsc", "t1_p002_x512_y0")
    assert group_of("dubai_mbrsc", "t1_p002") != group_of("dubai_mbrsc", "t1_p003")
    assert group_of("gsi_solar", "1") == group_of("gsi_solar", "2")
    assert group_of("epfl_roads", "1") != group_of("epfl_roads", "2")


def test_a_split_keeps_groups_whole_and_does_not_depend_on_order():
    names = [f"scene/{index}" for index in range(100)]
    splits = split_groups(names)
    assert splits == split_groups(reversed(names))
    counts = {split: list(splits.values()).count(split) for split in ("train", "val", "test")}
    assert counts == {"train": 80, "val": 5, "test": 15}
    assert split_groups(["alone"]) == {"alone": "train"}


def test_splits_of_a_folder_share_nothing(tmp_path: Path):
    sets.write_set(tmp_path / "roofs", images=20)
    stems = {split: {i.stem for i in read_split(tmp_path, split)} for split in ("train", "test")}
    assert stems["test"] and not stems["train"] & stems["test"]
    assert len(read_split(tmp_path, "train", limit=2)) == 2
    assert has_masks(tmp_path / "roofs")
    with pytest.raises(DataError, match="holds no set"):
        read_split(tmp_path / "roofs", "train")
