"""Own data, declared by a small file in its folder: `source.json`, or a labelled set's `meta.json`.

`docs/sources.md` shows one of each kind.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from unigeoseg.data.sources.readers.reading import RejectedError, read_label_json
from unigeoseg.data.sources.source import (
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

DECLARATION, META = "source.json", "meta.json"

_INDEXED = ("coco", "refer", "phrases")
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "title": str,
    "reader": str,
    "licence": str,
    "cite": str,
    "url": str,
    "classes": dict,
    "gsd_m": (int, float),
    "bands": list,
    "threshold": int,
    "lossy": bool,
    "attribute": str,
    "ignore_id": int,
    "notes": str,
    "images": (str, list),
    "labels": (str, list),
    "masks": str,
    "group": str,
    "splits": dict,
    "index": (str, list),
}
_ROW_KEYS = "title cite url threshold lossy attribute ignore_id notes".split()

# the sentences of `group_rule`, and the pattern of stems that each means
_RULES = (
    (r"the file itself", None),
    (r"all images form one group\b.*", ""),
    (r"source scene: first (\d+) characters", r".{%s}"),
    (r"sequence: file-name prefix", r"[^-_]+"),
    (r"source scene: prefix ([A-Za-z0-9_-]+)", "prefix"),
)
_COARSEST = 1e6  # metres per pixel; more is no length on the ground
_DIGITS = 9  # of a class id; more are a name
_METRES = re.compile(r"(?:about )?(\d+(?:\.\d+)?) ?m(?: \(.*)?", re.DOTALL)


def declared(directory: Path) -> Source:
    """The row that a folder's `source.json` declares.

    Raises:
        DataError: If it is no JSON, a key is missing, unknown or of the wrong type.
    """
    path = directory / DECLARATION
    content = _object(path)
    _check_keys(path, content)
    reader = content["reader"]
    return Source(
        name=content.get("name", directory.resolve().name),
        reader=reader,
        layout=_indexes(path, content) if reader in _INDEXED else _files(path, content),
        classes=_classes(path, content.get("classes", {})),
        licence=content["licence"],
        gsd_m=_positive(path, content),
        bands=_bands(path, content.get("bands", [])),
        **{"title": directory.name} | {key: content[key] for key in _ROW_KEYS if key in content},
    )


def labelled_set(directory: Path) -> Source:
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
        classes=_classes(path, meta["classes"]),
        licence=str(meta["licence"]),
        url=str(meta.get("source_repository", "")),
        gsd_m=metres(meta.get("gsd_m", meta.get("gsd"))),
        resolution=str(meta.get("gsd", "")),
        group_pattern=group_pattern(path, str(meta.get("group_rule", "the file itself"))),
        ignore_id=ignore_id,
        notes=str(meta.get("notes", "")),
    )


def metres(said: Any) -> float | None:  # noqa: ANN401 - from a file
    """Metres per pixel from a number or from "0.5 m", "about 0.5 m (...)"; else None."""
    if isinstance(said, int | float) and not isinstance(said, bool) and 0 < said < _COARSEST:
        return float(said)
    match = _METRES.fullmatch(said.split(",")[0]) if isinstance(said, str) else None
    only_one = match is not None and not re.search(r", .*\d+(\.\d+)? m\b", str(said))
    return float(match[1]) if match is not None and only_one else None


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
    for sentence, pattern in _RULES:
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


def _check_keys(path: Path, content: Mapping[str, Any]) -> None:
    unknown = sorted(set(content) - set(_KEYS))
    if unknown:
        raise DataError(f'{path}: "{unknown[0]}" is not known; known are {", ".join(_KEYS)}')
    for key, value in content.items():
        kind = _KEYS[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise DataError(f'{path}: "{key}" is {value!r}; expected {_said(kind)}')
    needed = "index" if content.get("reader") in _INDEXED else "images"
    for key in ("reader", "licence", needed):
        if not content.get(key):
            raise DataError(f'{path} lacks "{key}"')
    readers = [name for name in get_args(ReaderName) if name != "labelled"]
    if content["reader"] not in readers:
        raise DataError(
            f"{path}: the reader {content['reader']!r} is not known; known are {', '.join(readers)}"
        )


def _said(kind: Any) -> str:  # noqa: ANN401 - a type or a tuple of them
    names = {str: "text", dict: "an object", list: "a list", bool: "true or false"}
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(dict.fromkeys(names.get(one, "a number") for one in kinds))


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - from a file
    values = [value] if isinstance(value, str) else value
    if not all(isinstance(item, str) and item for item in values):
        raise DataError(f'{path}: "{key}" is {value!r}; expected a text or a list of texts')
    return tuple(values)


def _files(path: Path, content: Mapping[str, Any]) -> TemplateLayout:
    images = _texts(path, "images", content["images"])
    labels = _texts(path, "labels", content.get("labels", []))
    if not labels:
        raise DataError(f'{path} lacks "labels", such as "labels/{{stem}}.png"')
    if content["reader"] == "questions" and not content.get("masks"):
        raise DataError(f'{path} lacks "masks", such as "masks/{{stem}}.png"')
    for template in images:
        words = dict.fromkeys(template_words(template), "x")
        for other in (*labels, content.get("group", ""), content.get("masks", "")):
            fill_template(other, words)
    return TemplateLayout(
        images=images,
        labels=labels,
        masks=content.get("masks", ""),
        group=content.get("group", ""),
        lists=_lists(path, content.get("splits", {})),
    )


def _lists(path: Path, splits: Mapping[str, Any]) -> dict[str, str]:
    """Split -> file with its stems; a list that is missing would move its images elsewhere."""
    for split, below in splits.items():
        parse_split(split, path)
        if not isinstance(below, str) or not (path.parent / below).is_file():
            raise DataError(f'{path}: "splits" has {below!r} for {split!r}; expected a file there')
    return dict(splits)


def _indexes(path: Path, content: Mapping[str, Any]) -> tuple[IndexLayout, ...]:
    """Indexes from a path, or from a list of {"file", "images", "split", "masks", "refs"}."""
    entries = content["index"]
    if isinstance(entries, str):
        entries = [{"file": entries, "images": content.get("images", "")}]
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(it, str) for it in entry.values()):
            raise DataError(
                f'{path}: "index" has {entry!r}; expected {{"file": ..., "images": ...}}'
            )
        unknown = sorted(set(entry) - {"file", "images", "split", "masks", "refs"})
        if unknown or not entry.get("file"):
            what = f'"{unknown[0]}" is not known in' if unknown else '"file" is missing in'
            raise DataError(f'{path}: {what} an entry of "index"')
        refs = (entry["refs"],) if "refs" in entry else ()
        found.append(
            IndexLayout(
                files=(entry["file"],),
                images=entry.get("images", "").strip("/"),
                split=parse_split(entry.get("split", ""), path),
                masks=entry.get("masks", "").strip("/"),
                refs=refs,
            )
        )
    return tuple(found)


def _classes(path: Path, classes: Any) -> dict[Code, str]:  # noqa: ANN401 - from a file
    """Codes as JSON writes them: "3" is an id, "#ff0000" a colour, anything else a name."""
    if not isinstance(classes, dict):
        raise DataError(f'{path}: "classes" is {classes!r}; expected an object of code: name')
    found: dict[Code, str] = {}
    for code, name in classes.items():
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}: class {code!r} is called {name!r}; expected a text")
        found[_code(code)] = name
    return found


def _code(code: str) -> Code:
    if code.isdecimal() and len(code) <= _DIGITS:
        return int(code)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", code):
        return tuple(bytes.fromhex(code[1:]))
    return code


def _bands(path: Path, bands: list[Any]) -> tuple[int, ...]:
    if len(bands) not in (0, 1, 3) or not all(type(band) is int and band > 0 for band in bands):
        raise DataError(f'{path}: "bands" is {bands!r}; give red, green and blue, counted from 1')
    return tuple(bands)


def _positive(path: Path, content: Mapping[str, Any]) -> float | None:
    gsd = content.get("gsd_m")
    if gsd is not None and not 0 < gsd < _COARSEST:
        raise DataError(
            f'{path}: "gsd_m" is {gsd!r}; expected metres per pixel above 0 and below 1e6'
        )
    return None if gsd is None else float(gsd)
