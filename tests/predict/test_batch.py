"""Many scenes: resumed after a kill, and no failure stops the others."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, make_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scenes
from affine import Affine
from networks import save_tiny, tiny_network, tiny_processor
from places import SOURCE
from rasterio.crs import CRS
from results import write_features
from shapely import box

from unigeoseg.errors import AreaError, CheckpointNotFoundError, OptionError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.stretch import Stretch
from unigeoseg.geo.vectors.features import Feature
from unigeoseg.model.io import checkpoint
from unigeoseg.predict.batch import (
    NOT_IN_FINGERPRINT,
    Batch,
    find_scenes,
    local_engine,
    ray_engine,
    run_batch,
)
from unigeoseg.predict.manifest import (
    BEGUN,
    DONE,
    FAILED,
    MANIFEST,
    OFF,
    ManifestEntry,
    fingerprint_values,
    read_manifest,
)
from unigeoseg.predict.output.spec import OutputConfig
from unigeoseg.prompt import Prompt

GRID = Grid(80, 60, scenes.UTM50, CRS.from_epsg(32650))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four scenes, the second of them damaged."""
    (tmp_path / "scenes").mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 255, (3, 60, 80), dtype=np.uint8)
        path = tmp_path / "scenes" / f"{number}.tif"
        degrees = Affine(1e-5, 0, 117, 0, -1e-5, 39)
        place = ("EPSG:4326", degrees) if number == 3 else ("EPSG:32650", scenes.UTM50)
        scenes.write(path, pixels, crs=place[0], transform=place[1])
    damaged = tmp_path / "scenes" / "1.tif"
    damaged.write_bytes(damaged.read_bytes()[:9000])
    return tmp_path


def job(folder: Path, model: Path, text: str = "the roof") -> Batch:
    prompts, suffixes = [Prompt.from_text(text)], [".tif", ".gpkg"]
    return Batch(prompts=prompts, folder=folder / "out", suffixes=suffixes, model=str(model))


def all_scenes(folder: Path) -> list[Path]:
    return find_scenes([str(folder / "scenes" / "*.tif")])


def silent(scene: Path) -> None:
    return None


def test_a_failure_is_told_and_stops_nothing(folder, model):
    entries = run_batch(job(folder, model), all_scenes(folder), local_engine(silent))
    assert [entry.state for entry in entries] == [DONE, FAILED, DONE, DONE]
    assert "damaged" in entries[1].error and len(entries[1].error.splitlines()) == 1
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {MANIFEST} | {f"{n}{suffix}" for n in (0, 2, 3) for suffix in (".tif", ".gpkg")}


def test_what_is_done_is_not_done_again(folder, model):
    first = run_batch(job(folder, model), all_scenes(folder), local_engine(silent))
    (folder / "out" / "2.tif").unlink()  # lost since
    done: list[Path] = []
    again = run_batch(job(folder, model), all_scenes(folder), local_engine(done.append))
    assert [path.name for path in done] == ["1.tif", "2.tif"]
    assert [entry.state for entry in again] == [entry.state for entry in first]
    assert (folder / "out" / "2.tif").exists()
    other = run_batch(job(folder, model, "water"), all_scenes(folder), local_engine(done.append))
    assert len(done) == 6 and len(other) == 4


def test_a_line_cut_short_is_as_if_it_were_not_there(folder, model):
    run_batch(job(folder, model), all_scenes(folder)[:1], local_engine(silent))
    manifest = folder / "out" / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert [each.state for each in read_manifest(manifest)] == [BEGUN]
    (entry,) = run_batch(job(folder, model), all_scenes(folder)[:1], local_engine(silent))
    assert entry.state == DONE
    assert [each.state for each in read_manifest(manifest)] == [BEGUN, BEGUN, DONE]


def test_a_line_cut_inside_a_character_is_as_if_it_were_not_there(folder, model):
    (folder / "scenes" / "0.tif").rename(folder / "scenes" / "\u98db.tif")
    asked = find_scenes([str(folder / "scenes" / "\u98db.tif")])
    run_batch(job(folder, model), asked, local_engine(silent))
    manifest = folder / "out" / MANIFEST
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[: whole.rindex("\u98db".encode()) + 2])
    assert [entry.state for entry in read_manifest(manifest)] == [BEGUN]
    (entry,) = run_batch(job(folder, model), asked, local_engine(silent))
    assert entry.state == DONE


