"""LoRA, low-rank adaptation of the language part (Hu et al., arXiv 2106.09685), through `peft`."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from unigeoseg.errors import MissingExtraError, OptionError
from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.network import UniGeoSegNetwork

ALL_PROJECTIONS = "all-linear"
"""All linear layers of the language model but its head, in the words of `peft`."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Adapters: low-rank updates beside the frozen projections of the language model.

    Attributes:
        rank: Rank of each update.
        alpha: Scale: an update is multiplied by alpha / rank.
        targets: Suffixes of the names of the projections that are updated; with
            `ALL_PROJECTIONS` all of attention and feed-forward, whatever the model calls them.
        dropout: Dropout rate before an update, in training.
    """

    rank: int = 16
    alpha: int = 32
    targets: tuple[str, ...] | str = ALL_PROJECTIONS
    dropout: float = 0.05


def add_adapters(network: UniGeoSegNetwork, lora: LoraConfig) -> None:
    """Freeze the language part and add adapters, which change no output yet; in place.

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
    peft, targets = _import_peft(), lora.targets
    network.language.requires_grad_(False)
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        network.language.model = peft.get_peft_model(network.language.model, config)
    except ValueError as error:
        raise OptionError(
            f"no projection of the language part is called {targets} ({error}); name those that "
            "it has, or all of them"
        ) from error


def merge_adapters(network: UniGeoSegNetwork) -> UniGeoSegNetwork:
    """A copy of a network with its adapters added to the weights; itself if it has none."""
    if not _has_adapters(network):
        return network
    merged_copy = deepcopy(network)
    merged_copy.language.model = merged_copy.language.model.merge_and_unload()
    return merged_copy


def _has_adapters(network: UniGeoSegNetwork) -> bool:
    return hasattr(getattr(network.language, "model", None), "merge_and_unload")


def _import_peft() -> Any:  # noqa: ANN401  (a module)
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("training with adapters", "train") from error
    return peft
