"""The test table of a dataset: what is asked, in which words, and what comes out."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import builds
import numpy as np
import pytest
import suites
from networks import save_tiny

from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import Row
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.errors import DataError
from unigeoseg.evaluate.predictions import Prediction, PredictionFile
from unigeoseg.evaluate.reports.held_out_report import (
    HeldOutResult,
    compare_unseen_words,
    held_out_sections,
    held_out_values,
    mean_of_tasks,
    measure_held_out,
    write_held_out_report,
)
from unigeoseg.evaluate.score import score_predictions
from unigeoseg.evaluate.suites.held_out import (
    ABSENT,
    FAMILIES,
    TASKS,
    UNSEEN,
    WORDS,
    HeldOutLayout,
    open_held_out,
)
from unigeoseg.geo.masks import encode_mask, rle_area
from unigeoseg.report.document import report_markdown


@pytest.fixture(scope="module")
def layout(dataset: Dataset) -> HeldOutLayout:
    return open_held_out(dataset.path)


@pytest.fixture(scope="module")
def measured(layout: HeldOutLayout, tmp_path_factory: pytest.TempPathFactory) -> HeldOutResult:
    model = save_tiny(tmp_path_factory.mktemp("model") / "tiny")
    return measure_held_out(layout, str(model), tmp_path_factory.mktemp("predictions"))


def answered(layout: HeldOutLayout, path: Path, right: tuple[str, ...]) -> HeldOutResult:
    """The right mask for these families, nothing for the others."""

    def lines() -> Iterator[Prediction]:
        for sample in layout.samples():
            answers = suites.perfect if sample.family in right else suites.empty
            yield from answers([sample])

    found = score_predictions(layout, PredictionFile.open(suites.written(path, lines())))
    return HeldOutResult("hand", layout, found, {})


def test_the_triplets_of_the_split_are_asked(dataset, layout):
    asked = {each.id for each in layout.samples() if each.family in TASKS}
    assert asked == {each.id for each in dataset.samples(split="test")}
    assert {each.split for each in layout.samples()} == {"test"}


def test_whole_categories_are_every_region_of_them(dataset, layout):
    whole = [each for each in layout.samples() if each.family.startswith(WORDS)]
    assert {each.family for each in whole} == {*WORDS, *(family + UNSEEN for family in WORDS)}
    for each in whole:
        patch = dataset.patch(each.image)
        regions = [r for r, category in patch.categories.items() if category == each.category_id]
        assert np.array_equal(each.mask(), np.isin(patch.regions, regions)) and regions
    counts = Counter((each.image, each.family) for each in layout.samples())
    assert max(n for (_, family), n in counts.items() if family not in TASKS) == 2


def test_unseen_words_ask_for_the_same_in_words_kept_back(layout):
    by_id = {each.id: each for each in layout.samples()}
    assert len(layout.selection.pairs) == sum(each.family in WORDS for each in by_id.values())
    for one, other in layout.selection.pairs:
        seen, unseen = by_id[one], by_id[other]
        assert unseen.family == seen.family + UNSEEN
        assert replace(seen, prompt=unseen.prompt, family=unseen.family, answer="") == replace(
            unseen, answer=""
        )
        kept = taxonomy()[seen.category_id].held_out
        words = kept.names if seen.family == "category" else kept.questions
        assert any(word in unseen.prompt.text for word in words)
        assert not any(word in seen.prompt.text for word in words)


def test_what_is_absent_is_not_there(dataset, tmp_path):
    """A source that labels ponds too, and shows none."""
    pond = 23

    def labelled(kind: str, row: Row) -> Row:
        return row | {"labelled": [*row["labelled"], pond]} if kind == "image" else row

    other = open_held_out(builds.changed(dataset, tmp_path / "other", labelled).path)
    absent = [each for each in other.samples() if each.family == ABSENT]
    assert absent and {rle_area(each.rle) for each in absent} == {0}
    for each in absent:
        assert each.category_id not in dataset.patch(each.image).categories.values()
    tasks = {each.prompt.task.value for each in absent}
    assert tasks == {"referring", "reasoning"}


def test_draws_follow_from_the_image_alone(dataset, layout):
    first = open_held_out(dataset.path, "test", 1)
    (image,) = {each.image for each in first.samples()}
    assert [each.id for each in first.samples()] == [
        each.id for each in layout.samples() if each.image == image
    ]
    assert first.suite.name != layout.suite.name
    assert first.suite.title.endswith("test, first 1 images of each source")


def test_images_with_unknown_pixels_are_left_out(dataset, layout, tmp_path):
    image = next(layout.samples()).image

    def unknown(kind: str, row: Row) -> Row:
        if kind == "triplet" or row["id"] != image:
            return row
        corner = np.zeros((row["height"], row["width"]), bool)
        corner[:9, :9] = True
        return row | {"unknown": encode_mask(corner)["counts"]}

    other = open_held_out(builds.changed(dataset, tmp_path / "other", unknown).path)
    assert other.selection.left_out == 1
    assert {each.image for each in other.samples()} == {each.image for each in layout.samples()} - {
        image
    }
    with pytest.raises(DataError, match="has no image in its split 'val'"):
        list(open_held_out(dataset.path, "val").samples())


def test_a_model_and_the_baselines_that_can_answer(layout, measured, tmp_path):
    assert not measured.outcome.problems
    assert measured.outcome.total == len({each.id for each in layout.samples()})
    assert set(measured.baselines) == {"fill-box", "grab-cut", "region-grow"}
    boxes = sum(each.family == "box" for each in layout.samples())
    assert measured.baselines["grab-cut"].total == boxes
    text = report_markdown("t", held_out_sections(measured), "")
    for row in ("| box |", "| box, fill-box |", "| point, region-grow |", "| towns |", "| River |"):
        assert row in text
    assert text.index("| box |") < text.index("| box, fill-box |") < text.index("| point |")
    assert "in its split" not in text and "PARTIAL" not in text


def test_what_is_written_is_whole(measured, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    write_held_out_report(measured, held_out_sections(measured), tmp_path, "tiny on towns")
    assert (tmp_path / "table.md").read_text().startswith("# tiny on towns")
    assert "![confidence and IoU](reliability.png)" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "reliability.png").stat().st_size > 1000
    found = json.loads((tmp_path / "table.json").read_text(), parse_constant=pytest.fail)
    assert found["scores"]["by"]["family"].keys() <= set(FAMILIES)
    assert found["unseen_words"].keys() == set(WORDS)


def test_unseen_words_are_compared_on_the_same_targets(layout, tmp_path):
    found = answered(layout, tmp_path / "p", (*TASKS, *WORDS, ABSENT))
    assert [(each.group, each.first, each.second) for each in compare_unseen_words(found)] == [
        ("category", 1, 0),
        ("question", 1, 0),
    ]
    assert {each.high for each in compare_unseen_words(found)} == {-1}
    assert held_out_values(found)["mean_of_tasks"] == 1


def test_the_mean_is_over_the_papers_tasks(layout, tmp_path):
    found = answered(layout, tmp_path / "p", ("box", *WORDS))
    there = {each.family for each in layout.samples()} & set(TASKS)
    assert mean_of_tasks(found.outcome) == pytest.approx(1 / len(there))
