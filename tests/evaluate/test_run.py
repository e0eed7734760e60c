"""Running: the wall before the truth, resuming, many processes."""

import json
from dataclasses import fields
from pathlib import Path

import cv2
import pytest
import suites

from unigeoseg.errors import OptionError
from unigeoseg.evaluate.predictions import PredictionFile
from unigeoseg.evaluate.run import Questions, RunCard, questions_by_image, run_card_path, run_suite
from unigeoseg.evaluate.score import score_predictions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suites.write_suite(tmp_path / "suite")


def masks_in_order(path: Path) -> list[object]:
    return [json.loads(line)["rle"] for line in path.read_text().splitlines()]


def tamper(folder: Path) -> None:
    for path in folder.glob("*/*_mask.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), 255 - mask)
    for path in folder.glob("*/*.json"):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            path.write_text(json.dumps(content | {"reason": ["a lie"]}))


@pytest.mark.parametrize("model", ["nano", "grab-cut", "region-grow"])
def test_other_truth_and_other_answers_change_no_prediction(folder, tmp_path, model):
    run_suite(suites.opened(folder), tmp_path / "true.jsonl", RunCard("suite", model))
    tamper(folder)
    run_suite(suites.opened(folder), tmp_path / "false.jsonl", RunCard("suite", model))
    found = masks_in_order(tmp_path / "true.jsonl")
    assert found and found == masks_in_order(tmp_path / "false.jsonl")
    before, after = (
        score_predictions(
            suites.opened(folder), PredictionFile.open(tmp_path / name), families=["box"]
        )
        for name in ("true.jsonl", "false.jsonl")
    )
    # ids follow from the truth: the old predictions are of samples that are gone
    assert before.problems.missing == 4
    assert after.problems.missing == (4 if model == "region-grow" else 0)


def test_what_goes_to_a_system_has_no_place_for_truth(folder):
    assert {each.name for each in fields(Questions)} == {"image", "ids", "prompts"}
    asked = questions_by_image(suites.opened(folder).samples())
    assert len(asked) == 12
    assert "dry" in str(asked) and "It is a roof" not in str(asked)


def test_a_run_goes_on_where_it_was_killed(folder, tmp_path):
    out, about = tmp_path / "out.jsonl", RunCard("suite", "fill-box")
    assert run_suite(suites.opened(folder), out, about) == 12  # texts and points
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])
    kept = out.read_bytes().rpartition(b"\n")[0].splitlines()
    seen = []
    run_suite(
        suites.opened(folder), out, about, progress=lambda done, total: seen.append((done, total))
    )
    lines = out.read_bytes().splitlines()
    assert lines[: len(kept)] == kept and seen[0] == (len(kept), 16)
    assert {json.loads(line)["id"] for line in lines} == {
        json.loads(line)["id"] for line in whole.splitlines()
    }
    found = score_predictions(suites.opened(folder), PredictionFile.open(out), families=["box"])
    assert not found.problems and found.scores().giou > 0.99


def test_a_file_of_another_run_is_not_continued(folder, tmp_path):
    out = tmp_path / "out.jsonl"
    run_suite(suites.opened(folder), out, RunCard("suite", "fill-box"))
    with pytest.raises(OptionError, match="name another file"):
        run_suite(suites.opened(folder), out, RunCard("suite", "grab-cut"))
    run_card_path(out).unlink()
    with pytest.raises(OptionError, match="made by None"):
        run_suite(suites.opened(folder), out, RunCard("suite", "fill-box"))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_several_processes_find_the_same(folder, tmp_path, engine):
    if engine == "ray":
        pytest.importorskip("ray")
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    run_suite(suites.opened(folder), one, RunCard("suite", "grab-cut"))
    run_suite(suites.opened(folder), two, RunCard("suite", "grab-cut"), engine=engine, workers=2)

    def found(path: Path) -> list[tuple[str, str]]:
        rows = map(json.loads, path.read_text().splitlines())
        return sorted((row["id"], row["rle"]["counts"]) for row in rows)

    assert found(one) == found(two)


def test_an_image_that_cannot_be_read_is_left_out_and_said(folder, tmp_path, caplog):
    (folder / "intera" / "2.png").write_bytes(b"damaged")
    assert (
        run_suite(suites.opened(folder), tmp_path / "out.jsonl", RunCard("suite", "fill-box")) == 13
    )
    assert "no prediction" in caplog.text


def test_a_point_on_the_edge_is_taken_and_one_beyond_is_said(folder, tmp_path, caplog):
    for number, place in enumerate(("1.000, 0.500", "0.500, 1.000", "1.250, 0.500")):
        path = folder / "intera" / f"{number}.json"
        path.write_text(json.dumps({"question": [f"the point [{place}]."], "reason": []}))
    assert (
        run_suite(suites.opened(folder), tmp_path / "out.jsonl", RunCard("suite", "region-grow"))
        == 10
    )
    assert caplog.text.count("is outside the raster") == 1


def test_masks_are_of_the_image_s_size(folder, tmp_path):
    run_suite(suites.opened(folder), tmp_path / "out.jsonl", RunCard("suite", "fill-box"))
    sizes = {tuple(each["size"]) for each in masks_in_order(tmp_path / "out.jsonl")}
    assert sizes == {(suites.HEIGHT, suites.WIDTH)}
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert all(json.loads(line)["seconds"] > 0 for line in lines)
