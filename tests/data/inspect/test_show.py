"""Samples to look at."""

import re
from dataclasses import replace
from pathlib import Path

import builds
import cv2
import numpy as np
import pytest

from unigeoseg.data.inspect.show import pick_samples, sample_card, samples_page, save_samples
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.errors import DataError, OutputFormatError
from unigeoseg.prompt import Prompt
from unigeoseg.report.overlay import draw_sample
from unigeoseg.report.sheet import contact_sheet


def test_the_seed_decides(dataset: Dataset):
    names = [[each.id for each in pick_samples(dataset, count=5, seed=seed)] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 5
    assert len(pick_samples(dataset, count=10**6, seed=0)) == dataset.summary.triplets


def test_the_outline_lies_on_the_edge_of_the_target(dataset: Dataset):
    sample = next(dataset.samples(family="referring"))
    pixels = dataset.image(sample.image)
    drawn = draw_sample(pixels, sample)
    changed = (drawn != pixels).any(axis=2)
    near = cv2.dilate(sample.mask().astype(np.uint8), np.ones((7, 7)))
    inner = cv2.erode(sample.mask().astype(np.uint8), np.ones((7, 7)), borderValue=0)
    assert changed.any() and not changed[near == 0].any() and not changed[inner > 0].any()


def test_a_page_needs_nothing_else_and_escapes_every_text(dataset: Dataset, tmp_path: Path):
    save_samples(dataset, tmp_path / "page.html", count=3)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<figure>") == 3
    assert not re.search(r'(src|href)="(?!data:)', text)
    evil = "<script>alert('x')</script>"
    sample = next(dataset.samples(family="referring"))
    hostile = replace(
        sample, prompt=Prompt.from_text(evil, sample.prompt.task), answer=evil, licence=evil
    )
    shown = samples_page([(hostile, np.zeros((4, 4, 3), np.uint8))], evil)
    assert "<script" not in shown and shown.count("&lt;script&gt;") == 5


def test_a_sheet_is_a_picture(dataset: Dataset, tmp_path: Path):
    save_samples(dataset, tmp_path / "sheet.PNG", count=6)
    height, width, channels = cv2.imread(str(tmp_path / "sheet.PNG")).shape
    assert (width, channels) == (4 * 320, 3) and height % 2 == 0 and height > 2 * 320


def test_a_sheet_has_all_words_of_instruction_and_answer(dataset: Dataset):
    sample = next(each for each in dataset.samples() if each.answer)
    pixels = dataset.image(sample.image)

    def ink(answer: str) -> np.ndarray:
        """Rows of the text below one sample that have letters."""
        text = contact_sheet([sample_card(replace(sample, answer=answer), pixels)])[320:]
        return np.flatnonzero((text < 128).any(axis=(1, 2)))

    assert ink("")[-1] < ink("because")[-1] < ink("because " + "so " * 200 + "it is")[-1]
    assert (
        len(contact_sheet([sample_card(replace(sample, answer="so " * 400), pixels)]))
        > 320 + 17 * 25
    )


def test_families_can_be_chosen(dataset: Dataset, tmp_path: Path):
    found = pick_samples(dataset, count=10**6, seed=0, families=("point", "referring"))
    assert {each.family for each in found} == {"point", "referring"}
    families = dataset.summary.families
    assert len(found) == families["point"] + families["referring"]
    points = builds.changed(
        dataset, tmp_path / "out", lambda what, row: None if row.get("family") == "box" else row
    )
    with pytest.raises(DataError, match="no triplets of box to show; it has "):
        save_samples(points, tmp_path / "page.html", families=("box",))


def test_mistakes(dataset: Dataset, tmp_path: Path):
    with pytest.raises(OutputFormatError, match=r"ends in \.pdf; give one of \.html, \.png"):
        save_samples(dataset, tmp_path / "page.pdf")
    empty = builds.changed(dataset, tmp_path / "out", lambda what, row: None)
    with pytest.raises(DataError, match="has no triplets to show"):
        save_samples(empty, tmp_path / "page.html")
