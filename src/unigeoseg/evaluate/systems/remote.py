"""Any system behind an HTTP server, as a predictor.

One POST of JSON per image::

    {"image": "<PNG, base64>", "prompts": [{"task": "referring", "text": "the red roof",
     "points": [[x, y, positive]], "box": [x0, y0, x1, y1] or null}]}

and the reply, an entry per prompt, null where the system cannot take it::

    {"answers": [{"rle": {"size": [H, W], "counts": "..."}, "score": 0.9, "answer": "..."}]}

Coordinates are pixels of the image.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import httpx

from unigeoseg.errors import DataError, OnlineRequestError, OnlineUnavailableError
from unigeoseg.evaluate.systems.base import Answer, Pixels, stated_fields
from unigeoseg.geo.masks import Rle, decode_mask
from unigeoseg.geo.png import encode_png
from unigeoseg.prompt import Prompt
from unigeoseg.runtime.records import record_from

TIMEOUT_S = 600.0
_LARGEST_REPLY = 256 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """One entry of a reply.

    Attributes:
        rle: The mask.
        score: The system's confidence, from 0 to 1.
        answer: In words, or empty.
    """

    rle: Rle
    score: float = 1.0
    answer: str = ""


@dataclass(frozen=True, slots=True)
class RemoteSystem:
    """A predictor that asks a server.

    Attributes:
        url: Where it listens, http or https.
        timeout: Seconds to wait for the server to take or to send something.
    """

    url: str
    timeout: float = TIMEOUT_S

    def __call__(self, pixels: Pixels, prompts: Sequence[Prompt]) -> list[Answer | None]:
        """Ask about one image.

        Raises:
            OnlineUnavailableError: If the server cannot be reached or fails.
            OnlineRequestError: If it turns the request down.
            DataError: If its reply is not as described.
        """
        request = {
            "image": base64.b64encode(encode_png(pixels)).decode(),
            "prompts": [_prompt_values(prompt) for prompt in prompts],
        }
        return _parse_reply(self._post(request), len(prompts), pixels.shape[:2])

    def _post(self, request: object) -> bytes:
        try:
            with httpx.stream("POST", self.url, json=request, timeout=self.timeout) as reply:
                self._check_status(reply)
                return _read_body(reply)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise OnlineUnavailableError(
                f"{self.url} cannot be reached: {reason}; start the server and run again"
            ) from error

    def _check_status(self, reply: httpx.Response) -> None:
        if reply.is_success:
            return
        status = f"{self.url} answered {reply.status_code} {reply.reason_phrase}"
        if reply.is_server_error:
            raise OnlineUnavailableError(f"{status}; look at the server and run again")
        raise OnlineRequestError(f"{status}; see docs/benchmark.md for the form")


def _read_body(reply: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in reply.iter_bytes():
        body += chunk
        if len(body) > _LARGEST_REPLY:
            raise DataError(f"the server's reply has more than {_LARGEST_REPLY >> 20} MiB")
    return bytes(body)


def _prompt_values(prompt: Prompt) -> dict[str, object]:
    return {
        "task": prompt.task.value,
        "text": prompt.text,
        "points": [list(astuple(point)) for point in prompt.points],
        "box": prompt.box and list(astuple(prompt.box)),
    }


def _parse_reply(body: bytes, count: int, shape: tuple[int, ...]) -> list[Answer | None]:
    """The answers of a reply to `count` prompts on an image of shape (H, W)."""
    try:
        entries = json.loads(body)["answers"]
        if len(entries) != count:
            raise ValueError(f"{len(entries)} answers to {count} prompts")
        return [
            None if values is None else _parse_answer(values, f"answer {number}", shape)
            for number, values in enumerate(entries, start=1)
        ]
    except (KeyError, TypeError, ValueError, RecursionError, DataError) as error:
        raise DataError(
            f"the server's reply cannot be used: {type(error).__name__} {error}; see "
            "docs/benchmark.md for the form"
        ) from error


def _parse_answer(values: object, location: str, shape: tuple[int, ...]) -> Answer:
    answer = record_from(RemoteAnswer, stated_fields(RemoteAnswer, values), location)
    if answer.rle["size"] != list(shape):
        raise DataError(
            f"{location}: a mask of {answer.rle['size']} (H, W), the image is {[*shape]}"
        )
    return Answer(decode_mask(answer.rle), answer.score, answer.answer)
