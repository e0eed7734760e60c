"""Files and directories that are there whole or not at all, and who writes beside them."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unigeoseg.errors import (
    DataError,
    OptionError,
    OutputExistsError,
    OutputUnwritableError,
)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A new directory that gets its name when everything is in it.

    Yields:
        A temporary directory beside it, which is removed if the context ends with an error.

    Raises:
        OutputExistsError: If there is something of that name, be it an empty directory.
        OutputUnwritableError: If it cannot be made.
    """
    target = path.absolute()
    if os.path.lexists(target):
        raise OutputExistsError(f"{path} exists; give the name of a new directory")
    temporary = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.rename(target)
    except OSError as error:
        raise OutputUnwritableError(
            f"{path} was not written: {error}; check the directory and the free space"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in its directory, then move it to its own.

    Raises:
        OutputUnwritableError: If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputUnwritableError(
            f"{path} was not written: {error}; check the directory and the free space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Make a directory and keep other processes that ask the same out of it meanwhile.

    The lock is the system's (flock, where there is one), on the file `.lock` that stays: it ends
    with the process, however that ends.

    Raises:
        OptionError: If another process is in it.
        OutputUnwritableError: If it cannot be made or written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(directory / ".lock")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
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


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; copy it again") from error
