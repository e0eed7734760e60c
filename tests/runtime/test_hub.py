"""The transfer from the hub, against a server on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import Hub
from places import SOURCE

from unigeoseg.errors import (
    HubAccessError,
    HubDamagedError,
    HubNotFoundError,
    HubUnreachableError,
    OutputUnwritableError,
)
from unigeoseg.runtime.hub import (
    cache_directory,
    check_space,
    fetch,
    home_directory,
    repository_page,
)

ALL = ("config.json", "*.bin")


def blobs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home" / "hub").glob("*/blobs/*"))


def starts(hub: Hub, name: str) -> list[int]:
    return [start for each, start in hub.gets if each == name]


def test_only_what_is_asked_for_comes_and_stays(hub, tmp_path):
    directory = fetch("owner/name", kind="model", patterns=["config.json", "*-1.bin", "*.txt"])
    assert directory.name == hub.commit
    assert directory.is_relative_to(tmp_path / "home" / "hub")
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "part-1.bin"]
    assert (directory / "part-1.bin").read_bytes() == hub.files["part-1.bin"]
    fetch("owner/name", kind="model", patterns=ALL, revision=hub.commit)
    assert sorted(hub.gets) == [("config.json", 0), ("part-1.bin", 0), ("part-2.bin", 0)]


def test_wildcards_that_match_nothing_bring_nothing(hub):
    fetch("owner/name", kind="model", patterns=["*.txt"])
    assert not hub.gets


def test_a_dataset_with_folders(hub):
    hub.path, hub.files = "datasets/owner/name", {"test/[a] b.bin": b"pixels", "more": b""}
    directory = fetch("owner/name", kind="dataset", patterns=["test/*"])
    assert (directory / "test" / "[a] b.bin").read_bytes() == b"pixels"
    assert not (directory / "more").exists()


def test_a_cut_transfer_goes_on_where_it_was_cut(hub, monkeypatch):
    # what arrived is kept in pieces of this size
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)
    hub.cut["part-1.bin"] = 1
    directory = fetch("owner/name", kind="model", patterns=ALL)
    assert (directory / "part-1.bin").read_bytes() == hub.files["part-1.bin"]
    assert starts(hub, "part-1.bin") == [0, 1500]


def test_a_second_run_keeps_the_files_that_arrived(hub, tmp_path):
    hub.cut["part-2.bin"], hub.broken = 1, {"part-2.bin"}
    fetch("owner/name", kind="model", patterns=["config.json", "part-1.bin"])
    with pytest.raises(HubUnreachableError, match="run it again"):
        fetch("owner/name", kind="model", patterns=ALL)
    assert len(blobs(tmp_path)) == 2
    hub.broken.clear()
    directory = fetch("owner/name", kind="model", patterns=ALL)
    assert (directory / "part-2.bin").read_bytes() == hub.files["part-2.bin"]
    assert starts(hub, "part-1.bin") == [0]


@pytest.mark.parametrize("size", [3000, 2000])
def test_what_differs_is_refused_and_fetched_anew(hub, tmp_path, size):
    hub.sent["part-1.bin"] = b"x" * size
    with pytest.raises((HubDamagedError, HubUnreachableError), match=r"SHA-256|size 3000"):
        fetch("owner/name", kind="model", patterns=ALL)
    names = {path.name for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert "part-1.bin" not in names
    hub.sent.clear()
    directory = fetch("owner/name", kind="model", patterns=ALL)
    assert (directory / "part-1.bin").read_bytes() == hub.files["part-1.bin"]
    assert starts(hub, "part-2.bin") in ([0], [0, 0])


def test_a_file_changed_in_the_cache_is_refused(hub):
    directory = fetch("owner/name", kind="model", patterns=ALL)
    (directory / "part-1.bin").write_bytes(b"short")
    with pytest.raises(HubDamagedError, match="has 5 bytes, the hub states 3000"):
        fetch("owner/name", kind="model", patterns=ALL)
    fetch("owner/name", kind="model", patterns=ALL)
    assert starts(hub, "part-1.bin") == [0, 0]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, HubAccessError), (403, HubAccessError), (404, HubNotFoundError)],
)
def test_refusals_of_the_hub(hub, status, kind):
    hub.status = status
    with pytest.raises(kind, match=str(status)):
        fetch("owner/name", kind="model", patterns=ALL)


def test_what_the_hub_does_not_have(hub):
    with pytest.raises(HubNotFoundError, match="check the name"):
        fetch("owner/other", kind="model", patterns=ALL)
    with pytest.raises(HubNotFoundError, match="at revision v9"):
        fetch("owner/name", kind="model", patterns=ALL, revision="v9")
    with pytest.raises(HubNotFoundError, match=r"has no part-3\.bin"):
        fetch("owner/name", kind="model", patterns=["config.json", "part-3.bin"])
    with pytest.raises(HubNotFoundError, match="no such names"):
        fetch("a/b/c", kind="model", patterns=ALL)
    assert not hub.gets


@pytest.mark.parametrize(
    "name", ["../../x.bin", "/x.bin", "a/../../x.bin", "..\\x.bin", "C:\\x.bin", "C:x.bin", ""]
)
def test_names_that_lead_elsewhere_are_refused(hub, tmp_path, name):
    hub.listed = (name,)
    with pytest.raises(HubDamagedError, match="cannot be trusted"):
        fetch("owner/name", kind="model", patterns=ALL)
    assert not hub.gets
    assert not (tmp_path / "home").exists()


def test_a_commit_that_leads_elsewhere_is_refused(hub):
    hub.commit = "../../../x"
    with pytest.raises(HubDamagedError, match="cannot be trusted"):
        fetch("owner/name", kind="model", patterns=ALL)


def test_a_full_disk_is_told_before_the_transfer(hub, tmp_path):
    with pytest.raises(OutputUnwritableError, match="make room"):
        check_space(tmp_path / "not" / "yet", 10**18, "everything")
    check_space(tmp_path, 1, "a byte")


def test_a_cache_that_cannot_be_written(hub, tmp_path):
    (tmp_path / "home").write_text("a file, not a directory")
    with pytest.raises(OutputUnwritableError, match="cannot be stored"):
        fetch("owner/name", kind="model", patterns=ALL)


def test_without_the_hub_the_cache_serves(hub, monkeypatch):
    directory = fetch("owner/name", kind="model", patterns=["config.json", "part-1.bin"])
    hub.status = 503
    asked = ["config.json", "*-1.bin"]
    assert fetch("owner/name", kind="model", patterns=asked) == directory
    with pytest.raises(HubUnreachableError):
        fetch("owner/name", kind="model", patterns=["part-2.bin"])


def test_places(hub, tmp_path):
    assert home_directory() == tmp_path / "home"
    assert cache_directory() == tmp_path / "home" / "hub"
    assert repository_page("owner/name") == f"{hub.url}/owner/name/tree/main"


def fetch_in_a_process(**environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from unigeoseg.runtime.hub import fetch;"
        "print(fetch('owner/name', kind='model', patterns=['config.json']))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"PYTHONPATH": str(SOURCE), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_is_honoured(hub, tmp_path):
    place = {"HF_HOME": str(tmp_path / "elsewhere"), "HF_ENDPOINT": hub.url}
    offline = fetch_in_a_process(**place, HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    assert "HubUnreachableError" in offline.stderr and not hub.gets
    online = fetch_in_a_process(**place)
    assert online.returncode == 0, online.stderr
    assert Path(online.stdout.strip()).is_relative_to(tmp_path / "elsewhere" / "hub")
    again = fetch_in_a_process(**place, HF_HUB_OFFLINE="1")
    assert again.stdout == online.stdout
