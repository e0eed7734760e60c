"""The state file: what a resumed run must have in common with the first, and what may differ."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks import tiny_network, tiny_processor
from tiny_training import BATCH, CONFIG, make

from unigeoseg.errors import CheckpointError
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.train.objective.losses import only_choice
from unigeoseg.train.trainer import Trainer


def test_a_state_of_another_configuration_is_refused(training_set, tmp_path: Path):
    trainer, _ = make(training_set)
    trainer.save(tmp_path / "run")
    other = replace(
        CONFIG, model=replace(CONFIG.model, memory=replace(CONFIG.model.memory, slots=9))
    )

    stranger = Trainer(UniGeoSegNetwork(other.model), tiny_processor(), other)
    with pytest.raises(CheckpointError, match=r"another configuration: model\.memory\.slots was 4"):
        stranger.resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": 1e-3}, r"lr was 0\.003 and is 0\.001 now; give what .* with --start .*model"),
        ({"batch": replace(BATCH, images=3)}, r"batch\.images was 2 and is 3 now"),
        ({"batch": replace(BATCH, sources={"a": 1.0})}, r"sources\.a was 'not there' and is 1\.0"),
        ({"loss": only_choice}, "loss was 'cell_loss' and is 'only_choice' now"),
    ],
)
def test_a_setting_that_differs_is_named(training_set, tmp_path: Path, change, said):
    trainer, _ = make(training_set)
    trainer.save(tmp_path)
    other = Trainer(tiny_network(), tiny_processor(), replace(CONFIG, **change))
    with pytest.raises(CheckpointError, match=f"belongs to another configuration: .*{said}"):
        other.resume(tmp_path)


def test_a_run_goes_on_for_longer_and_is_looked_at_more_often(training_set, tmp_path: Path):
    trainer, maker = make(training_set)
    trainer.train_step(maker.batch(0))
    trainer.save(tmp_path)
    changes = {"steps": 50, "save_every": 5, "validate_every": 5, "validation_batches": 1}
    longer, _ = make(training_set, replace(CONFIG, **changes))
    longer.resume(tmp_path)
    assert longer.step == 1


def test_a_state_that_tells_no_configuration_is_taken(training_set, tmp_path: Path, caplog):
    trainer, _ = make(training_set)
    trainer.save(tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["configuration"]
    torch.save(state, tmp_path / "state.pt")
    make(training_set)[0].resume(tmp_path)
    assert "does not say its configuration" in caplog.text


def test_a_state_with_the_earlier_name_of_a_setting_is_taken(training_set, tmp_path: Path):
    trainer, _ = make(training_set)
    trainer.save(tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    values = state["configuration"]
    values["recompute"] = values.pop("activation_checkpointing")
    torch.save(state, tmp_path / "state.pt")
    make(training_set)[0].resume(tmp_path)
    other, _ = make(training_set, replace(CONFIG, activation_checkpointing=True))
    with pytest.raises(CheckpointError, match="activation_checkpointing was False and is True"):
        other.resume(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "foreign", "empty"])
def test_a_damaged_state_is_refused(training_set, tmp_path: Path, damage):
    trainer, _ = make(training_set)
    trainer.save(tmp_path)
    content = (tmp_path / "state.pt").read_bytes()
    damaged = {"cut": content[: len(content) // 2], "foreign": b"step,name,value\n", "empty": b""}
    (tmp_path / "state.pt").write_bytes(damaged[damage])
    with pytest.raises(CheckpointError, match=r"state\.pt is damaged: .*; copy it again"):
        trainer.resume(tmp_path)
