"""Where a network computes."""

import subprocess
import sys

import pytest
import torch
from networks import save_tiny
from places import TESTS
from torch.utils import backend_registration

from unigeoseg.errors import OptionError
from unigeoseg.model.device import VARIABLE, device_of
from unigeoseg.predict.segmenter import Segmenter

CHECKS = TESTS / "support" / "models" / "on_a_device.py"


def test_the_cpu_unless_something_else_is_asked_for(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert device_of() == device_of("cpu") == torch.device("cpu")
    monkeypatch.setenv(VARIABLE, "")
    assert device_of() == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:1:2"])
def test_a_name_without_meaning(name):
    with pytest.raises(OptionError, match="has no meaning; give cpu, cuda"):
        device_of(name)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is one here")
def test_a_device_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "cuda")
    for name in (None, "cuda", "cuda:3", "mps", "meta"):
        with pytest.raises(OptionError, match="not on this machine: PyTorch sees no GPU"):
            device_of(name)
    with pytest.raises(OptionError, match="'cuda' is not on this machine"):
        Segmenter.from_pretrained(save_tiny(tmp_path / "model"))
    assert Segmenter.from_pretrained(tmp_path / "model", device="cpu").device.type == "cpu"


def test_a_second_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert device_of("cuda") == torch.device("cuda") and device_of("cuda:1").index == 1
    with pytest.raises(OptionError, match="'cuda:2' is not on this machine: there are 2"):
        device_of("cuda:2")


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch lets no device be made in Python",
)
@pytest.mark.slow
def test_all_of_it_can_be_on_another_device():
    pytest.importorskip("transformers", reason="Base needs the extra 'base'")
    told = subprocess.run([sys.executable, CHECKS], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-3000:]
    assert told.stdout.split("\n")[-2] == "all as on the CPU"
