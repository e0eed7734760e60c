"""Several processes on one machine: what they are told, how they fail, how a run of them ends."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sets
import torch
from networks import save_tiny, tiny_config, tiny_network, tiny_processor
from places import ROOT, SUPPORT

from unigeoseg.errors import CheckpointError, MissingExtraError, OptionError
from unigeoseg.train.metrics_log import read_metrics_log
from unigeoseg.train.recipes import smoke_recipe
from unigeoseg.train.scale.launcher import ProcessLauncher
from unigeoseg.train.trainer import Trainer

pytest.importorskip("accelerate", reason="several processes need the extra 'train'")

SOURCES = os.pathsep.join(SUPPORT)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """New processes find this file's functions, by its name below the repository, and the rest."""
    monkeypatch.syspath_prepend(str(ROOT))  # a spawned process takes over this one's path
    monkeypatch.setenv("PYTHONPATH", SOURCES)


def note(folder: Path) -> None:
    said = (os.environ["WORLD_SIZE"], str(torch.get_num_threads()), "MALLOC_TOP_PAD_" in os.environ)
    (folder / os.environ["RANK"]).write_text(" ".join(map(str, said)))


def fail(folder: Path) -> None:
    if os.environ["RANK"] == "1":
        raise MissingExtraError("to fail", "train")
    time.sleep(600)


def die(folder: Path) -> None:
    if os.environ["RANK"] == "1":
        os._exit(9)
    time.sleep(600)


def wait_for(launcher: ProcessLauncher) -> None:
    while not launcher.poll(60):
        pass


def test_members_know_their_place_and_share_the_cores(tmp_path: Path):
    before = dict(os.environ)
    wait_for(ProcessLauncher(2, note, tmp_path))
    share = max(1, torch.get_num_threads() // 2)
    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text() == f"2 {share} True"
    assert dict(os.environ) == before


def test_an_error_of_one_ends_all_and_is_raised(tmp_path: Path):
    with pytest.raises(MissingExtraError, match="to fail needs packages"):
        wait_for(ProcessLauncher(2, fail, tmp_path))


def test_a_member_that_dies_is_said(tmp_path: Path):
    with pytest.raises(OptionError, match=r"a process of 2 died \(exit codes \[-9, 9\]\)"):
        wait_for(ProcessLauncher(2, die, tmp_path))


def test_no_processes_are_refused():
    with pytest.raises(OptionError, match="processes is 0, expected 1 or more"):
        ProcessLauncher(0, note)


def train_command(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`unigeoseg train smoke` with a tiny network in two processes."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "unigeoseg.cli", "train", "smoke", "--processes", "2"),
            *("--data", str(folder / "shards"), "--start", str(folder / "tiny")),
            *("-o", str(folder / "run"), "--set", "batch.sizes=(64,)", *words),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_run_of_two_is_stopped_and_goes_on(tmp_path: Path):
    save_tiny(tmp_path / "tiny")
    sets.write_shards(tmp_path, images=12)
    long = ("--set", "steps=4000", "--set", "save_every=4000", "--set", "validation_batches=0")
    running = train_command(tmp_path, *long)
    deadline = time.monotonic() + 120
    while not _rows(tmp_path / "run") and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.2)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert said.count("stopped at step") == 1, said
    stopped = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"]
    assert 10 <= stopped < 4000

    alone = Trainer(tiny_network(), tiny_processor(), replace(smoke_recipe(), model=tiny_config()))
    with pytest.raises(CheckpointError, match="of 2 processes, expected 1: go on with --proc"):
        alone.resume(tmp_path / "run")

    last = stopped + 12
    again = train_command(tmp_path, *long, "--set", f"steps={last}", "--resume")
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    rows = read_metrics_log(tmp_path / "run")
    counts = Counter((step, name) for step, name, _ in rows)
    assert set(counts.values()) == {1}
    assert max(step for step, _, _ in rows) == last - last % 10
    seen = {step: value for step, name, value in rows if name == "prompts"}
    assert seen[20] - seen[10] == 10 * 12  # two views of six prompts, whoever has them
    assert (tmp_path / "run" / "model" / "config.json").exists()


def _rows(folder: Path) -> list[tuple[int, str, float]]:
    return read_metrics_log(folder) if (folder / "metrics.csv").exists() else []


def test_images_that_cannot_be_shared_end_the_run(tmp_path: Path):
    save_tiny(tmp_path / "tiny")
    sets.write_shards(tmp_path, images=12)
    run = train_command(tmp_path, "--set", "batch.images=3", "--set", "validation_batches=0")
    _, said = run.communicate(timeout=120)
    assert run.returncode != 0 and "Traceback" not in said
    assert "3 images a step cannot be shared by 2 processes" in said
