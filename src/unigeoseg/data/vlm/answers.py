"""Answers of models: their schemas, and strict validation of a model's text.

Bounds that some servers do not take in a schema (lengths, patterns) are checked here alone.
"""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

_MAX_CHARACTERS = 600  # of one text: three times the longest that a prompt asks for
_DRAWING_WORDS = re.compile(
    r"\b(outlin|highlight|annotat)\w*|\b(red|yellow|cyan|magenta|green|blue) (line|border|contour)",
    re.IGNORECASE,
)
_REASONING_BLOCK = re.compile(r"<think>.*?</think>", re.DOTALL)


def _single_line(text: str) -> str:
    text = " ".join(text.split())
    if not text or not text.isprintable():
        raise ValueError("must be plain text on one line, and not empty")
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"has {len(text)} characters, at most {_MAX_CHARACTERS} are allowed")
    return text


def _without_drawing(text: str) -> str:
    mention = _DRAWING_WORDS.search(text)
    if mention:
        raise ValueError(f"must not mention the drawing ({mention[0]!r})")
    return text


def _two_or_three(cues: list[str]) -> list[str]:
    if not 2 <= len(cues) <= 3:
        raise ValueError(f"must hold 2 or 3 cues, got {len(cues)}")
    return cues


SingleLine = Annotated[str, AfterValidator(_single_line)]
Instruction = Annotated[str, AfterValidator(_single_line), AfterValidator(_without_drawing)]
Level = Literal[1, 2, 3, 4, 5]


class Answer(BaseModel):
    """Base of all answers: every field is there and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Judgement(Answer):
    """Answer to the prompt judge; the fields after the reason are those of `JudgeLimits`."""

    reason: SingleLine
    soundness: Level
    distinctiveness: Level
    localisation: Level


class Expression(Answer):
    """Answer to the prompt referring."""

    expression: Instruction


class Cues(Answer):
    """Answer to the prompt context_cues."""

    cues: Annotated[list[SingleLine], AfterValidator(_two_or_three)]


class ReasonedQuestion(Answer):
    """Answer to the prompts attribute and context_question."""

    question: Instruction
    reason: Instruction


class Score(Answer):
    """Answer to score_a and score_b; the fields after the reason are those of `ScoreLimits`."""

    reason: SingleLine
    complexity: Level
    consistency: Level
    uniqueness: Level
    mask: Level
    clarity: Level
    conciseness: Level


A = TypeVar("A", bound=Answer)


def parse_answer(kind: type[A], text: str) -> A:
    """Read an answer from a model's text: the JSON object in it, within a fence or bare.

    Raises:
        ValueError: If it is not that; the message is written for the model.
    """
    text = _REASONING_BLOCK.sub("", text)
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("there is no complete JSON object in it")
    try:
        return kind.model_validate_json(text[start : end + 1])
    except ValidationError as error:
        raise ValueError("; ".join(_complaint(detail) for detail in error.errors())) from error


def answer_schema(kind: type[Answer]) -> dict[str, Any]:
    """The answer's JSON schema, in the form of response_format."""
    return {"name": kind.__name__, "strict": True, "schema": kind.model_json_schema()}


def _complaint(error: Any) -> str:  # noqa: ANN401  (pydantic's ErrorDetails)
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])
