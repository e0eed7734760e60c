"""The command line as users meet it: results, and one clear line for each mistake."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scenes
from networks import save_tiny

from unigeoseg.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process; give its exit code."""
    monkeypatch.setattr(sys, "argv", ["unigeoseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def segment(monkeypatch, model: Path, *arguments: object) -> int:
    return run(monkeypatch, "segment", *arguments, "--model", model)


def test_text_writes_every_output(monkeypatch, model, roof_scene: Path, tmp_path: Path, capsys):
    out = [tmp_path / name for name in ("mask.tif", "out.geojson", "out.gpkg")]
    options = [part for path in out for part in ("-o", path)]
    assert segment(monkeypatch, model, roof_scene, "the roof", *options) == 0
    with rasterio.open(out[0]) as written, rasterio.open(roof_scene) as scene:
        assert written.crs == scene.crs and written.transform == scene.transform
        assert written.shape == scene.shape
    assert json.loads(out[1].read_text())["type"] == "FeatureCollection"
    assert out[2].stat().st_size > 0
    assert "confidence" in capsys.readouterr().err


def test_pixels_and_map_units_mean_the_same(
    monkeypatch, model, roof_scene: Path, tmp_path: Path, capsys
):
    """(25, 33) pixels is (500012.5, 4399983.5) in EPSG:32650."""
    asked = {
        "pixels": ["--point", "25,33", "--not-point", "5,5"],
        "scene": ["--point", "500012.5,4399983.5", "--not-point", "500002.5,4399997.5"],
        "named": ["--point", "500012.5,4399983.5", "--not-point", "500002.5,4399997.5"],
    }
    crs = {"pixels": [], "scene": ["--crs", "scene"], "named": ["--crs", "EPSG:32650"]}
    masks = {}
    for name, options in asked.items():
        out = tmp_path / f"{name}.tif"
        assert segment(monkeypatch, model, roof_scene, *options, *crs[name], "-o", out) == 0
        with rasterio.open(out) as written:
            masks[name] = written.read(1)
    assert np.array_equal(masks["pixels"], masks["scene"])
    assert np.array_equal(masks["pixels"], masks["named"])


def test_several_boxes_are_several_targets(monkeypatch, model, roof_scene, tmp_path, capsys):
    out = tmp_path / "out.tif"
    boxes = ["--box", "18,28,32,38", "--box", "40,40,60,60"]
    assert segment(monkeypatch, model, roof_scene, *boxes, "-o", out) == 0
    assert capsys.readouterr().err.count("confidence") == 2


def test_an_image_without_georeference(monkeypatch, model, photo_scene, tmp_path, capsys):
    out = tmp_path / "out.geojson"
    assert segment(monkeypatch, model, photo_scene, "the roof", "-o", out) == 0
    assert "no georeference: results are in pixel coordinates" in capsys.readouterr().err
    assert out.exists()


def broken(name: str, folder: Path) -> Path:
    """A scene that cannot be used."""
    path = folder / f"{name}.tif"
    if name == "text":
        path.write_text("not a raster")
    elif name == "empty":
        scenes.write(path, np.zeros((3, 16, 16), np.uint8), nodata=0)
    elif name == "truncated":
        content = scenes.roof(folder).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "missing.tif"),
        ("text", "text.tif"),
        ("empty", "no valid pixel"),
        ("truncated", "truncated.tif"),
    ],
)
def test_unusable_scenes(monkeypatch, model, tmp_path, capsys, *, name, message):
    out = tmp_path / "out.tif"
    assert segment(monkeypatch, model, broken(name, tmp_path), "the roof", "-o", out) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "the instruction is empty"),
        (["   "], "the instruction is empty"),
        ([], "nothing was asked for"),
        (["the roof", "--point", "3,4"], "both a text and coordinates"),
        (["--point", "900,4"], "outside the raster of 64 x 64"),
        (["--box", "900,4,950,50"], "outside the raster"),
        (["--box", "30,4,10,50"], "has no area"),
        (["--point", "1"], "expected X,Y"),
        (["--point", "a,b"], "expected X,Y"),
        (["--not-point", "5,5"], "needs a box or a point"),
        (["--point", "1,1", "--crs", "EPSG:999999"], "999999"),
        (["--point", "1,1", "--crs", "nonsense"], "nonsense"),
        (["--point", "5,5", "--box", "1,1,9,9", "--box", "20,20,40,40"], "several boxes"),
        (["the roof", "--bands", "9,9,9"], "9"),
        (["the roof", "--bands", "red"], "no band named 'red'"),
        (["roof " * 300], "shorten it"),
    ],
)
def test_unusable_prompts(monkeypatch, model, roof_scene, tmp_path, capsys, *, arguments, message):
    out = tmp_path / "out.tif"
    assert segment(monkeypatch, model, roof_scene, *arguments, "-o", out) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], lines
    assert not out.exists()


def test_map_units_on_a_plain_image_are_refused(monkeypatch, model, photo_scene, tmp_path, capsys):
    for crs in ("EPSG:4326", "scene"):
        options = ["--point", "3,4", "--crs", crs, "-o", tmp_path / "out.tif"]
        assert segment(monkeypatch, model, photo_scene, *options) == 2
        assert "the raster has no CRS" in capsys.readouterr().err


def test_outputs_are_checked_before_the_work(monkeypatch, model, roof_scene, tmp_path, capsys):
    existing = tmp_path / "mask.tif"
    existing.write_text("precious")
    for out, message in (
        (existing, "--overwrite"),
        (tmp_path / "no" / "mask.tif", "not a directory"),
        (tmp_path / "mask.docx", ".docx"),
    ):
        assert segment(monkeypatch, model, roof_scene, "the roof", "-o", out) == 2
        assert message in capsys.readouterr().err
    assert existing.read_text() == "precious"
    assert segment(monkeypatch, model, roof_scene, "the roof") == 2
    assert "no output was named" in capsys.readouterr().err
    assert segment(monkeypatch, model, roof_scene, "the roof", "-o", existing, "--overwrite") == 0


def test_the_scene_is_never_the_output(monkeypatch, model, roof_scene, capsys):
    before = roof_scene.read_bytes()
    options = ["the roof", "-o", roof_scene, "--overwrite"]
    assert segment(monkeypatch, model, roof_scene, *options) == 2
    assert "is the scene itself" in capsys.readouterr().err
    assert roof_scene.read_bytes() == before


def test_damaged_weights(monkeypatch, roof_scene, tmp_path, capsys):
    folder = save_tiny(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"damaged")
    out = tmp_path / "out.tif"
    assert segment(monkeypatch, folder, roof_scene, "the roof", "-o", out) == 2
    assert "damaged or incomplete" in capsys.readouterr().err
    assert not out.exists()


def test_the_installed_command_answers():
    done = subprocess.run(
        [sys.executable, "-m", "unigeoseg.cli", "segment", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "--not-point" in done.stdout


def test_converting_and_comparing_what_is_not_there(monkeypatch, tmp_path, capsys):
    for arguments in (
        ("convert", tmp_path / "released", tmp_path / "out"),
        ("bench", "parity", "--goldens", tmp_path / "goldens"),
    ):
        assert run(monkeypatch, *arguments) == 2
        assert "config.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_doctor_shows_what_is_installed_as_a_table(monkeypatch, capsys):
    assert run(monkeypatch, "doctor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines if "MB, loads in" in line] == ["nano"]
    assert any("unigeoseg" in line for line in lines) and any("threads" in line for line in lines)
