"""Settings by name: overridden, checked, and written as plain values."""

from dataclasses import replace

import pytest
from tiny_training import CONFIG

from unigeoseg.errors import OptionError
from unigeoseg.train.overrides import config_values, override_settings


def test_a_loss_that_is_an_object_is_told_without_its_place_in_memory():
    class Loss:
        def __call__(self, network, batch):
            raise NotImplementedError

    one, other = (config_values(replace(CONFIG, loss=Loss())) for _ in range(2))
    assert one == other and one["loss"].endswith("Loss")


def test_settings_are_changed_by_name():
    config = override_settings(
        CONFIG, ["lr=1", "batch.images=4", "model.memory.slots=8", "half=True"]
    )
    assert (config.lr, config.batch.images, config.model.memory.slots) == (1.0, 4, 8)
    assert config.half is True and override_settings(config, ["parallel=data"]).parallel == "data"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("lr", "no name=value"),
        ("recompute=True", "which is called activation_checkpointing now"),
        ("rate=1", "names 'rate', which is not there"),
        ("batch.images.more=1", "here are no settings"),
        ("steps=many", "is a str, expected a int such as 40"),
        ("schedule=cosin", "schedule is 'cosin', expected one of 'plateau', 'cosine'"),
        ("parallel=dat", "parallel is 'dat', expected one of 'none', 'data'"),
        ("model.variant=x", "variant is 'x', expected one of 'paper', 'released'"),
        ("model.enhance.branches=x", "branches is 'x', expected one of 'task'"),
        ("steps=0", "steps is 0, expected 1 or more"),
        ("save_every=0", "save_every is 0, expected 1 or more"),
        ("validate_every=0", "validate_every is 0, expected 1 or more"),
        ("validation_batches=-1", "validation_batches is -1, expected 0 or more"),
        ("batch.images=0", "images is 0, expected 1 or more"),
        ("batch.prompts=0", "prompts is 0, expected 1 or more"),
    ],
)
def test_settings_that_are_none_are_refused(setting, said):
    with pytest.raises(OptionError, match=said):
        override_settings(CONFIG, [setting])
