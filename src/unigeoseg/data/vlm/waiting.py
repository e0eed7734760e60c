"""Clock, sleep and jitter as a value, so that waiting can be tested without waiting."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waiting needs.

    Attributes:
        clock: Seconds on a clock that never goes back.
        sleep: Waits so many seconds.
        jitter: A random number from 0 to below 1.
    """

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
