"""The open benchmark: balance, the audit against training, the index and the way back."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import builds
import cv2
import numpy as np
import pytest

from unigeoseg.data.builder.near_duplicates import HASHED_PATCH_COLUMNS, HashedPatch
from unigeoseg.data.builder.splits import assign_splits, recorded_splits
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.errors import DataError, OutputExistsError
from unigeoseg.evaluate.open_bench.index import (
    index_entries,
    read_index,
    rebuild_dataset,
    write_index,
)
from unigeoseg.evaluate.open_bench.selection import (
    balanced_samples,
    even_shares,
    leaked_images,
    select_samples,
    training_windows,
)
from unigeoseg.evaluate.suites.layouts import Layout
from unigeoseg.evaluate.suites.opening import open_suite
from unigeoseg.geo.masks import Rle
from unigeoseg.prompt import Prompt, Task
from unigeoseg.sample import Sample

TOTAL = 12


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builds.write_towns(tmp_path_factory.mktemp("data") / "towns", images=20)


@pytest.fixture(scope="module")
def dataset(towns: Path) -> Dataset:
    whole = replace(builds.OPTIONS, size=512, stride=256)
    return builds.built(towns, towns.parent.parent / "built", whole)


def sample(number: int, family: str, category: str, group: str) -> Sample:
    prompt = Prompt.from_text(f"number {number}", Task.REFERRING)
    rle = Rle(size=[1, 1], counts="01")
    return Sample(f"{group}/{number}", 1, 1, prompt, rle, category, "s", "", group, family=family)


def test_small_groups_enter_whole_and_large_ones_share_the_rest():
    assert even_shares({"a": 2, "b": 50, "c": 60}, 30) == {"a": 2, "b": 14, "c": 14}
    assert even_shares({"a": 1}, 5) == {"a": 1} and even_shares({}, 5) == {}


def test_samples_are_balanced_and_from_many_scenes():
    crowd = [sample(n, "box", "roof", "crowded") for n in range(50)]
    spread = [sample(n, "box", "roof", f"scene {n}") for n in range(9)]
    rare = [sample(n, "context", "river", "crowded") for n in range(3)]
    chosen = list(balanced_samples([*crowd, *spread, *rare], 13))
    assert Counter(each.family for each in chosen) == {"box": 10, "context": 3}
    assert len({each.group for each in chosen if each.family == "box"}) == 10
    assert chosen == list(balanced_samples([*reversed(spread), *rare, *crowd], 13))


def test_what_training_saw_is_found_by_scene_file_and_looks():
    def seen(name: str, group: str, split: str, phash: int) -> HashedPatch:
        return HashedPatch(name, "s", f"images/{name}.png", group, split, phash, None)

    test = [
        seen("same_scene", "g", "test", 0xFFFF),
        seen("same_file", "x", "test", 0xFFFF << 16),
        seen("alike", "y", "test", 0xFFFF << 32),
        seen("fresh", "z", "test", 0xFFFF << 48),
    ]
    training = [
        seen("a", "g", "train", 0x1234567890ABCDEF),
        replace(seen("same_file", "other", "train", 0xFEDCBA0987654321), key="same_file.jpg"),
        seen("b", "h", "val", (0xFFFF << 32) | 3),
    ]
    assert leaked_images(test, training) == {"same_scene", "same_file", "alike"}


def test_two_test_images_that_show_what_training_saw_are_both_refused():
    def seen(name: str, split: str, phash: int | None) -> HashedPatch:
        return HashedPatch(name, "s", f"{name}.png", name, split, phash, 0xF0F0)

    test = [seen("a", "test", 1), seen("b", "test", None)]
    assert leaked_images(test, [seen("c", "train", 0xFFFF << 16)]) == {"a", "b"}


def held(dataset: Dataset) -> set[str]:
    rows = list(dataset.image_rows(("id", "group")))
    splits = assign_splits({row["group"] for row in rows})
    return {row["id"] for row in rows if splits[row["group"]] == "test"}


def test_every_image_outside_the_test_groups_counts_as_trained(towns, dataset):
    by_set, by_folder = list(training_windows(towns)), list(training_windows(towns.parent))
    by_dataset = list(training_windows(dataset.path))
    assert len({each.key for each in by_set}) == 17  # 15 % of twenty groups are test
    assert by_set == by_folder
    assert {(each.key, each.phash) for each in by_dataset} == {
        (each.key, each.phash) for each in by_set
    }


def test_boxes_alone_are_trained_on_too(tmp_path):
    folder = tmp_path / "data" / "cars"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels)
        (folder / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    declared = {
        "name": "cars",
        "title": "Cars",
        "licence": "CC0-1.0",
        "reader": "yolo",
        "images": "images/{name}.png",
        "labels": "labels/{name}.txt",
        "classes": {"0": "car"},
    }
    (folder / "source.json").write_text(json.dumps(declared))
    assert len({each.key for each in training_windows(folder.parent)}) == 8


def test_a_settled_group_is_where_the_file_has_it(dataset, towns, tmp_path):
    """A dataset of another split gives no image of a group that Nano trained on."""
    where = {split: group for group, split in recorded_splits().items()}
    groups = sorted({row["group"] for row in dataset.image_rows(("group",))})
    renamed = dict.fromkeys(groups, where["train"])
    renamed |= {groups[0]: where["val"], groups[1]: where["test"]}

    def moved(kind: str, row: Row) -> Row:
        group = renamed[row["group"]]
        source, _, _ = group.partition("/")
        return row | {"group": group, "source": source, "split": "test"}

    other = builds.changed(dataset, tmp_path / "other", moved)
    chosen = select_samples(other, [], total=2)
    assert {each.group for each in chosen.samples} == {where["test"]}
    assert {each.group for each in training_windows(other.path)} == {where["train"], where["val"]}


def test_leaks_are_left_out(dataset):
    images = {row["id"]: row for row in dataset.image_rows(HASHED_PATCH_COLUMNS)}
    tests = held(dataset)
    name = min(tests)
    first = HashedPatch(**images[name] | {"split": "train"})
    chosen = select_samples(dataset, [first], total=2)
    assert chosen.leaks == {name} and chosen.trained == images.keys() - tests
    assert {each.image for each in chosen.samples} <= tests - {name}
    assert {each.split for each in chosen.samples} == {"test"} and len(chosen.samples) == 2
    with pytest.raises(DataError, match="to choose"):
        select_samples(dataset, [], total=10**6)


def test_a_near_copy_in_a_training_set_is_a_leak(dataset, tmp_path):
    name = min(held(dataset))
    other = builds.write_towns(tmp_path / "data" / "copies", images=1)  # one group trains
    shown = cv2.cvtColor(dataset.image(name), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(other / "images" / "000.png"), cv2.add(shown, 3))
    assert select_samples(dataset, training_windows(other), total=2).leaks == {name}


@pytest.fixture
def index(dataset: Dataset, tmp_path: Path) -> Path:
    chosen = select_samples(dataset, [], total=TOTAL)
    assert write_index(tmp_path / "index.jsonl", index_entries(dataset, chosen.samples)) == TOTAL
    return tmp_path / "index.jsonl"


def test_an_index_has_no_pixels_and_gives_the_benchmark_back(dataset, index, towns, tmp_path):
    out = tmp_path / "open"
    done = []
    rebuild_dataset(read_index(index), towns.parent, out, lambda *counts: done.append(counts))
    layout: Layout = open_suite("geoseg-bench-open", out)
    before = {each.sample.id: each.sample for each in read_index(index)}
    after = {each.id: each for each in layout.samples()}
    assert before.keys() == after.keys() and done[-1][0] == done[-1][1]
    for name, each in after.items():
        assert each.rle == before[name].rle and each.prompt == before[name].prompt
        assert each.licence == "CC0-1.0"
        assert (layout.pixels(each.image) == dataset.image(each.image)).all()
    with pytest.raises(OutputExistsError):
        rebuild_dataset(read_index(index), towns.parent, out)


def test_images_that_are_missing_or_other_ones_are_counted(index, towns, tmp_path):
    folder = tmp_path / "data" / "towns"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "meta.json").write_bytes((towns / "meta.json").read_bytes())
    keys = sorted({each.key for each in read_index(index)})
    for key in keys[1:]:
        for path in (towns / key, towns / key.replace("images", "masks")):
            (folder / path.relative_to(towns)).write_bytes(path.read_bytes())
    changed = cv2.imread(str(folder / keys[1]))
    cv2.imwrite(str(folder / keys[1]), 255 - changed)
    with pytest.raises(DataError, match=f"2 of {len(keys)} images"):
        rebuild_dataset(read_index(index), folder.parent, tmp_path / "out")


def test_the_published_index_is_whole():
    rows = list(read_index())
    assert len({each.sample.id for each in rows}) == len(rows) >= 1000
    families = Counter(each.sample.family for each in rows)
    assert set(families) == {"box", "point", "referring", "attribute", "context"}
    assert all(each.sample.split == "test" and each.sample.mask().any() for each in rows)
    assert {recorded_splits()[each.sample.group] for each in rows} == {"test"}


def test_an_index_that_is_none(tmp_path):
    (tmp_path / "index.jsonl").write_text('{"key": "a"}\n')
    with pytest.raises(DataError, match="is no index"):
        list(read_index(tmp_path / "index.jsonl"))
