"""The visual encoder: EfficientNet-Lite0 as a pyramid of four maps.

Legend: B batch, C channels, H W image, h w feature map.
Source: Tan and Le, EfficientNet (arXiv 1905.11946); the Lite variant drops squeeze-excite and
uses ReLU6. Batch norms keep their ImageNet statistics and act as affine maps, so that a crop's
features do not depend on what else is in the batch.
"""

from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import EncoderConfig

# expansion, output channels, repeats, stride, kernel: the seven stages of EfficientNet-B0
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_PYRAMID_STAGES = (1, 2, 4, 6)  # the last stage at strides 4, 8, 16 and 32


class FrozenNorm(nn.Module):
    """Batch norm with fixed statistics and a learnable affine map."""

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        """Start as the identity over `channels` channels."""
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps)

    def train(self, mode: bool = True) -> "FrozenNorm":
        """Keep the statistics fixed whatever the mode."""
        del mode
        super().train(False)
        return self

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise (B, C, h, w) float maps channel by channel."""
        normed: Tensor = self.norm(maps)
        return normed


class SamePadConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, which at stride 2 pads right and bottom."""

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve (B, C, h, w) to (B, C', h / stride, w / stride)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel == 1:
            return functional.conv2d(maps, self.weight)
        total = kernel - stride
        padding = total // 2
        if padding * 2 == total:
            return functional.conv2d(
                maps, self.weight, stride=stride, padding=padding, groups=self.groups
            )
        padded = functional.pad(maps, (padding, total - padding) * 2)
        return functional.conv2d(padded, self.weight, stride=stride, groups=self.groups)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolve, project; add the input where the shape allows."""

    def __init__(
        self, inputs: int, outputs: int, *, expansion: int, stride: int, kernel: int
    ) -> None:
        """Build one MBConv block; an expansion of 1 has no expanding convolution."""
        super().__init__()
        wide = inputs * expansion
        expand: list[nn.Module] = []
        if expansion > 1:
            expand = [SamePadConv(inputs, wide, 1, bias=False), FrozenNorm(wide), nn.ReLU6(True)]
        self.expand = nn.Sequential(*expand)
        self.depthwise = nn.Sequential(
            SamePadConv(wide, wide, kernel, stride=stride, groups=wide, bias=False),
            FrozenNorm(wide),
            nn.ReLU6(True),
        )
        self.project = nn.Sequential(SamePadConv(wide, outputs, 1, bias=False), FrozenNorm(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', h / stride, w / stride)."""
        out: Tensor = self.project(self.depthwise(self.expand(maps)))
        return maps + out if self.residual else out


class EfficientNetLite(nn.Module):
    """Pyramid of maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: EncoderConfig) -> None:
        """Build the seven stages; `config.channels` must be those of EfficientNet-Lite0."""
        super().__init__()
        self.stem = nn.Sequential(
            SamePadConv(3, 32, 3, stride=2, bias=False), FrozenNorm(32), nn.ReLU6(True)
        )
        stages, width = [], 32
        for expansion, outputs, repeats, stride, kernel in _STAGES:
            blocks = []
            for index in range(repeats):
                blocks.append(
                    InvertedResidual(
                        width,
                        outputs,
                        expansion=expansion,
                        stride=stride if index == 0 else 1,
                        kernel=kernel,
                    )
                )
                width = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        assert config.channels == tuple(_STAGES[stage][1] for stage in _PYRAMID_STAGES)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode normalised images (B, 3, H, W), H and W multiples of 32.

        Returns:
            Maps (B, C, H/s, W/s) for the strides s = 4, 8, 16, 32.
        """
        maps, pyramid = self.stem(pixel_values), []
        for index, stage in enumerate(self.stages):
            maps = stage(maps)
            if index in _PYRAMID_STAGES:
                pyramid.append(maps)
        first, second, third, fourth = pyramid
        return first, second, third, fourth
