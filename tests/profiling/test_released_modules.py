"""What the released code spends its time on can be run beside ours, at any size."""

import tiny_base
import torch

from unigeoseg.profiling.released_modules import ReleasedWay


def test_it_reads_an_image_and_a_text():
    config = tiny_base.config()
    way = ReleasedWay(config)
    side = config.image_size
    with torch.inference_mode():
        found = way(torch.randn(1, 3, side, side), torch.randn(1, 7, config.language.width))
    assert found.shape == (1, config.decoder.mask_width, side // 4, side // 4)
    assert found.isfinite().all()


def test_no_weight_is_left_as_the_memory_was():
    torch.use_deterministic_algorithms(True)  # fills such memory with NaN
    try:
        way = ReleasedWay(tiny_base.config())
    finally:
        torch.use_deterministic_algorithms(False)
    assert not [name for name, weight in way.named_parameters() if not weight.isfinite().all()]
