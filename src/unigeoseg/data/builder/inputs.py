"""Inputs of a build: the sources that can be read and their images; nothing is decoded."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.data.ledger import Rejection, RejectionHandler
from unigeoseg.data.sources.catalog import CATALOG
from unigeoseg.data.sources.readers import ImageItem, declared_source, open_labelled_source
from unigeoseg.data.sources.readers.reading import replace_directory
from unigeoseg.data.sources.readers.walk import paths_below
from unigeoseg.data.sources.source import Source
from unigeoseg.errors import DataError, OptionError

Place = tuple[Source | None, Path]
"""A source and the directory of its files; None where the directory declares its source."""

_LABELS = frozenset((".csv", ".geojson", ".json", ".p", ".txt", ".xml"))
_LABEL_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Input:
    """A source that can be read.

    Attributes:
        source: Its row.
        directory: Where its files are.
        items: Its images.
    """

    source: Source
    directory: Path
    items: tuple[ImageItem, ...]

    @property
    def digests(self) -> dict[str, str | int]:
        """Digests that are equal for two builds of the same input.

        They are the number of items, a digest of the source's row, and one of its files: of the
        names and sizes of all that are not hidden, and of the content of labels and texts up to
        1 MiB. The content of larger files is not read: that would take as long as the build, and
        their times differ in a copy.
        """
        row = hashlib.sha256(repr(self.source).encode()).hexdigest()
        return {"items": len(self.items), "row": row, "files": _digest(self.directory)}


def open_inputs(places: Iterable[Place], reject: RejectionHandler) -> list[Input]:
    """The sources that can be read, by name.

    Args:
        places: Where they are.
        reject: Takes note of those that cannot be read.

    Raises:
        DataError: If none can be read.
        OptionError: If two have one name, or one has a name of the catalogue and another licence.
    """
    inputs, reasons = [], []
    for source, path in places:
        directory = Path(os.path.abspath(path))  # not resolved: links keep their names
        try:
            inputs.append(_open_input(source, directory))
        except DataError as error:
            reasons.append(_message_with_directory(error, directory))
            reject(unreadable(source.name if source else directory.name, "", error, directory))
    if not inputs:
        raise DataError(
            f"nothing can be read: {reasons[0]}"
            if reasons
            else "no image was found; give directories of labelled imagery"
        )
    _check_names([entry.source for entry in inputs])
    return sorted(inputs, key=lambda entry: entry.source.name)


def unreadable(name: str, key: str, error: Exception, directory: Path) -> Rejection:
    """The rejection of a source, or of an image of it, that cannot be read.

    The directory is named by its last part, so that the ledger is the same on every machine.
    """
    detail = replace_directory(_message_with_directory(error, directory), directory, directory.name)
    return Rejection("read", "unreadable_source", name, key, detail)


def _message_with_directory(error: Exception, directory: Path) -> str:
    message = str(error)
    return message if str(directory) in message else f"{directory}: {message}"


def _open_input(source: Source | None, directory: Path) -> Input:
    try:
        if not directory.is_dir():
            raise DataError(f"{directory} is not a directory; give the folder of a source")
        row = source or declared_source(directory)
        return Input(
            row, directory, tuple(open_labelled_source(row, directory, _ignore_rejection).items)
        )
    except OSError as error:
        raise DataError(f"{directory} cannot be read: {error}") from error


def _ignore_rejection(_: Rejection) -> None:
    """Unknown classes are noted by the first unit of a source."""


def _check_names(sources: Sequence[Source]) -> None:
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            raise OptionError(f"two sources are called {source.name!r}; rename one of them")
        catalogued = CATALOG.get(source.name, source)
        if source.licence != catalogued.licence:
            raise OptionError(
                f"{source.name} states the licence {source.licence!r}, the catalogue's "
                f"{source.name} {catalogued.licence!r}; give it another name, or the catalogue's "
                "licence"
            )


def _digest(directory: Path) -> str:
    """SHA-256 of what `Input.digests` says of the files below a directory."""
    digest = hashlib.sha256()
    for name in paths_below(directory):
        path = directory / name
        try:
            size = path.stat().st_size
            small = size <= _LABEL_BYTES and path.suffix.lower() in _LABELS
            content = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        except OSError as error:
            size, content = -1, type(error).__name__  # a link that leads nowhere, say
        digest.update(f"{name}\0{size}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
