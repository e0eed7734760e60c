"""The schema of results: columns of outlines and tags of masks, the same for every kind of prompt.

Text, question, points, box, a file of prompts or classes; the command line or Python: what is
written about a region and about a mask is defined here and nowhere else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from unigeoseg.data.taxonomy.categories import category_by_name
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.stretch import TAG as STRETCH_TAG
from unigeoseg.geo.vectors.features import Value, length_m
from unigeoseg.geo.vectors.regions import Region
from unigeoseg.predict.output.provenance import Provenance
from unigeoseg.prompt import Box, Prompt, PromptLike, Task, as_prompt


@dataclass(frozen=True, slots=True)
class Column:
    """A column of outlines.

    Attributes:
        name: As it is written.
        kind: Type of its values; any may be empty.
        meaning: For documents.
    """

    name: str
    kind: type
    meaning: str


COLUMNS = (
    Column("prompt", str, "what was asked, as it was given: `the storage tanks`, `point 812, 440`"),
    Column("prompt_type", str, "`text`, `question`, `points` or `box`"),
    Column("category", str, "the class of `--classes`, or the category that the text names"),
    Column("score", float, "mean score of the region's pixels, from 0 to 1"),
    Column("confidence", float, "of the whole answer: calibrated estimate of its mask's IoU"),
    Column("area_px", int, "pixels of the region"),
    Column("area_m2", float, "square metres of the region; empty without a CRS"),
    Column("length_m", float, "longer side of the smallest rectangle round it, at any angle"),
    Column("model", str, "name of the model"),
    Column("weights", str, "first 16 digits of the hash of the model's files"),
    Column("source", str, "name of the scene"),
    Column("date", str, "when it was made, UTC"),
)
"""Columns of every outline, in their order."""

ANSWER = Column("answer", str, "the answer in words; only with `--answer`")
"""The column that is there where words were asked for."""

TAGS: Mapping[str, str] = MappingProxyType(
    {
        "UNIGEOSEG_MODEL": "as the column `model`",
        "UNIGEOSEG_WEIGHTS": "as the column `weights`",
        "UNIGEOSEG_SOURCE": "as the column `source`",
        "UNIGEOSEG_PROMPT": "as the column `prompt`; several are joined by `; `",
        STRETCH_TAG: "the values of the scene that were shown as black and white, for `--stretch`",
        "DATE": "as the column `date`",
    }
)
"""Tags of every mask, beside `LABEL_1` and so on, which say what each value means."""

_PROMPTS_IN_TAGS = 20  # names in one tag; a file of prompts may have thousands
_DETERMINERS = re.compile(r"^(all\s+the|all|the|every|each|an?)\s+", re.IGNORECASE)
_DECIMALS = 7  # about 1 cm in degrees


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """A prompt with what is written about it.

    Attributes:
        prompt: In pixels of the scene.
        name: What the person gave.
        category: The class it stands for, or None.
        properties: Columns of its own, such as those of a file of prompts.
    """

    prompt: Prompt
    name: str
    category: str | None = None
    properties: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, prompt: "PromptLike | PromptEntry", *, is_class: bool = False) -> "PromptEntry":
        """A prompt as an entry, named by itself.

        Args:
            prompt: What users may give, or an entry, which stays as it is.
            is_class: Whether its text is a class.
        """
        if isinstance(prompt, PromptEntry):
            return prompt
        prompt = as_prompt(prompt)
        category = prompt.text if is_class else named_category(prompt)
        return cls(prompt, prompt_name(prompt), category)


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """What is known of a prompt's answer once the whole scene was looked at.

    Attributes:
        confidence: See `Segmentation`.
        words: The answer in words; None where they were not asked for.
    """

    confidence: float
    words: str | None = None


def prompt_type(prompt: Prompt) -> str:
    """The kind of a prompt: "text", "question", "points" or "box"."""
    if prompt.task is Task.INTERACTIVE:
        return "box" if prompt.box else "points"
    return "question" if prompt.task is Task.REASONING else "text"


def prompt_name(prompt: Prompt) -> str:
    """A prompt as a person would write it, in pixels: "point 812, 440", or its text."""
    if prompt.task is not Task.INTERACTIVE:
        return prompt.text
    inside = [(point.x, point.y) for point in prompt.points if point.positive]
    outside = [(point.x, point.y) for point in prompt.points if not point.positive]
    return drawn_name(inside, outside, None if prompt.box is None else _corners(prompt.box))


def drawn_name(
    points: Sequence[tuple[float, float]],
    not_points: Sequence[tuple[float, float]],
    box: tuple[float, float, float, float] | None,
    crs: str | None = None,
) -> str:
    """Points and a box as a person would write them.

    Args:
        points: On the target.
        not_points: Off the target.
        box: Round the target.
        crs: Name of the CRS of the coordinates; None if they are pixels.

    Returns:
        Such as "point 812, 440" or "box 100, 300, 180, 360 without point 120, 310 (EPSG:32650)".
    """
    parts = [f"box {_listed(box)}"] if box else []
    parts += [_points_name(points)] if points else []
    name = " with ".join(parts)
    name += f" without {_points_name(not_points)}" if not_points else ""
    return f"{name} ({crs})" if crs else name


def named_category(prompt: Prompt) -> str | None:
    """The category of the taxonomy that a text names and says no more of; else None."""
    text = _DETERMINERS.sub("", prompt.text)
    if prompt.task is not Task.REFERRING or "(" in text:
        return None
    category = category_by_name(text)
    return None if category is None else category.name


def region_properties(
    entry: PromptEntry, answer: PromptAnswer, region: Region, grid: Grid, provenance: Provenance
) -> dict[str, Value]:
    """The columns of one region's outline, by name: those of its prompt's file, then `COLUMNS`.

    A column of the file that has a name of ours gets "prompt_" before its own.
    """
    length = length_m(region.geometry, grid)
    values: dict[str, Value] = {
        "prompt": entry.name,
        "prompt_type": prompt_type(entry.prompt),
        "category": entry.category,
        "score": round(region.score, 4),
        "confidence": round(answer.confidence, 4),
        "area_px": region.area_px,
        "area_m2": None if region.area_m2 is None else round(region.area_m2, 3),
        "length_m": None if length is None else round(length, 2),
        "model": provenance.model,
        "weights": provenance.weights,
        "source": provenance.source,
        "date": provenance.date,
    }
    if answer.words is not None:
        values[ANSWER.name] = answer.words
    file_columns = {
        f"prompt_{name}" if name.casefold() in values else name: value
        for name, value in entry.properties.items()
    }
    return file_columns | values


def mask_tags(
    entries: Sequence[PromptEntry], provenance: Provenance, *, labelled: bool
) -> dict[str, str]:
    """The tags of a mask: `TAGS`, without those that are not known, and the names of its labels.

    Args:
        entries: All that was asked.
        provenance: What made it.
        labelled: Whether each prompt has a label of its own; else all have label 1.
    """
    names = [entry.name for entry in entries]
    joined_names = "; ".join(names[:_PROMPTS_IN_TAGS])
    if len(names) > _PROMPTS_IN_TAGS:
        joined_names += f"; and {len(names) - _PROMPTS_IN_TAGS} more"
    labels = names if labelled else [joined_names]
    values = {
        "UNIGEOSEG_MODEL": provenance.model,
        "UNIGEOSEG_WEIGHTS": provenance.weights,
        "UNIGEOSEG_SOURCE": provenance.source,
        "UNIGEOSEG_PROMPT": joined_names,
        STRETCH_TAG: None if provenance.stretch is None else provenance.stretch.text(),
        "DATE": provenance.date,
    }
    return {f"LABEL_{number}": name for number, name in enumerate(labels, start=1)} | {
        name: value for name, value in values.items() if value is not None
    }


def column_table() -> str:
    """`COLUMNS` as a Markdown table, for documents."""
    types = {str: "text", float: "number", int: "whole number"}
    rows = [f"| `{c.name}` | {types[c.kind]} | {c.meaning} |" for c in (*COLUMNS, ANSWER)]
    return "\n".join(["| column | type | meaning |", "|---|---|---|", *rows])


def _points_name(points: Sequence[tuple[float, float]]) -> str:
    noun = "point" if len(points) == 1 else "points"
    return f"{noun} {'; '.join(map(_listed, points))}"


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def _listed(numbers: Sequence[float]) -> str:
    """Numbers without needless digits: "812, 440.5"."""
    rounded = [round(number, _DECIMALS) for number in numbers]
    return ", ".join(f"{number:.15g}" for number in rounded)
