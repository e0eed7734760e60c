"""Any system behind a server, as a predictor.

One POST of JSON per image::

    {"image": "<PNG, base64>", "prompts": [{"task": "referring", "text": "the red roof",
     "points": [[x, y, positive]], "box": [x0, y0, x1, y1] or null}]}

and the reply, an entry per prompt, null where the system cannot take it::

    {"answers": [{"rle": {"size": [H, W], "counts": "..."}, "score": 0.9, "answer": "..."}]}

Coordinates are pixels of the image.
"""

import base64
import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any
from urllib.error import HTTPError

from unigeoseg.errors import DataError, OnlineRequestError, OnlineUnavailableError
from unigeoseg.evaluate.systems.base import Answer, Pixels
from unigeoseg.geo.masks import Rle, decode_mask
from unigeoseg.geo.png import encode_png
from unigeoseg.prompt import Prompt

TIMEOUT_S = 600.0
_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class RemoteSystem:
    """A predictor that asks a server.

    Attributes:
        url: Where it listens, http or https.
        timeout: Seconds to wait for an image.
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
        content = {
            "image": base64.b64encode(encode_png(pixels)).decode(),
            "prompts": [_row(prompt) for prompt in prompts],
        }
        reply = self._post(json.dumps(content).encode())
        return _answers(reply, len(prompts), pixels.shape[:2])

    def _post(self, content: bytes) -> bytes:
        request = urllib.request.Request(
            self.url, content, {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                body: bytes = reply.read(_MOST_BYTES)
        except HTTPError as error:
            with error:
                said = f"{self.url} answered {error.code} {error.reason}"
            if error.code < 500:
                raise OnlineRequestError(f"{said}; see docs/benchmark.md for the form") from error
            raise OnlineUnavailableError(f"{said}; look at the server and run again") from error
        except OSError as error:
            raise OnlineUnavailableError(
                f"{self.url} cannot be reached: {error}; start the server and run again"
            ) from error
        return body


def _row(prompt: Prompt) -> dict[str, object]:
    return {
        "task": prompt.task.value,
        "text": prompt.text,
        "points": [list(astuple(point)) for point in prompt.points],
        "box": prompt.box and list(astuple(prompt.box)),
    }


def _answers(reply: bytes, count: int, shape: tuple[int, ...]) -> list[Answer | None]:
    try:
        given = json.loads(reply)["answers"]
        if len(given) != count:
            raise ValueError(f"{len(given)} answers to {count} prompts")
        return [None if each is None else _answer(each, shape) for each in given]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the server's reply cannot be used: {type(error).__name__} {error}; see "
            "docs/benchmark.md for the form"
        ) from error


def _answer(row: Mapping[str, Any], shape: tuple[int, ...]) -> Answer:
    size = list(row["rle"]["size"])
    if size != list(shape):
        raise ValueError(f"a mask of {size} (H, W) for an image of {list(shape)}")
    mask = decode_mask(Rle(size=size, counts=row["rle"]["counts"]))
    return Answer(mask, float(row.get("score", 1.0)), str(row.get("answer") or ""))