def test_other_weights_of_the_same_name_are_another_question(folder, model, tmp_path):
    best = shutil.copytree(model, tmp_path / "best")
    (scene,) = all_scenes(folder)[:1]
    run_batch(job(folder, best), [scene], local_engine(silent))
    done: list[Path] = []
    for file in best.iterdir():  # the same, brought anew
        os.utime(file, (0, 0))
    run_batch(job(folder, best), [scene], local_engine(done.append))
    assert not done
    checkpoint.save_model(best, tiny_network(seed=1), tiny_processor())
    run_batch(job(folder, best), [scene], local_engine(done.append))
    assert done == [scene]


def outlines(folder: Path, model: Path, suffix: str = ".geojson", text: str = "the roof") -> Batch:
    """Results beside the scenes."""
    prompts = [Prompt.from_text(text)]
    return Batch(prompts=prompts, folder=folder / "scenes", suffixes=[suffix], model=str(model))


@pytest.mark.parametrize(("suffix", "own"), [(".geojson", "0.geojson"), (".shp", "0.prj")])
def test_a_file_that_is_not_the_run_s_is_not_replaced(folder, model, suffix, own):
    mine = folder / "scenes" / own
    mine.write_text("mine")
    entries = run_batch(outlines(folder, model, suffix), all_scenes(folder), local_engine(silent))
    assert [entry.state for entry in entries] == [FAILED, FAILED, DONE, DONE]
    assert f"{mine} is there" in entries[0].error and "another folder" in entries[0].error
    run_batch(outlines(folder, model, suffix), all_scenes(folder), local_engine(silent))
    assert mine.read_text() == "mine"
    mine.unlink()
    entries = run_batch(outlines(folder, model, suffix), all_scenes(folder), local_engine(silent))
    assert entries[0].state == DONE
    entries = run_batch(
        outlines(folder, model, suffix, "water"), all_scenes(folder), local_engine(silent)
    )
    assert [entry.state for entry in entries] == [DONE, FAILED, DONE, DONE]


def test_what_a_failed_scene_left_to_the_user_is_not_replaced(folder, model):
    run_batch(outlines(folder, model), all_scenes(folder), local_engine(silent))
    mine = folder / "scenes" / "1.geojson"
    mine.write_text("by other means")
    entries = run_batch(outlines(folder, model), all_scenes(folder), local_engine(silent))
    assert entries[1].state == FAILED and f"{mine} is there" in entries[1].error
    assert mine.read_text() == "by other means"


def test_a_run_killed_before_its_line_knows_its_files_again(folder, model):
    """Also through a question with other files: those of the first stay its own."""

    def killed(batch: Batch, asked: Iterator[Path]) -> Iterator[ManifestEntry]:
        batch.segment_scene(batch.segmenter(), next(asked))
        raise KeyboardInterrupt("killed")
        yield

    first, other = outlines(folder, model), outlines(folder, model, ".gpkg")
    for batch in (first, other):
        with pytest.raises(KeyboardInterrupt, match="killed"):
            run_batch(batch, all_scenes(folder), killed)
    assert (folder / "scenes" / "0.geojson").exists() and (folder / "scenes" / "0.gpkg").exists()
    for batch in (other, first):
        assert run_batch(batch, all_scenes(folder)[:1], local_engine(silent))[0].state == DONE
    (last,) = {entry.scene: entry for entry in read_manifest(folder / "scenes" / MANIFEST)}.values()
    assert (last.outputs, last.others) == (["0.geojson"], ["0.gpkg"])


