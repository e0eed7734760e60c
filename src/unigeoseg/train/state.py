"""The state file of a run: everything that a resumed run goes on from."""

import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch

from unigeoseg.errors import CheckpointError
from unigeoseg.runtime.atomic import atomic_file
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.overrides import config_values, current_names, flat_settings

log = logging.getLogger(__name__)

STATE = "state.pt"
"""Name of the state file in the folder of a run."""

_MAY_DIFFER = {"steps", "save_every", "validate_every", "validation_batches"}
"""Settings that say only how long or how often; a resumed run may have others."""

_ABSENT = "not there"
_REMEDY = "copy it again, or begin anew in another folder"


def write_state(directory: Path, state: Mapping[str, Any]) -> None:
    """Write the state file, whole or not at all.

    Raises:
        OutputUnwritableError: If the disk does not take it; the state before is still there.
    """
    with atomic_file(
        directory / STATE,
        errors=(OSError, RuntimeError),
        remedy="the state before is still there",
        sole_writer=True,
    ) as temporary:
        torch.save(state, temporary)


def read_state(directory: Path) -> dict[str, Any]:
    """Read the state file of a run, its tensors on the CPU.

    Raises:
        CheckpointError: If it is damaged.
    """
    path = directory / STATE
    try:
        if not is_zipfile(path):
            raise CheckpointError(f"{path} is damaged: it is no whole archive; {_REMEDY}")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is damaged: {reason}; {_REMEDY}") from error
    return state


def check_state(
    directory: Path, state: Mapping[str, Any], config: TrainConfig, processes: int
) -> None:
    """Check that a run may go on from a state: it would bring back parts of its configuration.

    Args:
        directory: Folder of the run.
        state: As `read_state` gives it.
        config: Of the run that goes on.
        processes: Their number in that run.

    Raises:
        CheckpointError: If the state has another number of processes or another configuration;
            settings that say only how long or how often may differ.
    """
    path, state_processes = directory / STATE, state.get("processes", 1)
    if state_processes != processes:
        raise CheckpointError(
            f"{path} was written by a run of {state_processes} processes, expected {processes}: "
            f"go on with --processes {state_processes}"
        )
    configuration = state.get("configuration")
    if configuration is None:
        log.warning("%s does not say its configuration, so none is compared", path)
        return
    earlier = flat_settings(current_names(configuration))
    current = flat_settings(config_values(config))
    for name in {**earlier, **current}:
        old, new = (values.get(name, _ABSENT) for values in (earlier, current))
        if old != new and name not in _MAY_DIFFER:
            raise CheckpointError(
                f"{path} belongs to another configuration: {name} was {old!r} and is {new!r} now; "
                f"give what was given then, or begin in another folder with --start "
                f"{directory / 'model'}"
            )
