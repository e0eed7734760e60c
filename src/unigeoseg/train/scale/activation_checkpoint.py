"""Less memory for more time: what a layer computed is forgotten, and computed again going back."""

from functools import partial

from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    CheckpointImpl,
    apply_activation_checkpointing,
    checkpoint_wrapper,
)

from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.base.pixel_decoder import DeformableLayer
from unigeoseg.model.base.swin import SwinBlock
from unigeoseg.model.layers import MaskedAttentionLayer
from unigeoseg.model.nano.efficientnet import InvertedResidual
from unigeoseg.model.nano.minilm import TransformerLayer
from unigeoseg.model.network import UniGeoSegNetwork

_OURS = (SwinBlock, InvertedResidual, TransformerLayer, DeformableLayer, MaskedAttentionLayer)


def repeated_layers(network: UniGeoSegNetwork) -> frozenset[str]:
    """Names of the classes of the layers that the network's parts are stacks of."""
    names = {type(module).__name__ for module in network.modules() if isinstance(module, _OURS)}
    if isinstance(network.language, CausalLanguage):
        # what a language model of transformers wants kept together is its layer
        names |= set(network.language.model._no_split_modules)
    return frozenset(names)


def checkpoint_activations(network: UniGeoSegNetwork) -> None:
    """Make every layer of encoder, language model and decoders compute twice; in place.

    Names of weights, and gradients, stay what they are.
    """
    names = repeated_layers(network)
    apply_activation_checkpointing(
        network,
        checkpoint_wrapper_fn=partial(
            checkpoint_wrapper, checkpoint_impl=CheckpointImpl.NO_REENTRANT
        ),
        check_fn=lambda module: type(module).__name__ in names,
    )
