"""Activation checkpointing for repeated layers: less memory for one more forward.

The forward pass keeps only the inputs of a layer; the backward pass computes its activations again
(Chen et al., arXiv 1604.06174). It is done by the public `torch.utils.checkpoint.checkpoint`, in
the layer itself rather than round it, so that modules, their names and their classes stay.
"""

from functools import partial

from torch.utils.checkpoint import checkpoint

from unigeoseg.model.base.causal_lm import CausalLanguage
from unigeoseg.model.base.pixel_decoder import DeformableLayer
from unigeoseg.model.base.swin import SwinBlock
from unigeoseg.model.layers import MaskedAttentionLayer
from unigeoseg.model.nano.efficientnet import InvertedResidual
from unigeoseg.model.nano.minilm import TransformerLayer
from unigeoseg.model.network import UniGeoSegNetwork

_REPEATED = (SwinBlock, InvertedResidual, TransformerLayer, DeformableLayer, MaskedAttentionLayer)


def repeated_layers(network: UniGeoSegNetwork) -> frozenset[str]:
    """Names of the classes of the layers of which the network's parts are stacks."""
    names = {type(module).__name__ for module in network.modules() if isinstance(module, _REPEATED)}
    if isinstance(network.language, CausalLanguage):
        # the layer of a language model of transformers, which is not to be split over devices
        names |= set(network.language.model._no_split_modules)
    return frozenset(names)


def checkpoint_activations(network: UniGeoSegNetwork) -> None:
    """Checkpoint every repeated layer of encoder, language model and decoders; in place.

    Names of weights, and gradients, stay what they are.
    """
    names = repeated_layers(network)
    for module in network.modules():
        if type(module).__name__ in names:
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)
