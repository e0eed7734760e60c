"""Distributed training: one process, or several through `accelerate`, behind one interface.

Several processes are started by `scale.launcher`, `accelerate launch` or `torchrun`; each runs the
same recipe on its part of every batch.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.train.config import Parallel, TrainConfig
from unigeoseg.train.scale.activation_checkpoint import repeated_layers


class SingleProcess:
    """Training in one process on one device.

    Attributes:
        part: Index of this process and the number of processes.
        device: Where the network and the batches are.
    """

    part = (0, 1)

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.part[0] == 0

    def prepare(
        self, loss_module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Module and optimiser wrapped for this kind of training."""
        return loss_module, optimizer

    def backward(self, loss: Tensor) -> None:
        """Back-propagate a loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def clip(self, loss_module: nn.Module, norm: float) -> None:
        """Clip the gradient of all weights to a norm."""
        nn.utils.clip_grad_norm_(loss_module.parameters(), norm)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means of scalars over processes, without gradients."""
        return {name: value.detach() for name, value in values.items()}

    def any_process(self, flag: bool) -> bool:
        """Whether a flag is true in any process."""
        return flag

    def save_state(self, folder: Path, loss_module: nn.Module, optimizer: Any) -> dict[str, Any]:  # noqa: ANN401
        """States of weights, optimiser and random generator, for the run's state file.

        Args:
            folder: A new directory for sharded states, which are not in the state file.
            loss_module: As `prepare` gave it.
            optimizer: As `prepare` gave it.
        """
        del folder
        return {
            "network": _network(loss_module).state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }

    def load_state(
        self,
        directory: Path,
        state: Mapping[str, Any],
        loss_module: nn.Module,
        optimizer: Any,  # noqa: ANN401
    ) -> None:
        """Restore what `save_state` gave."""
        del directory
        _network(loss_module).load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])

    def gather_network(self, network: UniGeoSegNetwork, loss_module: nn.Module) -> UniGeoSegNetwork:
        """The network with all its weights, to be saved."""
        del loss_module
        return network


