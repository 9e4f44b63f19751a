"""The setting that all stages of a transfer share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig

from ktlight.answers.stored import OutputStore
from ktlight.data.datamodule import ImageDataModule
from ktlight.routing.rules import RoutingRule
from ktlight.training.loggers import StageLogger


@dataclass(frozen=True)
class Setting:
    """The setting shared by all stages of a transfer.

    Attributes:
        config: The composed config.
        data: Images to train and evaluate on.
        outputs: Outputs of frozen models, stored or live.
        loggers: Loggers in addition to the curves.
        epochs: Epochs of one training, unless ``schedule.total_epochs`` is divided among stages.
        rule: Chooses each sample's source; None if nothing is routed.
        several_stages: Whether more stages follow, so that the end of this one is worth saving.
    """

    config: DictConfig
    data: ImageDataModule
    outputs: OutputStore
    loggers: Sequence[Logger]
    epochs: int
    rule: RoutingRule | None = None
    several_stages: bool = False

    def of_stage(self, number: int) -> "Setting":
        """Return the setting for stage ``number`` of several, whose metrics are logged with a prefix."""
        return replace(self, loggers=[StageLogger(each, number) for each in self.loggers], several_stages=True)
