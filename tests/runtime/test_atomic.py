"""Files and directories that appear whole or not at all, whatever interrupts their writing."""

import multiprocessing
import os
from pathlib import Path

import pytest
from disk import space

from unigeoseg.errors import (
    DataError,
    OptionError,
    OutputExistsError,
    OutputUnwritableError,
)
from unigeoseg.runtime.atomic import (
    append_lines,
    atomic_directory,
    atomic_file,
    exclusive_directory,
    file_sha256,
    read_json,
    remove_cut_line,
    remove_leftovers,
    temporary_path,
    write_bytes,
    write_json,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old" and temporary.suffix == ".txt"
    assert path.read_text() == "new" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_broken_write_leaves_the_old_file_and_passes_on_what_is_not_translated(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_errors_to_translate_and_the_remedy_are_data(tmp_path):
    path = tmp_path / "a.txt"
    with (
        pytest.raises(OutputUnwritableError, match=r"a\.txt was not written: no; look elsewhere$"),
        atomic_file(path, errors=(OSError, RuntimeError), remedy="look elsewhere"),
    ):
        raise RuntimeError("no")


def test_a_full_disk_is_an_output_error(tmp_path):
    with space(100), pytest.raises(OutputUnwritableError, match="check the directory and the free"):
        write_bytes(tmp_path / "new" / "a.bin", bytes(1000))
    assert names(tmp_path / "new") == []
    write_bytes(tmp_path / "new" / "a.bin", bytes(1000))
    assert (tmp_path / "new" / "a.bin").stat().st_size == 1000


def test_directories_above_are_made_only_where_that_is_asked_for(tmp_path):
    with pytest.raises(OutputUnwritableError), atomic_file(tmp_path / "b" / "a") as temporary:
        temporary.touch()
    with atomic_file(tmp_path / "b" / "a", parents=True) as temporary:
        temporary.touch()
    assert names(tmp_path / "b") == ["a"]


def test_companions_of_a_file_go_with_it(tmp_path):
    path = tmp_path / "a.v2.shp"
    for broken in (True, False):
        try:
            with atomic_file(path, companions=True) as temporary:
                for suffix in (".shp", ".dbf", ".shp.xml"):
                    temporary.with_suffix(suffix).write_text(suffix)
                assert not broken
        except AssertionError:
            assert names(tmp_path) == []
    assert names(tmp_path) == ["a.v2.dbf", "a.v2.shp", "a.v2.shp.xml"]


@pytest.mark.parametrize("name", ["x" * 255, "字" * 85, "x." + "y" * 253, ".tif", "[a]*?.tif"])
def test_any_name_that_the_system_takes_can_be_written(tmp_path, name):
    write_bytes(tmp_path / name, b"content")
    assert names(tmp_path) == [name]


def test_leftovers_of_one_name_or_of_all_are_removed(tmp_path):
    mine, other = tmp_path / "[a].tif", tmp_path / "b.tif"
    temporary_path(mine).touch()
    temporary_path(mine).with_suffix(".tif.aux").touch()
    temporary_path(mine).mkdir()
    (kept := temporary_path(other)).touch()
    (tmp_path / "[a].dbf").touch()
    remove_leftovers(tmp_path, mine.name)
    assert names(tmp_path) == sorted([kept.name, "[a].dbf"])
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "not there")
    assert names(tmp_path) == ["[a].dbf"]


def test_a_sole_writer_removes_what_a_killed_process_left(tmp_path):
    path = tmp_path / "a"
    for sole in (False, True):
        (stale := temporary_path(path)).mkdir()
        with atomic_directory(path, sole_writer=sole):
            assert stale.exists() is not sole
        path.rmdir()
    temporary_path(path).touch()
    with atomic_file(path, sole_writer=True) as temporary:
        temporary.touch()
    assert names(tmp_path) == ["a"]


def test_a_directory_appears_when_all_is_in_it(tmp_path):
    path = tmp_path / "new" / "out"
    with pytest.raises(KeyboardInterrupt), atomic_directory(path) as folder:
        (folder / "a").touch()
        raise KeyboardInterrupt
    assert names(path.parent) == []
    with atomic_directory(path) as folder:
        (folder / "a").touch()
        assert not path.exists()
    assert names(path) == ["a"] and names(path.parent) == ["out"]


def test_what_is_there_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    os.symlink(tmp_path / "nowhere", tmp_path / "link")
    for name in ("empty", "link"):
        with pytest.raises(OutputExistsError, match="name of a new directory"):
            atomic_directory(tmp_path / name).__enter__()


def test_an_empty_directory_may_be_replaced_also_behind_a_link(tmp_path):
    (tmp_path / "empty").mkdir()
    os.symlink(tmp_path / "empty", tmp_path / "link")
    with atomic_directory(tmp_path / "link", existing="replace_empty") as folder:
        (folder / "a").touch()
    assert names(tmp_path / "empty") == ["a"] and (tmp_path / "link").is_symlink()
    with pytest.raises(OutputExistsError, match="not empty"):
        atomic_directory(tmp_path / "link", existing="replace_empty").__enter__()


def test_a_directory_that_another_made_meanwhile_may_be_kept(tmp_path):
    path = tmp_path / "out"
    with atomic_directory(path, existing="keep") as folder:
        (folder / "mine").touch()
        with atomic_directory(path, existing="keep") as faster:
            (faster / "theirs").touch()
    assert names(path) == ["theirs"] and names(tmp_path) == ["out"]


def test_lines_are_appended_after_one_that_was_cut_short(tmp_path):
    path = tmp_path / "lines"
    append_lines(path, [])
    assert path.read_bytes() == b""
    append_lines(path, ["one", "zwölf"])
    assert path.read_bytes() == "one\nzwölf\n".encode()
    path.write_bytes("one\nzw\u00f6".encode()[:-1])
    append_lines(path, ["three"])
    assert path.read_bytes() == b"one\nzw\xc3\nthree\n"
    with pytest.raises(OutputUnwritableError):
        append_lines(tmp_path / "no" / "lines", ["one"])


@pytest.mark.parametrize(
    ("content", "whole"), [(b"", b""), (b"a", b""), (b"a\nb", b"a\n"), (b"a\nb\n", b"a\nb\n")]
)
def test_a_cut_line_can_be_removed(tmp_path, content, whole):
    path = tmp_path / "lines"
    path.write_bytes(content)
    remove_cut_line(path)
    assert path.read_bytes() == whole


def test_json_is_the_same_bytes_for_the_same_content(tmp_path):
    write_json(tmp_path / "a", {"b": "é", "a": [1]})
    write_json(tmp_path / "b", {"a": [1], "b": "é"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_json(tmp_path / "a") == {"a": [1], "b": "é"}
    assert file_sha256(tmp_path / "a") == file_sha256(tmp_path / "b")


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"\xff"])
def test_json_that_is_no_object_is_a_data_error(tmp_path, content):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(path)


def test_a_file_that_is_missing_has_no_hash(tmp_path):
    with pytest.raises(DataError, match="copy it again"):
        file_sha256(tmp_path / "a")


def test_another_process_is_kept_out_or_waits(tmp_path):
    queue = multiprocessing.get_context("fork").SimpleQueue()

    def second(wait: bool) -> None:
        try:
            with exclusive_directory(tmp_path / "d", wait=wait):
                queue.put("in")
        except OptionError as error:
            queue.put(str(error))

    context = multiprocessing.get_context("fork")
    refused, waiting = (context.Process(target=second, args=(wait,)) for wait in (False, True))
    with exclusive_directory(tmp_path / "d"):
        refused.start()
        assert "another process is at work" in queue.get()
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    assert queue.get() == "in"
    refused.join()
    waiting.join()


def test_a_directory_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritableError), exclusive_directory(tmp_path / "file" / "d"):
        pass
