"""Names of models, and models of the hub from a server on this machine."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import tiny_base
import torch
from hub_server import Hub
from networks import save_tiny
from places import SOURCE
from safetensors.torch import save

from unigeoseg.cli import main
from unigeoseg.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    HubAccessError,
    HubDamagedError,
    HubNotFoundError,
    HubUnreachableError,
    OutputExistsError,
    OutputUnwritableError,
)
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.convert import convert_released
from unigeoseg.model.io.store import PUBLISHED, pull_model, weights_directory
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.runtime.atomic import temporary_path

pytest.importorskip("transformers", reason="Base needs the extra 'base'")

INDEX = "model.safetensors.index.json"
PARTS = ("model-1.safetensors", "model-2.safetensors")


@pytest.fixture(scope="module")
def network() -> UniGeoSegNetwork:
    torch.manual_seed(0)
    return UniGeoSegNetwork(tiny_base.config()).eval()


@pytest.fixture(scope="module")
def released(network) -> dict[str, bytes]:
    """A released repository: a slow tokenizer, weights in two parts, and what is not needed."""
    state = tiny_base.released_state(network.state_dict(), fused=True)
    keys = sorted(state)
    halves = dict(zip(PARTS, (keys[::2], keys[1::2]), strict=True))
    parts = {
        name: save({key: state[key].contiguous().clone() for key in chosen})
        for name, chosen in halves.items()
    }
    placed = {key: name for name, chosen in halves.items() for key in chosen}
    vocabulary = tiny_base.tokenizer().get_vocab(with_added_tokens=False)
    texts = {
        "config.json": tiny_base.SETTINGS | {"model_type": "llava_phi"},
        "tokenizer_config.json": {"tokenizer_class": "CodeGenTokenizer"},
        "vocab.json": vocabulary,
        "added_tokens.json": {"<|endoftext|>": 257, "[SEG]": 256},
        INDEX: {"weight_map": placed},
    }
    others = {"merges.txt": b"#version: 0.2\n", "README.md": b"", "optimizer.bin": b"not needed"}
    return {name: json.dumps(value).encode() for name, value in texts.items()} | parts | others


@pytest.fixture
def base(hub, released) -> Hub:
    """The hub with the released model under its published name."""
    hub.path, hub.files = f"models/{PUBLISHED['base']}", dict(released)
    return hub


def place(tmp_path: Path) -> Path:
    return tmp_path / "home" / "unigeoseg" / "nishuo1999--UniGeoSeg"


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in place(tmp_path).glob("*") if path.name != ".lock")


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["unigeoseg", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.mark.usefixtures("processor_kind")
def test_pull_convert_load(base, network, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "pull", "base") == 0
    said = capsys.readouterr().err
    for step in ("fetching", "verifying", "converting", f"base is in {place(tmp_path)}"):
        assert step in said
    assert weights_directory("base") == place(tmp_path) / base.commit
    found, processor = checkpoint.load_model(weights_directory("base"))
    state = network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())
    assert processor.tokenizer.token_to_id("[SEG]") == 256
    assert not {"README.md", "optimizer.bin"} & {name for name, _ in base.gets}
    asked = list(base.gets)
    base.status = 500
    assert run(monkeypatch, "pull", "base") == 0
    assert str(place(tmp_path) / base.commit) in capsys.readouterr().err
    assert base.gets == asked


@pytest.mark.usefixtures("processor_kind")
def test_pull_into_a_directory(base, tmp_path, monkeypatch):
    target = tmp_path / "models" / "mine"
    assert pull_model("base", target) == target
    assert sorted(path.name for path in target.parent.iterdir()) == ["mine"]
    checkpoint.load_model(weights_directory(target))
    base.status = 500
    assert pull_model("base", target) == target
    (tmp_path / "empty").mkdir()
    base.status = 200
    monkeypatch.chdir(tmp_path / "empty")
    checkpoint.load_model(pull_model("base", Path()))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    with pytest.raises(OutputExistsError, match="is there and is not empty"):
        pull_model("base", tmp_path / "taken")


def test_a_run_that_was_cut_goes_on(base, tmp_path):
    base.cut[PARTS[1]], base.broken = 1, {PARTS[1]}
    with pytest.raises(HubUnreachableError, match="run it again"):
        pull_model("base")
    assert not kept(tmp_path)
    base.broken.clear()
    came = [name for name, _ in base.gets]
    assert pull_model("base").name == base.commit
    again = [name for name, _ in base.gets[len(came) :]]
    assert PARTS[1] in again and "vocab.json" not in again
    assert (came + again).count(PARTS[0]) == 1


@pytest.mark.usefixtures("processor_kind")
def test_an_interrupted_conversion_leaves_nothing(base, tmp_path, monkeypatch):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "save_file", stopped)
        pull_model("base")
    assert not kept(tmp_path)
    # one that could not even clean up
    stale = temporary_path(place(tmp_path) / base.commit)
    stale.mkdir()
    (stale / "model.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointNotFoundError, match="unigeoseg pull base"):
        weights_directory("base")
    pull_model("base")
    assert kept(tmp_path) == [base.commit]
    checkpoint.load_model(weights_directory("base"))


def test_wrong_bytes_are_refused(base, tmp_path):
    base.sent[PARTS[0]] = bytes(len(base.files[PARTS[0]]))
    with pytest.raises(HubDamagedError, match=r"model-1\.safetensors has SHA-256"):
        pull_model("base")
    assert not kept(tmp_path)
    base.sent.clear()
    pull_model("base")


def test_a_part_that_the_index_names_and_the_hub_lacks(base):
    del base.files[PARTS[1]]
    with pytest.raises(HubNotFoundError, match=r"has no model-2\.safetensors"):
        pull_model("base")
    assert not {PARTS[0], PARTS[1]} & {name for name, _ in base.gets}


def test_weights_that_are_not_in_the_index(base, tmp_path):
    index = json.loads(base.files[INDEX])
    names = {key: PARTS[0] for key, part in index["weight_map"].items() if part == PARTS[0]}
    base.files[INDEX] = json.dumps({"weight_map": names}).encode()
    with pytest.raises(CheckpointDamagedError):
        pull_model("base")
    assert not kept(tmp_path)


def test_no_room_for_the_model(base, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(1000))
    with pytest.raises(OutputUnwritableError, match="make room"):
        pull_model("base")
    assert not kept(tmp_path)


@pytest.mark.usefixtures("processor_kind")
def test_base_before_it_is_pulled(base, tmp_path):
    with pytest.raises(CheckpointNotFoundError) as raised:
        Segmenter.from_pretrained("base")
    said = str(raised.value)
    assert "run `unigeoseg pull base`" in said
    assert f"{base.url}/nishuo1999/UniGeoSeg/tree/main" in said
    command = f"unigeoseg convert DIR {place(tmp_path) / 'by-hand'}"
    assert command in said and "model.safetensors" in said
    assert not base.gets


def test_base_brought_by_hand(base, released, tmp_path):
    source = tmp_path / "brought"
    source.mkdir()
    for name, content in released.items():
        (source / name).write_bytes(content)
    convert_released(source, place(tmp_path) / "by-hand")
    assert pull_model("base") == weights_directory("base") == place(tmp_path) / "by-hand"
    assert not base.gets


def test_a_released_model_by_its_name_on_the_hub(base):
    directory = weights_directory("nishuo1999/UniGeoSeg")
    assert directory == weights_directory("base")
    base.status = 500
    assert weights_directory("nishuo1999/UniGeoSeg") == directory


@pytest.mark.usefixtures("processor_kind")
def test_a_model_of_ours_on_the_hub(hub, tmp_path):
    made = save_tiny(tmp_path / "ours")
    hub.files = {path.name: path.read_bytes() for path in made.iterdir()}
    Segmenter.from_pretrained("owner/name")
    hub.status = 500
    Segmenter.from_pretrained("owner/name")
    directory = weights_directory("owner/name")
    assert directory == tmp_path / "home" / "unigeoseg" / "owner--name" / hub.commit
    assert all((directory / name).read_bytes() == hub.files[name] for name in hub.files)


def test_a_broken_model_of_ours_is_not_kept(hub, tmp_path):
    hub.files = {path.name: path.read_bytes() for path in save_tiny(tmp_path / "ours").iterdir()}
    hub.files["model.safetensors"] = b"nothing"
    with pytest.raises(CheckpointDamagedError):
        pull_model("owner/name")
    assert [path.name for path in (tmp_path / "home" / "unigeoseg").glob("*/*")] == [".lock"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_repository_without_a_model(hub, content):
    hub.files = {"config.json": content}
    with pytest.raises(CheckpointDamagedError, match="not a model"):
        pull_model("owner/name")


def test_a_cut_transfer_is_no_reason_to_fetch_the_other_form(base):
    base.files["pytorch_model.bin"] = b"large"
    base.cut[PARTS[1]], base.broken = 1, {PARTS[1]}
    with pytest.raises(HubUnreachableError):
        pull_model("base")
    assert "pytorch_model.bin" not in {name for name, _ in base.gets}


def test_the_cache_serves_a_conversion_without_the_hub(base, tmp_path):
    pull_model("base", tmp_path / "first")
    base.status = 503
    assert pull_model("base") == place(tmp_path) / base.commit


@pytest.mark.usefixtures("processor_kind")
def test_weights_in_the_older_form(base, network, tmp_path):
    for name in (INDEX, *PARTS):
        del base.files[name]
    state = tiny_base.released_state(network.state_dict(), fused=True)
    torch.save(state, tmp_path / "weights")
    base.files["pytorch_model.bin"] = (tmp_path / "weights").read_bytes()
    pull_model("base", tmp_path / "first")
    base.status = 503
    loaded, _ = checkpoint.load_model(pull_model("base"))
    expected = network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def test_a_model_of_ours_without_its_tokenizer(hub, tmp_path):
    hub.files = {path.name: path.read_bytes() for path in save_tiny(tmp_path / "ours").iterdir()}
    del hub.files["tokenizer.json"]
    with pytest.raises(HubNotFoundError, match=r"has no tokenizer\.json"):
        pull_model("owner/name")


def test_a_released_model_without_weights(base):
    for name in (INDEX, *PARTS):
        del base.files[name]
    with pytest.raises(HubNotFoundError, match=r"has no model\.safetensors"):
        pull_model("base")


def test_a_name_that_is_nothing(hub):
    with pytest.raises(HubNotFoundError, match="is not a directory, and on the hub"):
        weights_directory("runs/modle")
    hub.status = 401
    with pytest.raises(HubAccessError, match="is not a directory, and on the hub"):
        weights_directory("runs/modle")
    for name in ("modle", "./runs/modle", "a/b/c", "../b", "a--b/c", Path("runs/modle")):
        with pytest.raises(CheckpointNotFoundError, match="neither a model of ours"):
            weights_directory(name)
    with pytest.raises(CheckpointNotFoundError, match="can not be pulled"):
        pull_model("nano")


def test_a_directory_comes_before_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("owner/name").mkdir(parents=True)
    assert weights_directory("owner/name") == Path("owner/name")
    assert not hub.gets


def test_offline_without_the_model(hub, tmp_path):
    """The message and the exit code of a real process that is told to stay offline."""
    found = subprocess.run(
        [sys.executable, "-m", "unigeoseg.cli", "pull", "base"],
        env=os.environ
        | {"PYTHONPATH": str(SOURCE)}
        | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "h"), "HF_ENDPOINT": hub.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "OfflineModeIsEnabled" in found.stderr
    command = f"unigeoseg convert DIR {tmp_path / 'h' / 'unigeoseg'}/nishuo1999--UniGeoSeg/by-hand"
    assert f"{hub.url}/nishuo1999/UniGeoSeg/tree/main" in found.stderr and command in found.stderr
    assert not (tmp_path / "h" / "unigeoseg").exists()
