"""Image discovery: the images of a source by a walk in name order; nothing is decoded."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from unigeoseg.data.sources.readers.reading import Folder, ImageItem, read_label_text
from unigeoseg.data.sources.source import (
    TemplateLayout,
    fill_template,
    parse_split,
    template_pattern,
    template_words,
)
from unigeoseg.errors import DataError


def paths_below(directory: Path) -> Iterator[str]:
    """Every file below a directory, "/" between the parts, in name order; hidden ones are not."""
    for folder, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if not name.startswith("."))
        below = Path(folder).relative_to(directory)
        yield from ((below / name).as_posix() for name in sorted(files) if not name.startswith("."))


def items_from_templates(folder: Folder, layout: TemplateLayout) -> list[ImageItem]:
    """The images whose paths match a layout's templates, by path.

    Raises:
        DataError: If there is none, a split's list cannot be read, or a word names no split.
    """
    images = [template_pattern(template) for template in layout.images]
    labels = [template_pattern(template) for template in layout.labels]
    splits = _listed_splits(folder, layout)
    items = []
    for path in paths_below(folder.directory):
        match = _first_match(images, path)
        label = _first_match(labels, path) or (layout.skip and layout.skip in Path(path).stem)
        if match is not None and not label:
            items.append(_item(folder, layout, path, match.groupdict(), splits))
    if not items:
        raise DataError(
            f"{folder.directory} holds no image of {folder.source.name}; expected files like "
            f"{' or '.join(layout.images)} below it"
        )
    return sorted(items, key=lambda item: item.key)


def scene_group(folder: Folder, key: str, default: str) -> str:
    """The group of an image by the source's own pattern of stems, else `default`."""
    pattern = folder.source.group_pattern
    if pattern is None:
        return default
    match = re.match(pattern, Path(key).stem)
    return match.group() if match else Path(key).stem


def _first_match(patterns: Iterable[re.Pattern[str]], path: str) -> re.Match[str] | None:
    return next(filter(None, (pattern.fullmatch(path) for pattern in patterns)), None)


def _item(
    folder: Folder,
    layout: TemplateLayout,
    path: str,
    words: Mapping[str, str],
    splits: Mapping[str, str],
) -> ImageItem:
    labels = [
        fill_template(template, words)
        for template in layout.labels
        if set(template_words(template)) <= set(words)
    ]
    existing = next((label for label in labels if folder.path(label).is_file()), None)
    stem = Path(path).stem
    word = layout.stem_splits.get(stem, words.get("split", ""))
    default = fill_template(layout.group, words) if layout.group else path
    return ImageItem(
        key=path,
        group=scene_group(folder, path, default),
        split=splits[stem] if stem in splits else parse_split(word, folder.directory / path),
        label=existing or (labels[0] if labels else ""),
    )


def _listed_splits(folder: Folder, layout: TemplateLayout) -> dict[str, str]:
    """Split of each stem that the source's lists name; lists that are not there name none."""
    split_by_stem: dict[str, str] = {}
    for split, below in layout.lists.items():
        path = folder.path(below)
        if path.is_file():
            split_by_stem |= dict.fromkeys(read_label_text(path).split(), parse_split(split, path))
    return split_by_stem
