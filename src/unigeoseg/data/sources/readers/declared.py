"""Declarations of own data: `source.json`, or a labelled set's `meta.json`, in its folder.

`docs/sources.md` shows one of each kind.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from unigeoseg.data.sources.readers.reading import RejectedError, read_label_json
from unigeoseg.data.sources.source import (
    MAX_ID_DIGITS,
    Code,
    IndexLayout,
    ReaderName,
    Source,
    TemplateLayout,
    fill_template,
    parse_split,
    template_words,
)
from unigeoseg.errors import DataError
from unigeoseg.runtime.records import record_from

DECLARATION, META = "source.json", "meta.json"

_INDEXED = ("coco", "refer", "phrases")

# the sentences of `group_rule`, and the pattern of stems that each means
_GROUP_RULES = (
    (r"the file itself", None),
    (r"all images form one group\b.*", ""),
    (r"source scene: first (\d+) characters", r".{%s}"),
    (r"sequence: file-name prefix", r"[^-_]+"),
    (r"source scene: prefix ([A-Za-z0-9_-]+)", "prefix"),
)
_COARSEST_GSD_M = 1e6  # metres per pixel; more is no length on the ground
_METRES = re.compile(r"(?:about )?(\d+(?:\.\d+)?) ?m(?: \(.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDeclaration:
    """An entry of a declaration's `index`: one file that lists the labels of many images.

    Attributes:
        file: Its path below the folder.
        images: Folder of the images.
        split: The split that it lists, or empty.
        masks: Folder of the masks that phrases mean.
        refs: Path of the pickle of referring expressions, or empty.

    Raises:
        ValueError: If `file` is empty.
    """

    file: str
    images: str = ""
    split: str = ""
    masks: str = ""
    refs: str = ""

    def __post_init__(self) -> None:
        """Check that it names a file."""
        if not self.file:
            raise ValueError('"file" is empty')


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """The fields of `source.json`; those of `Source` have its meaning.

    Attributes:
        reader: The reader of the files.
        licence: As its publisher states it.
        name: Short name; the folder's if empty.
        title: Name as published; the folder's if empty.
        cite: Whom to cite.
        url: Where its files are got.
        classes: Name of each code: "3" is an id, "#ff0000" a colour, anything else a name.
        gsd_m: Metres per pixel, or None.
        bands: 1-based bands shown as red, green, blue.
        threshold: As in `Source`.
        lossy: Whether masks may be JPEG.
        attribute: Property of a polygon that holds its class.
        ignore_id: Mask id that means unknown.
        notes: Remarks.
        images: Templates of the images.
        labels: Templates of the labels.
        masks: Template of the mask that a label's questions mean.
        group: Template of what counts as one scene.
        splits: Split -> text file with the stems of its images.
        index: The indexes, for readers of such.
    """

    reader: str
    licence: str
    name: str = ""
    title: str = ""
    cite: str = ""
    url: str = ""
    classes: dict[str, str] = field(default_factory=dict)
    gsd_m: float | None = None
    bands: tuple[int, ...] = ()
    threshold: int = 0
    lossy: bool = False
    attribute: str = "class"
    ignore_id: int | None = None
    notes: str = ""
    images: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    masks: str = ""
    group: str = ""
    splits: dict[str, str] = field(default_factory=dict)
    index: tuple[IndexDeclaration, ...] = ()


def read_declaration(directory: Path) -> Source:
    """The row that a folder's `source.json` declares.

    Raises:
        DataError: If it is no JSON, or a field is missing, unknown or of the wrong type.
    """
    path = directory / DECLARATION
    declaration = record_from(Declaration, _with_lists(_object(path)), str(path))
    _check_declaration(path, declaration)
    is_indexed = declaration.reader in _INDEXED
    return Source(
        name=declaration.name or directory.resolve().name,
        title=declaration.title or directory.name,
        reader=cast(ReaderName, declaration.reader),
        layout=_index_layouts(path, declaration) if is_indexed else _templates(path, declaration),
        classes=_parse_classes(path, declaration.classes),
        licence=declaration.licence,
        cite=declaration.cite,
        url=declaration.url,
        gsd_m=declaration.gsd_m,
        bands=declaration.bands,
        threshold=declaration.threshold,
        lossy=declaration.lossy,
        attribute=declaration.attribute,
        ignore_id=declaration.ignore_id,
        notes=declaration.notes,
    )


def read_labelled_set_meta(directory: Path) -> Source:
    """The row of a labelled set, from its `meta.json`.

    Raises:
        DataError: If it is no JSON, lacks classes or a licence, or its group rule is not known.
    """
    path = directory / META
    meta = _object(path)
    for key in ("classes", "licence"):
        if not meta.get(key):
            raise DataError(f'{path} lacks "{key}"; a labelled set states it')
    ignore_id = meta.get("ignore_id")
    if ignore_id is not None and type(ignore_id) is not int:
        raise DataError(f'{path}: "ignore_id" is {ignore_id!r}; give a number or leave it out')
    return Source(
        name=directory.resolve().name,
        title=str(meta.get("name", directory.name)),
        reader="labelled",
        layout=TemplateLayout(images=("images/{stem}.{ext}",)),
        classes=_parse_classes(path, meta["classes"]),
        licence=str(meta["licence"]),
        url=str(meta.get("source_repository", "")),
        gsd_m=parse_gsd(meta.get("gsd_m", meta.get("gsd"))),
        resolution=str(meta.get("gsd", "")),
        group_pattern=group_pattern(path, str(meta.get("group_rule", "the file itself"))),
        ignore_id=ignore_id,
        notes=str(meta.get("notes", "")),
    )


def parse_gsd(resolution: Any) -> float | None:  # noqa: ANN401 - from a file
    """Metres per pixel from a number or from "0.5 m", "about 0.5 m (...)"; else None."""
    if (
        isinstance(resolution, int | float)
        and not isinstance(resolution, bool)
        and 0 < resolution < _COARSEST_GSD_M
    ):
        return float(resolution)
    match = _METRES.fullmatch(resolution.split(",")[0]) if isinstance(resolution, str) else None
    is_single = match is not None and not re.search(r", .*\d+(\.\d+)? m\b", str(resolution))
    return float(match[1]) if match is not None and is_single else None


def group_pattern(path: Path, rule: str) -> str | None:
    """The pattern of stems that a group rule means: a known sentence, or "pattern: REGEX".

    Returns:
        A regular expression; images whose stems start with the same match are one scene. None
        where each file is its own.

    Raises:
        DataError: If the rule is neither: to guess could put one scene into two splits.
    """
    if rule.startswith("pattern:"):
        return _compiled(path, rule.removeprefix("pattern:").strip())
    for sentence, pattern in _GROUP_RULES:
        match = re.fullmatch(sentence, rule.strip())
        if match is not None:
            if pattern == "prefix":
                return re.sub("[A-Z]+", r"\\d+", match[1])
            return pattern % match[1] if pattern and match.groups() else pattern
    raise DataError(
        f'{path}: the group rule {rule!r} is not known; say "the file itself", "all images form '
        'one group", "source scene: first N characters", or "pattern: REGEX" of the stem'
    )


def _compiled(path: Path, pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise DataError(f"{path}: {pattern!r} is no regular expression: {error}") from error
    return pattern


def _object(path: Path) -> dict[str, Any]:
    try:
        content = read_label_json(path)
    except RejectedError as error:
        raise DataError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}; expected an object {{...}}")
    return content


def _with_lists(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a declaration with a list wherever a single text may stand for one."""
    values = dict(content)
    if isinstance(values.get("index"), str):
        entry = {"file": values["index"], "images": values.pop("images", "")}
        values["index"] = [entry]
    for key in ("images", "labels"):
        if isinstance(values.get(key), str):
            values[key] = [values[key]]
    return values


