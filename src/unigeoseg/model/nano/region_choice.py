"""Modular grounding: which of several regions of a mask an instruction means; Nano.

A small network that looks at every pixel through the words learns what a thing looks like long
before it learns which of six alike is "the second from the left". So the parts of a mask become
tokens with their place, size and look, which are compared with each other, with the words and with
the scene, as in modular grounding (Yu et al., MAttNet, arXiv 1801.08186). What words name besides
("nearest to the running track") is looked for in the scene, and each region knows how near it is.

Legend: P prompts, K regions, S scene tokens, L text tokens, F features, D width, C channels, h w
map, A landmarks, N nearnesses.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import ChoiceConfig

_SCENE = 16  # scene tokens a side
_WAVES = 6  # frequencies of a place's encoding
_SHAPE = 9  # numbers of a region's shape
_STANDING = 6  # numbers of how it stands among the others
_LANDMARKS = 4  # kinds of place that words may name besides what is meant
_SPREADS = (0.03, 0.1, 0.3)  # distances, in sides of the map, at which nearness has fallen to 1/e
_SMALLEST_DISTANCE_2 = 1e-8  # keeps the root of a square distance differentiable at 0
_NEARNESS_STEP = 0.02  # of nearness: how much nearer a region is to count as nearer
_PLACE_STEP = 0.01  # of the map's side: how far apart two centres are to count as left and right
_SIZE_STEP = 0.05  # of the size's logarithm: how much larger a region is to count as larger
_SMALLEST_SIDE = 1e-3  # of the map's side; smaller regions count as so large
_MOST_COUNTED = 8  # regions; a count is given as its share of half of this
# columns of `Regions.shape`
_X, _Y, _SIDE, _HIGHEST = 0, 1, 6, 8
_BOX_START, _BOX_END = slice(2, 4), slice(4, 6)
_NEAR = 2 * _LANDMARKS * len(_SPREADS)  # nearnesses, and how each stands among the others'


@dataclass(frozen=True, slots=True)
class Regions:
    """Measured regions: place, size, scores and look, as numbers.

    Attributes:
        shape: (P, K, 9): centre x and y, box x0, y0, x1, y1, root of the area, mean and highest
            score; lengths in [0, 1] of the map's sides, scores in [0, 1].
        look: (P, K, F): means of the image's finest and coarsest maps over each region.
        real: (P, K) bool, which of them exist.
    """

    shape: Tensor
    look: Tensor
    real: Tensor

    @classmethod
    def of(cls, labels: Tensor, scores: Tensor, maps: tuple[Tensor, ...]) -> "Regions":
        """Measure the regions of label maps.

        Args:
            labels: (P, h, w) int64: 0 none, from 1 to K a region.
            scores: (P, h, w) in [0, 1].
            maps: Of each prompt's image (P, C, h', w'), the finest first, the coarsest last.
        """
        count = max(1, int(labels.max()))
        cover = functional.one_hot(labels, count + 1)[..., 1:].permute(0, 3, 1, 2).to(scores)
        area = cover.sum(dim=(2, 3))
        share = cover / area.clamp(min=1)[..., None, None]
        height, width = scores.shape[-2:]
        x, y = _centres(width, scores), _centres(height, scores)
        on_column, on_row = cover.amax(dim=2), cover.amax(dim=3)
        shape = torch.stack(
            [
                (share.sum(dim=2) * x).sum(dim=-1),
                (share.sum(dim=3) * y).sum(dim=-1),
                *_ends(on_column, x, on_row, y),
                (area / (height * width)).sqrt(),
                (share * scores[:, None]).sum(dim=(2, 3)),
                (cover * scores[:, None]).amax(dim=(2, 3)),
            ],
            dim=-1,
        )
        real = area > 0
        looks = [_mean_over(share, level.to(share)) for level in (maps[0], maps[-1])]
        return cls(shape * real[..., None], torch.cat(looks, dim=-1), real)


def _centres(count: int, like: Tensor) -> Tensor:
    """Centres of `count` cells along [0, 1]."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count


