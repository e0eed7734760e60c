"""Configuration of the models that judge, write and score: servers, parameters and limits.

A file of this form, TOML or JSON, names all four (docs/judges.md)::

    [judge]
    base_url = "http://127.0.0.1:8000/v1"
    model = "the-name-the-server-knows"
    [writer]
    ...
    [[scorers]]    # twice
    ...
"""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from unigeoseg.errors import DataError, OptionError
from unigeoseg.runtime.records import record_from

LOWEST_LEVEL, HIGHEST_LEVEL = 1, 5
"""Range of the levels that models judge and score by."""

_SCORERS = 2
_REQUEST_FIELDS = ("model", "messages", "response_format", "stream", "n")  # set per request
_OUTPUT_BOUNDS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineConfig:
    """One model behind an OpenAI-compatible server, and how it may be used.

    Attributes:
        base_url: Where the server's API starts, such as "http://127.0.0.1:8000/v1".
        model: Its name there.
        key_variable: Environment variable that holds the API key; empty if none is needed.
        parameters: Sent with every request unchanged; max_tokens or max_completion_tokens
            must be among them.
        structured: Whether the server takes response_format json_schema; else the prompt alone
            asks for JSON.
        jpeg_quality: 1 to 100, or 0 to send images as PNG.
        image_tokens: Estimate of what one image costs in tokens, for the caps alone.
        input_price: Price of a million input tokens, in any currency.
        output_price: Price of a million output tokens, in the same.
        cost_cap: What all replies of this model in one cache may cost together, or None.
        requests_per_minute: At most so many in any 60 seconds, or None.
        tokens_per_minute: At most so many in any 60 seconds, or None.
        concurrency: Requests at a time.
        timeout_s: Seconds without a byte until a request has failed.
        tries: How often a request is sent before giving up.
        first_wait_s: Seconds until the second try; doubled for each further one.
        longest_wait_s: Seconds that a wait never exceeds.
        repairs: How often a malformed answer is asked for again.

    Raises:
        OptionError: If a value is out of its range.
    """

    base_url: str
    model: str
    key_variable: str = ""
    parameters: Mapping[str, Any] = field(
        default_factory=lambda: {"temperature": 0.0, "max_tokens": 1024}
    )
    structured: bool = True
    jpeg_quality: int = 0
    image_tokens: int = 1000
    input_price: float = 0.0
    output_price: float = 0.0
    cost_cap: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int = 4
    timeout_s: float = 120.0
    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    repairs: int = 2

    def __post_init__(self) -> None:
        """Check every value."""
        self._check_server()
        self._check_parameters()
        self._check_ranges()
        if self.cost_cap is not None and not self.input_price + self.output_price:
            raise OptionError(
                f"cost_cap is {self.cost_cap:g} but input_price and output_price are 0; "
                "give the prices of a million tokens"
            )

    @property
    def output_bound(self) -> int:
        """Tokens that an answer has at most."""
        return max(int(self.parameters.get(name, 0)) for name in _OUTPUT_BOUNDS)

    def price(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6

    def _check_server(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            raise OptionError(
                "base_url must be http(s)://host/path without user or password, such as "
                "http://127.0.0.1:8000/v1; a key goes into an environment variable"
            )
        if not self.model.strip():
            raise OptionError("model is empty; give the name that the server knows")
        # the value is not repeated: it may be the key itself
        if self.key_variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.key_variable):
            raise OptionError(
                "key_variable must be the name of an environment variable, such as OPENAI_API_KEY, "
                "not the key"
            )

    def _check_parameters(self) -> None:
        reserved = sorted(set(_REQUEST_FIELDS) & set(self.parameters))
        if reserved:
            raise OptionError(
                f"parameters has {reserved[0]}, which is set for each request; leave it out"
            )
        bounds = [self.parameters[name] for name in _OUTPUT_BOUNDS if name in self.parameters]
        if not bounds or not all(type(bound) is int and bound > 0 for bound in bounds):
            raise OptionError(
                f"parameters must bound the answer by {' or '.join(_OUTPUT_BOUNDS)}, a number "
                "above 0"
            )

    def _check_ranges(self) -> None:
        for name in ("concurrency", "timeout_s", "tries", "longest_wait_s"):
            _check_range(name, getattr(self, name), above=0)
        for name in ("requests_per_minute", "tokens_per_minute"):
            if getattr(self, name) is not None:
                _check_range(name, getattr(self, name), above=0)
        for name in ("first_wait_s", "repairs", "image_tokens", "input_price", "output_price"):
            _check_range(name, getattr(self, name))
        _check_range("jpeg_quality", self.jpeg_quality, maximum=100)
        _check_range("cost_cap", self.cost_cap or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeLimits:
    """Lowest level, 1 to 5, of each dimension that the judge looks at.

    Source: the dimensions are the paper's (section 2, stage 5); it gives no thresholds.
    """

    soundness: int = 4
    distinctiveness: int = 3
    localisation: int = 4

    def __post_init__(self) -> None:
        """Check that each is a level."""
        _check_levels(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLimits:
    """Lowest level, 1 to 5, of each dimension of cross-scoring.

    Source: the dimensions are the paper's (section 2, stage 7); it gives no thresholds.
    """

    complexity: int = 3
    consistency: int = 4
    uniqueness: int = 4
    mask: int = 4
    clarity: int = 4
    conciseness: int = 3

    def __post_init__(self) -> None:
        """Check that each is a level."""
        _check_levels(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The four models and the limits that candidates and drafts have to reach.

    Attributes:
        judge: Looks at candidates.
        writer: Writes instructions.
        scorers: Two others, which score what the writer wrote.
        judge_limits: Thresholds of the judge.
        score_limits: Thresholds of both scorers.

    Raises:
        OptionError: If there are not two scorers, the writer would score itself, or both scorers
            are one model.
    """

    judge: OnlineConfig
    writer: OnlineConfig
    scorers: tuple[OnlineConfig, ...]
    judge_limits: JudgeLimits = field(default_factory=JudgeLimits)
    score_limits: ScoreLimits = field(default_factory=ScoreLimits)

    def __post_init__(self) -> None:
        """Check that three different models write and score."""
        if len(self.scorers) != _SCORERS:
            raise OptionError(f"there are {len(self.scorers)} scorers, give {_SCORERS}")
        names = [config.model for config in (self.writer, *self.scorers)]
        if len(set(names)) < len(names):
            raise OptionError(
                f"the writer and the two scorers are {', '.join(names)}; a model must not score "
                "itself and two must agree: give three different models"
            )


def load_models(path: Path) -> Models:
    """Read the models from a TOML or JSON file.

    Raises:
        OptionError: If the file is missing or malformed, or a value is unknown or out of range.
    """
    try:
        return record_from(Models, _read_values(path), str(path), secret=True)
    except DataError as error:
        # not chained: the cause repeats values, and one may be a key in the wrong place
        raise OptionError(f"{error}; see docs/judges.md") from None


def _read_values(path: Path) -> object:
    """Whatever the file holds; it is validated next."""
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise OptionError(
            f"{path} ends in {path.suffix or 'no suffix'}; give a .toml or .json file"
        )
    try:
        return readers[path.suffix](path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"{path} cannot be read: {error.strerror}; give a file of models"
        ) from error
    except ValueError as error:
        raise OptionError(f"{path} is not {path.suffix[1:].upper()}: {error}") from error


def _check_levels(limits: JudgeLimits | ScoreLimits) -> None:
    for name in limits.__slots__:
        level = getattr(limits, name)
        if not LOWEST_LEVEL <= level <= HIGHEST_LEVEL:
            raise OptionError(
                f"{name} is {level}, levels go from {LOWEST_LEVEL} to {HIGHEST_LEVEL}"
            )


def _check_range(
    name: str, value: float, *, above: float | None = None, maximum: float = math.inf
) -> None:
    above_lower_end = value > above if above is not None else value >= 0
    if not (math.isfinite(value) and above_lower_end and value <= maximum):
        start = "above 0" if above is not None else "at least 0"
        end = f" and at most {maximum:g}" if math.isfinite(maximum) else ""
        raise OptionError(f"{name} is {value}; it must be {start}{end}")
