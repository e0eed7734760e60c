"""One schema of columns and tags: names of prompts, categories, and what documents say of them."""

from pathlib import Path

import pytest

from unigeoseg.geo.stretch import TAG, Stretch
from unigeoseg.predict.output.provenance import Provenance, weights_hash
from unigeoseg.predict.output.schema import (
    ANSWER,
    COLUMNS,
    TAGS,
    PromptEntry,
    column_table,
    mask_tags,
    prompt_name,
    prompt_type,
)
from unigeoseg.prompt import Box, Point, Prompt, Task, as_prompt

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize(
    ("prompt", "name", "kind"),
    [
        ("the storage tanks", "the storage tanks", "text"),
        ("where could a helicopter land?", "where could a helicopter land?", "question"),
        (Point(812, 440), "point 812, 440", "points"),
        ([Point(1, 2), Point(3.25, 4)], "points 1, 2; 3.25, 4", "points"),
        ([Point(1, 2), Point(3, 4, False)], "point 1, 2 without point 3, 4", "points"),
        (Box(100, 300, 180, 360), "box 100, 300, 180, 360", "box"),
        (
            Prompt.from_box(Box(0, 0, 9, 9), [Point(1, 2), Point(3, 4, False)]),
            "box 0, 0, 9, 9 with point 1, 2 without point 3, 4",
            "box",
        ),
        (Point(0.1 + 0.2, 1e6), "point 0.3, 1000000", "points"),
    ],
)
def test_prompts_are_named_as_a_person_writes_them(prompt, name, kind):
    assert prompt_name(as_prompt(prompt)) == name
    assert prompt_type(as_prompt(prompt)) == kind


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("the storage tanks", "Storage-Tank"),
        ("all the buildings", "Building"),
        ("Building", "Building"),
        ("the largest building", None),
        ("the grey things", None),
        ("building (red)", None),
    ],
)
def test_a_text_has_a_category_only_if_it_names_one_and_says_no_more(text, category):
    assert PromptEntry.of(text).category == category


def test_a_question_and_a_point_have_no_category_and_a_class_has_its_own():
    assert PromptEntry.of(Prompt.from_text("buildings", Task.REASONING)).category is None
    assert PromptEntry.of(Point(1, 1)).category is None
    assert PromptEntry.of("buildings", is_class=True).category == "buildings"


def test_tags_name_labels_and_prompts():
    entries = [PromptEntry.of(Box(0, 0, number + 1, 9)) for number in range(30)]
    provenance = Provenance("nano", None, "scene.tif", Stretch())
    tags = mask_tags(entries, provenance, labelled=False)
    assert tags["UNIGEOSEG_PROMPT"].startswith("box 0, 0, 1, 9; box 0, 0, 2, 9; ")
    assert tags["UNIGEOSEG_PROMPT"].endswith("; and 10 more")
    assert tags["LABEL_1"] == tags["UNIGEOSEG_PROMPT"] and "LABEL_2" not in tags
    assert set(tags) == {*TAGS, "LABEL_1"} - {"UNIGEOSEG_WEIGHTS"}  # no files, no hash
    assert Stretch.from_tags(tags) == Stretch() and TAG in tags
    labelled = mask_tags(entries[:2], provenance, labelled=True)
    assert (labelled["LABEL_1"], labelled["LABEL_2"]) == ("box 0, 0, 1, 9", "box 0, 0, 2, 9")


def test_weights_are_hashed_by_what_they_hold(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = weights_hash(tmp_path)
    assert len(first) == 16 and int(first, 16) >= 0
    assert weights_hash(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"other")
    assert weights_hash(tmp_path) != first
    assert Provenance().weights is None


def test_documents_have_the_table_of_columns():
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert column_table() in text
    for name in TAGS:
        assert f"`{name}`" in text
    assert len({column.name for column in (*COLUMNS, ANSWER)}) == len(COLUMNS) + 1
