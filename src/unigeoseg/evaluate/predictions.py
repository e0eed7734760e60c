"""The file of predictions: a JSON object a line, from any system.

::

    {"id": "3f2a...", "rle": {"size": [H, W], "counts": "..."}, "score": 0.91, "answer": "",
     "seconds": 0.31}

`id` and `rle` (COCO run-lengths, column-major, compressed) must be there.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from unigeoseg.errors import DataError
from unigeoseg.evaluate.systems.base import Answer
from unigeoseg.geo.masks import Rle, encode_mask


@dataclass(frozen=True, slots=True)
class Prediction:
    """One line.

    Attributes:
        id: Of the sample.
        rle: The mask; that its runs fill its size is not checked here.
        score: How sure the system is, or NaN.
        answer: In words, or empty.
        seconds: Time spent on it, or NaN.
    """

    id: str
    rle: Rle
    score: float = math.nan
    answer: str = ""
    seconds: float = math.nan

    @classmethod
    def of(cls, sample: str, answer: Answer, seconds: float) -> "Prediction":
        """The prediction of an answer to the sample with this id."""
        return cls(sample, encode_mask(answer.mask), answer.score, answer.words, seconds)

    @classmethod
    def parse(cls, line: bytes) -> "Prediction":
        """Read a line.

        Raises:
            DataError: If it is no prediction.
        """
        try:
            row = json.loads(line)
            rle = row["rle"]
            height, width = rle["size"]
            if not all(type(side) is int and side > 0 for side in (height, width)):
                raise ValueError(f"the size {rle['size']} is not two numbers above 0")
            if not isinstance(row["id"], str) or not isinstance(rle["counts"], str):
                raise TypeError("id and counts must be texts")
            runs = Rle(size=[height, width], counts=rle["counts"])
            return cls(row["id"], runs, _number(row, "score"), _words(row), _number(row, "seconds"))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"a line is no prediction: {type(error).__name__} {error}; expected id and rle"
            ) from error

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


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    return math.nan if value is None else float(value)


def _words(row: Mapping[str, Any]) -> str:
    return str(row.get("answer") or "")


@dataclass(frozen=True)
class PredictionFile:
    """A file of predictions; only where each line begins is held in memory.

    Attributes:
        path: The file.
        offsets: First line of each id, in bytes.
        repeated: How many lines there are of an id that came before.
        malformed: How many lines are no predictions.
        example: What is wrong with the first of them, or empty.
    """

    path: Path
    offsets: Mapping[str, int]
    repeated: int
    malformed: int
    example: str

    @classmethod
    def open(cls, path: Path) -> "PredictionFile":
        """Go through a file once.

        Raises:
            DataError: If it cannot be read.
        """
        offsets: dict[str, int] = {}
        repeated, malformed, example = 0, 0, ""
        for offset, line in _lines(path):
            try:
                name = Prediction.parse(line).id
            except DataError as error:
                malformed, example = malformed + 1, example or str(error)
                continue
            repeated += name in offsets
            offsets.setdefault(name, offset)
        return cls(path, offsets, repeated, malformed, example)

    def reader(self) -> BinaryIO:
        """The open file, for `get`; close it."""
        return self.path.open("rb")

    def get(self, opened: BinaryIO, sample: str) -> Prediction | None:
        """The first prediction for a sample, or None."""
        offset = self.offsets.get(sample)
        if offset is None:
            return None
        opened.seek(offset)
        return Prediction.parse(opened.readline())


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, each with its first byte's place."""
    offset = 0
    try:
        with path.open("rb") as opened:
            for line in opened:
                if line.strip():
                    yield offset, line
                offset += len(line)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; give a file of predictions") from error
