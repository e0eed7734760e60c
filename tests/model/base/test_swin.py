"""The Swin encoder: what it caches serves inference and training alike."""

import torch

from unigeoseg.model.base import swin
from unigeoseg.model.config import SwinConfig

CONFIG = SwinConfig(
    width=8, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), attention_window=4, drop_path=0.0
)


def test_an_encoder_trains_after_it_was_used_for_inference():
    for function in (swin._relative_index, swin._order, swin._shift_mask):
        function.cache_clear()  # as in a new process
    encoder, pixels = swin.SwinEncoder(CONFIG), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = encoder(pixels)
    after = encoder(pixels)
    sum(level.square().sum() for level in after).backward()
    grads = {name: weight.grad for name, weight in encoder.named_parameters()}
    assert not [name for name, grad in grads.items() if grad is None]
    for level, again in zip(before, after, strict=True):
        torch.testing.assert_close(level, again.detach())
