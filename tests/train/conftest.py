"""Fixtures of the tests of training."""

from pathlib import Path

import pytest
import sets

from unigeoseg.train.input.training_set import TrainingSet


@pytest.fixture
def training_set(tmp_path: Path):
    return TrainingSet.of([sets.write_shards(tmp_path, images=8)], "train", tmp_path / "cache")
