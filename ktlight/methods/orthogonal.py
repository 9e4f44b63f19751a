"""VkD: the student's features, rotated into the source's space, come close to the source's standardised features."""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from ktlight.errors import UserError
from ktlight.functional.precision import full_precision
from ktlight.functional.projections import normalized_error_per_sample, orthonormal_columns
from ktlight.methods.projected import ProjectedFeatures
from ktlight.models.classifier import Classifier


class OrthonormalProjection(nn.Module):
    """A learned linear map with orthonormal columns: it keeps the inner products of features, and so all their angles.

    Args:
        inputs: Number of features, D.
        outputs: Number of features that they are mapped to, E, at least D.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.free_ED = nn.Parameter(torch.randn(outputs, inputs) / sqrt(outputs))

    def forward(self, features_BD: Tensor) -> Tensor:
        """Return the mapped features ``[B, E]``, in float32 or wider, also under autocast."""
        with torch.autocast(features_BD.device.type, enabled=False):
            return full_precision(features_BD) @ orthonormal_columns(self.free_ED).T


class VkD(ProjectedFeatures):
    """``smooth L1(P f_s, LayerNorm(f_t))``, P with orthonormal columns (Miles, Elezi and Deng, CVPR 2024).

    P cannot learn to undo what the student lacks, as any other linear map can: the features themselves have to change
    (arXiv 2403.06213).
    """

    def check_widths(self, networks: Sequence[Classifier], teacher_widths: Sequence[int]) -> None:
        """Raise `UserError` if a teacher has fewer features than the student: so many are not orthonormal there."""
        for teacher, width in zip(networks[1:], teacher_widths, strict=True):
            if width < self.student_width:
                raise UserError(
                    f"method={self.name} maps the {self.student_width} features of {networks[0].name} to the {width} "
                    f"of {teacher.name} and keeps their inner products, which takes at least as many: use "
                    "method=fitnet, whose map is any linear one, or a wider teacher"
                )

    def head(self, width: int) -> nn.Module:
        """Return a map with orthonormal columns."""
        return OrthonormalProjection(self.student_width, width)

    def errors(self, projected_BE: Tensor, target_BE: Tensor) -> Tensor:
        """Return the smooth L1 distances from the standardised features, ``[B]``."""
        return normalized_error_per_sample(projected_BE, target_BE)
