"""The text encoder of Nano: BERT-style, its last layers over text and image tokens together.

Legend: P prompts, L text tokens, T image tokens, R real tokens of all prompts, D width.
The lower layers read the text alone; at the first joint layer the image tokens are put beside it,
as the paper puts them beside the instruction, and from there words and places attend to each other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import LanguageConfig

_NORM_EPS = 1e-12  # BERT's


@dataclass(frozen=True, slots=True)
class Packing:
    """Packing of a padded batch: only its real tokens are computed on.

    Instructions differ much in length, so most of a padded batch is padding.

    Attributes:
        mask_PL: (P, L) bool, True where a token is real.
        index_R: Where the R real ones lie among the P*L.
    """

    mask_PL: Tensor
    index_R: Tensor

    @classmethod
    def of(cls, mask_PL: Tensor) -> "Packing":
        """Of a mask (P, L) bool."""
        return cls(mask_PL, mask_PL.flatten().nonzero().squeeze(-1))

    def pack(self, padded_PLD: Tensor) -> Tensor:
        """The real tokens (R, D) of (P, L, D)."""
        return padded_PLD.flatten(0, 1).index_select(0, self.index_R)

    def pad(self, packed_RD: Tensor) -> Tensor:
        """(P, L, D) of the real tokens (R, D), zero elsewhere."""
        empty = packed_RD.new_zeros(self.mask_PL.numel(), packed_RD.shape[-1])
        return empty.index_copy(0, self.index_R, packed_RD).view(*self.mask_PL.shape, -1)


class TransformerLayer(nn.Module):
    """Post-norm self-attention and feed-forward, as in BERT."""

    def __init__(self, config: LanguageConfig) -> None:
        """Build one layer of `config.width`."""
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)
        self.output_norm = nn.LayerNorm(config.width, eps=_NORM_EPS)

    def forward(self, hidden_RD: Tensor, packing: Packing) -> Tensor:
        """Map hidden states (R, D) of real tokens to (R, D); those of a prompt see each other."""
        qkv = packing.pad(self.qkv(hidden_RD))
        qkv = qkv.view(*packing.mask_PL.shape, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=packing.mask_PL[:, None, None, :]
        )
        mixed_RD = packing.pack(mixed.transpose(1, 2).flatten(2))
        hidden_RD = self.attention_norm(hidden_RD + self.out(mixed_RD))
        feed: Tensor = self.down(functional.gelu(self.up(hidden_RD)))
        normed: Tensor = self.output_norm(hidden_RD + feed)
        return normed


class LanguageModel(nn.Module):
    """Token embeddings, text layers, joint layers."""

    def __init__(self, config: LanguageConfig) -> None:
        """Build `config.layers` layers, the last `config.joint_layers` of which are joint."""
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.width, padding_idx=0)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        text_layers = config.layers - config.joint_layers
        self.text_layers = nn.ModuleList(TransformerLayer(config) for _ in range(text_layers))
        self.joint_layers = nn.ModuleList(
            TransformerLayer(config) for _ in range(config.joint_layers)
        )

    def embed(self, token_ids: Tensor) -> Tensor:
        """Embed token ids (P, L) int64 as (P, L, D): the E_t that TATE works on."""
        places = torch.arange(token_ids.shape[1], device=token_ids.device)
        embedded: Tensor = self.norm(self.tokens(token_ids) + self.positions(places))
        return embedded

    def read(self, token_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states (P, L, D) of token ids (P, L) that have seen no image, nor a task."""
        return _through(self.text_layers, self.embed(token_ids), attention_mask)

    def forward(
        self, text_PLD: Tensor, attention_mask: Tensor, image_PTD: Tensor, context: None = None
    ) -> tuple[Tensor, Tensor, None]:
        """Read the instruction, then instruction and image together.

        Args:
            text_PLD: Enhanced token embeddings (P, L, D).
            attention_mask: (P, L) bool, True where a token is real.
            image_PTD: Image tokens of each prompt's image (P, T, D).
            context: None: words and places see each other here, so nothing can be cached.

        Returns:
            Hidden states of the text (P, L, D), zero where no token is real, and of the image
            tokens (P, T, D), and no cache.
        """
        del context
        text_PLD = _through(self.text_layers, text_PLD, attention_mask)
        image_mask = torch.ones(image_PTD.shape[:2], dtype=torch.bool, device=image_PTD.device)
        joint_mask = torch.cat([attention_mask, image_mask], dim=1)
        joint = torch.cat([text_PLD, image_PTD], dim=1)
        joint = _through(self.joint_layers, joint, joint_mask)
        length = text_PLD.shape[1]
        return joint[:, :length], joint[:, length:], None


def _through(layers: nn.ModuleList, hidden_PLD: Tensor, mask_PL: Tensor) -> Tensor:
    """Hidden states (P, L, D) after layers, of the tokens that are real."""
    packing = Packing.of(mask_PL)
    hidden_RD = packing.pack(hidden_PLD)
    for layer in layers:
        hidden_RD = layer(hidden_RD, packing)
    return packing.pad(hidden_RD)
