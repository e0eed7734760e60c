"""Batches of some kinds of instruction alone."""

from dataclasses import replace

from unigeoseg.prompt import Task
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.input.instruction_sampler import FAMILIES
from unigeoseg.train.input.task_schedule import constant


def only(batch: BatchConfig, **families: float) -> BatchConfig:
    """A batch of these families, each task as often as its families together."""
    shares = dict.fromkeys(Task, 0.0)
    for name, chance in families.items():
        shares[FAMILIES[name]] += chance / sum(families.values())
    return replace(batch, families=families, mix=constant(shares))
