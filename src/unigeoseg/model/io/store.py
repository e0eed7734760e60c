"""The model store: which directory a name means, and how a hub's model becomes a directory.

Models of the hub are kept below HF_HOME, converted, as `unigeoseg/<owner>--<name>/<commit>`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from importlib import resources
from os import PathLike
from pathlib import Path
from re import ASCII, fullmatch
from shlex import quote

from unigeoseg.errors import (
    CheckpointNotFoundError,
    HubError,
    HubNotFoundError,
    HubUnreachableError,
)
from unigeoseg.model.io import checkpoint, convert
from unigeoseg.runtime import hub
from unigeoseg.runtime.atomic import exclusive_directory

SHIPPED = ("nano",)
PUBLISHED = {"base": "nishuo1999/UniGeoSeg"}

_SETTINGS = (checkpoint.CONFIG, "*token*.json", "vocab.*", "merges.*", "*.index.json")


def weights_directory(name: str | PathLike[str]) -> Path:
    """The model directory that a name means.

    Args:
        name: "nano"; "base", once it was pulled; a directory; or a model "owner/name" on the hub,
            ours or released, which is pulled if it was not yet.

    Raises:
        CheckpointNotFoundError: If there is no such model.
        MissingExtraError, HubError, OutputError, CheckpointError: See `pull_model`.
    """
    if name in SHIPPED:
        return Path(str(resources.files("unigeoseg"))) / "weights" / name
    if isinstance(name, str) and name in PUBLISHED:
        installed = _installed(PUBLISHED[name])
        if installed is None:
            raise CheckpointNotFoundError(
                f"the model {name!r} is not on this machine yet: run `unigeoseg pull {name}`; "
                f"{_by_hand(PUBLISHED[name])}"
            )
        return installed
    if Path(name).is_dir():
        return Path(name)
    if not isinstance(name, str) or not _is_hub_id(name):
        raise CheckpointNotFoundError(
            f"{str(name)!r} is neither a model of ours ({', '.join((*SHIPPED, *PUBLISHED))}) nor a "
            "directory nor the owner/name of a model on the hub"
        )
    try:
        return pull_model(name)
    except HubError as error:
        raise type(error)(f"{name!r} is not a directory, and on the hub: {error}") from error


def pull_model(name: str, target: Path | None = None) -> Path:
    """Fetch a model of the hub, verify it and convert it; nothing is done if it is there.

    Args:
        name: "base", or "owner/name" on the hub, released or already of our format.
        target: Directory to write, instead of the one below HF_HOME.

    Returns:
        The model directory.

    Raises:
        MissingExtraError: If `huggingface_hub` or `transformers` is not installed.
        CheckpointNotFoundError: If the name cannot be one of the hub's.
        CheckpointDamagedError: If what was fetched is not a model.
        OutputExistsError: If `target` holds something else.
        OutputUnwritableError: If the disk is full or cannot be written.
        HubError: If the repository cannot be fetched; see `hub.fetch`.
    """
    repo_id = PUBLISHED.get(name, name)
    if not _is_hub_id(repo_id):
        raise CheckpointNotFoundError(
            f"{name!r} can not be pulled: give {' or '.join(PUBLISHED)}, or owner/name on the hub"
        )
    target = target and target.resolve()
    directory = target or _installed(repo_id)
    if directory and _is_complete(directory):
        return directory
    if target:
        checkpoint.check_free(target)
    try:
        return _pull(repo_id, target)
    except HubUnreachableError as error:
        raise HubUnreachableError(f"{error}; {_by_hand(repo_id)}") from error


def _pull(repo_id: str, target: Path | None) -> Path:
    source = hub.fetch(repo_id, kind="model", patterns=_SETTINGS)
    target = target or _place(repo_id) / source.name
    checkpoint.check_free(target)
    settings = convert.read_settings(source / checkpoint.CONFIG, "it is not a model")
    has_our_format = "format" in settings
    choices = [checkpoint.FILES] if has_our_format else convert.weight_choices(source)
    files = _fetch_first(repo_id, source.name, choices)
    size = sum(path.stat().st_size for path in files)
    hub.check_space(target, size, f"the model made of {repo_id}")
    hub.log.info("%s %s", "copying" if has_our_format else "converting", hub.megabytes(size))
    make = _copy if has_our_format else convert.convert_released
    _install(target, _place(repo_id), partial(make, source))
    return target


def _fetch_first(repo_id: str, commit: str, choices: Iterable[tuple[str, ...]]) -> tuple[Path, ...]:
    """Files of the first choice that the repository has."""
    problem: HubNotFoundError | None = None
    for names in choices:
        try:
            directory = hub.fetch(repo_id, kind="model", patterns=names, revision=commit)
        except HubNotFoundError as error:
            problem = problem or error
        else:
            return tuple(directory / name for name in names)
    assert problem
    raise problem


def _install(target: Path, place: Path, make: Callable[[Path], object]) -> None:
    """Make a model at `target`; one at a time."""
    with exclusive_directory(place, wait=True):
        if not _is_complete(target):  # another process may have been faster
            make(target)


def _copy(source: Path, target: Path) -> None:
    with checkpoint.model_directory(target) as partial:
        checkpoint.copy_model(source, partial)
        # refuses what is not a model, before it is kept
        checkpoint.load_model(partial, dtype=None)


def _installed(repo_id: str) -> Path | None:
    """The model made last of a repository, if there is one."""
    complete = [path for path in _place(repo_id).glob("[!.]*") if _is_complete(path)]
    return max(complete, key=lambda path: path.stat().st_mtime, default=None)


def _place(repo_id: str) -> Path:
    """Where models made of a repository are kept, one directory per commit."""
    return hub.home_directory() / "unigeoseg" / repo_id.replace("/", "--")


def _is_complete(directory: Path) -> bool:
    return all((directory / name).is_file() for name in checkpoint.FILES)


def _is_hub_id(name: str) -> bool:
    return bool(fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, ASCII)) and "--" not in name


def _by_hand(repo_id: str) -> str:
    """How to bring a released model to a machine without network."""
    return (
        f"without a network, bring from {hub.repository_page(repo_id)} the files config.json, "
        "tokenizer.json (or tokenizer_config.json, vocab.json, merges.txt), added_tokens.json if "
        "there is one, and model.safetensors (or model.safetensors.index.json and every file it "
        "names, or pytorch_model.bin likewise) to a folder DIR, then run "
        f"`unigeoseg convert DIR {quote(str(_place(repo_id) / 'by-hand'))}`"
    )
