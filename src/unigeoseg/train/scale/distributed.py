"""Where a training runs: in one process, or in several through `accelerate`.

Both ways share their calls, so the loop does not ask which it is. Several processes are started
by `accelerate launch` or `torchrun`; each runs the same recipe.
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


class OneProcess:
    """One process on one device."""

    part = (0, 1)

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.part[0] == 0

    def prepare(
        self, loss_module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """What to call instead of module and optimiser."""
        return loss_module, optimizer

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def clip(self, loss_module: nn.Module, norm: float) -> None:
        """Shorten the gradient to `norm` if it is longer."""
        nn.utils.clip_grad_norm_(loss_module.parameters(), norm)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean over processes of scalars, without their gradients."""
        return {name: value.detach() for name, value in values.items()}

    def any(self, told: bool) -> bool:
        """Whether it is true in any process."""
        return told

    def keep(self, place: Path, loss_module: nn.Module, optimizer: Any) -> dict[str, Any]:  # noqa: ANN401
        """Weights, optimiser's state and random state, to be written with what the loop keeps.

        Args:
            place: A new directory for what is too large for that.
            loss_module: Of `prepare`.
            optimizer: Of `prepare`.
        """
        del place
        return {
            "network": _network(loss_module).state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }

    def restore(
        self,
        directory: Path,
        kept: Mapping[str, Any],
        loss_module: nn.Module,
        optimizer: Any,  # noqa: ANN401
    ) -> None:
        """Take up what `keep` gave."""
        del directory
        _network(loss_module).load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["random"])

    def whole(self, network: UniGeoSegNetwork, loss_module: nn.Module) -> UniGeoSegNetwork:
        """The network with all its weights, to be written."""
        del loss_module
        return network


class Processes(OneProcess):
    """Several processes through `accelerate`, each on a part of every batch."""

    def __init__(self, network: UniGeoSegNetwork, config: TrainConfig) -> None:
        """Join the processes that were started together.

        Raises:
            OptionError: If `config` asks for GPUs and there are none.
            MissingExtraError: If `accelerate` or `deepspeed` is not installed.
        """
        _check_platform(config.parallel)
        accelerate = _accelerate()
        plugins: dict[str, Any] = {}
        if config.parallel == "fsdp":
            plugins["fsdp_plugin"] = fsdp_plugin(network)
            self.empty = deepcopy(network).to(
                "meta"
            )  # to hold the whole weights when they are saved
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
        """As `OneProcess.prepare`."""
        prepared: tuple[nn.Module, torch.optim.Optimizer]
        prepared = self.accelerator.prepare(loss_module, optimizer)
        return prepared

    def backward(self, loss: Tensor) -> None:
        """As `OneProcess.backward`."""
        self.accelerator.backward(loss)

    def clip(self, loss_module: nn.Module, norm: float) -> None:
        """As `OneProcess.clip`."""
        self.accelerator.clip_grad_norm_(loss_module.parameters(), norm)

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `OneProcess.mean`."""
        mine = super().mean(values)
        return {
            name: self.accelerator.reduce(value.clone(), "mean") for name, value in mine.items()
        }

    def any(self, told: bool) -> bool:
        """As `OneProcess.any`."""
        count = self.accelerator.reduce(torch.tensor(float(told), device=self.device), "sum")
        return bool(count > 0)

    def keep(self, place: Path, loss_module: nn.Module, optimizer: Any) -> dict[str, Any]:  # noqa: ANN401
        """As `OneProcess.keep`, but each process writes its own part into `place`."""
        del loss_module, optimizer
        self.accelerator.save_state(str(place))
        return {"parts": place.name}

    def restore(
        self,
        directory: Path,
        kept: Mapping[str, Any],
        loss_module: nn.Module,
        optimizer: Any,  # noqa: ANN401
    ) -> None:
        """As `OneProcess.restore`."""
        del loss_module, optimizer
        self.accelerator.load_state(str(directory / kept["parts"]))

    def whole(self, network: UniGeoSegNetwork, loss_module: nn.Module) -> UniGeoSegNetwork:
        """As `OneProcess.whole`; every process has to call it, the main one gets the weights."""
        if not hasattr(self, "empty"):
            return network
        state = self.accelerator.get_state_dict(loss_module)
        if self.main:
            whole = {key.removeprefix("network."): value for key, value in state.items()}
            self.empty.load_state_dict(whole, assign=True)
        return self.empty


def runner_of(network: UniGeoSegNetwork, config: TrainConfig) -> OneProcess:
    """Where `config` says that a training of `network` runs.

    Raises:
        OptionError: If it asks for GPUs and there are none, or for a moving average of weights
            that no process holds whole.
        MissingExtraError: If a package that it needs is not installed.
    """
    if config.parallel == "none":
        return OneProcess()
    if config.parallel != "data" and config.average:
        raise OptionError(
            f"parallel is {config.parallel!r} and average {config.average}: no process holds all "
            "weights to average them; set average to 0"
        )
    return Processes(network, config)


def fsdp_plugin(network: UniGeoSegNetwork) -> Any:  # noqa: ANN401  (accelerate's own type)
    """Settings of FSDP: every repeated layer is spread by itself, the rest together.

    What is called outside its own layer, such as the word embeddings, belongs to the rest and is
    at hand for the whole step.
    """
    _accelerate()
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
    _accelerate()
    from accelerate.utils import DeepSpeedPlugin

    settings = {
        "zero_optimization": {"stage": 2, "overlap_comm": True, "contiguous_gradients": True},
        "bf16": {"enabled": config.half},
        "gradient_clipping": config.clip,
        "gradient_accumulation_steps": 1,
        # the batch is made by us and is here only counted
        "train_micro_batch_size_per_gpu": config.batch.images // processes,
        # DeepSpeed wants to be told that another optimiser than its own is meant
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


def _accelerate() -> Any:  # noqa: ANN401  (a module)
    try:
        import accelerate
    except ImportError as error:
        raise MissingExtraError("training in several processes", "train") from error
    return accelerate
