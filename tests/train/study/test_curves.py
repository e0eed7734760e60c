"""Learning curves from the record of a run."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import typed

from unigeoseg.errors import DataError, MissingExtraError, OutputFormatError
from unigeoseg.train.study.curves import Curves, save_learning_curves, smoothed

ROWS = "".join(
    f"{step},prompts,{6 * step}\r\n{step},loss,{3 / step}\r\n{step},bce,{2 / step}\r\n"
    f"{step},dice,{1 / step}\r\n{step},images_per_s,2.0\r\n"
    for step in range(10, 110, 10)
) + "".join(
    f"{step},val/{name},{step / 200}\r\n"
    for step in (50, 95)
    for name in ("interactive", "referring", "reasoning", "mean", "family/referring")
)


def run_of(folder: Path, content: str = ROWS) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(content, newline="")
    return folder


def test_a_record_is_read_by_name(tmp_path: Path):
    # of two values of a step the later counts; a line that was cut does not
    run = Curves.of(run_of(tmp_path / "run", ROWS + "10,loss,0.5\r\n120,lo"))
    assert run.name == "run" and run.parts == ["bce", "dice"]
    steps, losses = run.series["loss"]
    assert steps.tolist() == list(range(10, 110, 10)) and losses[0] == 0.5
    assert run.prompts_at(np.array([5.0, 95.0])).tolist() == [30, 570]


def test_a_loss_is_smoothed_by_its_length():
    steps = np.arange(40.0)
    along, values = smoothed((steps, steps % 2))
    assert along.tolist() == (steps[:-1] + 0.5).tolist() and (values == 0.5).all()
    assert smoothed((steps[:9], steps[:9]))[1].tolist() == steps[:9].tolist()


def test_curves_are_an_image(tmp_path: Path, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    new = run_of(tmp_path / "new")
    lines = [line for line in ROWS.splitlines(True) if "prompts" not in line and "val" not in line]
    old = run_of(tmp_path / "old", "".join(lines))
    images = []
    for runs in ([new], [old], [new, old]):
        out = tmp_path / f"{len(images)}.png"
        assert typed(monkeypatch, "curves", *runs, "-o", out) == 0
        images.append(cv2.imread(str(out)))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (images[one] != images[other]).any()
    half = images[0].shape[1] // 2
    for side in (images[0][:, :half], images[0][:, half:]):
        assert (np.ptp(side, axis=2) > 60).sum() > 200  # lines in colour on both sides


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("10,loss,1.0\n20,loss\n", r"line 2, is '20,loss', expected step,name,value"),
        ("10,loss,1.0\nten,loss,2.0\n", r"line 2, is 'ten,loss,2\.0'"),
        ("10,loss,much\n", r"line 1, is '10,loss,much'"),
        ("10,val/mean,0.5\n", r"metrics\.csv has no loss yet"),
        ("", r"metrics\.csv has no loss yet"),
    ],
)
def test_damaged_records_are_refused(tmp_path: Path, content, said):
    with pytest.raises(DataError, match=said):
        Curves.of(run_of(tmp_path / "run", content))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds no metrics\.csv; give the folder of a run"):
        Curves.of(tmp_path)
    (tmp_path / "metrics.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"metrics\.csv cannot be read"):
        Curves.of(tmp_path)


def test_what_cannot_be_drawn_is_said(tmp_path: Path, monkeypatch):
    run = Curves.of(run_of(tmp_path / "run"))
    with pytest.raises(OutputFormatError):
        save_learning_curves([run], tmp_path / "curves.txt")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"unigeoseg\[plot\]"):
        save_learning_curves([run], tmp_path / "curves.png")
