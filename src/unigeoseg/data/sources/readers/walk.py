"""Finding the images of a source: a walk in name order, nothing is decoded."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from unigeoseg.data.sources.readers.reading import Folder, Item, read_text
from unigeoseg.data.sources.source import Files, filled, pattern_of, split_of, words_of
from unigeoseg.errors import DataError


def paths_below(directory: Path) -> Iterator[str]:
    """Every file below a directory, "/" between the parts, in name order; hidden ones are not."""
    for folder, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if not name.startswith("."))
        below = Path(folder).relative_to(directory)
        yield from ((below / name).as_posix() for name in sorted(files) if not name.startswith("."))


def items_of(folder: Folder, files: Files) -> list[Item]:
    """The images that a layout's templates fit, by path.

    Raises:
        DataError: If there is none, a split's list cannot be read, or a word names no split.
    """
    images = [pattern_of(template) for template in files.images]
    labels = [pattern_of(template) for template in files.labels]
    splits = _listed_splits(folder, files)
    items = []
    for path in paths_below(folder.directory):
        match = _fitting(images, path)
        label = _fitting(labels, path) or (files.skip and files.skip in Path(path).stem)
        if match is not None and not label:
            items.append(_item(folder, files, path, match.groupdict(), splits))
    if not items:
        raise DataError(
            f"{folder.directory} holds no image of {folder.source.name}; expected files like "
            f"{' or '.join(files.images)} below it"
        )
    return sorted(items, key=lambda item: item.key)


def scene_of(folder: Folder, key: str, default: str) -> str:
    """The group of an image by the source's own pattern of stems, else `default`."""
    pattern = folder.source.group_pattern
    if pattern is None:
        return default
    match = re.match(pattern, Path(key).stem)
    return match.group() if match else Path(key).stem


def _fitting(patterns: Iterable[re.Pattern[str]], path: str) -> re.Match[str] | None:
    return next(filter(None, (pattern.fullmatch(path) for pattern in patterns)), None)


def _item(
    folder: Folder, files: Files, path: str, words: Mapping[str, str], splits: Mapping[str, str]
) -> Item:
    labels = [
        filled(template, words)
        for template in files.labels
        if set(words_of(template)) <= set(words)
    ]
    found = next((label for label in labels if folder.path(label).is_file()), None)
    stem = Path(path).stem
    word = files.named.get(stem, words.get("split", ""))
    default = filled(files.group, words) if files.group else path
    return Item(
        key=path,
        group=scene_of(folder, path, default),
        split=splits[stem] if stem in splits else split_of(word, folder.directory / path),
        label=found or (labels[0] if labels else ""),
    )


def _listed_splits(folder: Folder, files: Files) -> dict[str, str]:
    """Split of each stem that the source's lists name; lists that are not there name none."""
    found: dict[str, str] = {}
    for split, below in files.lists.items():
        path = folder.path(below)
        if path.is_file():
            found |= dict.fromkeys(read_text(path).split(), split_of(split, path))
    return found
