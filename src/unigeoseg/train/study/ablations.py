"""The rows of the paper's ablation tables, as changes of any recipe (paper section 4, Tables 5-8).

The paper's numbers are gIoU on interactive, referring and reasoning prompts of its benchmark, for
Base trained on 141,132 triplets; they say what to expect of the sign, not of the size.
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
"""The paper's gIoU with everything, on the subset that its ablations train on."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """One row.

    Attributes:
        change: Makes the row's recipe from the full one.
        paper: The paper's gIoU by task in percent; None where it has no such row.
        against: What the paper compares it with.
    """

    change: Callable[[TrainConfig], TrainConfig]
    paper: Triple | None = None
    against: Triple = FULL

    @property
    def expected(self) -> Mapping[Task, float] | None:
        """What the row changes in the paper, in points of gIoU by task."""
        if self.paper is None:
            return None
        pairs = zip(Task, self.paper, self.against, strict=True)
        return {task: paper - against for task, paper, against in pairs}


Branches = Literal["task", "referring", "reasoning", "none"]


def branches(config: TrainConfig, kind: Branches) -> TrainConfig:
    """TATE with each task's own branch, with one branch for all, or none."""
    enhance = replace(config.model.enhance, branches=kind)
    return replace(config, model=replace(config.model, enhance=enhance))


def memory(config: TrainConfig, slots: int, weight: float) -> TrainConfig:
    """LKM with N slots and a lambda; lambda 0 is no LKM."""
    changed = replace(config.model.memory, slots=slots, weight=weight)
    return replace(config, model=replace(config.model, memory=changed))


def neither(config: TrainConfig) -> TrainConfig:
    """No TATE and no LKM."""
    return memory(branches(config, "none"), config.model.memory.slots, 0.0)


def even(config: TrainConfig) -> TrainConfig:
    """Even sampling of the tasks all the time, instead of PTS."""
    shares = dict.fromkeys(Task, 1 / len(Task))
    return replace(config, batch=replace(config.batch, mix=constant(shares)))


def no_maps(config: TrainConfig) -> TrainConfig:
    """Points and boxes reach the network through the instruction alone; Nano only."""
    decoder = config.model.decoder
    if not isinstance(decoder, DecoderConfig):
        return config
    return replace(config, model=replace(config.model, decoder=replace(decoder, prompt_maps=False)))


ABLATIONS: Mapping[str, Ablation] = {
    "full": Ablation(lambda config: config, FULL),
    "no-tate": Ablation(partial(branches, kind="none"), (81.97, 65.21, 33.85)),
    "no-lkm": Ablation(partial(memory, slots=4, weight=0.0), (84.61, 64.70, 35.64)),
    "neither": Ablation(neither, (82.51, 64.62, 32.88)),
    "all-referring": Ablation(partial(branches, kind="referring"), (81.29, 65.44, 33.88)),
    "all-reasoning": Ablation(partial(branches, kind="reasoning"), (83.16, 65.73, 36.01)),
    "slots-8": Ablation(partial(memory, slots=8, weight=0.2)),
    "lambda-0.1": Ablation(partial(memory, slots=4, weight=0.1)),
    "lambda-0.3": Ablation(partial(memory, slots=4, weight=0.3)),
    "even": Ablation(even, (88.76, 73.14, 51.11), against=(88.77, 73.21, 51.42)),
    "no-maps": Ablation(no_maps),
}
"""By name. "even" is compared with PTS on the paper's larger subset; "no-maps" is ours. N = 4 with
lambda 0.2 is "full"; lambda 0 is "no-lkm"."""


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
