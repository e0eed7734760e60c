"""Fusion of prompt and pixels: drawn clicks and boxes, read image tokens, the target's meaning.

Legend: P prompts, M coordinate rows, Q queries, N places of the coarse map, C channels, D width,
G side of the token square, h w map.
Points and boxes are drawn as maps beside the image features (`DecoderConfig.prompt_maps`), which
lets a network learn clicks and boxes from little data; the paper's own way, coordinates projected
into the instruction, is in `model.tate`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import DecoderConfig
from unigeoseg.model.layers import sine_positions, upsample
from unigeoseg.model.nano.mask_decoder import ConvNorm

MAP_CHANNELS = 3  # positive points, negative points, box
_BELL_SPREAD = 1.5  # standard deviation of a drawn point, in cells


def draw_prompts(coordinates_PMC: Tensor, present_PM: Tensor, height: int, width: int) -> Tensor:
    """Draw coordinate rows as maps (P, 3, height, width) in [0, 1].

    Points become small bells with a spread of 1.5 cells; a box becomes the share of each cell
    that it covers, so that its edges keep their sub-cell place.

    Args:
        coordinates_PMC: (P, M, 5): x0, y0, x1, y1 in [0, 1] of the window, and a sign.
        present_PM: (P, M) bool, which rows exist.
        height: Rows of the map.
        width: Columns of the map.
    """
    x0, y0, x1, y1, sign = coordinates_PMC.unbind(-1)
    left = torch.arange(width, device=x0.device, dtype=x0.dtype)
    top = torch.arange(height, device=x0.device, dtype=x0.dtype)
    bell_x = _bell(left + 0.5 - (x0 * width).unsqueeze(-1))
    bell_y = _bell(top + 0.5 - (y0 * height).unsqueeze(-1))
    bells = bell_y.unsqueeze(-1) * bell_x.unsqueeze(-2)
    cover_x = _cover(left, (x0 * width).unsqueeze(-1), (x1 * width).unsqueeze(-1))
    cover_y = _cover(top, (y0 * height).unsqueeze(-1), (y1 * height).unsqueeze(-1))
    boxes = cover_y.unsqueeze(-1) * cover_x.unsqueeze(-2)
    point = present_PM & (x0 == x1) & (y0 == y1)
    layers = (
        (bells, point & (sign > 0)),
        (bells, point & (sign < 0)),
        (boxes, present_PM & ~point),
    )
    return torch.stack([(maps * on[..., None, None]).amax(dim=1) for maps, on in layers], dim=1)


def _bell(distance: Tensor) -> Tensor:
    return torch.exp(-(distance**2) / (2 * _BELL_SPREAD**2))


def _cover(cell: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Share of each unit cell [cell, cell + 1) inside [low, high)."""
    return (torch.minimum(high, cell + 1) - torch.maximum(low, cell)).clamp(0, 1)


class ConditionedBlock(nn.Module):
    """Feature-wise modulation: two convolutions, scaled and shifted by the target's embedding."""

    def __init__(self, width: int, condition: int) -> None:
        """Work on `width` channels under an embedding of `condition`."""
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = ConvNorm(width, width)
        self.modulate = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, maps: Tensor, target_PD: Tensor) -> Tensor:
        """Refine maps (P, C, h, w) under embeddings (P, D)."""
        scale, shift = self.modulate(target_PD)[..., None, None].chunk(2, dim=1)
        refined: Tensor = self.second(self.first(maps) * (1 + scale) + shift)
        return maps + refined