def test_a_killed_run_goes_on_and_leaves_no_half_files(folder, model):
    """Kill -9 in the middle of the third scene, then start again."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from unigeoseg.predict.batch import Batch, find_scenes, local_engine, run_batch\n"
        "from unigeoseg.prompt import Prompt\n"
        "folder, model = Path(sys.argv[1]), sys.argv[2]\n"
        "def deadly(scene):\n"
        "    def kill(done, count):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return kill if scene.name == '2.tif' else None\n"
        "job = Batch(prompts=[Prompt.from_text('the roof')], folder=folder / 'out',\n"
        "            suffixes=['.tif', '.gpkg'], model=model)\n"
        "run_batch(job, find_scenes([str(folder / 'scenes' / '*.tif')]), local_engine(deadly))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(model)],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    out = folder / "out"
    left = [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert left and not (out / "2.tif").exists()
    again: list[Path] = []
    entries = run_batch(job(folder, model), all_scenes(folder), local_engine(again.append))
    assert [path.name for path in again] == ["1.tif", "2.tif", "3.tif"]
    assert [entry.state for entry in entries] == [DONE, FAILED, DONE, DONE]
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    for number in (0, 2, 3):
        with rasterio.open(out / f"{number}.tif") as written:
            assert written.read(1).shape == (60, 80)


def test_what_cannot_be_a_batch(folder, model, tmp_path):
    with pytest.raises(OptionError, match="no file matches"):
        find_scenes([str(tmp_path / "none" / "*.tif")])
    (tmp_path / "scenes" / "sub").mkdir()
    scenes.roof(tmp_path / "scenes" / "sub").rename(tmp_path / "scenes" / "sub" / "0.tif")
    with pytest.raises(OptionError, match="several scenes are named '0'"):
        find_scenes([str(tmp_path / "scenes" / "**" / "*.tif")])
    onto = Batch(prompts=[Prompt.from_text("x")], folder=folder / "scenes", model=str(model))
    with pytest.raises(OptionError, match="would be replaced by its result"):
        run_batch(onto, all_scenes(folder), local_engine(silent))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_over_ray_it_is_the_same(folder, model):
    ray = pytest.importorskip("ray")
    entries = run_batch(job(folder, model), all_scenes(folder), ray_engine(2))
    assert not ray.is_initialized()
    assert [entry.state for entry in entries] == [DONE, FAILED, DONE, DONE]
    lines = [json.loads(line) for line in (folder / "out" / MANIFEST).read_text().splitlines()]
    ended = sorted(line["scene"] for line in lines if line["state"] != BEGUN)
    assert ended == list(map(str, all_scenes(folder)))
    # a worker has one scene at a time, the others are not begun
    states = [line["state"] for line in lines]
    assert states[:2] == [BEGUN, BEGUN] and states[2] != BEGUN and states[3] == BEGUN


def test_without_a_cluster_at_its_address_it_is_one_line(folder, model, monkeypatch):
    with socket.socket() as held:  # bound and not listening: nobody answers there
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(OptionError, match=r"no Ray cluster at 127\.0\.0\.1"):
            run_batch(job(folder, model), all_scenes(folder), ray_engine(2))


@pytest.mark.slow
def test_over_ray_a_model_that_is_not_there_is_said_as_it_is(folder, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointNotFoundError, match=r"has no config\.json"):
        run_batch(job(folder, tmp_path / "empty"), all_scenes(folder), ray_engine(1))


def test_an_area_and_a_gsd_are_the_same_for_all(folder, model):
    """The area has a part of the scenes in UTM only; the one in degrees lies elsewhere."""
    aoi = folder / "aoi.geojson"
    write_features(aoi, [Feature(box(500_010, 4_399_975, 500_030, 4_399_990))], GRID)
    options = {"prompts": [Prompt.from_text("the roof")], "model": str(model), "gsd_m": 1.0}
    asked = Batch(folder=folder / "out", suffixes=[".tif"], aoi=aoi, **options)
    entries = run_batch(asked, all_scenes(folder), local_engine(silent))
    assert [entry.state for entry in entries] == [DONE, FAILED, DONE, OFF]
    assert "does not overlap the scene" in entries[3].error
    with rasterio.open(folder / "out" / "2.tif") as written:
        assert written.transform.a == 1.0
        assert written.bounds == pytest.approx((500_010, 4_399_975, 500_030, 4_399_990), abs=1.5)
    done: list[Path] = []
    run_batch(asked, all_scenes(folder), local_engine(done.append))
    assert [path.name for path in done] == ["1.tif"]  # what lies off the area is settled
    write_features(aoi, [Feature(box(500_000, 4_399_975, 500_030, 4_399_990))], GRID)
    run_batch(asked, all_scenes(folder), local_engine(done.append))
    assert len(done) == 5  # another area is another question
    aoi.unlink()
    with pytest.raises(AreaError, match="does not exist"):
        run_batch(asked, all_scenes(folder), local_engine(silent))


def test_a_disk_that_is_full_for_one_scene_leaves_the_others(folder, model):
    """The third scene's outlines fit nowhere; its half files go, and the fourth is done."""
    small = resource.getrlimit(resource.RLIMIT_FSIZE)

    def filling(scene: Path) -> None:
        full = scene.name == "2.tif"
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 if full else small[0], small[1]))

    try:
        entries = run_batch(job(folder, model), all_scenes(folder), local_engine(filling))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, small)
    assert [entry.state for entry in entries] == [DONE, FAILED, FAILED, DONE]
    assert "check the directory and the free space" in entries[2].error
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {MANIFEST} | {f"{n}{suffix}" for n in (0, 3) for suffix in (".tif", ".gpkg")}


