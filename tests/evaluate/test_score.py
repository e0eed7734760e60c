"""Scoring: what may not change a score, and files that are wrong."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import suites

from unigeoseg.errors import DataError, OptionError
from unigeoseg.evaluate.metrics import CIOU, GIOU
from unigeoseg.evaluate.predictions import Prediction, PredictionFile
from unigeoseg.evaluate.reports.score_tables import overall_table, problem_lines
from unigeoseg.evaluate.score import Outcome, outcome_values, score_predictions, size_bin
from unigeoseg.geo.masks import Rle, decode_mask, encode_mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suites.write_suite(tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="module")
def samples(folder: Path):
    return list(suites.opened(folder).samples())


def scored(folder: Path, path: Path, **rest) -> Outcome:
    return score_predictions(suites.opened(folder), PredictionFile.open(path), **rest)


def noisy(samples) -> list[Prediction]:
    rng = np.random.default_rng(0)
    return [
        Prediction(
            each.id, encode_mask(each.mask() ^ (rng.random((each.height, each.width)) < 0.1))
        )
        for each in samples
    ]


def lines(predictions) -> list[str]:
    return [replace(each, score=0.5, seconds=0.1).line() for each in predictions]


def test_perfect_is_one_and_empty_is_nothing(folder, samples, tmp_path):
    best = scored(folder, suites.written(tmp_path / "best", suites.perfect(samples)))
    assert not best.problems and best.total == len(samples) == 16
    assert best.scores().giou == best.scores().ciou == best.scores().precision_at(0.9) == 1
    worst = scored(folder, suites.written(tmp_path / "worst", suites.empty(samples)))
    assert worst.scores().giou == worst.scores().ciou == 0
    assert best.protocol == worst.protocol


def test_order_and_parts_do_not_change_a_score(folder, samples, tmp_path):
    given = lines(noisy(samples))
    (tmp_path / "ordered").write_text("".join(given))
    shuffled = random.Random(1).sample(given, len(given))
    (tmp_path / "shuffled").write_text("".join(shuffled))
    one, other = (scored(folder, tmp_path / name) for name in ("ordered", "shuffled"))
    assert 0.5 < one.scores().giou < 1
    assert json.dumps(outcome_values(one)) == json.dumps(outcome_values(other))
    parts = sum((one.scores(family=name) for name in one.by("family")), type(one.scores())())
    assert parts.value(GIOU) == one.scores().value(GIOU)
    assert parts.interval(CIOU) == one.scores().interval(CIOU)


def test_everything_wrong_is_counted(folder, samples, tmp_path):
    given = lines(suites.perfect(samples))
    small = encode_mask(np.ones((3, 3), bool))
    row = json.loads(given[3])
    broken = row | {"rle": {"size": row["rle"]["size"], "counts": "11"}}
    wrong = [
        *given[:3],
        given[0],
        json.dumps(broken) + "\n",
        Prediction(samples[4].id, small, 1, "", 1).line(),
        Prediction("nobody", small, 1, "", 1).line(),
        "not json\n",
        '{"id": "a"}\n',
        '{"id": "a", "rle": {"size": [-1, 4], "counts": ""}}\n',
        "[]\n",
        given[5][:-20],
    ]
    (tmp_path / "wrong").write_text("".join(wrong))
    found = scored(folder, tmp_path / "wrong")
    assert found.problems.counts == {
        "missing": 11,
        "repeated": 1,
        "unknown": 1,
        "other size": 1,
        "malformed": 6,
    }
    assert len(found.scored) == 3
    said = "\n".join(problem_lines(found))
    assert "missing: 11" in said and "malformed: 6" in said
    assert "metrics" not in outcome_values(found, refused=True)


def test_files_of_a_suite_that_are_missing_are_counted(samples, tmp_path):
    folder = suites.write_suite(tmp_path / "suite")
    (folder / "ref" / "1_mask.png").unlink()
    (folder / "ref" / "2_mask.png").unlink()
    (folder / "reason" / "0.json").unlink()
    path = suites.written(tmp_path / "best", suites.perfect(samples))
    found = scored(folder, path)
    assert "1 json, 2 mask" in found.problems.suite
    assert found.problems


def test_one_family_alone(folder, samples, tmp_path):
    boxes = [each for each in samples if each.family == "box"]
    path = suites.written(tmp_path / "boxes", suites.perfect(boxes))
    assert not scored(folder, path, families=["box"]).problems
    everything = scored(folder, path)
    assert everything.problems.missing == 12
    assert scored(folder, path, families=["box"]).protocol != everything.protocol
    with pytest.raises(OptionError, match="no sample of boxx"):
        scored(folder, path, families=["boxx"])


def test_released_mode_scores_letterboxed_squares(folder, samples, tmp_path):
    predictions = noisy(samples)
    (tmp_path / "native").write_text("".join(lines(predictions)))
    native = scored(folder, tmp_path / "native", mode="released")
    assert not native.problems
    # 64 x 48 becomes 512 x 384 in the middle of the square: each pixel counts 64 times
    for one, other in zip(native.scored, scored(folder, tmp_path / "native").scored, strict=True):
        assert one.overlap == (64 * other.overlap.intersection, 64 * other.overlap.union)

    def square(rle: Rle) -> Rle:
        large = np.zeros((512, 512), bool)
        large[64:448] = np.kron(decode_mask(rle), np.ones((8, 8), bool))
        return encode_mask(large)

    given = (replace(each, rle=square(each.rle)) for each in predictions)
    (tmp_path / "square").write_text("".join(lines(given)))
    again = scored(folder, tmp_path / "square", mode="released")
    assert [each.overlap for each in again.scored] == [each.overlap for each in native.scored]
    assert scored(folder, tmp_path / "square").problems.other_size == len(samples)


def test_a_suite_of_boxes_scores_boxes(folder, samples, tmp_path):
    layout = suites.opened(folder)
    layout = type(layout)(replace(layout.suite, boxes=True), layout.folder)
    hollow = []
    for each in samples:
        mask = each.mask()
        rows, columns = np.nonzero(mask)
        mask[rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1] = False
        hollow.append(Prediction(each.id, encode_mask(mask)))
    (tmp_path / "hollow").write_text("".join(lines(hollow)))
    file = PredictionFile.open(tmp_path / "hollow")
    assert score_predictions(layout, file).scores().giou == 1
    assert score_predictions(suites.opened(folder), file).scores().giou < 0.6


def test_tables_say_what_they_mean(folder, samples, tmp_path):
    found = scored(folder, suites.written(tmp_path / "best", suites.perfect(samples)))
    table = overall_table(found)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["all"][:2] == ("16", "100.00 [100.0, 100.0]")
    assert "also called oIoU" in table.note and rows["referring"][0] == "4"
    assert {size_bin(each) for each in samples} == {"above 10 %"}


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match="cannot be read"):
        PredictionFile.open(Path("/nonexistent"))
