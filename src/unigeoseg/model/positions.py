"""Where a place of a map lies, as waves (Carion et al., DETR, arXiv 2005.12872)."""

import math

import torch
from torch import Tensor


def sine_positions(maps: Tensor) -> Tensor:
    """Sine position of each place of maps (B, C, h, w): (1, C, h, w), rows in the first half."""
    height, width = maps.shape[-2:]
    quarter = maps.shape[1] // 4
    step = torch.arange(quarter, device=maps.device, dtype=torch.float32)
    wave = 10000 ** (step / quarter)
    waves = []
    for length, other in ((height, width), (width, height)):
        place = torch.arange(1, length + 1, device=maps.device, dtype=torch.float32)
        angle = (place / (length + 1e-6) * 2 * math.pi).unsqueeze(-1) / wave
        wavy = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        waves.append(wavy.unsqueeze(1).expand(length, other, -1))
    rows, columns = waves[0], waves[1].transpose(0, 1)
    return torch.cat([rows, columns], dim=-1).permute(2, 0, 1).unsqueeze(0).to(maps.dtype)
