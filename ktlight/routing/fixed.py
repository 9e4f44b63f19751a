"""Rules that ignore the sources' outputs: one source for all samples, or a random one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ktlight.errors import UserError
from ktlight.functional.routing import random_sources, select_target
from ktlight.limits import NotNegative, Seed, Share
from ktlight.routing.rules import Routing, RoutingRule, Source
from ktlight.types import Batch


class Fixed(RoutingRule):
    """Every sample from one source: the teacher (plain distillation) or the initial student (self-distillation)."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.teachers_only = source > 0

    def candidates(self, sources: Sequence[Source]) -> list[Source]:
        """Return the one source."""
        if self.source >= len(sources):
            raise UserError(f"router.source={self.source}, but there are only sources 0 to {len(sources) - 1}")
        if self.source > 0 and len(sources) > 2:
            raise UserError(
                f"router=teacher takes one teacher, but there are {len(sources) - 1}: choose among them with "
                "router=most_confident or router=soft, or take them in turn with schedule=sequential or schedule=soup"
            )
        return [sources[self.source]]

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the one candidate for every sample."""
        return Routing(torch.zeros_like(batch["label"]), logits_MBC[0])


class Random(RoutingRule):
    """A control: teachers, uniformly at random, teach a random share of the samples, the initial student the rest.

    Args:
        share: Probability that a teacher teaches a sample; 0 is self-distillation, 1 (one teacher) plain distillation.
        seed: Seed of the run. The choice is a function of (seed, view, index).
        retain_weight: Of the samples that the initial student keeps.
    """

    def __init__(self, share: Share, seed: Seed, retain_weight: NotNegative = 1.0) -> None:
        self.share = share
        self.seed = seed
        self.retain_weight = retain_weight

    def __call__(self, logits_MBC: Tensor, batch: Batch, student_BC: Tensor | None) -> Routing:
        """Return the drawn source of each sample."""
        source_B = random_sources(batch["index"], batch["view"], self.seed, self.share, len(logits_MBC) - 1)
        source_B = source_B.to(logits_MBC.device, non_blocking=True)
        return Routing(source_B, select_target(logits_MBC, source_B))
