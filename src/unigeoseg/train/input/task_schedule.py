"""Progressive task scheduling, PTS (paper section 4): the share of each task over a run.

A mix gives the share of each task at a progress of the run. `TaskSampler` realises any mix exactly:
the number of prompts of a task differs by less than one from the sum of its shares. Both are
deterministic, so a resumed run and every process of a run see the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import add

from unigeoseg.errors import OptionError
from unigeoseg.prompt import Task

TaskWeights = Mapping[Task, float]
Mix = Callable[[float], TaskWeights]
"""Share of each task at a progress in [0, 1] of the run; shares sum to 1."""

INTERACTIVE_END_FACTOR = 0.7
"""The interactive share at the end of a run, as a multiple of the one at its start (section 4)."""

EVEN: TaskWeights = {task: 1 / len(Task) for task in Task}


def task_weights(progress: float, start: TaskWeights = EVEN) -> TaskWeights:
    """Shares of PTS: interactive falls linearly to 0.7 of its start, and reasoning gains as much.

    Referring stays (paper section 4).

    Args:
        progress: Share of the run that is done, from 0 to 1.
        start: Shares at the start, which sum to 1.

    Raises:
        OptionError: If the progress lies outside [0, 1].
    """
    if not 0 <= progress <= 1:
        raise OptionError(f"progress is {progress}, expected a share from 0 to 1")
    shift = start[Task.INTERACTIVE] * (1 - INTERACTIVE_END_FACTOR) * progress
    return {
        Task.INTERACTIVE: start[Task.INTERACTIVE] - shift,
        Task.REFERRING: start[Task.REFERRING],
        Task.REASONING: start[Task.REASONING] + shift,
    }


def fixed(progress: float, shares: TaskWeights = EVEN) -> TaskWeights:
    """Constant shares; even sampling by default."""
    del progress
    return shares


def pts(start: TaskWeights) -> Mix:
    """The mix of PTS that starts from given shares, as `task_weights`."""
    return partial(task_weights, start=_checked(start))


def constant(shares: TaskWeights) -> Mix:
    """The mix of constant shares, as `fixed`."""
    return partial(fixed, shares=_checked(shares))


_SHARE_TOLERANCE = 1e-6  # by which the sum of shares may differ from 1


def _checked(shares: TaskWeights) -> TaskWeights:
    total = sum(shares.values())
    if set(shares) != set(Task) or min(shares.values()) < 0 or abs(total - 1) > _SHARE_TOLERANCE:
        raise OptionError(f"task shares are {dict(shares)}; give one for each task, summing to 1")
    return shares


class TaskSampler:
    """The task of every prompt of a run.

    Each prompt goes to the task that is farthest behind its share of the prompts so far, which
    leaves no task more than five sixths of a prompt behind or two thirds ahead at any time.

    Steps are computed in order, as far as they are needed, and remembered, so that a long run
    begins at once. For one thread at a time.

    Args:
        mix: Share of each task by progress.
        prompts: Number of prompts of each step.
    """

    def __init__(self, mix: Mix, prompts: Sequence[int]) -> None:
        self._upcoming = _task_counts(mix, prompts)
        self._counts: list[tuple[int, ...]] = []

    def counts(self, step: int) -> dict[Task, int]:
        """Prompts of each task in a step, counted from 0; they sum to the step's prompts."""
        self._counts.extend(islice(self._upcoming, max(0, step + 1 - len(self._counts))))
        return dict(zip(Task, self._counts[step], strict=True))


def _task_counts(mix: Mix, prompts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Prompts of each task, step by step: largest remainder first, remainders carried over."""
    debts = [0.0] * len(Task)  # plain numbers: for three, numpy takes twice as long
    for step, count in enumerate(prompts):
        shares = mix((step + 0.5) / len(prompts))
        weights = [shares[task] for task in Task]
        counts = [0] * len(debts)
        for _ in range(count):
            debts = list(map(add, debts, weights))
            index = debts.index(max(debts))
            debts[index] -= 1
            counts[index] += 1
        yield tuple(counts)
