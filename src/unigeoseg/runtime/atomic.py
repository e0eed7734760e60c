"""Atomic output: files and directories appear whole under their names, or not at all.

Content is written under a temporary name in the same directory and then renamed. A temporary name
is short however long the final one is, begins with a dot, and tells which final name it is for, so
that what a killed process left is found again.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from unigeoseg.errors import (
    DataError,
    OptionError,
    OutputExistsError,
    OutputUnwritableError,
)

Errors = tuple[type[Exception], ...]
Existing = Literal["refuse", "replace_empty", "keep"]

_PREFIX = ".partial"
_DIGITS = 8  # hexadecimal, of the final name's digest and of the random token
_LONGEST_SUFFIX = 32
_CHECK_DISK = "check the directory and the free space"


@contextmanager
def translated_write_errors(
    path: Path, errors: Errors = (OSError,), remedy: str = _CHECK_DISK
) -> Iterator[None]:
    """Turn what libraries raise while a path is written into one error for users.

    Args:
        path: Named in the message.
        errors: What is translated; anything else passes as it is.
        remedy: End of the message: what to do, or what is still there.

    Raises:
        OutputUnwritableError: For each of `errors`.
    """
    try:
        yield
    except errors as error:
        raise OutputUnwritableError(f"{path} was not written: {error}; {remedy}") from error


@contextmanager
def atomic_file(
    path: Path,
    *,
    errors: Errors = (OSError,),
    remedy: str = _CHECK_DISK,
    parents: bool = False,
    companions: bool = False,
    sole_writer: bool = False,
) -> Iterator[Path]:
    """A file that gets its name when it is whole; one of that name is replaced.

    Args:
        path: The file.
        errors: As for `translated_write_errors`.
        remedy: As there.
        parents: Make missing directories above it.
        companions: Move files that only differ from it in their suffix along with it, such as the
            .dbf of a .shp.
        sole_writer: No other process writes this file: what a killed one left of it is removed.

    Yields:
        A temporary path beside it, with the same suffix; removed if the context ends with an error.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    temporary = temporary_path(path)
    try:
        with translated_write_errors(path, errors, remedy):
            if parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            if sole_writer:
                remove_leftovers(path.parent, path.name)
            yield temporary
            for part in _companions(temporary) if companions else []:
                os.replace(part, path.with_name(path.stem + part.name.removeprefix(temporary.stem)))
            os.replace(temporary, path)
    finally:
        for part in [temporary, *(_companions(temporary) if companions else [])]:
            part.unlink(missing_ok=True)


def _companions(temporary: Path) -> list[Path]:
    """Files beside a temporary one of the same stem with other suffixes."""
    if not temporary.parent.is_dir():
        return []
    return [part for part in temporary.parent.glob(f"{temporary.stem}.*") if part != temporary]


@contextmanager
def atomic_directory(
    path: Path,
    *,
    errors: Errors = (OSError,),
    existing: Existing = "refuse",
    sole_writer: bool = False,
) -> Iterator[Path]:
    """A new directory that gets its name when everything is in it.

    Args:
        path: The directory; those above it are made.
        errors: As for `translated_write_errors`.
        existing: What becomes of something of that name: "refuse" it; "replace_empty", an empty
            directory, and refuse all else; or "keep" it and drop the new one.
        sole_writer: No other process makes this directory: what a killed one left is removed.

    Yields:
        A temporary directory beside it, which is removed if the context ends with an error.

    Raises:
        OutputExistsError: If something is there that is refused.
        OutputUnwritableError: If it cannot be made.
    """
    check_new_directory(path, existing)
    # an empty directory may be there by way of a link
    target = path.resolve() if existing == "replace_empty" else path.absolute()
    temporary = temporary_path(target)
    try:
        with translated_write_errors(path, errors):
            if sole_writer:
                remove_leftovers(target.parent, target.name)
            temporary.mkdir(parents=True)
            yield temporary
            if existing == "replace_empty" and target.exists():
                target.rmdir()
            if existing != "keep" or not target.exists():
                temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new_directory(path: Path, existing: Existing = "refuse") -> None:
    """Check, before any work is done, that a directory can be made under a name.

    Args:
        path: The directory.
        existing: As for `atomic_directory`.

    Raises:
        OutputExistsError: If something is there that is refused.
    """
    if existing == "refuse" and os.path.lexists(path):
        raise OutputExistsError(f"{path} exists; give the name of a new directory")
    if existing == "replace_empty" and path.exists() and not _is_empty_directory(path):
        raise OutputExistsError(
            f"{path} is there and is not empty: remove it or name another directory"
        )


def _is_empty_directory(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def temporary_path(path: Path) -> Path:
    """A new temporary name beside a path, with the path's suffix, by which drivers go."""
    suffix = path.suffix if len(path.suffix) <= _LONGEST_SUFFIX else ""
    return path.with_name(f"{_stem(path.name)}-{uuid.uuid4().hex[:_DIGITS]}{suffix}")


def remove_leftovers(directory: Path, name: str | None = None) -> None:
    """Remove temporary files and directories that killed processes have left.

    Args:
        directory: Where they are; no other process may be writing there, or to that name.
        name: Only those for this final name; None for all.
    """
    pattern = f"{_PREFIX}-*" if name is None else f"{_stem(name)}-*"
    for path in list(directory.glob(pattern)) if directory.is_dir() else []:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _stem(name: str) -> str:
    """Prefix and digest: the part that temporary names for one final name share."""
    return f"{_PREFIX}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGITS]}"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, and make the directories above it.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    with atomic_file(path, parents=True) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: object) -> None:
    """Write JSON that is the same bytes for the same content; see `write_bytes`."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        DataError: If the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, expected an object")
    return content


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append lines that are on the disk when this returns.

    A last line that a killed process cut short is ended first, and so stays apart from the new
    ones; `remove_cut_line` takes it away.

    Args:
        path: The file; made if it is not there.
        lines: Without their ends.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    content = "".join(f"{line}\n" for line in lines).encode("utf-8")
    with translated_write_errors(path), path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            content = content if file.read(1) == b"\n" else b"\n" + content
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def remove_cut_line(path: Path) -> None:
    """Remove a last line without its end, which a killed process has left.

    Raises:
        OutputUnwritableError: If the file cannot be changed.
    """
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        with translated_write_errors(path), path.open("r+b") as file:
            file.truncate(end)


@contextmanager
def exclusive_directory(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Make a directory and keep other processes that ask the same out of it meanwhile.

    The lock is the system's (flock, where there is one), on the file `.lock` that stays: it ends
    with the process, however that ends.

    Args:
        directory: The directory.
        wait: Wait for a process that is in it, instead of an error.

    Raises:
        OptionError: If another process is in it, unless this one waits.
        OutputUnwritableError: If it cannot be made or written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(directory / ".lock")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=wait)
    except Timeout as error:
        raise OptionError(
            f"another process is at work in {directory}; wait for it, or give another directory"
        ) from error
    except OSError as error:
        raise OutputUnwritableError(
            f"{directory} cannot be written: {error}; check the directory"
        ) from error
    try:
        yield
    finally:
        lock.release()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; copy it again") from error