class PlaceLayer(nn.Module):
    """A transformer layer over the places of a map and the words, so that objects are compared.

    "The largest" or "nearest to the road" is decided between places that no convolution joins.
    Pre-norm, and the identity at first.
    """

    def __init__(self, width: int, heads: int, feed_forward: int) -> None:
        """Attend with `heads` heads on `width` channels, then feed forward."""
        super().__init__()
        self.heads = heads
        self.place_norm, self.word_norm, self.feed_norm = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self, places_PND: Tensor, position_1ND: Tensor, words: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Update places (P, N, D).

        Args:
            places_PND: The places.
            position_1ND: Where they lie (1, N, D).
            words: Target and words (P, Q, D), and which of them are real (P, Q) bool.
        """
        words_PQD, real_PQ = words
        places, normed_words = self.place_norm(places_PND), self.word_norm(words_PQD)
        placed = places + position_1ND
        key = self.key(torch.cat([placed, normed_words], dim=1))
        value = self.value(torch.cat([places, normed_words], dim=1))
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(placed), key, value)
        )
        mask = functional.pad(real_PQ, (places.shape[1], 0), value=True)[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        places_PND = places_PND + self.out(mixed.transpose(1, 2).flatten(2))
        feed: Tensor = self.down(functional.gelu(self.up(self.feed_norm(places_PND))))
        return places_PND + feed


class NoFusion(nn.Module):
    """The image's maps as they are: Base's prompts reach the pixels through the query alone."""

    def forward(
        self,
        maps: tuple[Tensor, ...],
        image_PTD: Tensor,
        queries: tuple[Tensor, Tensor],
        coordinates: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, ...]:
        """Return the maps (P, C, h, w) each; arguments as `PromptFusion.forward`."""
        del image_PTD, queries, coordinates
        return maps


class PromptFusion(nn.Module):
    """Make the image's maps the prompt's own, from coarse to fine."""

    def __init__(self, language_width: int, config: DecoderConfig) -> None:
        """Fuse maps of `config.widths` with tokens of `language_width`."""
        super().__init__()
        fine, middle, coarse = config.widths
        self.prompt_maps = config.prompt_maps
        self.read = nn.Linear(language_width, coarse)
        self.draw = nn.ModuleList(
            nn.Conv2d(MAP_CHANNELS, width, 3, padding=1, bias=False)
            for width in (config.widths if config.prompt_maps else ())
        )
        self.narrow = nn.ModuleList([nn.Conv2d(middle, fine, 1), nn.Conv2d(coarse, middle, 1)])
        self.blocks = nn.ModuleList(ConditionedBlock(width, coarse) for width in config.widths)
        self.places = nn.ModuleList(
            PlaceLayer(coarse, config.heads, config.feed_forward)
            for _ in range(config.place_layers)
        )

    def forward(
        self,
        maps: tuple[Tensor, Tensor, Tensor],
        image_PTD: Tensor,
        queries: tuple[Tensor, Tensor],
        coordinates: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Fuse one image's maps per prompt.

        Args:
            maps: Fine, middle and coarse maps (P, C, h, w) of each prompt's image.
            image_PTD: Image tokens after the language model (P, G*G, language width).
            queries: The target's embedding and the words' (P, Q, D), and which of them are real
                (P, Q) bool.
            coordinates: Rows (P, M, 5) and which exist (P, M) bool.

        Returns:
            Fine map (P, C, H/4, W/4) and coarse map (P, D, H/16, W/16).
        """
        fine, middle, coarse = (
            self._with_prompt(level, level_maps, coordinates)
            for level, level_maps in enumerate(maps)
        )
        target_PD = queries[0][:, 0]
        side = round(image_PTD.shape[1] ** 0.5)
        read = self.read(image_PTD).transpose(1, 2).unflatten(2, (side, side))
        coarse = self.blocks[2](coarse + upsample(read, coarse), target_PD)
        coarse = self._compared(coarse, queries)
        middle = middle + upsample(self.narrow[1](coarse), middle)
        middle = self.blocks[1](middle, target_PD)
        fine = fine + upsample(self.narrow[0](middle), fine)
        return self.blocks[0](fine, target_PD), coarse

    def _compared(self, coarse: Tensor, queries: tuple[Tensor, Tensor]) -> Tensor:
        """The coarse map (P, D, h, w) after its places have looked at each other."""
        places = coarse.flatten(2).transpose(1, 2)
        position = sine_positions(coarse).flatten(2).transpose(1, 2)
        for layer in self.places:
            places = layer(places, position, queries)
        return places.transpose(1, 2).reshape(coarse.shape)

    def _with_prompt(self, level: int, maps: Tensor, coordinates: tuple[Tensor, Tensor]) -> Tensor:
        if not self.prompt_maps:
            return maps
        prompt_maps = draw_prompts(*coordinates, maps.shape[-2], maps.shape[-1])
        embedded: Tensor = self.draw[level](prompt_maps.to(maps))
        return maps + embedded
