"""bench suites, run, score, report, compare: as a user types them."""

import json
from pathlib import Path

import pytest
import suites
from command_line import typed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suites.write_suite(tmp_path / "suite")


def test_from_a_suite_to_a_report(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.jsonl"
    assert typed(monkeypatch, "run", folder, "--model", "fill-box", "-o", out) == 0
    assert "12 samples have no prediction" in capsys.readouterr().err
    assert typed(monkeypatch, "score", out, "--suite", folder) == 1
    said = capsys.readouterr()
    assert "missing: 12" in said.out and "gIoU" not in said.out and "no score" in said.err
    assert typed(monkeypatch, "score", out, "--suite", folder, "--json") == 1
    assert "metrics" not in json.loads(capsys.readouterr().out)
    words = ("--suite", folder, "--allow-partial", "--metric", "mIoU", "--metric", "oIoU")
    assert typed(monkeypatch, "score", out, *words) == 0
    said = capsys.readouterr().out
    assert "PARTIAL" in said and "also called mIoU" in said and "Pr@" not in said
    assert "scored\n" in said and said.index("PARTIAL") < said.index("| all | 4 |")
    words = ("--suite", folder, "--family", "box")
    assert typed(monkeypatch, "score", out, *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert typed(monkeypatch, "score", out, *words) == 0
    assert "PARTIAL" not in capsys.readouterr().out
    assert found["metrics"]["gIoU"]["value"] > 0.99 and not found["partial"]
    assert typed(monkeypatch, "report", out, *words, "-o", tmp_path / "r.html") == 0
    assert "fill-box on suite" in (tmp_path / "r.html").read_text()
    assert typed(monkeypatch, "compare", out, out, *words) == 0
    assert "not told apart" in capsys.readouterr().out


def test_a_suite_with_gaps_gives_a_number_only_when_asked(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.jsonl"
    (folder / "intera" / "0_mask.png").unlink()
    (folder / "ref" / "1.json").write_text("{")
    words = ("run", folder, "--model", "fill-box", "-o", out)
    assert typed(monkeypatch, *words) == 2 and not out.exists()
    assert typed(monkeypatch, *words, "--allow-partial") == 0
    capsys.readouterr()
    assert typed(monkeypatch, "score", out, "--suite", folder) == 1
    said = capsys.readouterr()
    assert "is not whole: 2 entries cannot be read, missing are 1 mask" in said.out
    assert "gIoU" not in said.out
    assert typed(monkeypatch, "score", out, "--suite", folder, "--allow-partial") == 0
    said = capsys.readouterr().out
    assert "PARTIAL" in said and "gIoU" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "x.jsonl", "--suite", "nowhere"), "is no suite"),
        (("score", "x.jsonl", "--suite", "sior", "--data", "nowhere"), "not a directory"),
        (("run", "rrsis-d-test", "-o", "x.jsonl"), "--data"),
    ],
)
def test_what_is_not_there_is_one_line(monkeypatch, capsys, words, said):
    assert typed(monkeypatch, *words) == 2
    assert said in capsys.readouterr().err


def test_suites_are_listed_with_their_protocols(monkeypatch, capsys):
    assert typed(monkeypatch, "suites") == 0
    assert "dior-rsvg" in (said := capsys.readouterr().out) and "largest 8-connected" in said
