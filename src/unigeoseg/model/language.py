"""The language model of Nano: a BERT-style encoder whose last layers also see the image.

Legend: P prompts, L text tokens, T image tokens, D width.
The lower layers read the text alone; at the first joint layer the image tokens are put beside it,
as the paper puts them beside the instruction, and from there words and places attend to each other.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.config import LanguageConfig


class TransformerLayer(nn.Module):
    """Post-norm self-attention and feed-forward, as in BERT."""

    def __init__(self, config: LanguageConfig) -> None:
        """Build one layer of `config.width`."""
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=1e-12)
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)
        self.output_norm = nn.LayerNorm(config.width, eps=1e-12)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Map hidden states (P, L, D) to (P, L, D); `attention_mask` (P, L) bool, True attends."""
        prompts, length, width = hidden.shape
        qkv = self.qkv(hidden).view(prompts, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask[:, None, None, :]
        )
        mixed = mixed.transpose(1, 2).reshape(prompts, length, width)
        hidden = self.attention_norm(hidden + self.out(mixed))
        fed: Tensor = self.down(functional.gelu(self.up(hidden)))
        normed: Tensor = self.output_norm(hidden + fed)
        return normed


class LanguageModel(nn.Module):
    """Token embeddings, text layers, joint layers."""

    def __init__(self, config: LanguageConfig) -> None:
        """Build `config.layers` layers, the last `config.joint_layers` of which are joint."""
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.width, padding_idx=0)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
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

    def forward(
        self, text_PLD: Tensor, attention_mask: Tensor, image_PTD: Tensor, context: None = None
    ) -> tuple[Tensor, Tensor, None]:
        """Read the instruction, then instruction and image together.

        Args:
            text_PLD: Enhanced token embeddings (P, L, D).
            attention_mask: (P, L) bool, True where a token is real.
            image_PTD: Image tokens of each prompt's image (P, T, D).
            context: Nothing: here words and places see each other, so no part can be read ahead.

        Returns:
            Hidden states of the text (P, L, D) and of the image tokens (P, T, D), and nothing to
            remember.
        """
        del context
        for layer in self.text_layers:
            text_PLD = layer(text_PLD, attention_mask)
        joint = torch.cat([text_PLD, image_PTD], dim=1)
        seen = torch.ones(image_PTD.shape[:2], dtype=torch.bool, device=joint.device)
        joint_mask = torch.cat([attention_mask, seen], dim=1)
        for layer in self.joint_layers:
            joint = layer(joint, joint_mask)
        length = text_PLD.shape[1]
        return joint[:, :length], joint[:, length:], None
