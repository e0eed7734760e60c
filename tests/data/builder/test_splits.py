"""Splits by group: drawn for any source, settled for those of Nano."""

import hashlib

import numpy as np

from unigeoseg.data.builder.splits import assign, draw, settled


def test_a_draw_does_not_depend_on_order():
    names = [f"scene/{index}" for index in range(100)]
    splits = draw(names)
    assert splits == draw(reversed(names))
    counts = {split: list(splits.values()).count(split) for split in ("train", "val", "test")}
    assert counts == {"train": 80, "val": 5, "test": 15}
    assert draw(["alone"]) == {"alone": "train"}


def test_settled_splits_are_what_was_drawn_over_all_groups():
    by_source: dict[str, list[str]] = {}
    for group in settled():
        by_source.setdefault(group.split("/")[0], []).append(group)
    assert len(by_source) == 14
    for source, groups in by_source.items():
        assert draw(groups) == {group: settled()[group] for group in groups}, source


def test_a_settled_group_stays_where_it_is_whatever_became_of_the_others():
    groups = [group for group in settled() if group.startswith("nwpu_vhr10/")]
    rng = np.random.default_rng(0)
    some = [groups[at] for at in rng.permutation(len(groups))[:40]]
    assert assign(some) == {group: settled()[group] for group in some}
    assert assign(some) != draw(some)  # forty alone would be drawn otherwise


def test_other_sources_are_drawn():
    groups = [f"town/{hashlib.sha256(str(n).encode()).hexdigest()[:6]}" for n in range(20)]
    assert assign(groups) == draw(groups)
