"""Prediction files: a JSON object a line, from any system.

::

    {"id": "3f2a...", "rle": {"size": [H, W], "counts": "..."}, "score": 0.91, "answer": "",
     "seconds": 0.31}

`id` and `rle` (COCO run-lengths, column-major, compressed) must be there. Other fields than these
are left alone; null and NaN count as a field that is not there.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.errors import DataError
from unigeoseg.evaluate.systems.base import Answer, stated_fields
from unigeoseg.geo.masks import Rle, encode_mask
from unigeoseg.runtime.records import record_from


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted mask: one line of a prediction file.

    Attributes:
        id: Of the sample.
        rle: The mask; that its runs fill its size is not checked here.
        score: The system's confidence, or NaN.
        answer: In words, or empty.
        seconds: Time spent on it, or NaN.

    Raises:
        ValueError: If the size of the mask is not two numbers above 0.
    """

    id: str
    rle: Rle
    score: float = math.nan
    answer: str = ""
    seconds: float = math.nan

    def __post_init__(self) -> None:
        """Check the size."""
        size = self.rle["size"]
        if len(size) != 2 or min(size) <= 0:
            raise ValueError(f"the size {size} is not two numbers above 0")

    @classmethod
    def of(cls, sample: str, answer: Answer, seconds: float) -> "Prediction":
        """The prediction of an answer to the sample with this id."""
        return cls(sample, encode_mask(answer.mask), answer.score, answer.words, seconds)

    @classmethod
    def parse(cls, line: bytes, location: str) -> "Prediction":
        """Read a line.

        Args:
            line: JSON in UTF-8.
            location: Names the file and the line in messages.

        Raises:
            DataError: If it is no prediction.
        """
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{location} is no prediction: {error}; expected id and rle") from error
        return record_from(cls, stated_fields(cls, values), location)

    def line(self) -> str:
        """The line, with its end."""
        row = {
            "id": self.id,
            "rle": self.rle,
            "score": round(self.score, 6),
            "answer": self.answer,
            "seconds": round(self.seconds, 6),
        }
        return json.dumps(row, allow_nan=False) + "\n"


@dataclass(frozen=True)
class PredictionFile:
    """A file of predictions, parsed once and held in memory, masks as run-lengths.

    Attributes:
        predictions: The first prediction of each sample's id.
        repeated: How many lines there are of an id that came before.
        malformed: How many lines are no predictions.
        example: The problem of the first of them, or empty.
    """

    predictions: Mapping[str, Prediction]
    repeated: int = 0
    malformed: int = 0
    example: str = ""

    @classmethod
    def open(cls, path: Path) -> "PredictionFile":
        """Read a file.

        Raises:
            DataError: If it cannot be read.
        """
        predictions: dict[str, Prediction] = {}
        repeated, malformed, example = 0, 0, ""
        for number, line in _lines(path):
            try:
                prediction = Prediction.parse(line, f"{path.name}, line {number}")
            except DataError as error:
                malformed, example = malformed + 1, example or str(error)
                continue
            repeated += prediction.id in predictions
            predictions.setdefault(prediction.id, prediction)
        return cls(predictions, repeated, malformed, example)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, each with its number from 1."""
    try:
        with path.open("rb") as opened:
            for number, line in enumerate(opened, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; give a file of predictions") from error