def values_of(record) -> dict:
    return fingerprint_values(record, NOT_IN_FINGERPRINT)


def test_every_field_of_a_batch_and_of_what_it_holds_is_in_the_fingerprint(folder, model):
    """Another value of any field is another question, except of the fields that are named."""
    aoi = folder / "aoi.geojson"
    aoi.write_text("{}")
    batch = job(folder, model)
    changes = {
        "prompts": [Prompt.from_text("water")],
        "suffixes": [".gpkg"],
        "model": str(shutil.copytree(model, folder / "copy")),
        "dtype": "bfloat16",
        "outputs": OutputConfig(threshold=0.4),
        "classes": True,
        "stretch": Stretch((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)),
        "bands": [3, 2, 1],
        "gsd_m": 1.0,
        "aoi": aoi,
    }
    left_out = {"folder": folder / "elsewhere", "device": "cpu"}
    assert {*changes, *left_out} == {field.name for field in fields(Batch)}
    before = batch.fingerprint()
    for name, value in changes.items():
        assert replace(batch, **{name: value}).fingerprint() != before, name
    for name, value in left_out.items():
        assert replace(batch, **{name: value}).fingerprint() == before, name
    outputs = {
        "threshold": 0.4,
        "crs": CRS.from_epsg(4326),
        "min_area_m2": 1.0,
        "min_area_px": 9,
        "simplify_m": 1.0,
        "regularise_m": 1.0,
        "instances": False,
        "tags": {"A": "b"},
    }
    assert set(outputs) == {field.name for field in fields(OutputConfig)}
    for name, value in outputs.items():
        config = OutputConfig(**{name: value})
        assert replace(batch, outputs=config).fingerprint() != before, name
    with_area = values_of(replace(batch, aoi=aoi))
    aoi.write_text("{ }")
    assert values_of(replace(batch, aoi=aoi)) != with_area


def test_a_field_that_is_added_is_in_the_fingerprint_by_itself(folder, model):
    wider_outputs = make_dataclass(
        "OutputConfig", [("smooth_m", float, 0.0)], bases=(OutputConfig,), frozen=True
    )
    wider_batch = make_dataclass("Batch", [("retries", int, 1)], bases=(Batch,), frozen=True)
    options = {"prompts": [Prompt.from_text("roof")], "folder": folder, "model": str(model)}
    plain = wider_batch(outputs=wider_outputs(), **options)
    for changed in (
        wider_batch(outputs=wider_outputs(), retries=2, **options),
        wider_batch(outputs=wider_outputs(smooth_m=1.0), **options),
    ):
        assert changed.fingerprint() != plain.fingerprint()
    with pytest.raises(TypeError, match="object has no place in a fingerprint"):
        wider_batch(retries=object(), **options).fingerprint()


def test_what_is_left_out_of_the_fingerprint_is_there_and_has_a_reason():
    kinds = {"Batch": Batch, "OutputConfig": OutputConfig, "Stretch": Stretch, "Prompt": Prompt}
    for name, reason in NOT_IN_FINGERPRINT.items():
        kind, _, attribute = name.partition(".")
        assert attribute in {field.name for field in fields(kinds[kind])}
        assert len(reason.split()) > 3


def test_the_environment_s_dtype_is_in_the_fingerprint(folder, model, monkeypatch):
    monkeypatch.delenv("UNIGEOSEG_DTYPE", raising=False)
    before = job(folder, model).fingerprint()
    monkeypatch.setenv("UNIGEOSEG_DTYPE", "bfloat16")
    assert job(folder, model).fingerprint() != before
    named = replace(job(folder, model), dtype="bfloat16")
    assert named.fingerprint() == job(folder, model).fingerprint()


def test_lines_that_are_no_entries_are_left_out(tmp_path):
    manifest = tmp_path / MANIFEST
    good = '{"scene": "a.tif", "state": "done", "shares": [0.5]}'
    lines = [good, '{"scene": 3, "state": "done"}', "[]", '{"scene": "b.tif"}', "", good[:-9]]
    manifest.write_text("\n".join(lines))
    assert list(read_manifest(manifest)) == [ManifestEntry("a.tif", "done", shares=[0.5])]
