"""PTS, progressive task scheduling (paper section 4): which tasks a step teaches.

A mix says how much of each task is taught at a point of the run; `TaskSampler` realises any
mix exactly: the number of prompts of a task never differs from what the mix adds up to by as much
as one. Both are pure, so a resumed run and every process of many see the same.
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

INTERACTIVE_LEFT = 0.7
"""What is left of the interactive share at the end (paper section 4)."""

EVEN: TaskWeights = {task: 1 / len(Task) for task in Task}


def task_weights(progress: float, start: TaskWeights = EVEN) -> TaskWeights:
    """PTS: interactive falls to 0.7 of its start, reasoning takes what it gives up.

    The fall is a straight line; referring stays.

    Args:
        progress: Share of the run that is done, from 0 to 1.
        start: Shares at the start, which sum to 1.

    Raises:
        OptionError: If the progress lies outside [0, 1].
    """
    if not 0 <= progress <= 1:
        raise OptionError(f"progress is {progress}, expected a share from 0 to 1")
    given = start[Task.INTERACTIVE] * (1 - INTERACTIVE_LEFT) * progress
    return {
        Task.INTERACTIVE: start[Task.INTERACTIVE] - given,
        Task.REFERRING: start[Task.REFERRING],
        Task.REASONING: start[Task.REASONING] + given,
    }


def fixed(progress: float, shares: TaskWeights = EVEN) -> TaskWeights:
    """The same shares all the time; even sampling by default."""
    del progress
    return shares


def pts(start: TaskWeights) -> Mix:
    """`task_weights` from other shares than even ones."""
    return partial(task_weights, start=_checked(start))


def constant(shares: TaskWeights) -> Mix:
    """`fixed` of other shares than even ones."""
    return partial(fixed, shares=_checked(shares))


def _checked(shares: TaskWeights) -> TaskWeights:
    whole = sum(shares.values())
    if set(shares) != set(Task) or min(shares.values()) < 0 or abs(whole - 1) > 1e-6:
        raise OptionError(f"task shares are {dict(shares)}; give one for each task, summing to 1")
    return shares


class TaskSampler:
    """The task of every prompt of a run.

    Each prompt goes to the task that is farthest behind its share of the prompts so far, which
    leaves no task more than five sixths of a prompt behind or two thirds ahead at any time.
    Steps are dealt in order as far as they are asked for and then remembered, so that a long run
    begins at once; for one thread at a time.

    Args:
        mix: Share of each task by progress.
        prompts: Number of prompts of each step.
    """

    def __init__(self, mix: Mix, prompts: Sequence[int]) -> None:
        self._rest = _dealt(mix, prompts)
        self._counts: list[tuple[int, ...]] = []

    def counts(self, step: int) -> dict[Task, int]:
        """Prompts of each task in a step, counted from 0; they sum to the step's prompts."""
        self._counts.extend(islice(self._rest, max(0, step + 1 - len(self._counts))))
        return dict(zip(Task, self._counts[step], strict=True))


def _dealt(mix: Mix, prompts: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Prompts of each task, step by step."""
    due = [0.0] * len(Task)  # plain numbers: for three, numpy takes twice as long
    for step, count in enumerate(prompts):
        shares = mix((step + 0.5) / len(prompts))
        weights = [shares[task] for task in Task]
        dealt = [0] * len(due)
        for _ in range(count):
            due = list(map(add, due, weights))
            chosen = due.index(max(due))
            due[chosen] -= 1
            dealt[chosen] += 1
        yield tuple(dealt)
