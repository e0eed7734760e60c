"""The configuration of one training run."""

from dataclasses import dataclass, field
from typing import Literal

from unigeoseg.model.config import ModelConfig
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.objective.losses import Loss, cell_loss
from unigeoseg.train.overrides import check_at_least, check_choices
from unigeoseg.train.scale.lora import Adapters

Parallel = Literal["none", "data", "fsdp", "deepspeed"]
"""One process; a copy of the network in each; its weights spread (FSDP); its gradients and the
optimiser's state spread (DeepSpeed ZeRO-2)."""

WORDS = (
    "language.tokens",
    "language.positions",
    "language.norm",
    "language.text_layers",
)
TEXT_AND_ENCODER = (*WORDS, "encoder")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run.

    Attributes:
        model: The network.
        batch: What a step is made of, in all processes together.
        loss: What is minimised.
        steps: Optimiser steps.
        lr: Learning rate of new parts.
        encoder_lr: Of the pretrained encoder.
        language_lr: Of the language part.
        frozen: Parts that stay as they are, by their names in the network. Nano's text layers and
            words are, which keeps the meaning of words that training never shows.
        adapters: Train these in the language part, and nothing else there; None trains its weights.
        schedule: How the rate goes after its rise; see `train.loop.rate_at`.
        warmup: Share of steps over which the rate rises.
        decay: Share of steps, at the end, over which a plateau falls to zero.
        weight_decay: AdamW's.
        clip: Largest norm of the gradient.
        average: Decay of the moving average of the weights, which is what is kept; 0 keeps the
            weights themselves.
        half: Compute what is safe in bfloat16; weights stay float32.
        activation_checkpointing: Compute each layer a second time in the backward pass, which
            holds less in memory.
        parallel: How several processes share the work.
        seed: Of initialisation, data order and augmentation.
        save_every: Steps between checkpoints.
        validate_every: Steps between validations.
        validation_batches: Batches of val groups that a validation takes; 0 for none.

    Raises:
        OptionError: If a count is too small, or a setting has none of the values it can have.
    """

    model: ModelConfig = field(default_factory=ModelConfig.nano)
    batch: BatchConfig
    loss: Loss = cell_loss
    steps: int
    lr: float = 5e-4
    encoder_lr: float = 2e-4
    language_lr: float = 1e-4
    frozen: tuple[str, ...] = TEXT_AND_ENCODER
    adapters: Adapters | None = None
    schedule: Literal["plateau", "cosine"] = "plateau"
    warmup: float = 0.02
    decay: float = 0.3
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.998
    half: bool = False
    activation_checkpointing: bool = False
    parallel: Parallel = "none"
    seed: int = 0
    save_every: int = 100
    validate_every: int = 200
    validation_batches: int = 6

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "steps", "save_every", "validate_every")
        check_at_least(self, 0, "validation_batches")
