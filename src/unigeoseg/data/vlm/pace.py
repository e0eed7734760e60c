"""The rate cap: how many requests and tokens go out in any 60 seconds."""

from collections import deque
from dataclasses import dataclass
from threading import Lock

from unigeoseg.data.vlm.waiting import Waiting

_WINDOW_S = 60.0


@dataclass(slots=True)
class Sent:
    """One request within the window.

    Attributes:
        at: When it went out, seconds of the clock.
        tokens: What it takes: an estimate, until `Pace.settle` knows.
    """

    at: float
    tokens: int


class Pace:
    """Lets requests through so that no 60 seconds see more than allowed; safe for threads.

    A request larger than the whole allowance goes alone.

    Args:
        requests: Requests in any 60 seconds, or None for any number.
        tokens: Tokens in any 60 seconds, or None for any number.
        waiting: Time.
    """

    def __init__(self, requests: int | None, tokens: int | None, waiting: Waiting) -> None:
        self._requests = requests
        self._tokens = tokens
        self._waiting = waiting
        self._sent: deque[Sent] = deque()
        self._lock = Lock()

    def take(self, tokens: int) -> Sent:
        """Wait for a turn of about so many tokens and take it."""
        while True:
            with self._lock:
                wait = self._wait(tokens)
                if wait <= 0:
                    turn = Sent(self._waiting.now(), tokens)
                    self._sent.append(turn)
                    return turn
            self._waiting.sleep(wait)

    def settle(self, turn: Sent, tokens: int) -> None:
        """Say how many tokens a turn really took."""
        with self._lock:
            turn.tokens = tokens

    def _wait(self, tokens: int) -> float:
        """Seconds until a request of so many tokens fits."""
        now = self._waiting.now()
        while self._sent and self._sent[0].at + _WINDOW_S <= now:
            self._sent.popleft()
        count = len(self._sent)
        used = sum(turn.tokens for turn in self._sent)
        wait = 0.0
        for turn in self._sent:
            if self._fits(count, used + tokens):
                break
            count -= 1
            used -= turn.tokens
            wait = turn.at + _WINDOW_S - now
        return wait

    def _fits(self, before: int, tokens: int) -> bool:
        return (self._requests is None or before < self._requests) and (
            self._tokens is None or tokens <= self._tokens
        )
