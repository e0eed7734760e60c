"""Builds: the same bytes whoever does them, however often they are killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import builds
import cv2
import numpy as np
import pytest
from places import SUPPORT, TESTS

import sources
from unigeoseg.data.builder.plan import PLAN, make_plan
from unigeoseg.data.builder.unit import WORK, Job, read_unit
from unigeoseg.data.ledger import StrictError, raise_rejection
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.parquet import read_rows
from unigeoseg.data.store.summary import SUMMARY, SourceCounts
from unigeoseg.errors import DataError, OptionError, OutputExistsError, OutputUnwritableError
from unigeoseg.runtime import workers

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(SUPPORT)}


def test_a_build_has_every_family_and_says_what_it_dropped(dataset: Dataset):
    summary = dataset.summary
    assert set(summary.families) >= {"point", "box", "referring"}
    assert summary.triplets == sum(summary.families.values()) > 50
    assert summary.sources == {"towns": SourceCounts(images=summary.images, licences=["CC0-1.0"])}
    ledger = list(read_rows(dataset.path / "ledger.parquet"))
    counted = sum(sum(rules.values()) for rules in summary.rejections.values())
    assert len(ledger) == counted > 0
    assert {row["source"] for row in ledger} == {"towns"}
    assert not (dataset.path / WORK).exists()


def test_no_file_names_the_time_or_the_place(dataset: Dataset, towns: Path):
    for name, content in builds.files(dataset.path).items():
        assert str(towns).encode() not in content, name


def test_a_ledger_of_broken_files_is_the_same_bytes_wherever_they_lie(tmp_path: Path):
    """What PIL, GDAL and the system say holds the path of the file."""
    first = builds.write_towns(tmp_path / "a" / "towns", images=5)
    damage = (
        b"no picture",
        cv2.imencode(".jp2", np.zeros((64, 64, 3), np.uint16))[1].tobytes()[:90],
    )
    for number, content in enumerate((*damage, b"")):
        (first / "images" / f"{number:03}.png").write_bytes(content)
    whole = (first / "images" / "003.png").read_bytes()
    (first / "images" / "003.png").write_bytes(whole[: len(whole) // 2] + whole[-20:])
    sources.tiff(first / "images" / "005.tif", np.full((3, 128, 128), np.nan, np.float32))
    cut = sources.many_bands(4, "uint16")
    sources.tiff(first / "images" / "006.tif", cut)
    packed = (first / "images" / "006.tif").read_bytes()
    (first / "images" / "006.tif").write_bytes(packed[: len(packed) // 2])
    second = Path(shutil.copytree(first, tmp_path / "it's another place" / "towns"))
    built = [builds.built(folder, folder.parent / "out") for folder in (first, second)]
    assert built[0].summary.rejections["read"]["unreadable_image"] >= 5
    one, other = (builds.files(each.path) for each in built)
    assert one == other
    ledger = list(read_rows(built[0].path / "ledger.parquet"))
    assert not [row for row in ledger if str(tmp_path) in row["detail"]]


def test_two_processes_write_the_same_bytes(dataset: Dataset, towns: Path, tmp_path: Path):
    progress = []
    builds.built(
        towns, tmp_path / "out", workers=2, progress=lambda *counts: progress.append(counts)
    )
    assert builds.files(tmp_path / "out") == builds.files(dataset.path)
    assert [counts[:2] for counts in progress] == [(1, 2), (2, 2)]


@pytest.mark.slow
def test_ray_writes_the_same_bytes(dataset: Dataset, towns: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    import ray

    builds.built(towns, tmp_path / "out", engine="ray", workers=2)
    assert builds.files(tmp_path / "out") == builds.files(dataset.path)
    assert not ray.is_initialized()


def test_without_a_cluster_nothing_is_begun(towns: Path, tmp_path: Path, monkeypatch):
    with socket.socket() as held:  # bound and not listening: nobody answers there
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(OptionError, match="no Ray cluster at"):
            builds.built(towns, tmp_path / "out", engine="ray", workers=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_error_of_ours_comes_through_ray_as_it_is(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    folder = builds.write_towns(tmp_path / "towns", images=2)
    (folder / "images" / "001.png").write_bytes(b"no picture")
    strict = builds.job(tmp_path / "out", strict=True)
    with pytest.raises(DataError, match="repair it, or build without --strict"):
        builds.build_dataset(strict, builds.sources(folder), engine="ray", workers=2)


def start(towns: Path, out: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, str(TESTS / "support" / "builds.py"), towns, out, workers]
    return subprocess.Popen(
        list(map(str, command)), env=ENVIRONMENT, start_new_session=True, stderr=subprocess.PIPE
    )


def kill_when(process: subprocess.Popen, reached, seconds: float = 60) -> None:
    """Kill a build with SIGKILL as soon as it has come so far."""
    end = time.monotonic() + seconds
    while process.poll() is None and not reached() and time.monotonic() < end:
        time.sleep(0.002)
    assert process.poll() is None, process.stderr.read().decode()[-2000:]
    process.send_signal(signal.SIGKILL)
    process.communicate()


def whole_units(out: Path) -> int:
    return len(list((out / WORK).glob("[0-9]*")))


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(lambda out: out.exists(), id="before the plan", marks=pytest.mark.slow),
        pytest.param(lambda out: whole_units(out) >= 1, id="among the units"),
        pytest.param(
            lambda out: list(out.glob(".*.parquet")) or list(out.glob("images-*")),
            id="while the shards are written",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killed_and_started_again(reached, dataset: Dataset, towns: Path, tmp_path: Path):
    out = tmp_path / "out"
    kill_when(start(towns, out, 1), lambda: reached(out))
    assert not (out / SUMMARY).exists()
    before = whole_units(out)
    counts = []
    builds.built(towns, out, progress=lambda *done: counts.append(done))
    assert len(counts) == 2 - before
    assert builds.files(out) == builds.files(dataset.path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again_at_any_time(workers, dataset: Dataset, towns: Path, tmp_path: Path):
    out, killed = tmp_path / "out", 0
    for delay in (2.0, 2.6, 3.2, 3.8, 4.4, 5.0, 5.6):
        process = start(towns, out, workers)
        try:
            process.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
    assert killed > 1
    builds.built(towns, out)
    assert builds.files(out) == builds.files(dataset.path)


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_build(towns: Path, tmp_path: Path):
    out = tmp_path / "out"
    process = start(towns, out, 2)
    kill_when(process, lambda: list((out / WORK).glob(".*")))
    end = time.monotonic() + 20
    while time.monotonic() < end and alive(process.pid):
        time.sleep(0.05)
    assert not alive(process.pid)


class Dies:
    """A worker that is killed, as by a machine without memory."""

    def __call__(self, unit) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error_of_ours():
    with pytest.raises(OptionError, match="one of 2 workers died, most often for want of memory"):
        list(workers.run_units(Dies(), [None], engine="local", workers=2))


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_finished_build_is_opened_as_it_is(dataset: Dataset, towns: Path):
    before = {path: path.stat().st_mtime_ns for path in dataset.path.iterdir()}
    counts = []
    again = builds.built(towns, dataset.path, progress=lambda *done: counts.append(done))
    assert again.summary == dataset.summary and counts == []
    assert {path: path.stat().st_mtime_ns for path in dataset.path.iterdir()} == before


def test_another_build_in_the_same_directory_is_refused(dataset: Dataset, towns: Path, tmp_path):
    with pytest.raises(OptionError, match=r"option seed 3, asked for is 4; repeat it as it was"):
        builds.built(towns, dataset.path, replace(builds.OPTIONS, seed=4))
    other = builds.write_towns(tmp_path / "towns", images=3)
    with pytest.raises(OptionError, match=r"source towns .*'items': 10.*'items': 3"):
        builds.built(other, dataset.path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OptionError, match="is not empty and holds no plan"):
        builds.built(towns, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_labels_edited_between_runs_are_noticed(tmp_path: Path):
    folder = builds.write_towns(tmp_path / "towns", images=2)
    builds.built(folder, tmp_path / "out")
    meta = folder / "meta.json"
    meta.write_text(meta.read_text().replace("CC0-1.0", "CC0-2.0"))
    with pytest.raises(OptionError, match="holds a build with source towns"):
        builds.built(folder, tmp_path / "out")
    meta.write_text(meta.read_text().replace("CC0-2.0", "CC0-1.0"))
    (folder / "masks" / "words.txt").write_text("one")
    builds.built(folder, tmp_path / "again")
    (folder / "masks" / "words.txt").write_text("two")
    with pytest.raises(OptionError, match="repeat it as it was, or give another directory"):
        builds.built(folder, tmp_path / "again")


def test_hidden_files_and_links_that_lead_nowhere_are_no_input(tmp_path: Path):
    folder = builds.write_towns(tmp_path / "towns", images=2)
    (folder / "masks" / "gone.txt").symlink_to(tmp_path / "gone")
    first = builds.built(folder, tmp_path / "out")
    (folder / ".DS_Store").write_text("new")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "notes.json").write_text("{}")
    assert builds.built(folder, tmp_path / "out").summary == first.summary


@pytest.mark.parametrize(
    ("part", "name"), [("versions", "unigeoseg"), ("versions", "schema"), ("sources", "towns")]
)
def test_a_build_of_another_version_or_row_is_refused(
    part, name, dataset: Dataset, towns, tmp_path
):
    copy = Path(shutil.copytree(dataset.path, tmp_path / "copy"))
    plan = json.loads((copy / PLAN).read_text())
    held = plan[part][name]
    plan[part][name] = held | {"row": "0"} if part == "sources" else "0"
    (copy / PLAN).write_text(json.dumps(plan))
    with pytest.raises(OptionError, match=f"holds a build with .* {name} "):
        builds.built(towns, copy)
    (copy / PLAN).write_text(json.dumps(plan | {part: [1]}))
    with pytest.raises(OptionError, match=f"plan.json: {part}: expected an object"):
        builds.built(towns, copy)


def test_an_output_that_is_a_file_or_within_a_source_is_refused(towns: Path, tmp_path: Path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputExistsError, match="is a file; give a directory"):
        builds.built(towns, tmp_path / "letter.txt")
    with pytest.raises(OutputUnwritableError, match="cannot be written"):
        builds.built(towns, tmp_path / "letter.txt" / "out")
    folder = builds.write_towns(tmp_path / "towns", images=1)
    (tmp_path / "link").symlink_to(folder)
    for out in (folder, folder / "out", tmp_path, tmp_path / "link" / "deep" / "out"):
        with pytest.raises(OptionError, match="one inside the other"):
            builds.built(folder, out)
    assert not (folder / "out").exists()


class Unusable:
    """Tools that cannot be loaded."""

    def __call__(self):
        raise OptionError("no such model")


def test_what_cannot_be_used_leaves_no_build_behind(towns: Path, tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(OptionError, match="no such model"):
        builds.build_dataset(Job(out, builds.OPTIONS, Unusable()), builds.sources(towns))
    for wrong in ({"stride": 97}, {"stride": 0}, {"size": 0}, {"cap": 0}, {"diverse": 1.5}):
        with pytest.raises(OptionError):
            replace(builds.OPTIONS, **wrong)
    assert not out.exists()


def test_two_builds_in_one_directory(dataset: Dataset, towns: Path, tmp_path: Path):
    out = tmp_path / "out"
    first = start(towns, out, 1)
    end = time.monotonic() + 60
    while not (out / WORK).exists() and first.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(OptionError, match="another process is at work in"):
            builds.built(towns, out)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    builds.built(towns, out)
    assert builds.files(out) == builds.files(dataset.path)


BROKEN = {
    "no meta": lambda folder: (folder / "meta.json").unlink(),
    "cut meta": lambda folder: (folder / "meta.json").write_text("{"),
    "no images": lambda folder: shutil.rmtree(folder / "images"),
    "broken index": lambda folder: (folder / "masks" / "instances.json").write_text("{"),
    "not there": shutil.rmtree,
}


@pytest.mark.parametrize("harm", BROKEN)
def test_a_broken_source_is_noted_and_the_others_go_on(harm, tmp_path: Path):
    good = builds.write_towns(tmp_path / "good", images=1)
    bad = builds.write_towns(tmp_path / "bad", images=1)
    BROKEN[harm](bad)
    places = [(None, bad), (None, good)]
    built = builds.build_dataset(builds.job(tmp_path / "out"), places)
    assert set(built.summary.sources) == {"good"}
    assert built.summary.rejections["read"] == {"unreadable_source": 1}
    (noted,) = [row for row in read_rows(built.path / "ledger.parquet") if row["stage"] == "read"]
    assert noted["source"] == "bad" and noted["detail"].startswith("bad")
    assert str(tmp_path) not in noted["detail"]
    with pytest.raises(DataError, match=r"bad: unreadable_source: .*build without --strict"):
        builds.build_dataset(builds.job(tmp_path / "strict", strict=True), places)
    with pytest.raises(DataError, match=f"nothing can be read: {bad}"):
        builds.build_dataset(builds.job(tmp_path / "none"), [(None, bad)])
    assert not (tmp_path / "strict").exists() and not (tmp_path / "none").exists()


def test_an_index_that_breaks_meanwhile_takes_its_images_along(tmp_path: Path):
    folder = builds.write_towns(tmp_path / "towns", images=2)
    plan = make_plan([(None, folder)], builds.OPTIONS)
    (folder / "masks" / "instances.json").write_text('{"images": [{"id": 1}]}')
    noted = []
    assert list(read_unit(plan.units[0], noted.append)) == []
    assert [(each.rule, each.key) for each in noted] == [
        ("unreadable_source", "images/000.png"),
        ("unreadable_source", "images/001.png"),
    ]
    with pytest.raises(StrictError, match=r"^towns: images/000\.png: unreadable_source: "):
        list(read_unit(plan.units[0], raise_rejection))


def test_a_name_of_the_catalogue_comes_with_its_licence(tmp_path: Path):
    folder = builds.write_towns(tmp_path / "loveda", images=1)
    with pytest.raises(OptionError, match=r"'CC0-1\.0', the catalogue's loveda 'CC BY-NC-SA 4\.0'"):
        builds.build_dataset(builds.job(tmp_path / "out"), [(None, folder)])


def test_bad_images_are_noted_and_the_rest_goes_on(tmp_path: Path):
    folder = builds.write_towns(tmp_path / "towns", images=4)
    (folder / "images" / "001.png").write_bytes(b"no picture")
    (folder / "masks" / "002.png").unlink()
    built = builds.built(folder, tmp_path / "out")
    keys = {row["key"] for row in built.image_rows(["key"])}
    assert keys == {"images/000.png", "images/003.png"}
    noted = [
        row for row in read_rows(tmp_path / "out" / "ledger.parquet") if row["stage"] == "read"
    ]
    assert {row["key"] for row in noted} == {"images/001.png", "images/002.png"}
    with pytest.raises(DataError, match=r"towns: images/001.png: .*build without --strict"):
        builds.build_dataset(builds.job(tmp_path / "strict", strict=True), builds.sources(folder))
    assert not (tmp_path / "strict" / SUMMARY).exists()


def test_a_cap_keeps_the_same_triplets_in_any_order(dataset: Dataset, towns: Path, tmp_path: Path):
    built = builds.built(towns, tmp_path / "out", replace(builds.OPTIONS, cap=20))
    names = {sample.id: sample.category for sample in built.samples()}
    counts = {name: list(names.values()).count(name) for name in set(names.values())}
    assert counts == {"Building": 20, "River": 20}
    assert names.keys() < {sample.id for sample in dataset.samples()}
    dropped = dataset.summary.triplets - 40
    assert built.summary.rejections["cap"] == {"category": dropped}


def test_copies_in_another_source_go(towns: Path, tmp_path: Path):
    folder = builds.write_towns(tmp_path / "copies", images=10)
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path))
        cv2.imwrite(str(path), cv2.GaussianBlur(image, (3, 3), 0))
    both = [*builds.sources(towns), *builds.sources(folder)]
    built = builds.build_dataset(builds.job(tmp_path / "out"), both)
    found = built.summary.rejections
    copies = found["duplicate"]["near_duplicate"] + found["leak"]["near_duplicate"]
    assert copies >= 0.9 * 40
    tests = {row["group"] for row in built.image_rows() if row["split"] == "test"}
    assert len(tests) >= 1


def test_nothing_to_build_from(tmp_path: Path):
    with pytest.raises(DataError, match="no image was found"):
        builds.build_dataset(builds.job(tmp_path / "out"), [])
    folder = builds.write_towns(tmp_path / "towns", images=1)
    with pytest.raises(OptionError, match="two sources are called 'towns'"):
        builds.build_dataset(builds.job(tmp_path / "out"), builds.sources(folder) * 2)
    with pytest.raises(OptionError, match="workers must be >= 1"):
        builds.built(folder, tmp_path / "out", workers=0)
    with pytest.raises(OptionError, match="the engine is 'spark'"):
        builds.built(folder, tmp_path / "out", engine="spark")
