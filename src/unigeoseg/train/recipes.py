"""Training recipes: functions that return the whole configuration of a run."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from unigeoseg.data.instructions.whole_category import never_shown
from unigeoseg.model.config import ModelConfig
from unigeoseg.prompt import Task
from unigeoseg.train.config import TEXT_PARTS, TEXT_PARTS_AND_ENCODER, TrainConfig
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.input.task_schedule import constant, pts
from unigeoseg.train.objective.losses import BaseLoss, only_choice

_EARLY_ENCODER = ("encoder.stem", "encoder.stages.0", "encoder.stages.1", "encoder.stages.2")
"""The encoder down to stride 8: general features that need no fine-tuning."""

_NANO_SOURCES = {
    "nwpu_vhr10": 0.22,
    "dubai_mbrsc": 0.14,
    "hot_fair_buildings": 0.15,
    "airbus_aircraft": 0.07,
    "agoro_fields": 0.06,
    "epfl_roads": 0.05,
    "aerial_cars_boxes": 0.11,
    "neon_tree_boxes": 0.05,
    "rsod_boxes": 0.04,
    "gsi_solar": 0.03,
    "bijie_landslide": 0.03,
    "water_s2l8_128": 0.04,
    "hrsid_sar_ship": 0.02,
    "sar_oil_spill": 0.02,
}
"""Sampling weight of each source of `docs/sources.md` that Nano learns from."""

_PAPER_SAMPLES = 970_238
"""Triplets of the paper's training set without DIOR's images (section 4)."""
_PAPER_EPOCHS = 3


def nano_recipe() -> TrainConfig:
    """Nano, on the sources that `docs/sources.md` marks: 64 prompts a step.

    The later stages of the encoder are trained too. 4 to 5 s a step on two cores without AVX-512;
    see `docs/dev/log.md` for its scores.
    """
    return TrainConfig(
        batch=BatchConfig(
            sizes=(256, 256, 256, 384, 512),
            mix=pts({Task.INTERACTIVE: 0.46, Task.REFERRING: 0.29, Task.REASONING: 0.25}),
            sources=_NANO_SOURCES,
            never={source: never_shown(source) for source in _NANO_SOURCES},
            families={
                "box": 0.35,
                "point": 0.65,
                "category": 0.28,
                "described": 0.06,
                "referring": 0.54,
                "absent name": 0.16,
                "attribute": 0.20,
                "context": 0.28,
                "question": 0.60,
                "absent question": 0.16,
            },
            pasted=0.4,
        ),
        steps=2400,
        encoder_lr=1.5e-4,
        frozen=(*TEXT_PARTS, *_EARLY_ENCODER),
    )


def choice_recipe() -> TrainConfig:
    """Nano's choice between regions alone, all else frozen: start it with `--start nano`.

    No masks are decoded, so a second has far more expressions than one of `nano`; see
    `docs/dev/log.md`.
    """
    recipe = nano_recipe()
    parts = "encoder connector pixels language enhance memory target one fusion decoder"
    return replace(
        recipe,
        batch=replace(
            recipe.batch,
            sizes=(256,),
            images=64,
            prompts=3,
            mix=constant({Task.INTERACTIVE: 0.0, Task.REFERRING: 0.75, Task.REASONING: 0.25}),
            families={"referring": 1.0, "attribute": 0.15, "context": 0.85},
            whole=0.5,
            focus=0.25,
        ),
        loss=only_choice,
        steps=1500,
        lr=1e-3,
        frozen=tuple(parts.split()),
        decay=0.35,
        average=0.995,
    )


def paper_recipe(*, samples: int = _PAPER_SAMPLES) -> TrainConfig:
    """Base as the paper trains it (section 4), on eight GPUs; not run here.

    Sixteen images a step with a prompt on each, for three epochs; tasks start in the shares of the
    paper's training set without DIOR. The gradient clip is ours: the paper names none.

    The paper's gIoU on its benchmark: 88.77 interactive, 73.21 referring, 51.42 reasoning.

    Args:
        samples: Triplets of an epoch.
    """
    batch = BatchConfig(
        sizes=(512,),
        images=16,
        prompts=1,
        mix=pts({Task.INTERACTIVE: 0.443, Task.REFERRING: 0.444, Task.REASONING: 0.113}),
        families={"box": 0.5, "point": 0.5, "referring": 1.0, "attribute": 0.5, "context": 0.5},
        whole=1.0,
    )
    return TrainConfig(
        model=replace(ModelConfig.base(), variant="paper"),
        batch=batch,
        loss=BaseLoss(),
        steps=-(-_PAPER_EPOCHS * samples // batch.images),
        lr=1e-4,
        encoder_lr=1e-4,
        language_lr=1e-4,
        frozen=("encoder",),
        schedule="cosine",
        warmup=0.03,
        weight_decay=0.0,
        average=0.0,
        half=True,
        activation_checkpointing=True,
        parallel="deepspeed",
        save_every=1000,
    )


def dior_excluded_recipe() -> TrainConfig:
    """`paper` for the zero-shot tests on SIOR and DIOR-RSVG (section 4).

    Build the data without the sources made of DIOR's images (DIOR, RRSIS-D, SIOR); 970,238
    triplets remained of the paper's 1.1 million. The paper's zero-shot gIoU on SIOR: 90.94 for
    boxes, 86.60 for points.
    """
    return paper_recipe(samples=_PAPER_SAMPLES)


def smoke_recipe() -> TrainConfig:
    """Nano for two steps of two views: checks data, machine and disk in a minute."""
    recipe = nano_recipe()
    batch = replace(recipe.batch, sizes=(128,), images=2, prompts=6, sources={})
    return replace(recipe, batch=batch, steps=2, save_every=2, validation_batches=1)


def ablation_recipe() -> TrainConfig:
    """Nano for ablations, short and small, with a frozen encoder as in the paper.

    For `train.study`, which compares many such runs; the weights are of no other use. A view of
    128 px has 4 x 4 cells at stride 32, so there are no more image tokens.
    """
    recipe = nano_recipe()
    return replace(
        recipe,
        model=replace(recipe.model, image_grid=4),
        batch=replace(recipe.batch, sizes=(128,), images=8, prompts=4),
        frozen=TEXT_PARTS_AND_ENCODER,
        steps=150,
        average=0.98,
        save_every=150,
        validate_every=150,
        validation_batches=24,
    )


def fine_tune_recipe() -> TrainConfig:
    """Fine-tuning of Nano on one's own data: start it with `--start nano`.

    A hundred steps of half the size, with a frozen encoder as in the paper. All sources count by
    their area. Some minutes on two cores (`docs/training.md`).
    """
    recipe = nano_recipe()
    return replace(
        recipe,
        batch=replace(recipe.batch, sizes=(256,), images=4, sources={}, never={}),
        frozen=TEXT_PARTS_AND_ENCODER,
        steps=100,
        decay=0.5,
        save_every=25,
        validate_every=25,
    )


RECIPES: Mapping[str, Callable[[], TrainConfig]] = {
    "nano": nano_recipe,
    "choice": choice_recipe,
    "fine-tune": fine_tune_recipe,
    "smoke": smoke_recipe,
    "ablation": ablation_recipe,
    "paper": paper_recipe,
    "dior-excluded": dior_excluded_recipe,
}
"""Recipes by their names on the command line."""
