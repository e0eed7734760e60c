"""Sources as rows: the layout of the files, the meaning of the classes, and the licence.

A class is written "name" or "name -> category". The category is any name that the taxonomy
knows, "nothing" (none of the source's classes) or "unknown" (nobody knows what is there).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeVar

from unigeoseg.data.sources.annotated import UNKNOWN
from unigeoseg.data.taxonomy.categories import category_by_name
from unigeoseg.errors import DataError
from unigeoseg.sample import Split

K = TypeVar("K")

NOTHING = 0
"""Category id of pixels that are none of a source's classes."""

MAX_ID_DIGITS = 9
"""Of a class id in a text; longer numbers are none."""

_CODES = 2**16  # class ids are below this

Code = int | str | tuple[int, ...]
"""The code of a class on disk: an id, a name, a colour (r, g, b), or (id, r, g, b)."""

ReaderName = Literal[
    "masks",
    "coco",
    "labelled",
    "yolo",
    "voc",
    "fair1m",
    "dota",
    "geojson",
    "refer",
    "phrases",
    "questions",
]

_NOTHING_NAMES = frozenset(("nothing", "background", "other", "others", "clutter", "none"))
_UNKNOWN_NAMES = frozenset(
    "unknown|ignore|ignored|no data|nodata|no information|void|undefined|unclassified|"
    "unlabeled|unlabelled|look alike|clouds|clouds and shadows".split("|")
)


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The category of each class code of a source; NOTHING and UNKNOWN are among them.

    Attributes:
        ids: Category of each id.
        colours: Category of each colour (r, g, b).
        names: Category of each class name, in plain form; None where nobody knows it.
        labelled: Categories that the source labels wherever they occur.
        unmatched: Class names that the taxonomy does not know; they mean UNKNOWN.
        unmatched_ids: Ids of such classes, with their names.
    """

    ids: Mapping[int, int]
    colours: Mapping[tuple[int, int, int], int]
    names: Mapping[str, int | None]
    labelled: frozenset[int]
    unmatched: tuple[str, ...]
    unmatched_ids: Mapping[int, str]

    @classmethod
    def from_classes(
        cls, classes: Mapping[Code, str], *, ignore_id: int | None = None
    ) -> "ClassTable":
        """The table of a source's classes, with every name matched to the taxonomy.

        Raises:
            DataError: If a code is neither an id, a name, nor a colour.
        """
        ids: dict[int, int | None] = {}
        colours: dict[tuple[int, int, int], int | None] = {}
        names: dict[str, int | None] = {}
        name_by_id: dict[int, str] = {}
        unmatched = []
        for code, text in classes.items():
            name, category = parse_class(text)
            if category is None:
                unmatched.append(name)
            names[normalized_class_name(name)] = category
            number = _enter(code, category, ids, colours, names)
            name_by_id |= {} if number is None else {number: name}
        unmatched_ids = {
            number: name_by_id[number] for number, category in ids.items() if category is None
        }
        if ignore_id is not None:
            _enter(ignore_id, int(UNKNOWN), ids, colours, names)
        labelled = frozenset(filter(None, names.values())) - {int(UNKNOWN)}
        return cls(
            _with_unknown(ids),
            _with_unknown(colours),
            names,
            labelled,
            tuple(dict.fromkeys(unmatched)),
            unmatched_ids,
        )

    def category_of_name(self, name: str) -> int | None:
        """Category of a class name, by the table, else by the taxonomy; None if nobody knows it."""
        normalized = normalized_class_name(name)
        return self.names[normalized] if normalized in self.names else parse_class(name)[1]

    @staticmethod
    def is_target(category: int) -> bool:
        """Whether an id is a category, neither NOTHING nor UNKNOWN."""
        return category not in (NOTHING, int(UNKNOWN))


def normalized_class_name(name: str) -> str:
    """A class name in lower case with single spaces for signs: "Storage_Tank" -> "storage tank"."""
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def parse_class(text: str) -> tuple[str, int | None]:
    """Name and category id of a class "name" or "name -> category"; None where nobody knows it."""
    name, arrow, target = (part.strip() for part in text.partition("->"))
    normalized = normalized_class_name(target if arrow else name)
    if normalized in _NOTHING_NAMES:
        return name, NOTHING
    if normalized in _UNKNOWN_NAMES:
        return name, int(UNKNOWN)
    category = category_by_name(target if arrow else name)
    if category is None:
        return name, None
    return name, category.id if category.target else _category_of_non_target(category.name)


def _category_of_non_target(name: str) -> int:
    """The category of pixels of a non-target: background is NOTHING, clouds leave it UNKNOWN."""
    return NOTHING if name == "Background" else int(UNKNOWN)


def _enter(
    code: Code,
    category: int | None,
    ids: dict[int, int | None],
    colours: dict[tuple[int, int, int], int | None],
    names: dict[str, int | None],
) -> int | None:
    """Enter what a code means, and return its id if it has one."""
    match code:
        case str():
            names[normalized_class_name(code)] = category
            return None
        case (int(red), int(green), int(blue)) if _is_colour(red, green, blue):
            colours[red, green, blue] = category
            return None
        case int(number) if 0 <= number < _CODES:
            ids[number] = category
            return number
        case (int(number), int(red), int(green), int(blue)) if 0 <= number < _CODES and _is_colour(
            red, green, blue
        ):
            ids[number] = category
            colours[red, green, blue] = category
            return number
        case _:
            raise DataError(
                f"{code!r} is no class code; give an id from 0 to 65535, a name or a colour r, g, b"
            )


def _is_colour(*values: int) -> bool:
    return all(0 <= value < 256 for value in values)


def _with_unknown(table: Mapping[K, int | None]) -> dict[K, int]:
    """A table of codes in which what nobody knows is UNKNOWN."""
    return {
        code: int(UNKNOWN) if category is None else category for code, category in table.items()
    }


@dataclass(frozen=True, slots=True)
class TemplateLayout:
    """A label file beside each image, found by templates of paths below the directory.

    In a template `{word}` stands for a part of a name without "/", `{ext}` for the suffix of an
    image; a word keeps its value from the image's path to the label's. `{split}` names the split.

    Attributes:
        images: Templates of the images; the first that fits counts.
        labels: Templates of the label, tried in order. Empty: the reader knows.
        masks: Template of the mask that a label's questions mean.
        skip: Images whose stems hold this are labels, not images.
        group: Template of what counts as one scene; the whole path if empty.
        lists: Split -> text file with the stems of its images, one a line.
        stem_splits: Stem -> split, for images whose split no path and no list tells.
    """

    images: tuple[str, ...]
    labels: tuple[str, ...] = ()
    masks: str = ""
    skip: str = ""
    group: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)
    stem_splits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IndexLayout:
    """One file that lists the labels of many images.

    Attributes:
        files: Where it may lie below the directory; the first that exists is read.
        images: Folder of the images.
        split: The split that it lists; empty if the entries state it.
        masks: Folder of the masks that phrases mean.
        refs: Where the pickle of referring expressions may lie.
    """

    files: tuple[str, ...]
    images: str
    split: str = ""
    masks: str = ""
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the catalogue.

    Attributes:
        name: Short name, used in keys and on the command line.
        title: Name as published.
        reader: Which reader understands the files.
        layout: Where the files are.
        classes: Code on disk -> "name" or "name -> category".
        licence: As its publisher states it.
        cite: Whom to cite.
        url: Where its files are got.
        gsd_m: Metres per pixel, or None where it varies or is not stated.
        resolution: The same in words, for people.
        bands: 1-based bands shown as red, green, blue; empty for the file's own.
        threshold: Masks in colour are cut there to 0 and 255 first; 0 leaves them.
        lossy: Whether masks may be JPEG.
        attribute: Property of a polygon that holds its class.
        group_pattern: Images whose stems start with the same match are one scene; empty for
            the layout's own rule.
        ignore_id: Mask id that means unknown.
        notes: Remarks, and what was not confirmed.
    """

    name: str
    title: str
    reader: ReaderName
    layout: TemplateLayout | tuple[IndexLayout, ...]
    classes: Mapping[Code, str]
    licence: str
    cite: str = ""
    url: str = ""
    gsd_m: float | None = None
    resolution: str = ""
    bands: tuple[int, ...] = ()
    threshold: int = 0
    lossy: bool = False
    attribute: str = "class"
    group_pattern: str | None = None
    ignore_id: int | None = None
    notes: str = ""

    def class_table(self) -> ClassTable:
        """The category of each of its class codes."""
        return ClassTable.from_classes(self.classes, ignore_id=self.ignore_id)


IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".jp2"))
"""Suffixes of the images of a source, in lower case."""

_IMAGE_ENDINGS = sorted(suffix[1:] for suffix in IMAGE_SUFFIXES)
_IMAGE_PATTERN = f"(?:{'|'.join((*_IMAGE_ENDINGS, *map(str.upper, _IMAGE_ENDINGS)))})"
_SPLITS: Mapping[str, Split] = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "val": "val",
        "valid": "val",
        "validation": "val",
        "test": "test",
        "testing": "test",
        "testa": "test",  # the two tests of the REFER format
        "testb": "test",
    }
)


def parse_split(word: str, place: object) -> Split | Literal[""]:
    """The split that "Train", "validation", "testing" and the like mean; empty for no word.

    Args:
        word: The word of a folder, a list or a declaration.
        place: That file or folder, for the message.

    Raises:
        DataError: If the word names none: to guess could put one image into two splits.
    """
    normalized = word.strip().lower()
    if normalized and normalized not in _SPLITS:
        raise DataError(f"{place}: {word!r} names no split; known are {', '.join(_SPLITS)}")
    return _SPLITS[normalized] if normalized else ""


def template_pattern(template: str) -> re.Pattern[str]:
    """The regular expression of a template of paths, with a named group per word."""
    bound: set[str] = set()

    def word_pattern(word: str) -> str:
        if word in bound:
            return f"(?P={word})"
        bound.add(word)
        return f"(?P<{word}>{_IMAGE_PATTERN if word == 'ext' else '[^/]+?'})"

    parts = re.split(r"\{([a-z_]+)\}", template)
    return re.compile(
        "".join(
            word_pattern(part) if odd % 2 else re.escape(part) for odd, part in enumerate(parts)
        )
    )


def fill_template(template: str, words: Mapping[str, str]) -> str:
    """A template with its words replaced by their values.

    Raises:
        DataError: If a word has no value.
    """
    missing = sorted(set(template_words(template)) - set(words))
    if missing:
        raise DataError(
            f"the template {template!r} uses {{{missing[0]}}}, which the images' template lacks"
        )
    return re.sub(r"\{([a-z_]+)\}", lambda match: words[match[1]], template)


def template_words(template: str) -> Iterable[str]:
    """The words of a template."""
    return re.findall(r"\{([a-z_]+)\}", template)