def _check_declaration(path: Path, declaration: Declaration) -> None:
    """Check the values, beyond the types of the fields."""
    readers = [name for name in get_args(ReaderName) if name != "labelled"]
    if declaration.reader not in readers:
        raise DataError(
            f"{path}: the reader {declaration.reader!r} is not known; known are "
            f"{', '.join(readers)}"
        )
    needed = "index" if declaration.reader in _INDEXED else "images"
    for key in ("licence", needed):
        if not getattr(declaration, key):
            raise DataError(f'{path} lacks "{key}"')
    bands, gsd_m = declaration.bands, declaration.gsd_m
    if len(bands) not in (0, 1, 3) or not all(band > 0 for band in bands):
        raise DataError(
            f'{path}: "bands" is {list(bands)!r}; give red, green and blue, counted from 1'
        )
    if gsd_m is not None and not 0 < gsd_m < _COARSEST_GSD_M:
        raise DataError(
            f'{path}: "gsd_m" is {gsd_m!r}; expected metres per pixel above 0 and below 1e6'
        )


def _templates(path: Path, declaration: Declaration) -> TemplateLayout:
    """The layout of a declaration's templates, which must agree in their words."""
    if not declaration.labels:
        raise DataError(f'{path} lacks "labels", such as "labels/{{stem}}.png"')
    if declaration.reader == "questions" and not declaration.masks:
        raise DataError(f'{path} lacks "masks", such as "masks/{{stem}}.png"')
    for key, templates in (("images", declaration.images), ("labels", declaration.labels)):
        if not all(templates):
            raise DataError(f'{path}: "{key}" is {list(templates)!r}; a template is empty')
    for template in declaration.images:
        words = dict.fromkeys(template_words(template), "x")
        for dependent in (*declaration.labels, declaration.group, declaration.masks):
            fill_template(dependent, words)
    return TemplateLayout(
        images=declaration.images,
        labels=declaration.labels,
        masks=declaration.masks,
        group=declaration.group,
        lists=_split_lists(path, declaration.splits),
    )


def _split_lists(path: Path, splits: Mapping[str, str]) -> dict[str, str]:
    """Split -> file with its stems; a list that is missing would move its images elsewhere."""
    for split, below in splits.items():
        parse_split(split, path)
        if not (path.parent / below).is_file():
            raise DataError(f'{path}: "splits" has {below!r} for {split!r}; expected a file there')
    return dict(splits)


def _index_layouts(path: Path, declaration: Declaration) -> tuple[IndexLayout, ...]:
    return tuple(
        IndexLayout(
            files=(entry.file,),
            images=entry.images.strip("/"),
            split=parse_split(entry.split, path),
            masks=entry.masks.strip("/"),
            refs=(entry.refs,) if entry.refs else (),
        )
        for entry in declaration.index
    )


def _parse_classes(path: Path, classes: Any) -> dict[Code, str]:  # noqa: ANN401 - from a file
    """Codes as JSON writes them: "3" is an id, "#ff0000" a colour, anything else a name."""
    if not isinstance(classes, dict):
        raise DataError(f'{path}: "classes" is {classes!r}; expected an object of code: name')
    name_by_code: dict[Code, str] = {}
    for code, name in classes.items():
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: class {code!r} is called {name!r}; expected a text")
        name_by_code[_parse_code(code)] = name
    return name_by_code


def _parse_code(code: str) -> Code:
    if code.isdecimal() and len(code) <= MAX_ID_DIGITS:
        return int(code)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", code):
        return tuple(bytes.fromhex(code[1:]))
    return code
