"""Ablations: the rows of the paper's tables as changes of any recipe (section 4, Tables 5-8).

The paper's numbers are gIoU on interactive, referring and reasoning prompts of its benchmark, for
Base trained on 141,132 triplets. They tell what sign to expect, not what size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from unigeoseg.errors import OptionError
from unigeoseg.model.config import DecoderConfig
from unigeoseg.prompt import Task
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.task_schedule import constant
from unigeoseg.train.recipes import RECIPES

Triple = tuple[float, float, float]

FULL: Triple = (84.84, 66.37, 37.06)
"""The paper's gIoU of the full model, trained on the subset of its ablations."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """One row of an ablation table.

    Attributes:
        change: Makes the row's recipe from the full one.
        paper: The paper's gIoU by task in percent; None where it has no such row.
        against: The paper's gIoU of the row that it is compared with.
    """

    change: Callable[[TrainConfig], TrainConfig]
    paper: Triple | None = None
    against: Triple = FULL

    @property
    def expected(self) -> Mapping[Task, float] | None:
        """The paper's difference to the row it is compared with, in points of gIoU by task."""
        if self.paper is None:
            return None
        pairs = zip(Task, self.paper, self.against, strict=True)
        return {task: paper - against for task, paper, against in pairs}


Branches = Literal["task", "referring", "reasoning", "none"]


def change_branches(config: TrainConfig, kind: Branches) -> TrainConfig:
    """TATE with a branch for each task, one branch for all, or none."""
    enhance = replace(config.model.enhance, branches=kind)
    return replace(config, model=replace(config.model, enhance=enhance))


def change_memory(config: TrainConfig, slots: int, weight: float) -> TrainConfig:
    """LKM with N slots and weight lambda; without LKM if lambda is 0."""
    memory = replace(config.model.memory, slots=slots, weight=weight)
    return replace(config, model=replace(config.model, memory=memory))


def without_tate_and_lkm(config: TrainConfig) -> TrainConfig:
    """No TATE and no LKM."""
    return change_memory(change_branches(config, "none"), config.model.memory.slots, 0.0)


def even_sampling(config: TrainConfig) -> TrainConfig:
    """Even sampling of the tasks all the time, instead of PTS."""
    shares = dict.fromkeys(Task, 1 / len(Task))
    return replace(config, batch=replace(config.batch, mix=constant(shares)))


def without_prompt_maps(config: TrainConfig) -> TrainConfig:
    """Points and boxes reach the network through the instruction alone; Nano only."""
    decoder = config.model.decoder
    if not isinstance(decoder, DecoderConfig):
        return config
    return replace(config, model=replace(config.model, decoder=replace(decoder, prompt_maps=False)))


ABLATIONS: Mapping[str, Ablation] = {
    "full": Ablation(lambda config: config, FULL),
    "no-tate": Ablation(partial(change_branches, kind="none"), (81.97, 65.21, 33.85)),
    "no-lkm": Ablation(partial(change_memory, slots=4, weight=0.0), (84.61, 64.70, 35.64)),
    "neither": Ablation(without_tate_and_lkm, (82.51, 64.62, 32.88)),
    "all-referring": Ablation(partial(change_branches, kind="referring"), (81.29, 65.44, 33.88)),
    "all-reasoning": Ablation(partial(change_branches, kind="reasoning"), (83.16, 65.73, 36.01)),
    "slots-8": Ablation(partial(change_memory, slots=8, weight=0.2)),
    "lambda-0.1": Ablation(partial(change_memory, slots=4, weight=0.1)),
    "lambda-0.3": Ablation(partial(change_memory, slots=4, weight=0.3)),
    "even": Ablation(even_sampling, (88.76, 73.14, 51.11), against=(88.77, 73.21, 51.42)),
    "no-maps": Ablation(without_prompt_maps),
}
"""Ablations by name. The paper compares "even" with PTS on its larger subset; "no-maps" is ours.

N = 4 with lambda 0.2 is "full"; lambda 0 is "no-lkm"."""


def recipe_of(name: str) -> TrainConfig:
    """A recipe by its name, or an ablation of it: "nano", "nano/no-tate".

    Raises:
        OptionError: If there is none of that name.
    """
    recipe, _, row = name.partition("/")
    if recipe not in RECIPES or (row and row not in ABLATIONS):
        raise OptionError(
            f"there is no recipe {name!r}; choose one of {', '.join(RECIPES)}, or with /"
            f"{', /'.join(ABLATIONS)} behind it"
        )
    config = RECIPES[recipe]()
    return ABLATIONS[row].change(config) if row else config
