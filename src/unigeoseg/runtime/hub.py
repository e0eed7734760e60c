"""Files of a repository on the Hugging Face hub, in the hub's own cache, verified.

`huggingface_hub` does the transfer and reads the environment (HF_HOME, HF_HUB_CACHE, HF_ENDPOINT,
HF_HUB_OFFLINE, HF_TOKEN). Here is what it leaves open: whether there is room, whether what came is
what the hub states, and one line for each thing that goes wrong.
"""

import glob
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from re import fullmatch
from types import ModuleType
from typing import Literal

from unigeoseg.errors import (
    HubAccessError,
    HubDamagedError,
    HubError,
    HubNotFoundError,
    HubUnreachableError,
    MissingExtraError,
    OutputUnwritableError,
    UniGeoSegError,
)
from unigeoseg.runtime.atomic import file_sha256

Kind = Literal["model", "dataset"]

log = logging.getLogger(__name__)
"""Says, at level INFO, what is being done while a user waits."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file as the hub states it; `sha256` of those in large file storage."""

    name: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Listing:
    """One state of a repository."""

    repo_id: str
    kind: Kind
    commit: str
    files: tuple[_File, ...]

    def __str__(self) -> str:
        return f"the {self.kind} {self.repo_id} at {self.commit[:8]}"


def fetch(repo_id: str, *, kind: Kind, patterns: Sequence[str], revision: str = "main") -> Path:
    """Bring files of a repository to this machine; those that are there stay.

    Args:
        repo_id: "owner/name".
        kind: What the repository is.
        patterns: Names and wildcards of files, "*" matching "/" too. A name must be there, a
            wildcard may match nothing.
        revision: A branch, a tag or a commit.

    Returns:
        A directory of the hub's cache whose name is the commit; it may hold other files too. If
        the hub cannot be reached, what an earlier call left there, if that is complete.

    Raises:
        MissingExtraError: If `huggingface_hub` is not installed.
        HubUnreachableError: If there is no network, or the transfer broke off.
        HubNotFoundError: If there is no such repository, revision or file.
        HubAccessError: If the hub does not let this user in.
        HubDamagedError: If a file is not what the hub states; it is removed.
        OutputUnwritableError: If the disk is full or the cache cannot be written.
    """
    try:
        listing = _listed(repo_id, kind, revision)
    except HubUnreachableError as error:
        return _cached(repo_id, kind, patterns, revision, error)
    selected = _selected(listing, patterns)
    missing = _not_cached(listing, selected)
    if missing:
        size = sum(file.size for file in missing)
        check_space(cache_directory(), size, f"{len(missing)} files of {listing}")
        log.info("fetching %d files of %s, %s", len(missing), listing, megabytes(size))
    directory = _transfer(listing, revision, selected)
    log.info("verifying %d files", len(selected))
    _verify(directory, selected)
    return directory


def repository_page(repo_id: str) -> str:
    """Where a person finds the files of a model."""
    return f"{_library().constants.ENDPOINT}/{repo_id}/tree/main"


def home_directory() -> Path:
    """The directory of HF_HOME.

    Raises:
        MissingExtraError: If `huggingface_hub` is not installed.
    """
    return Path(_library().constants.HF_HOME)


def cache_directory() -> Path:
    """The directory of HF_HUB_CACHE, below HF_HOME unless it is set."""
    return Path(_library().constants.HF_HUB_CACHE)


def check_space(directory: Path, size: int, content: str) -> None:
    """Check that `size` more bytes fit where `directory` is or will be.

    Args:
        directory: It need not exist.
        size: In bytes.
        content: Names what needs them, in the plural, for the message.

    Raises:
        OutputUnwritableError: If they do not.
    """
    ancestors = (directory, *directory.absolute().parents)
    existing = next(path for path in ancestors if path.exists())
    free = shutil.disk_usage(existing).free
    if size > free:
        raise OutputUnwritableError(
            f"{content} need {megabytes(size)}, {existing} has {megabytes(free)} free: make room, "
            "or set HF_HOME to a larger disk"
        )


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 1e6:,.1f} MB"


def _library() -> ModuleType:
    try:
        import huggingface_hub.constants
    except ImportError as error:
        raise MissingExtraError("the hub", "base") from error
    return huggingface_hub


def _listed(repo_id: str, kind: Kind, revision: str) -> _Listing:
    """What the hub states about a repository; refused if it could lead outside the cache."""
    try:
        info = (
            _library()
            .HfApi()
            .repo_info(repo_id, repo_type=kind, revision=revision, files_metadata=True)
        )
        commit, files = str(info.sha), tuple(map(_file, info.siblings or ()))
    except UniGeoSegError:
        raise
    except Exception as error:  # the library lets its HTTP client's errors and odd answers through
        raise _translated(error, f"the {kind} {repo_id} at revision {revision}") from error
    unsafe = [file.name for file in files if not _is_safe(file.name)]
    if unsafe or not fullmatch("[0-9a-f]{40}", commit):
        raise HubDamagedError(
            f"what the hub states about {repo_id} cannot be trusted, such as the name "
            f"{(unsafe or [commit])[0]!r}: check HF_ENDPOINT"
        )
    return _Listing(repo_id, kind, commit, files)


