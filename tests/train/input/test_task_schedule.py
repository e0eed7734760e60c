"""The mix of tasks over a run, and that what is drawn is what it says."""

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigeoseg.errors import OptionError
from unigeoseg.prompt import Task
from unigeoseg.train.input.task_schedule import (
    EVEN,
    TaskSampler,
    constant,
    fixed,
    pts,
    task_weights,
)

START = {Task.INTERACTIVE: 0.5, Task.REFERRING: 0.3, Task.REASONING: 0.2}


def test_interactive_falls_to_seven_tenths_and_reasoning_takes_the_rest():
    assert task_weights(0.0, START) == START
    half, end = task_weights(0.5, START), task_weights(1.0, START)
    assert half[Task.INTERACTIVE] == pytest.approx(0.425)
    assert end[Task.INTERACTIVE] == pytest.approx(0.35)
    assert end[Task.REASONING] == pytest.approx(0.35)
    assert half[Task.REFERRING] == end[Task.REFERRING] == 0.3
    assert sum(half.values()) == pytest.approx(1)


def test_a_fixed_mix_is_one_of_the_same_shape():
    assert fixed(0.3) == EVEN
    assert constant(START)(0.9) == START
    assert pts(START)(0.0) == START


@pytest.mark.parametrize("progress", [-0.1, 1.1])
def test_progress_is_a_share(progress):
    with pytest.raises(OptionError, match="expected a share from 0 to 1"):
        task_weights(progress)


@pytest.mark.parametrize(
    "shares", [{Task.REFERRING: 1.0}, START | {Task.REASONING: 0.3}, START | {Task.REFERRING: -0.3}]
)
def test_shares_that_are_no_mix_are_refused(shares):
    with pytest.raises(OptionError, match="summing to 1"):
        pts(shares)


def start_of(shares: list[float]) -> dict[Task, float]:
    return dict(zip(Task, (share / sum(shares) for share in shares), strict=True))


SHARES = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda all_: sum(all_) > 0.1)
PROMPTS = st.lists(st.integers(1, 20), min_size=1, max_size=60)


@given(SHARES, PROMPTS)
def test_what_is_drawn_never_differs_from_the_mix_by_one_prompt(shares, prompts):
    start = start_of(shares)
    sampler = TaskSampler(pts(start), prompts)
    drawn = [sampler.counts(step) for step in range(len(prompts))]
    assert [sum(counts.values()) for counts in drawn] == prompts
    for task in Task:
        wanted = accumulate(
            count * task_weights((step + 0.5) / len(prompts), start)[task]
            for step, count in enumerate(prompts)
        )
        given_out = accumulate(counts[task] for counts in drawn)
        for due, had in zip(wanted, given_out, strict=True):
            assert -2 / 3 - 1e-6 < due - had < 5 / 6 + 1e-6


def dealt_at_once(mix, prompts: list[int]) -> list[dict[Task, int]]:
    """What a sampler does, said plainly: one prompt after another, from the first on."""
    due, steps = np.zeros(len(Task)), []
    for step, count in enumerate(prompts):
        shares = mix((step + 0.5) / len(prompts))
        counts = dict.fromkeys(Task, 0)
        for _ in range(count):
            due += np.array([shares[task] for task in Task])
            chosen = int(due.argmax())
            due[chosen] -= 1
            counts[list(Task)[chosen]] += 1
        steps.append(counts)
    return steps


@given(SHARES, PROMPTS, st.data())
def test_a_step_has_its_counts_whenever_it_is_asked_for(shares, prompts, data):
    mix = pts(start_of(shares))
    expected = dealt_at_once(mix, prompts)
    sampler = TaskSampler(mix, prompts)  # as of a run that is taken up anywhere
    for step in data.draw(st.lists(st.integers(0, len(prompts) - 1), min_size=1, max_size=9)):
        assert sampler.counts(step) == expected[step]


def test_nothing_is_dealt_before_it_is_asked_for():
    asked: list[float] = []

    def mix(progress: float):
        asked.append(progress)
        return EVEN

    sampler = TaskSampler(mix, [3] * 1000)
    assert asked == []
    assert sampler.counts(4) == sampler.counts(2) == dict.fromkeys(Task, 1)
    assert len(asked) == 5
