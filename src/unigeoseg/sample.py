"""One image-mask-instruction triplet, with an id that follows from its content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unigeoseg.errors import DataError
from unigeoseg.geo.masks import Rle, decode_mask
from unigeoseg.prompt import Box, Point, Prompt, Task

Split = Literal["train", "val", "test"]
"""What a sample is for; a group of samples is in one split."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A triplet of the training data or of a benchmark.

    Attributes:
        image: Path or key of the image, with "/" between its parts.
        width: Columns of the image in pixels.
        height: Its rows.
        prompt: The instruction, coordinates in pixels of the image.
        rle: The mask as COCO RLE of size [height, width].
        category: What the region is ("building").
        source: Name of the data set it comes from.
        licence: SPDX identifier or name of the licence of image and mask.
        group: Samples of one group (one scene, one place) stay in one split.
        answer: Answer to a reasoning question, if there is one.
        family: "point", "box", "referring", "attribute", "context", or empty.
        category_id: Its id in the taxonomy, or 0.
        split: "train", "val", "test", or empty.
        writer: Who wrote the instruction, or empty.
        program: What it selects, as a program over the image's regions, or empty.
        regions: Ids of the regions that it selects, where the image's regions are stored.
        scores: Score per dimension of those who checked it.

    Raises:
        DataError: If the image has no name, or the mask has another size than the image.
    """

    image: str
    width: int
    height: int
    prompt: Prompt
    rle: Rle
    category: str
    source: str
    licence: str
    group: str
    answer: str = ""
    family: str = ""
    category_id: int = 0
    split: str = ""
    writer: str = ""
    program: str = ""
    regions: tuple[int, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the name and the mask's size."""
        if not self.image:
            raise DataError("a sample came without the name of its image; give its path or key")
        if list(self.rle["size"]) != [self.height, self.width]:
            raise DataError(
                f"the mask of {self.image} is {list(self.rle['size'])} (H, W), expected "
                f"{[self.height, self.width]} as the image; encode it again at the image's size"
            )

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the SHA-256 of image, prompt and mask.

        What is said of a triplet (its category, split, scores ...) may change; its id does not.
        """
        content = [self.image, _prompt_row(self.prompt), list(self.rle["size"]), self.rle["counts"]]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]

    def mask(self) -> NDArray[np.bool_]:
        """The mask (H, W) bool.

        Raises:
            DataError: If the RLE is damaged.
        """
        return decode_mask(self.rle)

    def as_row(self) -> dict[str, Any]:
        """The sample as plain JSON values; `from_row` gives it back."""
        row: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        row |= {"regions": list(self.regions), "scores": dict(self.scores)}
        return row | {"prompt": _prompt_row(self.prompt), "rle": dict(self.rle)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Sample":
        """A sample from `as_row`.

        Raises:
            DataError: If a field is missing, unknown, or not what it should be.
            PromptError: If the prompt breaks its own rules.
        """
        try:
            prompt, box = row["prompt"], row["prompt"]["box"]
            points = tuple(Point(*point) for point in prompt["points"])
            instruction = Prompt(Task(prompt["task"]), prompt["text"], points, box and Box(*box))
            rle = Rle(size=list(row["rle"]["size"]), counts=row["rle"]["counts"])
            values = {name: value for name, value in row.items() if name not in ("prompt", "rle")}
            values["regions"] = tuple(values.get("regions", ()))
            return cls(prompt=instruction, rle=rle, **values)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a row is not a sample: {type(error).__name__} {error}; write it with as_row"
            ) from error


_PLAIN = tuple(
    column.name
    for column in fields(Sample)
    if column.name not in ("prompt", "rle", "regions", "scores")
)


def _prompt_row(prompt: Prompt) -> dict[str, Any]:
    return {
        "task": prompt.task.value,
        "text": prompt.text,
        "points": [[float(p.x), float(p.y), p.positive] for p in prompt.points],
        "box": prompt.box and [float(edge) for edge in asdict(prompt.box).values()],
    }
