"""The recipe of the paper for a network that trains in seconds."""

from dataclasses import replace

from unigeoseg.model.config import ModelConfig
from unigeoseg.model.point_loss import PointLossConfig
from unigeoseg.train.config import TrainConfig
from unigeoseg.train.objective.losses import BaseLoss
from unigeoseg.train.recipes import paper_recipe


def tiny_base_recipe(model: ModelConfig) -> TrainConfig:
    """The paper's training of Base for a tiny network on one CPU, to try the way in seconds."""
    recipe = paper_recipe()
    return replace(
        recipe,
        model=model,
        batch=replace(recipe.batch, sizes=(model.image_size,), images=2),
        loss=BaseLoss(masks=PointLossConfig(points=128)),
        steps=30,
        lr=3e-3,
        language_lr=3e-3,
        half=False,
        activation_checkpointing=False,
        parallel="none",
        save_every=15,
    )
