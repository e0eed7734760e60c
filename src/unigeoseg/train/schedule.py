"""PTS, progressive task scheduling (paper section 4): which tasks a step teaches.

A mix says how much of each task is taught at a point of the run; `TaskSampler` realises any
mix exactly: the number of prompts of a task never differs from what the mix adds up to by as much
as one. Both are pure, so a resumed run and every process of many see the same.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

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

    Args:
        mix: Share of each task by progress.
        prompts: Number of prompts of each step.
    """

    def __init__(self, mix: Mix, prompts: Sequence[int]) -> None:
        tasks = list(Task)
        due = np.zeros(len(tasks))
        self._counts = np.zeros((len(prompts), len(tasks)), np.int64)
        for step, count in enumerate(prompts):
            shares = mix((step + 0.5) / len(prompts))
            weights = np.array([shares[task] for task in tasks])
            for _ in range(count):
                due += weights
                chosen = int(due.argmax())
                due[chosen] -= 1
                self._counts[step, chosen] += 1

    def counts(self, step: int) -> dict[Task, int]:
        """Prompts of each task in a step, counted from 0; they sum to the step's prompts."""
        return dict(zip(Task, self._counts[step].tolist(), strict=True))
