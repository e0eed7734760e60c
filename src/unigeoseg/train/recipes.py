"""Runs as functions: a recipe returns everything a training needs to know."""

from dataclasses import dataclass, field

from unigeoseg.model.config import ModelConfig
from unigeoseg.train.batches import BatchConfig


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run.

    Attributes:
        model: The network.
        batch: What a step is made of.
        steps: Optimiser steps.
        lr: Learning rate of new parts.
        encoder_lr: Of the pretrained encoder.
        language_lr: Of the joint language layers; the layers below and the words stay frozen,
            which keeps the meaning of words that training never shows.
        warmup: Share of steps over which the rate rises.
        decay: Share of steps, at the end, over which the rate falls to zero.
        weight_decay: AdamW's.
        clip: Largest norm of the gradient.
        average: Decay of the moving average of the weights, which is what is kept.
        seed: Of initialisation, data order and augmentation.
        save_every: Steps between checkpoints.
    """

    model: ModelConfig = field(default_factory=ModelConfig.nano)
    batch: BatchConfig
    steps: int
    lr: float = 5e-4
    encoder_lr: float = 2e-4
    language_lr: float = 1e-4
    warmup: float = 0.02
    decay: float = 0.3
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.998
    seed: int = 0
    save_every: int = 100


def nano() -> TrainConfig:
    """The first Nano: every set with pixel masks, 256 px views, 64 prompts a step.

    3.3 to 5.5 s a step on two cores without AVX-512. The weights that ship were stopped at step
    1,600 of a run of 1,680; see `docs/log.md` for what they reached.
    """
    return TrainConfig(
        batch=BatchConfig(
            sources={
                "nwpu_vhr10": 0.36,
                "dubai_mbrsc": 0.18,
                "hot_fair_buildings": 0.20,
                "agoro_fields": 0.06,
                "epfl_roads": 0.05,
                "gsi_solar": 0.04,
                "bijie_landslide": 0.03,
                "water_s2l8_128": 0.03,
                "hrsid_sar_ship": 0.03,
                "sar_oil_spill": 0.02,
            },
            families={
                "box": 0.19,
                "point": 0.23,
                "category": 0.18,
                "referring": 0.24,
                "attribute": 0.10,
                "absent": 0.06,
            },
        ),
        steps=2400,
    )
