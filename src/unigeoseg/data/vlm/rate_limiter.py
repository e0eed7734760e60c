"""Rate limiting: how many requests and tokens are sent in any 60 seconds."""

from collections import deque
from dataclasses import dataclass
from threading import Lock

from unigeoseg.data.vlm.waiting import Waiting

_WINDOW_S = 60.0


@dataclass(slots=True)
class SentRequest:
    """A request within the window.

    Attributes:
        at: When it was sent, seconds of the clock.
        tokens: Its tokens: an estimate, until `RateLimiter.settle` corrects it.
    """

    at: float
    tokens: int


class RateLimiter:
    """Rate limiter with a sliding window of 60 seconds; safe for threads.

    A request larger than the whole allowance is sent when no other is in the window.

    Args:
        requests: Requests in any 60 seconds, or None for any number.
        tokens: Tokens in any 60 seconds, or None for any number.
        waiting: Time.
    """

    def __init__(self, requests: int | None, tokens: int | None, waiting: Waiting) -> None:
        self._requests = requests
        self._tokens = tokens
        self._waiting = waiting
        self._sent: deque[SentRequest] = deque()
        self._lock = Lock()

    def take(self, tokens: int) -> SentRequest:
        """Wait for a turn of about so many tokens and take it."""
        while True:
            with self._lock:
                wait = self._wait(tokens)
                if wait <= 0:
                    turn = SentRequest(self._waiting.clock(), tokens)
                    self._sent.append(turn)
                    return turn
            self._waiting.sleep(wait)

    def settle(self, turn: SentRequest, tokens: int) -> None:
        """Correct the number of tokens of a request that was sent."""
        with self._lock:
            turn.tokens = tokens

    def _wait(self, tokens: int) -> float:
        """Seconds until a request of so many tokens fits."""
        current = self._waiting.clock()
        while self._sent and self._sent[0].at + _WINDOW_S <= current:
            self._sent.popleft()
        count = len(self._sent)
        sent_tokens = sum(turn.tokens for turn in self._sent)
        wait = 0.0
        for turn in self._sent:
            if self._fits(count, sent_tokens + tokens):
                break
            count -= 1
            sent_tokens -= turn.tokens
            wait = turn.at + _WINDOW_S - current
        return wait

    def _fits(self, requests: int, tokens: int) -> bool:
        return (self._requests is None or requests < self._requests) and (
            self._tokens is None or tokens <= self._tokens
        )
