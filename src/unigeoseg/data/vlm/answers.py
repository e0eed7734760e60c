"""What models answer, as schemas, and the strict way to read it.

Bounds that some servers do not take in a schema (lengths, patterns) are checked here alone.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

_LONGEST = 600  # characters of one text: three times the longest that a prompt asks for
_DRAWING = re.compile(
    r"\b(outlin|highlight|annotat)\w*|\b(red|yellow|cyan|magenta|green|blue) (line|border|contour)",
    re.IGNORECASE,
)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


def _plain(text: str) -> str:
    text = " ".join(text.split())
    if not text or not text.isprintable():
        raise ValueError("must be plain text on one line, and not empty")
    if len(text) > _LONGEST:
        raise ValueError(f"has {len(text)} characters, at most {_LONGEST} are allowed")
    return text


def _undrawn(text: str) -> str:
    found = _DRAWING.search(text)
    if found:
        raise ValueError(f"must not mention the drawing ({found[0]!r})")
    return text


def _two_or_three(cues: list[str]) -> list[str]:
    if not 2 <= len(cues) <= 3:
        raise ValueError(f"must hold 2 or 3 cues, got {len(cues)}")
    return cues


Plain = Annotated[str, AfterValidator(_plain)]
Instruction = Annotated[str, AfterValidator(_plain), AfterValidator(_undrawn)]
Level = Literal[1, 2, 3, 4, 5]


class Answer(BaseModel):
    """Base of all answers: every field is there and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Judgement(Answer):
    """Answer to the prompt judge; the fields after the reason are those of `JudgeLimits`."""

    reason: Plain
    soundness: Level
    distinctiveness: Level
    localisation: Level


class Expression(Answer):
    """Answer to the prompt referring."""

    expression: Instruction


class Cues(Answer):
    """Answer to the prompt context_cues."""

    cues: Annotated[list[Plain], AfterValidator(_two_or_three)]


class ReasonedQuestion(Answer):
    """Answer to the prompts attribute and context_question."""

    question: Instruction
    reason: Instruction


class Score(Answer):
    """Answer to score_a and score_b; the fields after the reason are those of `ScoreLimits`."""

    reason: Plain
    complexity: Level
    consistency: Level
    uniqueness: Level
    mask: Level
    clarity: Level
    conciseness: Level


A = TypeVar("A", bound=Answer)


def parse(kind: type[A], text: str) -> A:
    """Read an answer from a model's text: the JSON object in it, within a fence or bare.

    Raises:
        ValueError: If it is not that; the message is written for the model.
    """
    text = _THOUGHTS.sub("", text)
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("there is no complete JSON object in it")
    try:
        return kind.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(each) for each in error.errors())) from error


def schema(kind: type[Answer]) -> dict[str, Any]:
    """The answer's JSON schema, in the form of response_format."""
    return {"name": kind.__name__, "strict": True, "schema": kind.model_json_schema()}


def _complaint(error: Any) -> str:  # noqa: ANN401  (pydantic's ErrorDetails)
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])
