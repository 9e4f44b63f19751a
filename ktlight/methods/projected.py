"""FitNets, and what methods have in common that map the student's features to those of each source."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from ktlight.functional.projections import squared_error_per_sample
from ktlight.functional.routing import select_target
from ktlight.methods.features import FeatureMethod
from ktlight.types import RoutedBatch


class ProjectedFeatures(FeatureMethod):
    """A map from the student's features to those of each source, learned with the student and discarded afterwards.

    The source that teaches a sample is the one whose features the student's are compared with.
    """

    def setup(self, stage: str) -> None:
        """Create the maps, now that the sources are known."""
        self.make_heads(self.head, self.context.source_widths)

    def feature_losses(self, features_BD: Tensor, batch: RoutedBatch) -> Tensor:
        """Return how far each sample's features are from its source's, ``[B]``."""
        errors_MB = torch.stack(
            [
                self.errors(head(features_BD), target_BE)
                for head, target_BE in zip(self.heads, batch["features"], strict=True)
            ]
        )
        return select_target(errors_MB, batch["source"])

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """Return a map from the student's features to ``width`` others."""

    @abstractmethod
    def errors(self, projected_BE: Tensor, target_BE: Tensor) -> Tensor:
        """Return how far each sample's features are from a source's, ``[B]``."""


class FitNet(ProjectedFeatures):
    """Hints (Romero et al., ICLR 2015) on the last features: a linear map of the student's equals the source's."""

    def head(self, width: int) -> nn.Module:
        """Return a linear map."""
        return nn.Linear(self.student_width, width, bias=False)

    def errors(self, projected_BE: Tensor, target_BE: Tensor) -> Tensor:
        """Return the mean squared differences, ``[B]``."""
        return squared_error_per_sample(projected_BE, target_BE)
