"""Client of a model: questions about images, validated answers, a cache and a cost cap."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.answers import A, answer_schema, parse_answer
from unigeoseg.data.vlm.cache import Reply, ReplyCache, request_key
from unigeoseg.data.vlm.config import OnlineConfig
from unigeoseg.data.vlm.server import Server, estimate_tokens
from unigeoseg.data.vlm.waiting import Waiting
from unigeoseg.errors import CostCapError, OnlineError

T = TypeVar("T")
R = TypeVar("R")

_QUOTED_CHARACTERS = 2000  # characters of a malformed answer that are sent back


@dataclass(frozen=True, slots=True, eq=False)
class Question(Generic[A]):
    """One question.

    Attributes:
        prompt: Its text.
        image: (H, W, 3) uint8 RGB.
        answer: The form of the answer.
    """

    prompt: str
    image: NDArray[np.uint8]
    answer: type[A]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why a question has no answer.

    Attributes:
        rule: "refused" or "malformed".
        detail: The model's or the server's words, or what was wrong with the last answer.
    """

    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Repair:
    """A malformed answer and what was wrong with it."""

    answer: str
    complaint: str


class OnlineClient:
    """A model behind a server, with a cache and within caps; safe for threads.

    Args:
        config: The model.
        cache_dir: Directory of the cache, which several models, threads and processes may share.
        waiting: Time and chance.

    Raises:
        OptionError: If the API key's variable is not set.
        OutputUnwritableError: If the cache cannot be used.
    """

    def __init__(
        self, config: OnlineConfig, cache_dir: Path, waiting: Waiting | None = None
    ) -> None:
        self.config = config
        self._cache = ReplyCache(cache_dir)
        self._server = Server(config, waiting or Waiting())
        self._pool = ThreadPoolExecutor(config.concurrency, thread_name_prefix="online")
        self._lock = Lock()
        self._reserved = 0.0
        self._answered = Condition()
        self._pending_keys: set[str] = set()
        self._failure: OnlineError | None = None

    def close(self) -> None:
        """Drop what has not begun, wait for requests under way, and close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._server.close()

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Results of a function that asks, for all items, in order.

        Items of all callers together are worked on by as many threads as the configuration
        allows, so call it from several threads to overlap patches. The function must not call
        `map`. An exception cancels items that have not begun; an `OnlineError` those of all
        callers for good: a new client is needed after it.
        """
        futures = [self._pool.submit(self._unless_failed, function, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _unless_failed(self, function: Callable[[T], R], item: T) -> R:
        if self._failure is not None:
            raise self._failure
        try:
            return function(item)
        except OnlineError as error:
            self._failure = error
            raise

    def ask(self, question: Question[A]) -> A | NoAnswer:
        """Ask, and ask again with the complaint if the answer is malformed.

        Raises:
            CostCapError: If the request could pass the cost cap; it was not sent.
            OnlineUnavailableError: If the server gave no usable reply.
            OnlineRequestError: If the server turned the request down.
        """
        repairs: list[_Repair] = []
        for _ in range(1 + self.config.repairs):
            reply = self._reply(question, repairs)
            if reply.refusal is not None:
                return NoAnswer("refused", reply.refusal)
            try:
                return parse_answer(question.answer, reply.text)
            except ValueError as error:
                repairs.append(
                    _Repair(reply.text[:_QUOTED_CHARACTERS], str(error)[:_QUOTED_CHARACTERS])
                )
        return NoAnswer("malformed", repairs[-1].complaint)

    def _reply(self, question: Question[A], repairs: Sequence[_Repair]) -> Reply:
        request = self._request(question, repairs)
        key = request_key(request)
        with self._only_request(key):
            cached = self._cache.get(key)
            if cached:
                return cached
            texts = [question.prompt, *(turn for repair in repairs for turn in _turns(repair))]
            tokens = self.config.image_tokens + sum(estimate_tokens(text) for text in texts)
            with self._reservation(tokens):
                messages = self._messages(question, repairs)
                reply = self._server.send(messages, request["schema"], tokens)
                return self._cache.put(key, request, reply)

    @contextmanager
    def _only_request(self, key: str) -> Iterator[None]:
        """Wait while another thread asks the same: its reply will be in the cache."""
        with self._answered:
            self._answered.wait_for(lambda: key not in self._pending_keys)
            self._pending_keys.add(key)
        try:
            yield
        finally:
            with self._answered:
                self._pending_keys.remove(key)
                self._answered.notify_all()

    def _request(self, question: Question[A], repairs: Sequence[_Repair]) -> dict[str, Any]:
        """What decides the reply. Pixels are digested before they are encoded as PNG or JPEG."""
        config = self.config
        shape = "x".join(str(side) for side in question.image.shape)
        digest = hashlib.sha256(question.image.tobytes()).hexdigest()
        return {
            "model": config.model,
            "prompts": prompts.VERSION,
            "parameters": dict(config.parameters),
            "text": question.prompt,
            "image": f"{shape} quality {config.jpeg_quality} sha256 {digest}",
            "repairs": [_turns(repair) for repair in repairs],
            "schema": answer_schema(question.answer) if config.structured else None,
        }

    def _messages(self, question: Question[A], repairs: Sequence[_Repair]) -> list[dict[str, Any]]:
        image = {"type": "image_url", "image_url": {"url": self._data_url(question.image)}}
        content = [{"type": "text", "text": question.prompt}, image]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        for repair in repairs:
            answer, complaint = _turns(repair)
            messages.append({"role": "assistant", "content": answer})
            messages.append({"role": "user", "content": complaint})
        return messages

    def _data_url(self, image: NDArray[np.uint8]) -> str:
        quality = self.config.jpeg_quality
        suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]) if quality else (".png", [])
        succeeded, content = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
        assert succeeded, "OpenCV encodes every uint8 image"
        kind = "jpeg" if quality else "png"
        return f"data:image/{kind};base64,{base64.b64encode(content.tobytes()).decode()}"

    @contextmanager
    def _reservation(self, input_tokens: int) -> Iterator[None]:
        """Reserve what a request may cost until its reply is in the cache and counted there."""
        config = self.config
        if config.cost_cap is None:
            yield
            return
        cost = config.price(input_tokens, config.output_bound)
        with self._lock:
            spent = config.price(*self._cache.token_counts(config.model))
            if spent + self._reserved + cost > config.cost_cap:
                raise CostCapError(
                    f"{config.model} has cost {spent:.4g} and the next request could pass cost_cap "
                    f"{config.cost_cap:g}; raise it and run again, what was answered is kept"
                )
            self._reserved += cost
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= cost


def _turns(repair: _Repair) -> tuple[str, str]:
    """The model's answer and the reply to it."""
    return repair.answer, (
        f"That answer cannot be used: {repair.complaint}. Answer again with one JSON object of the "
        "form asked for, and nothing else."
    )
