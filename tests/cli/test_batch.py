"""unigeoseg batch as a user types it."""

import sys
from pathlib import Path

import pytest
import scenes
from networks import save_tiny

from unigeoseg.cli import main
from unigeoseg.predict.manifest import MANIFEST


def batch(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run `unigeoseg batch WORDS`; its exit code."""
    monkeypatch.setattr(sys, "argv", ["unigeoseg", "batch", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_engine_has_the_names_it_has_elsewhere(tmp_path, monkeypatch, capsys):
    model = save_tiny(tmp_path / "tiny")
    scene = scenes.roof(tmp_path)
    asked = (scene, "the roof", "-o", tmp_path / "out", "--model", model)
    assert batch(monkeypatch, *asked, "--engine", "local") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {MANIFEST, scene.name}
    assert "1 of 1 scenes are done" in capsys.readouterr().err
    assert batch(monkeypatch, *asked, "--engine", "here") == 2


def test_a_file_that_is_not_the_run_s_is_told_and_kept(tmp_path, monkeypatch, capsys):
    model = save_tiny(tmp_path / "tiny")
    scene = scenes.roof(tmp_path)
    mine: Path = scene.with_suffix(".geojson")
    mine.write_text("mine")
    asked = (scene, "the roof", "-o", tmp_path, "--suffix", ".geojson", "--model", model)
    assert batch(monkeypatch, *asked) == 1
    said = capsys.readouterr().err
    assert f"failed: {scene}: {mine} is there" in said and "remove the file" in said
    assert mine.read_text() == "mine"
