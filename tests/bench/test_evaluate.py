"""Baselines, cases and tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sets
from unigeoseg.bench.baselines import fill_box, grab_cut, region_grow
from unigeoseg.bench.evaluate import evaluate
from unigeoseg.bench.held_out import held_out
from unigeoseg.bench.held_out_tables import table, table_by_source
from unigeoseg.bench.predictors import Answer
from unigeoseg.data.readers import read_set
from unigeoseg.prompt import Box, Point, Prompt


@pytest.fixture
def images(tmp_path: Path):
    return list(read_set(sets.write_set(tmp_path / "roofs", images=3)))


def roof(images) -> np.ndarray:
    mask = np.zeros((128, 128), bool)
    x0, y0, x1, y1 = sets.ROOFS[1]
    mask[y0:y1, x0:x1] = True
    return mask


def test_baselines_find_a_bright_roof(images):
    truth, box = roof(images), Prompt.from_box(Box(64, 54, 116, 106))
    filled = fill_box(images[0].pixels, box)
    assert filled.sum() == 52 * 52 and filled[54:106, 64:116].all()
    for found in (
        grab_cut(images[0].pixels, box),
        region_grow(images[0].pixels, Prompt.from_points([Point(90, 80)])),
    ):
        assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_grab_cut_fills_what_it_cannot_cut(images):
    whole = Prompt.from_box(Box(0, 0, 128, 128))
    assert grab_cut(images[0].pixels, whole).all()


def test_cases_do_not_depend_on_their_neighbours(images):
    together = list(held_out(images))
    alone = [next(held_out([image])) for image in images]
    for one, other in zip(together, alone, strict=True):
        assert [i.prompt for i in one.instructions] == [i.prompt for i in other.instructions]
    assert {i.family for case in together for i in case.instructions} >= {"box", "point"}


def test_perfect_answers_score_one_and_the_predictor_never_sees_truth(images):
    cases = list(held_out(images))
    truths = iter([i.mask for case in cases for i in case.instructions])
    seen = []

    def perfect(pixels, prompts):
        seen.append((pixels, prompts))
        return [Answer(next(truths)) for _ in prompts]

    results = evaluate(perfect, cases, name="perfect")
    for family in ("box", "point", "category"):
        assert results.scores("perfect", family).giou == 1
    assert 0 < results.scores("fill-box", "box").giou < 1
    assert len(results.scores("region-grow", "point")) == len(results.scores("perfect", "point"))

    lied = [
        replace(
            case,
            instructions=tuple(replace(i, mask=~i.mask) for i in case.instructions),
        )
        for case in cases
    ]
    again = []

    def watcher(pixels, prompts):
        again.append((pixels, prompts))
        return [Answer(np.zeros(pixels.shape[:2], bool)) for _ in prompts]

    evaluate(watcher, lied, name="watcher")
    for (pixels, prompts), (same_pixels, same_prompts) in zip(seen, again, strict=True):
        assert np.array_equal(pixels, same_pixels) and prompts == same_prompts


def test_tables_have_a_row_per_family_and_source(images):
    results = evaluate(
        lambda pixels, prompts: [Answer(np.ones(pixels.shape[:2], bool)) for _ in prompts],
        held_out(images),
        name="everything",
    )
    text = table(results, "everything")
    assert "| box | 6 |" in text and "fill-box" in text and "region-grow" in text
    assert "| roofs |" in table_by_source(results, "everything")
