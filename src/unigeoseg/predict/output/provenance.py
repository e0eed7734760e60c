"""What made a result: the model, its weights, the scene and how it was shown."""

import datetime
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from unigeoseg.geo.stretch import Stretch
from unigeoseg.model.io.checkpoint import FILES
from unigeoseg.runtime.atomic import file_sha256

_HASH_DIGITS = 16


def today() -> str:
    """The date in UTC, such as "2026-11-30"."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result.

    Attributes:
        model: Name of the model; None where it is not known.
        directory: Of the model's files; None for a network that was made in memory.
        source: Name of the scene.
        stretch: How values of the scene became 8 bits.
        date: When, UTC.
    """

    model: str | None = None
    directory: Path | None = None
    source: str | None = None
    stretch: Stretch | None = None
    date: str = field(default_factory=today)

    @property
    def weights(self) -> str | None:
        """See `weights_hash`; the files are read when it is first wanted."""
        return None if self.directory is None else weights_hash(self.directory)


def weights_hash(directory: Path) -> str:
    """A short hash of what a model's files hold, the same wherever and whenever they lie.

    A file that is not there is left for the loading of the model to report.

    Args:
        directory: Of a model.

    Returns:
        16 hexadecimal digits of SHA-256.

    Raises:
        DataError: If a file cannot be read.
    """
    paths = [directory / name for name in FILES]
    return _files_hash(tuple((path, *_size_and_time(path)) for path in paths))


def _size_and_time(path: Path) -> tuple[int, int]:
    """What changes with a file's content; -1 where there is no file."""
    if not path.is_file():
        return -1, -1
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=8)
def _files_hash(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Gigabytes of Base are read once for the manifest of a batch and its results."""
    digests = [file_sha256(path) if size >= 0 else "" for path, size, _ in files]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:_HASH_DIGITS]
