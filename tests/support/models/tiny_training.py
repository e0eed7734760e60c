"""A training of a tiny Nano: its recipe, and all that takes its steps."""

from mixes import only
from networks import tiny_config, tiny_network, tiny_processor

from unigeoseg.train.config import TrainConfig
from unigeoseg.train.input.batch import BatchConfig
from unigeoseg.train.input.batch_maker import BatchMaker
from unigeoseg.train.trainer import Trainer

BATCH = only(
    BatchConfig(sizes=(64,), images=2, prompts=3, families={}), box=0.4, point=0.3, category=0.3
)
CONFIG = TrainConfig(
    model=tiny_config(), batch=BATCH, steps=40, lr=3e-3, encoder_lr=1e-3, decay=0.3, save_every=20
)


def make(training_set, config: TrainConfig = CONFIG) -> tuple[Trainer, BatchMaker]:
    processor = tiny_processor()
    trainer = Trainer(tiny_network(), processor, config)
    return trainer, BatchMaker(
        training_set, processor, config.batch, steps=config.steps, seed=config.seed
    )
