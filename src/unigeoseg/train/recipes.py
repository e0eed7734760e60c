"""Runs as functions: a recipe returns everything a training needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from unigeoseg.model.config import ModelConfig
from unigeoseg.model.point_loss import PointLossConfig
from unigeoseg.train.batches import BatchConfig
from unigeoseg.train.lora import Adapters
from unigeoseg.train.losses import BaseLoss, Loss, cell_loss
from unigeoseg.train.parallel import Parallel


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
        recompute: Compute each layer a second time going back, to hold less in memory.
        parallel: How several processes share the work.
        seed: Of initialisation, data order and augmentation.
        save_every: Steps between checkpoints.
    """

    model: ModelConfig = field(default_factory=ModelConfig.nano)
    batch: BatchConfig
    loss: Loss = cell_loss
    steps: int
    lr: float = 5e-4
    encoder_lr: float = 2e-4
    language_lr: float = 1e-4
    frozen: tuple[str, ...] = (
        "language.tokens",
        "language.positions",
        "language.norm",
        "language.text_layers",
    )
    adapters: Adapters | None = None
    schedule: Literal["plateau", "cosine"] = "plateau"
    warmup: float = 0.02
    decay: float = 0.3
    weight_decay: float = 0.02
    clip: float = 1.0
    average: float = 0.998
    half: bool = False
    recompute: bool = False
    parallel: Parallel = "none"
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


def base_paper(sources: Mapping[str, float], *, samples: int = 970_238) -> TrainConfig:
    """Base as the paper trains it (section 4), on eight GPUs; not run here.

    Sixteen images a step, a prompt on each, for three epochs; tasks in the shares of the paper's
    training set without DIOR. The clip is ours: the paper names none.

    Args:
        sources: Chance of each set, before normalisation.
        samples: Triplets of an epoch.
    """
    batch = BatchConfig(
        image_size=512,
        images=16,
        prompts=1,
        sources=sources,
        families={"box": 0.220, "point": 0.223, "referring": 0.444, "attribute": 0.113},
        whole=0.5,
    )
    return TrainConfig(
        model=replace(ModelConfig.base(), variant="paper"),
        batch=batch,
        loss=BaseLoss(),
        steps=-(-3 * samples // batch.images),
        lr=1e-4,
        encoder_lr=1e-4,
        language_lr=1e-4,
        frozen=("encoder",),
        schedule="cosine",
        warmup=0.03,
        weight_decay=0.0,
        average=0.0,
        half=True,
        recompute=True,
        parallel="deepspeed",
        save_every=1000,
    )


def base_tiny(model: ModelConfig, sources: Mapping[str, float]) -> TrainConfig:
    """The paper's training of Base for a tiny network on one CPU, to try the way in seconds."""
    paper = base_paper(sources)
    return replace(
        paper,
        model=model,
        batch=replace(paper.batch, image_size=model.image_size, images=2),
        loss=BaseLoss(masks=PointLossConfig(points=128)),
        steps=30,
        lr=3e-3,
        language_lr=3e-3,
        half=False,
        recompute=False,
        parallel="none",
        save_every=15,
    )