def _ends(on_column: Tensor, x: Tensor, on_row: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """x0, y0, x1, y1 (P, K) of what is on columns (P, K, w) and rows (P, K, h)."""
    first = [((1 - on) + place * on).amin(dim=-1) for on, place in ((on_column, x), (on_row, y))]
    last = [(place * on).amax(dim=-1) for on, place in ((on_column, x), (on_row, y))]
    return (*first, *last)


def _mean_over(share: Tensor, level: Tensor) -> Tensor:
    """Means (P, K, C) of a map (P, C, h', w') over regions by their shares (P, K, h, w)."""
    height, width = level.shape[-2:]
    cells = share[0, 0].numel() / (height * width)  # that become one
    share = functional.adaptive_avg_pool2d(share, (height, width)) * cells
    return torch.einsum("pkhw,pchw->pkc", share, level)


class RegionChoice(nn.Module):
    """A transformer over regions, words and scene that gives each region a logit.

    The names of its parts are those of its weights on disk.
    """

    def __init__(self, language_width: int, widths: tuple[int, ...], config: ChoiceConfig) -> None:
        """Compare regions of an image's maps under an instruction.

        Args:
            language_width: Of the text's hidden states.
            widths: Of the image's maps, the finest first.
            config: Sizes.
        """
        super().__init__()
        width = config.width
        self.shape = nn.Sequential(
            nn.Linear(_SHAPE + _STANDING + _NEAR, width), nn.GELU(), nn.Linear(width, width)
        )
        self.look = nn.Linear(widths[0] + widths[-1], width)
        self.place = nn.Linear(4 * _WAVES, width)
        self.words = nn.Linear(language_width, width)
        self.scene = nn.Linear(widths[-1], width)
        self.kind = nn.Parameter(torch.zeros(2, width))
        self.told_norm = nn.LayerNorm(width)
        self.told = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.landmark = nn.Linear(width, _LANDMARKS)
        layer = nn.TransformerDecoderLayer(
            width,
            config.heads,
            2 * width,
            dropout=config.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerDecoder(layer, config.layers, norm=nn.LayerNorm(width))
        self.logit = nn.Linear(width, 1)

    def forward(
        self, regions: Regions, coarse_PChw: Tensor, text_PLD: Tensor, real_PL: Tensor
    ) -> Tensor:
        """The logit of each region being the one that is meant (P, K); -inf where there is none.

        Args:
            regions: P times K.
            coarse_PChw: The coarsest map of each prompt's image.
            text_PLD: Hidden states of the text.
            real_PL: Bool, which tokens are real.
        """
        words = self.words(text_PLD) + self.kind[0]
        scene = self._scene(coarse_PChw, words, real_PL)
        # what is measured is exact in float32, whatever the network computes in
        near = nearness(regions, self.landmark(scene).sigmoid().to(regions.shape))
        numbers = torch.cat([regions.shape, _standing(regions), near], dim=-1)
        waves = _waves(regions.shape[..., :2])
        tokens = self.shape(numbers.to(words)) + self.look(regions.look.to(words))
        tokens = tokens + self.place(waves.to(words))
        memory = torch.cat([words, scene], dim=1)
        unreal = functional.pad(~real_PL, (0, _SCENE**2), value=False)
        compared = self.layers(
            tokens,
            memory,
            tgt_key_padding_mask=~regions.real,
            memory_key_padding_mask=unreal,
        )
        logits: Tensor = self.logit(compared).squeeze(-1)
        return logits.masked_fill(~regions.real, -torch.inf)

    def _scene(self, coarse_PChw: Tensor, words: Tensor, real_PL: Tensor) -> Tensor:
        """The scene as tokens (P, S, D), after cross-attention to the words (P, L, D)."""
        cells = functional.adaptive_avg_pool2d(coarse_PChw, _SCENE).flatten(2).transpose(1, 2)
        waves = _waves(_scene_places(cells.float()))
        scene: Tensor = self.scene(cells) + self.place(waves.to(cells))
        queries = self.told_norm(scene)
        from_words, _ = self.told(
            queries, words, words, key_padding_mask=~real_PL, need_weights=False
        )
        tokens: Tensor = scene + from_words + self.kind[1]
        return tokens


def _scene_places(like: Tensor) -> Tensor:
    """Centres x and y of the scene's tokens (S, 2), row by row."""
    centres = _centres(_SCENE, like)
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


def nearness(regions: Regions, landmarks_PSA: Tensor) -> Tensor:
    """How near each region is to landmarks, at several spreads, and among the others (P, K, N).

    Args:
        regions: P times K.
        landmarks_PSA: How much each of the scene's tokens is a landmark, in [0, 1].
    """
    places = _scene_places(landmarks_PSA)
    first, last = (
        regions.shape[..., _BOX_START].unsqueeze(2),
        regions.shape[..., _BOX_END].unsqueeze(2),
    )
    outside = torch.maximum(first - places, places - last).clamp(min=0)
    distance = (
        outside.square().sum(dim=-1).add(_SMALLEST_DISTANCE_2).sqrt()
    )  # (P, K, S) from a region's box
    near = torch.cat(
        [
            (torch.exp(-distance / spread).unsqueeze(-1) * landmarks_PSA.unsqueeze(1)).amax(dim=2)
            for spread in _SPREADS
        ],
        dim=-1,
    )
    # (P, K, K, N): how surely the second region is nearer than the first
    nearer = ((near.unsqueeze(1) - near.unsqueeze(2)) / _NEARNESS_STEP).sigmoid()
    rank = (nearer * regions.real[:, None, :, None]).sum(dim=2)
    return torch.cat([near, _scaled_count(rank)], dim=-1)


def _standing(regions: Regions) -> Tensor:
    """How many regions lie left, right, above, below, are smaller, larger (P, K, 6).

    A region counts by its highest score, so that doubtful ones hardly do.
    """
    x, y, side = (regions.shape[..., column] for column in (_X, _Y, _SIDE))
    belief = (regions.shape[..., _HIGHEST] * regions.real).unsqueeze(1)
    # (P, K, K): what each region counts beside each, itself not at all
    weight = belief * (1 - torch.eye(x.shape[1], device=x.device))
    log_side = side.clamp(min=_SMALLEST_SIDE).log()
    counts = []
    for value, step in ((x, _PLACE_STEP), (y, _PLACE_STEP), (log_side, _SIZE_STEP)):
        after = ((value.unsqueeze(2) - value.unsqueeze(1)) / step).sigmoid()
        counts += [(after * weight).sum(dim=-1), ((1 - after) * weight).sum(dim=-1)]
    return _scaled_count(torch.stack(counts, dim=-1))


def _scaled_count(count: Tensor) -> Tensor:
    """Counts of regions on the scale of the other numbers, [0, 2]."""
    return count.clamp(max=_MOST_COUNTED) / (_MOST_COUNTED / 2)


def _waves(places: Tensor) -> Tensor:
    """Places (..., 2) in [0, 1] as sines and cosines (..., 4 * waves)."""
    scales = math.pi * 2.0 ** torch.arange(_WAVES, device=places.device)
    angles = places.unsqueeze(-1) * scales
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
