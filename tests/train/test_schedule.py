"""The mix of tasks over a run, and that what is drawn is what it says."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unigeoseg.errors import OptionError
from unigeoseg.prompt import Task
from unigeoseg.train.schedule import EVEN, TaskSampler, constant, fixed, pts, task_weights

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


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 0.1),
    st.lists(st.integers(1, 20), min_size=1, max_size=60),
)
def test_what_is_drawn_never_differs_from_the_mix_by_one_prompt(shares, prompts):
    whole = sum(shares)
    start = dict(zip(Task, (share / whole for share in shares), strict=True))
    sampler = TaskSampler(pts(start), prompts)
    drawn = [sampler.counts(step) for step in range(len(prompts))]
    assert [sum(counts.values()) for counts in drawn] == prompts
    for task in Task:
        wanted = accumulate(
            count * task_weights((step + 0.5) / len(prompts), start)[task]
            for step, count in enumerate(prompts)
        )
        given_out = accumulate(counts[task] for counts in drawn)
        assert all(abs(a - b) < 1 for a, b in zip(wanted, given_out, strict=True))
