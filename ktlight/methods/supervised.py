"""Training on labels alone, for models that are trained before a transfer."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.methods.base import TransferMethod
from ktlight.methods.optimization import Optimization
from ktlight.models.classifier import Classifier
from ktlight.types import Batch


class Supervised(TransferMethod[Batch]):
    """Cross entropy with the labels, optionally smoothed.

    Args:
        networks: The network to train.
        optimization: Optimiser and learning rate.
        smoothing: Fraction of the probability spread over all classes.
    """

    def __init__(self, networks: Sequence[Classifier], optimization: Optimization, smoothing: float = 0.0) -> None:
        super().__init__(networks, optimization)
        self.smoothing = smoothing

    def terms(self, logits_NBC: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Return the cross entropy."""
        logits_BC = logits_NBC[0].float()
        return {"label": cross_entropy(logits_BC, batch["label"], label_smoothing=self.smoothing)}
