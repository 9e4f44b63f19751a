"""Which transfers can be trained together in one process, by their configs."""

from omegaconf import DictConfig

from ktlight.config.identity import digest, lasting_part
from ktlight.config.instantiate import located
from ktlight.training.trainer import precision

SAME = ("data", "trainer", "seed")
"""The groups on which batches, and where and how they are computed with, depend."""
PRECISIONS = ("32-true", "bf16-mixed")


def unpackable(config: DictConfig) -> str | None:
    """Return why a run is trained alone; None if it can share its batches with others."""
    trainer = config.trainer
    if config.task.name != "transfer":
        return f"task={config.task.name} is no transfer"
    if config.method._target_ is None:
        return f"method={config.method.name} trains nothing"
    if located(config.method._target_, "method").has_peers:
        return f"method={config.method.name} trains several networks"
    for option, value, only in (
        ("schedule", config.schedule.name, ("parallel",)),
        ("transfer.part", config.transfer.part, ("all",)),
        ("logger", config.logger.name, ("none", "tensorboard")),
        ("trainer.compile", trainer.compile, (None,)),
        ("trainer.accumulate_grad_batches", trainer.accumulate_grad_batches, (1,)),
        ("trainer.precision", precision(trainer), PRECISIONS),
        ("trainer.devices", trainer.devices, (1,)),
        ("trainer.num_nodes", trainer.num_nodes, (1,)),
        ("trainer.strategy", trainer.strategy, ("auto",)),
    ):
        if value not in only:
            return f"{option}={value}"
    return None


def batches_of(config: DictConfig) -> str:
    """Return a digest of what the batches of a run depend on, and where and how they are computed with."""
    return digest([lasting_part(config, group) for group in SAME])
