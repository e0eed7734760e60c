"""The table of subsets, and pictures."""

from pathlib import Path

import builds
import cv2
import numpy as np
import pytest

from unigeoseg.data.inspect.stats import (
    count_subsets,
    mask_centre_counts,
    save_distributions,
    subset_table,
)
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, OutputFormatError


def test_the_table_is_that_of_the_samples(dataset: Dataset):
    rows = {row.name: row for row in count_subsets(dataset)}
    samples = list(dataset.samples())
    everything = rows["all"]
    assert everything.triplets == everything.generated == len(samples)
    words = [len(s.prompt.instruction(s.width, s.height).split()) for s in samples]
    assert everything.words == pytest.approx(np.mean(words))
    assert everything.mask_px == pytest.approx(np.mean([s.mask().sum() for s in samples]))
    assert everything.categories == 2
    assert rows["interactive"].triplets == rows["- point"].triplets + rows["- box"].triplets
    assert rows["- point"].triplets == dataset.summary.families["point"]
    assert rows["- context"].triplets == dataset.summary.families.get("context", 0)


def test_published_triplets_are_not_generated(dataset: Dataset, tmp_path: Path):
    told = builds.changed(
        dataset,
        tmp_path / "out",
        lambda what, row: row | {"writer": "published"} if what == "triplet" else row,
    )
    everything = count_subsets(told)[-1]
    assert (everything.generated, everything.triplets) == (0, dataset.summary.triplets)


def test_an_empty_subset_has_no_means(dataset: Dataset, tmp_path: Path):
    boxes = builds.changed(
        dataset,
        tmp_path / "out",
        lambda what, row: row if what == "image" or row["family"] == "box" else None,
    )
    referring = count_subsets(boxes)[0]
    assert (referring.triplets, referring.words, referring.mask_px) == (0, None, None)
    assert subset_table(count_subsets(boxes)).rows[0] == ("referring", "0", "0", "-", "0", "-")


def test_centres_and_picture(dataset: Dataset, tmp_path: Path):
    assert mask_centre_counts(dataset).sum() == dataset.summary.triplets
    save_distributions(dataset, tmp_path / "stats.png")
    assert cv2.imread(str(tmp_path / "stats.png")).shape[2] == 3
    first = (tmp_path / "stats.png").read_bytes()
    save_distributions(dataset, tmp_path / "stats.png")
    assert (tmp_path / "stats.png").read_bytes() == first


def test_a_plot_is_a_png(dataset: Dataset, tmp_path: Path):
    for name in ("stats.jpg", "stats"):
        with pytest.raises(OutputFormatError, match=r"give one of \.png"):
            save_distributions(dataset, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_no_triplets_and_damage_are_data_errors(dataset: Dataset, tmp_path: Path):
    empty = builds.changed(dataset, tmp_path / "out", lambda what, row: None)
    with pytest.raises(DataError, match="has no triplets to draw"):
        save_distributions(empty, tmp_path / "stats.png")
    empty.triplets[0].write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be counted"):
        count_subsets(empty)
