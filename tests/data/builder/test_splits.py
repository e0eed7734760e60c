"""Splits by group: drawn for any source, recorded_splits for those of Nano."""

import hashlib

import numpy as np

from unigeoseg.data.builder.splits import assign_splits, draw_splits, recorded_splits


def test_a_draw_does_not_depend_on_order():
    names = [f"scene/{index}" for index in range(100)]
    splits = draw_splits(names)
    assert splits == draw_splits(reversed(names))
    counts = {split: list(splits.values()).count(split) for split in ("train", "val", "test")}
    assert counts == {"train": 80, "val": 5, "test": 15}
    assert draw_splits(["alone"]) == {"alone": "train"}


def test_settled_splits_are_what_was_drawn_over_all_groups():
    by_source: dict[str, list[str]] = {}
    for group in recorded_splits():
        by_source.setdefault(group.split("/")[0], []).append(group)
    assert len(by_source) == 14
    for source, groups in by_source.items():
        assert draw_splits(groups) == {group: recorded_splits()[group] for group in groups}, source


def test_a_settled_group_stays_where_it_is_whatever_became_of_the_others():
    groups = [group for group in recorded_splits() if group.startswith("nwpu_vhr10/")]
    rng = np.random.default_rng(0)
    some = [groups[at] for at in rng.permutation(len(groups))[:40]]
    assert assign_splits(some) == {group: recorded_splits()[group] for group in some}
    assert assign_splits(some) != draw_splits(some)  # forty alone would be drawn otherwise


def test_other_sources_are_drawn():
    groups = [f"town/{hashlib.sha256(str(n).encode()).hexdigest()[:6]}" for n in range(20)]
    assert assign_splits(groups) == draw_splits(groups)
