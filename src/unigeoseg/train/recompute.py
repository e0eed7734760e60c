"""Less memory for more time: what a layer computed is forgotten, and computed again going back."""

from functools import partial
from typing import Any

from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)

from unigeoseg.model.causal import CausalLanguage
from unigeoseg.model.decoder import MaskedAttentionLayer
from unigeoseg.model.deformable import DeformableLayer
from unigeoseg.model.encoder import InvertedResidual
from unigeoseg.model.language import TransformerLayer
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.swin import SwinBlock

LAYERS = (SwinBlock, InvertedResidual, TransformerLayer, DeformableLayer, MaskedAttentionLayer)
"""The layers of ours that are repeated; those of `transformers` are found by its own means."""


def recompute_layers(network: UniGeoSegNetwork) -> None:
    """Make every layer of encoder, language model and decoders compute twice; in place.

    Names of weights, and gradients, stay what they are.
    """
    apply_activation_checkpointing(
        network,
        checkpoint_wrapper_fn=partial(
            checkpoint_wrapper, checkpoint_impl=CheckpointImpl.NO_REENTRANT
        ),
        check_fn=_repeated,
    )
    if isinstance(network.language, CausalLanguage):
        network.language.model.gradient_checkpointing_enable({"use_reentrant": False})


def _repeated(module: Any) -> bool:  # noqa: ANN401  (the wrapper asks about any module)
    return isinstance(module, LAYERS)
