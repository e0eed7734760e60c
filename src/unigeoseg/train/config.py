"""The configuration of one training run."""

from dataclasses import dataclass, field
from typing import Literal

from unigeoseg.model.config import ModelConfig
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.objective.losses import Loss, cell_loss
from unigeoseg.train.overrides import check_at_least, check_choices
from unigeoseg.train.scale.lora import LoraConfig

Parallel = Literal["none", "data", "fsdp", "deepspeed"]
"""Parallelism of a run: one process; data parallelism (a copy of the network in each process); FSDP
(weights sharded); DeepSpeed ZeRO-2 (gradients and the optimiser's state sharded)."""

TEXT_PARTS = (
    "language.tokens",
    "language.positions",
    "language.norm",
    "language.text_layers",
)
"""Parts of Nano's network that encode a text by itself, before it meets the image: its embeddings
and first layers. Frozen, they keep the meaning of words that training never shows."""

TEXT_PARTS_AND_ENCODER = (*TEXT_PARTS, "encoder")
"""`TEXT_PARTS` and the image encoder, which the paper freezes too (section 4)."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The configuration of one training run.

    Attributes:
        model: The network's configuration.
        batch: What a step is made of, in all processes together.
        loss: The training objective.
        steps: Optimiser steps.
        lr: Peak learning rate of new parts.
        encoder_lr: Of the pretrained encoder.
        language_lr: Of the language part.
        frozen: Parts that are not trained, by their names in the network.
        adapters: LoRA of the language part, whose own weights are frozen then; None trains those.
        schedule: Learning rate after the warm-up; see `train.trainer.learning_rate_factor`.
        warmup: Share of steps over which the learning rate rises.
        decay: Share of steps, at the end, over which a plateau falls to zero.
        weight_decay: AdamW's, for weights of two and more dimensions.
        clip: Largest norm of the gradient.
        average: Decay of the moving average of the weights, which is what is saved; 0 saves the
            weights themselves.
        half: Mixed precision: compute in bfloat16 what is safe; weights stay float32.
        activation_checkpointing: Compute each layer a second time in the backward pass, which
            holds less in memory.
        parallel: How several processes share the work.
        seed: Of initialisation, data order and augmentation.
        save_every: Steps between checkpoints.
        validate_every: Steps between validations.
        validation_batches: Batches of val groups in a validation; 0 for none.

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
    frozen: tuple[str, ...] = TEXT_PARTS_AND_ENCODER
    adapters: LoraConfig | None = None
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
