"""bench nano: as a user types it."""

import json
from pathlib import Path

import pytest
from command_line import typed
from networks import save_tiny

from unigeoseg.model.config import ConfidenceConfig
from unigeoseg.model.io import checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


def test_from_weights_to_a_table(dataset, model, tmp_path: Path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    out = tmp_path / "report"
    words = ("nano", "--data", dataset.path, "--model", model, "--images", 1, "-o", out)
    assert typed(monkeypatch, *words) == 0
    said = capsys.readouterr()
    assert said.out.strip() in (out / "table.md").read_text() and "wrote" in said.err
    assert json.loads((out / "table.json").read_text())["model"] == str(model)
    assert (out / "reliability.png").is_file() and (out / "grab-cut.jsonl").is_file()
    assert (out / "pictures.png").stat().st_size > 1000
    assert typed(monkeypatch, *words) == 2
    assert "exists; give the name of a new directory" in capsys.readouterr().err


def test_pictures_of_answers(dataset, model, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra 'plot'")
    out = tmp_path / "report"
    data = ("--data", dataset.path, "--images", 1)
    assert typed(monkeypatch, "nano", *data, "--model", model, "--no-baselines", "-o", out) == 0
    sheet = tmp_path / "sheet.png"
    asked = ("pictures", out / "predictions.jsonl", "--data", dataset.path, "-o", sheet)
    assert typed(monkeypatch, *asked, "--images", 1, "--seed", 3, "--rows", 2) == 0
    assert sheet.stat().st_size > 1000 and "wrote" in capsys.readouterr().err
    assert typed(monkeypatch, *asked) == 1
    assert "missing: " in capsys.readouterr().out


def test_a_model_is_calibrated(dataset, model, tmp_path, monkeypatch, capsys):
    out = tmp_path / "calibrated"
    words = ("calibrate", "--data", dataset.path, "--model", model, "--images", 1, "-o", out)
    assert typed(monkeypatch, *words, "--split", "test") == 0
    said = capsys.readouterr()
    assert "| all |" in said.out and "wrote" in said.err
    assert {path.name for path in out.iterdir()} == set(checkpoint.FILES)
    assert checkpoint.load_model(out)[0].config.confidence != ConfidenceConfig()
    assert typed(monkeypatch, *words, "--split", "test") == 2
    assert "exists; give the name of a new directory" in capsys.readouterr().err
    assert typed(monkeypatch, *words[:-1], tmp_path / "other") == 2
    assert "has no image in its split 'val'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["calibrated"]


def test_a_quick_look_writes_nothing(dataset, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("--model", model, "--images", 1, "--no-baselines")
    assert typed(monkeypatch, "nano", "--data", dataset.path, *words) == 0
    said = capsys.readouterr().out
    assert "| box |" in said and "fill-box" not in said and not list(tmp_path.iterdir())


def test_answers_that_are_missing_are_said(dataset, monkeypatch, capsys):
    words = ("--data", dataset.path, "--model", "fill-box", "--images", 1, "--no-baselines")
    assert typed(monkeypatch, "nano", *words) == 1
    said = capsys.readouterr().out
    assert "PARTIAL" in said and "missing: " in said and "| box |" in said


@pytest.fixture
def right(dataset, model) -> dict[str, object]:
    return {"--data": dataset.path, "--model": model}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--data", "nowhere"), "dataset.json"),
        (("--images", "0"), "--images"),
        (("--split", "val"), "has no image in its split 'val'"),
        (("--model", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_one_line(right, monkeypatch, capsys, option, said):
    words = [part for pair in (right | dict([option])).items() for part in pair]
    assert typed(monkeypatch, "nano", *words) == 2
    assert said in capsys.readouterr().err