class MultiProcess(SingleProcess):
    """Data-parallel training through `accelerate`, with weights sharded or not."""

    def __init__(self, network: UniGeoSegNetwork, config: TrainConfig) -> None:
        """Join the processes that were started together.

        Raises:
            OptionError: If `config` asks for GPUs and there are none.
            MissingExtraError: If `accelerate` or `deepspeed` is not installed.
        """
        _check_platform(config.parallel)
        accelerate = _import_accelerate()
        plugins: dict[str, Any] = {}
        if config.parallel == "fsdp":
            plugins["fsdp_plugin"] = fsdp_plugin(network)
            # holds the gathered weights when they are saved
            self.empty = deepcopy(network).to("meta")
        elif config.parallel == "deepspeed":
            processes = int(os.environ.get("WORLD_SIZE", "1"))
            plugins["deepspeed_plugin"] = deepspeed_plugin(config, processes)
        self.accelerator = accelerate.Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision="bf16" if config.half else "no",
            **plugins,
        )
        self.device = self.accelerator.device
        self.part = (self.accelerator.process_index, self.accelerator.num_processes)

    def prepare(
        self, loss_module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """As `SingleProcess.prepare`."""
        prepared: tuple[nn.Module, torch.optim.Optimizer]
        prepared = self.accelerator.prepare(loss_module, optimizer)
        return prepared

    def backward(self, loss: Tensor) -> None:
        """As `SingleProcess.backward`."""
        self.accelerator.backward(loss)

    def clip(self, loss_module: nn.Module, norm: float) -> None:
        """As `SingleProcess.clip`."""
        self.accelerator.clip_grad_norm_(loss_module.parameters(), norm)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `SingleProcess.mean`."""
        local = super().mean(values)
        return {
            name: self.accelerator.reduce(value.clone(), "mean") for name, value in local.items()
        }

    def any_process(self, flag: bool) -> bool:
        """As `SingleProcess.any_process`."""
        count = self.accelerator.reduce(torch.tensor(float(flag), device=self.device), "sum")
        return bool(count > 0)

    def save_state(self, folder: Path, loss_module: nn.Module, optimizer: Any) -> dict[str, Any]:  # noqa: ANN401
        """As `SingleProcess.save_state`, but each process writes its own part into `folder`."""
        del loss_module, optimizer
        self.accelerator.save_state(str(folder))
        return {"parts": folder.name}

    def load_state(
        self,
        directory: Path,
        state: Mapping[str, Any],
        loss_module: nn.Module,
        optimizer: Any,  # noqa: ANN401
    ) -> None:
        """As `SingleProcess.load_state`."""
        del loss_module, optimizer
        self.accelerator.load_state(str(directory / state["parts"]))

    def gather_network(self, network: UniGeoSegNetwork, loss_module: nn.Module) -> UniGeoSegNetwork:
        """As `SingleProcess.gather_network`; collective: only the main process gets weights."""
        if not hasattr(self, "empty"):
            return network
        state = self.accelerator.get_state_dict(loss_module)
        if self.is_main:
            weights = {key.removeprefix("network."): value for key, value in state.items()}
            self.empty.load_state_dict(weights, assign=True)
        return self.empty


def make_runner(network: UniGeoSegNetwork, config: TrainConfig) -> SingleProcess:
    """The single-process or multi-process runner of a training, as its recipe says.

    Raises:
        OptionError: If the recipe needs GPUs and there are none, or averages sharded weights.
        MissingExtraError: If a package that the recipe needs is not installed.
    """
    if config.parallel == "none":
        return SingleProcess()
    if config.parallel != "data" and config.average:
        raise OptionError(
            f"parallel is {config.parallel!r} and average {config.average}: no process holds all "
            "weights to average them; set average to 0"
        )
    return MultiProcess(network, config)


def fsdp_plugin(network: UniGeoSegNetwork) -> Any:  # noqa: ANN401  (accelerate's own type)
    """Settings of FSDP: every repeated layer is sharded by itself, all else as one unit.

    What is called from outside its own layer, such as the word embeddings, belongs to that unit,
    which is gathered for the whole step.
    """
    _import_accelerate()
    from accelerate.utils import FullyShardedDataParallelPlugin

    return FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=sorted(repeated_layers(network)),
        state_dict_type="FULL_STATE_DICT",
        cpu_ram_efficient_loading=False,
        activation_checkpointing=False,
    )


def deepspeed_plugin(config: TrainConfig, processes: int) -> Any:  # noqa: ANN401  (accelerate's own type)
    """Settings of DeepSpeed ZeRO-2 (paper section 4) for a recipe in `processes` processes."""
    _import_accelerate()
    from accelerate.utils import DeepSpeedPlugin

    settings = {
        "zero_optimization": {"stage": 2, "overlap_comm": True, "contiguous_gradients": True},
        "bf16": {"enabled": config.half},
        "gradient_clipping": config.clip,
        "gradient_accumulation_steps": 1,
        # DeepSpeed only counts the batch, which `train.input` makes
        "train_micro_batch_size_per_gpu": config.batch.images // processes,
        # without it DeepSpeed refuses optimisers other than its own
        "zero_allow_untested_optimizer": True,
    }
    return DeepSpeedPlugin(hf_ds_config=settings)


def _network(loss_module: nn.Module) -> nn.Module:
    network = loss_module.network
    assert isinstance(network, nn.Module)
    return network


def _check_platform(parallel: Parallel) -> None:
    if parallel == "data":
        return
    if not torch.cuda.is_available():
        raise OptionError(
            f"parallel is {parallel!r}, which needs CUDA GPUs, and this machine shows none: set it "
            "to 'data' or 'none'"
        )
    if parallel == "deepspeed" and find_spec("deepspeed") is None:
        raise MissingExtraError("training with DeepSpeed", "deepspeed")


def _import_accelerate() -> Any:  # noqa: ANN401  (a module)
    try:
        import accelerate
    except ImportError as error:
        raise MissingExtraError("training in several processes", "train") from error
    return accelerate
