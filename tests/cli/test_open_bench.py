"""bench select, rebuild, agreement, enter: as a user types them."""

import json
from dataclasses import replace
from pathlib import Path

import builds
import pytest
from command_line import typed

from unigeoseg.evaluate.open_bench.index import read_index
from unigeoseg.evaluate.open_bench.review.verdicts import Verdict, VerdictStore


@pytest.mark.slow
def test_from_sets_to_a_reviewed_benchmark(tmp_path: Path, monkeypatch, capsys):
    towns = builds.write_towns(tmp_path / "sets" / "towns", images=20)
    small = builds.built(towns, tmp_path / "small")
    usual = replace(builds.OPTIONS, size=512, stride=256)
    built = builds.built(towns, tmp_path / "built", usual)
    data, index, out = tmp_path / "sets", tmp_path / "index.jsonl", tmp_path / "open"
    words = ("--data", data, "-o", index, "--total", 8)
    assert typed(monkeypatch, "select", small.path, *words) == 2
    assert "size and stride (96, 64)" in capsys.readouterr().err
    assert typed(monkeypatch, "select", built.path, *words) == 0
    said = capsys.readouterr().err
    assert "17 images of groups for training or tuning" in said and "wrote 8 samples" in said
    assert typed(monkeypatch, "rebuild", data, "--index", index, "-o", out) == 0
    assert "8 samples" in capsys.readouterr().err

    kept = tmp_path / "verdicts.sqlite"
    entries = list(read_index(index))
    for who in ("one", "two"):
        for entry in entries[:5]:
            VerdictStore(kept).put(Verdict(entry.sample.id, who, "accept"))
    VerdictStore(kept).put(Verdict(entries[0].sample.id, "two", "reject", "image is poor"))
    assert typed(monkeypatch, "agreement", kept) == 0
    said = capsys.readouterr().out
    assert "judged 5 samples, alike on 4" in said and "1 image is poor" in said
    entered = tmp_path / "entered.jsonl"
    words = ("--verdicts", kept, "--index", index, "-o", entered)
    assert typed(monkeypatch, "enter", *words) == 0
    assert len(entered.read_text().splitlines()) == 4
    assert all("licence" not in json.loads(x)["sample"] for x in entered.read_text().splitlines())
    assert typed(monkeypatch, "agreement", tmp_path / "none.sqlite") == 2