def _file(sibling: object) -> _File:
    name, size, lfs = (getattr(sibling, key) for key in ("rfilename", "size", "lfs"))
    return _File(str(name), int(size), str(lfs.sha256) if lfs else None)


def _is_safe(name: str) -> bool:
    """Whether a name, read as a path by any system, stays below the directory it is put in."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts or not path.parts:
            return False
    return "\0" not in name


def _selected(listing: _Listing, patterns: Sequence[str]) -> tuple[_File, ...]:
    names = {file.name for file in listing.files}
    absent = [name for name in _plain_names(patterns) if name not in names]
    if absent:
        raise HubNotFoundError(f"{listing} has no {', '.join(absent)}")
    return tuple(
        file
        for file in listing.files
        if any(fnmatchcase(file.name, pattern) for pattern in patterns)
    )


def _plain_names(patterns: Sequence[str]) -> list[str]:
    """Those patterns that are names, without wildcards."""
    return [pattern for pattern in patterns if not set(pattern) & set("*?[")]


def _not_cached(listing: _Listing, files: Iterable[_File]) -> tuple[_File, ...]:
    find = _library().try_to_load_from_cache
    return tuple(
        file
        for file in files
        if not isinstance(
            find(
                listing.repo_id,
                file.name,
                cache_dir=cache_directory(),
                revision=listing.commit,
                repo_type=listing.kind,
            ),
            str,
        )
    )


def _transfer(listing: _Listing, revision: str, files: Iterable[_File]) -> Path:
    try:
        path = _library().snapshot_download(
            listing.repo_id,
            repo_type=listing.kind,
            revision=revision,
            allow_patterns=[glob.escape(file.name) for file in files],
        )
    except Exception as error:  # as above
        raise _translated(error, str(listing)) from error
    if Path(path).name != listing.commit:
        raise HubError(f"{listing} was replaced by another state meanwhile: run it again")
    return Path(path)


def _verify(directory: Path, files: Iterable[_File]) -> None:
    """Check sizes and SHA-256; what differs is removed, so that it is fetched anew."""
    wrong = []
    for file in files:
        path = directory / file.name
        problem = _difference(path, file)
        if problem:
            wrong.append(f"{file.name} {problem}")
            blob = path.resolve()
            path.unlink(missing_ok=True)
            blob.unlink(missing_ok=True)
    if wrong:
        raise HubDamagedError(
            f"{'; '.join(wrong)}: removed, run it again; if it comes back, check HF_ENDPOINT and "
            "what stands between"
        )


def _difference(path: Path, file: _File) -> str | None:
    if not path.is_file():
        return "did not come"
    size = path.stat().st_size
    if size != file.size:
        return f"has {size} bytes, the hub states {file.size}"
    if file.sha256 is None:
        return None
    digest = file_sha256(path)
    return None if digest == file.sha256 else f"has SHA-256 {digest}, the hub states {file.sha256}"


def _cached(
    repo_id: str, kind: Kind, patterns: Sequence[str], revision: str, reason: HubUnreachableError
) -> Path:
    """What an earlier transfer left, or `reason`."""
    try:
        path = _library().snapshot_download(
            repo_id,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(patterns),
            local_files_only=True,
        )
    except (OSError, ValueError):
        raise reason from None
    absent = [name for name in _plain_names(patterns) if not (Path(path) / name).is_file()]
    if absent:
        raise HubNotFoundError(f"{path} has no {', '.join(absent)}, and {reason}") from reason
    return Path(path)


def _translated(error: Exception, target: str) -> UniGeoSegError:
    """The error of ours for one of the library's or its HTTP client's."""
    from huggingface_hub.errors import HFValidationError

    status = getattr(getattr(error, "response", None), "status_code", None)
    why = " ".join(f"{type(error).__name__}: {error}".split())
    if status in (401, 403):
        return HubAccessError(
            f"the hub gives no access to {target} ({status}): the name is wrong, or it is private "
            "or gated; check the name, ask for access on its page, and log in with `hf auth login`"
        )
    if status == 404:
        return HubNotFoundError(f"the hub does not have {target} ({status}): check the name")
    if isinstance(error, HFValidationError):
        return HubNotFoundError(f"the hub has no such names: {why}")
    disk = isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
    if disk and status is None and getattr(error, "errno", None):
        return OutputUnwritableError(f"{target} cannot be stored in {cache_directory()}: {why}")
    return HubUnreachableError(
        f"{target} could not be fetched ({why}): check the network and run it again; files that "
        "arrived whole are kept"
    )
