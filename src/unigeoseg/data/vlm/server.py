"""One OpenAI-compatible server: sends a request until there is a reply, within the rate cap.

Retries have their one home here; those of the `openai` library are off.
"""

import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import openai
from pydantic import BaseModel, Field, ValidationError

from unigeoseg.data.vlm.cache import Reply
from unigeoseg.data.vlm.config import OnlineConfig
from unigeoseg.data.vlm.rate_limiter import RateLimiter
from unigeoseg.data.vlm.waiting import Waiting
from unigeoseg.errors import OnlineRequestError, OnlineUnavailableError, OptionError

_log = logging.getLogger(__name__)

_TRANSIENT = (408, 409, 425, 429)  # beside everything from 500 up
_FILTERS = ("content_filter", "content_policy_violation")
_LONGEST_DETAIL = 300  # characters of a server's message that we repeat
_SHORTEST_SECRET = 8  # a shorter "key" is a dummy, and would tear words apart if it were removed

Tokens = Annotated[int, Field(ge=0)]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: Tokens
    completion_tokens: Tokens


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Usage | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed try that may be repeated: what went wrong, and the wait that the server asks for."""

    detail: str
    wait_s: float | None = None


class Server:
    """Sends requests of one configuration; safe for threads.

    Args:
        config: Where to and within what limits.
        waiting: Time and chance.

    Raises:
        OptionError: If the API key's variable is not set.
    """

    def __init__(self, config: OnlineConfig, waiting: Waiting) -> None:
        self._config = config
        self._waiting = waiting
        self._key = _key(config.key_variable)
        self._rate_limiter = RateLimiter(
            config.requests_per_minute, config.tokens_per_minute, waiting
        )
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=config.base_url,
            max_retries=0,
            timeout=config.timeout_s,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(
        self, messages: Sequence[Any], schema: Mapping[str, Any] | None, input_tokens: int
    ) -> Reply:
        """Ask until there is a reply.

        Args:
            messages: Of the chat-completions protocol.
            schema: For response_format, or None.
            input_tokens: Estimate of the messages' tokens.

        Returns:
            The reply, which may be a refusal.

        Raises:
            OnlineUnavailableError: If no try brought a usable reply.
            OnlineRequestError: If the server turns the request down.
        """
        failures: list[_Failure] = []
        for _ in range(self._config.tries):
            if failures:
                self._pause(failures)
            turn = self._rate_limiter.take(input_tokens + self._config.output_bound)
            outcome = self._try(messages, schema, input_tokens)
            if isinstance(outcome, Reply):
                self._rate_limiter.settle(turn, outcome.input_tokens + outcome.output_tokens)
                return outcome
            _log.warning("%s: %s", self._config.model, outcome.detail)
            failures.append(outcome)
        raise self._unavailable(failures)

    def _try(
        self, messages: Sequence[Any], schema: Mapping[str, Any] | None, input_tokens: int
    ) -> Reply | _Failure:
        form = {"response_format": {"type": "json_schema", "json_schema": schema}} if schema else {}
        try:
            raw = self._client.chat.completions.with_raw_response.create(
                model=self._config.model,
                messages=list(messages),
                extra_body={**self._config.parameters, **form},
            )
        except openai.APIStatusError as error:
            return self._refused_by_server(error, input_tokens)
        except openai.APIError as error:
            return _Failure(self._clean(f"{error.message} {error.__cause__ or ''}".strip()))
        return self._read(raw.http_response.text, input_tokens)

    def _read(self, body: str, input_tokens: int) -> Reply | _Failure:
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError:
            return _Failure(f"the reply is not a chat completion: {self._clean(body)!r}")
        choice = completion.choices[0]
        text = self._secretless(choice.message.content or "")
        refusal = choice.message.refusal or None
        if choice.finish_reason == "content_filter":
            refusal = refusal or "content filter"
        usage = completion.usage or _Usage(
            prompt_tokens=input_tokens, completion_tokens=estimate_tokens(text)
        )
        refused = self._clean(refusal) if refusal else None
        return Reply(text, refused, usage.prompt_tokens, usage.completion_tokens)

    def _refused_by_server(
        self, error: openai.APIStatusError, input_tokens: int
    ) -> Reply | _Failure:
        status, detail = error.status_code, self._clean(error.message)
        if status >= 500 or status in _TRANSIENT:
            return _Failure(detail, _retry_after(error.response.headers.get("retry-after", "")))
        if error.code in _FILTERS:
            return Reply("", detail, input_tokens, 0)
        # Not chained: the library's error repeats the server's words, key and all.
        raise OnlineRequestError(
            f"{self._config.base_url} turned down a request to {self._config.model}: {detail}; "
            "check the key, model, parameters and structured in the file of models"
        ) from None

    def _pause(self, failures: Sequence[_Failure]) -> None:
        """Wait as long as the server asks, else twice as long each time, with jitter."""
        requested = failures[-1].wait_s
        longest = self._config.longest_wait_s
        if requested is not None and requested > longest:
            raise self._unavailable(failures)
        wait = requested
        if wait is None:
            wait = min(self._config.first_wait_s * 2 ** (len(failures) - 1), longest)
            wait *= 0.5 + 0.5 * self._waiting.jitter()
        self._waiting.sleep(wait)

    def _unavailable(self, failures: Sequence[_Failure]) -> OnlineUnavailableError:
        last = failures[-1]
        request = f" (it asks to wait {last.wait_s:g} s)" if last.wait_s else ""
        return OnlineUnavailableError(
            f"{self._config.base_url} gave no reply from {self._config.model} in {len(failures)} "
            f"tries, last: {last.detail}{request}; run again later, what was answered is kept"
        )

    def _clean(self, text: str) -> str:
        """A server's words on one line, short and without the key."""
        return " ".join(self._secretless(text).split())[:_LONGEST_DETAIL]

    def _secretless(self, text: str) -> str:
        return text.replace(self._key, "***") if len(self._key) >= _SHORTEST_SECRET else text


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has: one per four characters, rounded up."""
    return -(-len(text) // 4)


def _key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise OptionError(f"the environment variable {variable} is not set; put the API key there")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise OptionError(
            f"the environment variable {variable} does not hold a key: bad characters"
        )
    return key


def _retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None if neither."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
