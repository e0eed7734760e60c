"""The metrics' definitions, and what must not change them."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import GOLDENS
from safetensors.numpy import load_file

from unigeoseg.errors import DataError, OptionError
from unigeoseg.evaluate.bootstrap import difference_interval
from unigeoseg.evaluate.metrics import (
    CIOU,
    DEFAULT,
    GIOU,
    Overlap,
    Scores,
    largest_box,
    metric_named,
    overlap,
    overlap_of_boxes,
    overlap_of_runs,
)
from unigeoseg.geo.masks import encode_mask

METRICS = GOLDENS / "metrics"

OVERLAPS = st.lists(
    st.integers(0, 50).flatmap(
        lambda union: st.builds(Overlap, st.integers(0, union), st.just(union))
    ),
    min_size=1,
    max_size=30,
)


def square(x0: int, x1: int) -> np.ndarray:
    mask = np.zeros((10, 10), bool)
    mask[:, x0:x1] = True
    return mask


def test_by_hand():
    scores = Scores.of([overlap(square(0, 4), square(2, 6)), overlap(square(0, 5), square(0, 5))])
    assert scores.giou == pytest.approx((20 / 60 + 1) / 2)
    assert scores.ciou == pytest.approx(70 / 110)
    assert scores.precision_at(0.5) == 0.5


def test_empty_masks():
    empty = square(0, 0)
    assert overlap(empty, empty).iou == 1
    assert overlap(empty, square(0, 2)).iou == overlap(square(0, 2), empty).iou == 0
    assert Scores.of([overlap(empty, empty)]).ciou == 1


def test_precision_is_strict():
    assert Scores.of([Overlap(1, 2)]).precision_at(0.5) == 0


def test_masks_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        overlap(square(0, 4), np.zeros((3, 3), bool))


@given(OVERLAPS, st.randoms(use_true_random=False))
def test_order_and_batches_do_not_matter(overlaps: list[Overlap], rng: random.Random):
    whole = Scores.of(overlaps)
    shuffled = rng.sample(overlaps, len(overlaps))
    cut = rng.randint(0, len(overlaps))
    parts = Scores.of(shuffled[:cut]) + Scores.of(shuffled[cut:])
    for threshold in (0.5, 0.7, 0.9):
        assert parts.precision_at(threshold) == whole.precision_at(threshold)
    assert (parts.giou, parts.ciou) == (whole.giou, whole.ciou)
    assert 0 <= whole.giou <= 1


def test_the_interval_holds_the_value_and_repeats():
    scores = Scores.of([Overlap(index % 7, 7) for index in range(100)])
    for each in DEFAULT:
        low, high = scores.interval(each)
        assert low <= scores.value(each) <= high
        assert (low, high) == scores.interval(each)
    assert np.isnan(Scores().interval(GIOU)).all()


def test_the_interval_does_not_depend_on_order():
    overlaps = [Overlap(index % 7, 7 + index % 3) for index in range(60)]
    images = [f"image {index // 4}" for index in range(60)]
    order = random.Random(3).sample(range(60), 60)
    shuffled = Scores.of((overlaps[at] for at in order), (images[at] for at in order))
    assert shuffled.interval(CIOU) == Scores.of(overlaps, images).interval(CIOU)


def test_questions_on_one_scene_count_as_one_draw():
    overlaps = [Overlap(index // 10, 10) for index in range(100)]
    alone = Scores.of(overlaps).interval(GIOU)
    together = Scores.of(overlaps, (f"{index // 10}" for index in range(100))).interval(GIOU)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_a_difference_that_every_sample_has_is_certain():
    below, names = [1.0] * 20, [str(index) for index in range(20)]
    rng = np.random.default_rng(0)
    one = rng.random(20).tolist()
    other = [each + 0.1 for each in one]
    low, high = difference_interval((one, below), (other, below), names, np.nan)
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)


@pytest.mark.parametrize("boxes", [False, True])
def test_equal_to_the_released_scorer(boxes: bool):
    masks = load_file(METRICS / "masks.safetensors")
    golden = json.loads((METRICS / "metrics.json").read_text())[f"rsvg={boxes}"]
    pairs = list(zip(masks["pred"] > 0, masks["gt"] > 0, strict=True))
    if boxes:
        overlaps = [overlap_of_boxes(largest_box(mask), largest_box(gt)) for mask, gt in pairs]
    else:
        overlaps = [overlap_of_runs(encode_mask(mask), encode_mask(gt)) for mask, gt in pairs]
    for ours, recorded in zip(overlaps, golden["per_sample"], strict=True):
        assert ours == (recorded["intersection"][1], recorded["union"][1])
    scores = Scores.of(overlaps)
    assert scores.ciou == pytest.approx(golden["ciou"], abs=1e-7)
    assert scores.giou == pytest.approx(golden["giou"], abs=1e-7)
    for threshold, share in golden["pr"].items():
        assert scores.value(metric_named(f"Pr@{threshold}")) == share


def test_as_torchmetrics_has_it():
    classification = pytest.importorskip("torchmetrics.classification")
    import torch

    rng = np.random.default_rng(0)
    pairs = [(rng.random((20, 30)) < 0.3, rng.random((20, 30)) < 0.4) for _ in range(5)]
    jaccard = classification.BinaryJaccardIndex()
    scores = Scores.of(overlap(*pair) for pair in pairs)
    each = [float(jaccard(*map(torch.from_numpy, pair))) for pair in pairs]
    assert scores.giou == pytest.approx(np.mean(each), abs=1e-6)
    assert scores.ciou == pytest.approx(float(jaccard.compute()), abs=1e-6)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_runs_and_pixels_agree(height: int, width: int, data: st.DataObject):
    bits = st.lists(st.booleans(), min_size=height * width, max_size=height * width)
    mask, truth = (np.array(data.draw(bits)).reshape(height, width) for _ in range(2))
    assert overlap_of_runs(encode_mask(mask), encode_mask(truth)) == overlap(mask, truth)


@given(st.data())
def test_boxes_and_pixels_agree(data: st.DataObject):
    edges = st.integers(0, 8).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 1, 9)))
    boxes = [(data.draw(edges), data.draw(edges)) for _ in range(2)]
    drawn = [np.zeros((9, 9), bool) for _ in boxes]
    for mask, ((x0, x1), (y0, y1)) in zip(drawn, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    found = [largest_box(mask) for mask in drawn]
    assert found == [(x0, y0, x1, y1) for (x0, x1), (y0, y1) in boxes]
    assert overlap_of_boxes(*found) == overlap(*drawn)


def test_a_box_is_that_of_the_largest_region():
    mask = square(0, 1) | square(3, 6)
    mask[5, 9] = True
    assert largest_box(mask) == (3, 0, 6, 10)
    assert largest_box(square(0, 0)) is None
    assert overlap_of_boxes(None, None).iou == 1
    assert overlap_of_boxes(None, (0, 0, 2, 2)) == (0, 4)


def test_runs_of_other_sizes_are_refused():
    with pytest.raises(DataError, match="equal sizes"):
        overlap_of_runs(encode_mask(square(0, 1)), encode_mask(square(0, 1)[:5]))


def test_aliases_mean_one_definition():
    assert metric_named("mIoU") is metric_named("GIOU") is GIOU and metric_named("oIoU") is CIOU
    assert metric_named("P@0.5").name == metric_named("precision@.5").name == "Pr@0.5"
    assert "strictly" in metric_named("pr@0.5").definition and "oIoU" in CIOU.definition
    for nonsense in ("dice", "Pr@1.5", "Pr@"):
        with pytest.raises(OptionError):
            metric_named(nonsense)
