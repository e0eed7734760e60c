"""The commands of the data engine as users meet them."""

import json
import sys
from pathlib import Path

import builds
import cv2
import numpy as np
import pytest
from talker import Asked, Say, completion, talking

from unigeoseg.cli import main
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.evaluate.systems.registry import load_system


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run a command in this process; give its exit code."""
    monkeypatch.setattr(sys, "argv", ["unigeoseg", "data", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


BUILD = ("--size", 96, "--stride", 64, "--seed", 3, "--diverse", 1, "--boxes", "none")


def test_build_verify_stats_show_export_import(
    monkeypatch, towns: Path, dataset: Dataset, tmp_path: Path, capsys
):
    out = tmp_path / "out"
    assert run(monkeypatch, "build", towns, "-o", out, *BUILD) == 0
    said = capsys.readouterr().err
    assert f"{dataset.summary.triplets:,} triplets" in said and "rejected by rule" in said
    assert "families: " in said and "ledger.parquet" in said
    assert builds.files(out) == builds.files(dataset.path)

    assert run(monkeypatch, "verify", out) == 0
    assert "0 failed" in capsys.readouterr().out
    assert run(monkeypatch, "stats", out, "--plot", tmp_path / "stats.png") == 0
    assert "- context" in capsys.readouterr().out and (tmp_path / "stats.png").exists()
    assert run(monkeypatch, "show", out, "-o", tmp_path / "page.html", "--count", 2) == 0
    assert (tmp_path / "page.html").exists()
    one = ("show", out, "-o", tmp_path / "one.html", "--family", "referring", "--family", "box")
    assert run(monkeypatch, *one) == 0
    shown = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "<small>referring" in shown and "<small>point" not in shown
    released = tmp_path / "released"
    assert run(monkeypatch, "export", out, "--format", "benchmark", "-o", released) == 0
    back = tmp_path / "back"
    assert run(monkeypatch, "import", released, "-o", back, "--licence", "CC0-1.0") == 0
    tests = dataset.summary.splits["test"]
    assert f"{tests} triplets in" in capsys.readouterr().err


def test_a_folder_of_sets_is_all_of_them(monkeypatch, towns: Path, dataset: Dataset, tmp_path):
    assert run(monkeypatch, "build", towns.parent, "-o", tmp_path / "out", *BUILD) == 0
    assert builds.files(tmp_path / "out") == builds.files(dataset.path)


def answer(number: int, request: Asked) -> Say:
    """Every answer at once: the best levels, and words that say nothing wrong."""
    fields = request["response_format"]["json_schema"]["schema"]["properties"]
    said = {
        name: 5
        if about.get("type") == "integer"
        else [f"cue {n}" for n in range(2)]
        if about.get("type") == "array"
        else f"what shows number {number} of {name}"
        for name, about in fields.items()
    }
    return completion(json.dumps(said))


def test_models_behind_servers_judge_write_and_score(monkeypatch, tmp_path: Path):
    towns = builds.write_towns(tmp_path / "towns", images=2)
    models = tmp_path / "models.json"
    with talking(answer) as talker:
        judge, writer, one, two = (
            {"base_url": talker.url, "model": name} for name in ("judge", "writer", "one", "two")
        )
        models.write_text(json.dumps({"judge": judge, "writer": writer, "scorers": [one, two]}))
        asked = []
        for name in ("first", "again"):
            online = ("--judge", "online", "--models", models)
            assert run(monkeypatch, "build", towns, "-o", tmp_path / name, *BUILD, *online) == 0
            asked.append(len(talker.asked))
    assert asked[0] == asked[1] > 0
    assert builds.files(tmp_path / "first") == builds.files(tmp_path / "again")
    told = list(Dataset.open(tmp_path / "first").samples(family="referring"))
    assert told and all(sample.writer.startswith("writer/") for sample in told)
    assert all(not sample.program and len(sample.scores) == 12 for sample in told)
    assert run(monkeypatch, "verify", tmp_path / "first") == 0


def test_verify_fails_with_exit_code_1(monkeypatch, dataset: Dataset, tmp_path: Path, capsys):
    builds.changed(
        dataset,
        tmp_path / "out",
        lambda what, row: row | {"licence": "mine"} if what == "triplet" else row,
    )
    assert run(monkeypatch, "verify", tmp_path / "out") == 1
    assert "licence: triplet" in capsys.readouterr().out


def test_verify_names_the_shards_that_are_missing_or_damaged(
    monkeypatch, dataset: Dataset, tmp_path: Path, capsys
):
    copy = builds.changed(dataset, tmp_path / "out", lambda _, row: row)
    (image, *_), (triplet, *_) = copy.images, copy.triplets
    image.unlink()
    triplet.write_bytes(b"no parquet")
    assert run(monkeypatch, "verify", copy.path) == 1
    said = capsys.readouterr().out
    assert f"file: {image.name} is missing" in said and f"file: {triplet.name} is " in said
    assert "2 failed" in said


def test_sources_and_bench(monkeypatch, towns: Path, capsys):
    assert run(monkeypatch, "sources") == 0
    assert "CC BY-NC-SA 4.0" in capsys.readouterr().out
    assert run(monkeypatch, "bench", towns, "--patches", 3, "--size", 96, "--stride", 64) == 0
    assert "triplets of 3 patches" in capsys.readouterr().out


MISTAKES = [
    (("build", "-o", "{out}"), "nothing to build from: give folders"),
    (("build", "{none}", "-o", "{out}"), "is not a directory"),
    (("build", "--source", "loveda", "-o", "{out}"), "expected NAME=DIR"),
    (("build", "--source", "mars={towns}", "-o", "{out}"), "no source is called 'mars'"),
    (("build", "{empty}", "-o", "{out}"), "has neither source.json nor meta.json"),
    (("build", "{towns}", "-o", "{towns}/meta.json"), "is a file"),
    (("build", "{towns}", "-o", "{towns}/out"), "one inside the other"),
    (("build", "{towns}", "-o", "{out}", "--judge", "online"), "go together"),
    (("build", "{towns}", "-o", "{out}", "--replies", "{none}"), "give --models FILE too"),
    (("build", "{towns}", "-o", "{out}", "--stride", "600"), "stride 600 do not go together"),
    (("verify", "{empty}"), "holds no dataset.json"),
    (("stats", "{none}"), "holds no dataset.json"),
    (
        ("export", "{dataset}", "--format", "webdataset", "-o", "{towns}"),
        "exists; give the name of a new",
    ),
    (("show", "{dataset}", "-o", "{out}.pdf"), "give one of .html, .png"),
    (("stats", "{dataset}", "--plot", "{out}.jpg"), "ends in .jpg; give one of .png"),
    (("import", "{empty}", "-o", "{out}", "--licence", "CC0-1.0"), "holds no test.json"),
]


@pytest.fixture
def places(towns: Path, dataset: Dataset, tmp_path: Path) -> dict[str, Path]:
    """What the mistakes name."""
    (tmp_path / "empty").mkdir()
    names = ("out", "none", "empty")
    return {name: tmp_path / name for name in names} | {"towns": towns, "dataset": dataset.path}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line(arguments, message, places, monkeypatch, capsys):
    assert run(monkeypatch, *(each.format(**places) for each in arguments)) == 2
    said = capsys.readouterr().err.strip()
    assert message in said and said.startswith("error: ") and "\n" not in said


def write_boxes(folder: Path, images: int = 1) -> Path:
    """A labelled set of bright roofs with a box and no mask, one in each image."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    entries, boxes = [], []
    for number in range(images):
        pixels = np.random.default_rng(number).integers(60, 90, (96, 96, 3), dtype=np.uint8)
        pixels[30:60, 20:60] = 230
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels)
        size = {"file_name": f"{number}.png", "width": 96, "height": 96}
        entries.append({"id": number} | size)
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [20, 30, 40, 30]})
    index = {
        "images": entries,
        "annotations": boxes,
        "categories": [{"id": 1, "name": "building"}],
    }
    (folder / "masks" / "boxes.json").write_text(json.dumps(index))
    meta = {"classes": {"1": "building"}, "licence": "CC0-1.0"}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_a_system_by_name_turns_boxes_into_masks(monkeypatch, tmp_path: Path, capsys):
    folder = write_boxes(tmp_path / "roofs")
    out = tmp_path / "out"
    assert run(monkeypatch, "build", folder, "-o", out, *BUILD, "--boxes", "grab-cut") == 0
    samples = list(Dataset.open(out).samples())
    assert samples
    assert all(abs(int(sample.mask().sum()) - 30 * 40) < 60 for sample in samples)
    other = ("build", folder, "-o", tmp_path / "other", *BUILD, "--boxes")
    assert run(monkeypatch, *other, "region-grow") == 2
    assert "region-grow takes no boxes" in capsys.readouterr().err
    assert run(monkeypatch, *other, "grab-cut") == 0  # the mistake left nothing behind
    assert builds.files(tmp_path / "other") == builds.files(out)


