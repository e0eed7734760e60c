"""LoRA of the language part (Hu et al., arXiv 2106.09685), through `peft`."""

import shutil
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unigeoseg.errors import (
    CheckpointDamagedError,
    CheckpointNotFoundError,
    MissingExtraError,
    OptionError,
)
from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.network import UniGeoSegNetwork

ALL = "all-linear"


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Low-rank updates beside the frozen projections of the language model.

    Attributes:
        rank: Rank of an update.
        alpha: An update is multiplied by alpha / rank.
        targets: Ends of the names of the projections that are updated; `ALL` are all of the
            attention and feed-forward parts, whatever the language model calls them.
        dropout: Dropout before an update, in training.
    """

    rank: int = 16
    alpha: int = 32
    targets: tuple[str, ...] | str = ALL
    dropout: float = 0.05


def add_adapters(network: UniGeoSegNetwork, adapters: Adapters) -> None:
    """Freeze the language part and put adapters in it, which change nothing yet; in place.

    Raises:
        OptionError: If the network's language part is not one of `transformers`, or has no
            projection of those names.
        MissingExtraError: If `peft` is not installed.
    """
    if not isinstance(network.language, CausalLanguage):
        raise OptionError(
            f"adapters are for the language part of Base, the network is {network.config.name}; "
            "train without adapters"
        )
    peft, targets = _peft(), adapters.targets
    network.language.requires_grad_(False)
    config = peft.LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,
        lora_dropout=adapters.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        network.language.model = peft.get_peft_model(network.language.model, config)
    except ValueError as error:
        raise OptionError(
            f"no projection of the language part is called {targets} ({error}); name those that "
            "it has, or all of them"
        ) from error


def merged(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """The plain network with its adapters added to the weights: a copy, or itself without any."""
    if not _adapted(network):
        return network
    plain = deepcopy(network)
    plain.language.model = plain.language.model.merge_and_unload()
    return plain


def save_adapters(directory: Path, network: UniGeoSegNetwork) -> None:
    """Write the adapters alone, in the layout of `peft`; an earlier directory is replaced.

    Raises:
        OptionError: If the network has none.
    """
    if not _adapted(network):
        raise OptionError("the network has no adapters to save; add them before the training")
    temporary = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    network.language.model.save_pretrained(temporary)
    shutil.rmtree(directory, ignore_errors=True)
    temporary.replace(directory)


def load_adapters(directory: Path, network: UniGeoSegNetwork) -> None:
    """Put adapters that `save_adapters` wrote into a plain network; in place.

    Raises:
        CheckpointNotFoundError: If there are none.
        CheckpointDamagedError: If they do not fit the network.
        MissingExtraError: If `peft` is not installed.
    """
    peft = _peft()
    if not (directory / "adapter_config.json").is_file():
        raise CheckpointNotFoundError(
            f"{directory} has no adapter_config.json: name a directory of saved adapters"
        )
    network.language.requires_grad_(False)
    try:
        network.language.model = peft.PeftModel.from_pretrained(network.language.model, directory)
    except (RuntimeError, ValueError, OSError) as error:
        raise CheckpointDamagedError(
            f"the adapters in {directory} do not fit this network ({error}); take those that were "
            "trained on it"
        ) from error


def _adapted(network: UniGeoSegNetwork) -> bool:
    return hasattr(getattr(network.language, "model", None), "merge_and_unload")


def _peft() -> Any:  # noqa: ANN401  (a module)
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("training with adapters", "train") from error
    return peft