def test_nano_is_the_default_and_loaded_with_the_first_box(monkeypatch, towns: Path, tmp_path):
    asked = ("--size", 96, "--stride", 64, "-o")
    load_system.cache_clear()
    assert run(monkeypatch, "build", towns, *asked, tmp_path / "towns") == 0
    assert load_system.cache_info().misses == 0
    roofs, out = write_boxes(tmp_path / "roofs"), tmp_path / "out"
    assert run(monkeypatch, "build", roofs, *asked, out) == 0
    assert load_system.cache_info().misses == 1
    made = Dataset.open(out)
    assert made.summary.triplets > 0 and made.summary.options["boxes"] == "nano"
    (out / "dataset.json").unlink()
    assert run(monkeypatch, "build", roofs, *asked, out) == 0  # it goes on with the same options
    none = (*asked, tmp_path / "none", "--boxes", "none")
    assert run(monkeypatch, "build", roofs, *none) == 0
    assert Dataset.open(tmp_path / "none").summary.triplets == 0


@pytest.mark.slow
@pytest.mark.parametrize("system", ["grab-cut", "nano"])
def test_boxes_become_the_same_masks_with_any_number_of_workers(
    system, monkeypatch, tmp_path: Path
):
    folder = write_boxes(tmp_path / "roofs", images=10)
    for workers in (1, 2):
        asked = ("-o", tmp_path / str(workers), *BUILD, "--boxes", system, "--workers", workers)
        assert run(monkeypatch, "build", folder, *asked) == 0
    files = builds.files(tmp_path / "1")
    assert files == builds.files(tmp_path / "2")
    assert Dataset.open(tmp_path / "1").summary.triplets > 0


def test_a_broken_folder_among_others_is_counted(monkeypatch, towns: Path, tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    assert run(monkeypatch, "build", towns, tmp_path / "empty", "-o", out, *BUILD) == 0
    assert "unreadable_source 1" in capsys.readouterr().err
    assert run(monkeypatch, "verify", out) == 0
    strict = ("build", towns, tmp_path / "empty", "-o", tmp_path / "b", *BUILD, "--strict")
    assert run(monkeypatch, *strict) == 2
    assert "empty: unreadable_source: empty has neither" in capsys.readouterr().err
