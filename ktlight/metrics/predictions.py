"""Predictions of several models on the same samples, gathered from all processes."""

import torch
from torch import Tensor
from torchmetrics import Metric

from ktlight.functional.confidence import log_odds


class Predictions(Metric):
    """Collects the predictions of K models and returns them ordered by sample index.

    A sample seen by two processes counts once.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False

    index: list[Tensor]
    label: list[Tensor]
    prediction: list[Tensor]
    confidence: list[Tensor]
    mean: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "label", "prediction", "confidence", "mean"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits_KBC: Tensor, labels_B: Tensor, index_B: Tensor) -> None:
        """Add a batch: the logits of all models, the labels and the sample indices."""
        self.index.append(index_B.to(labels_B.device))
        self.label.append(labels_B)
        self.prediction.append(logits_KBC.argmax(2).T)
        self.confidence.append(log_odds(logits_KBC).T)
        self.mean.append(logits_KBC.softmax(2).mean(0).argmax(1))

    def compute(self) -> dict[str, Tensor]:
        """Return ``index``, ``label`` and ``mean`` ``[n]``, ``prediction`` and ``confidence`` ``[K, n]``.

        ``mean`` is the class with the largest mean probability over the models. Confidences are log-odds of the
        predicted class: probabilities near 1 would round to false ties.
        """
        index, label, prediction, confidence, mean = (
            torch.cat(state) if isinstance(state, list) else state
            for state in (self.index, self.label, self.prediction, self.confidence, self.mean)
        )
        order = index.argsort(stable=True)
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = index[order][1:] != index[order][:-1]
        rows = order[first]
        return {
            "index": index[rows],
            "label": label[rows],
            "prediction": prediction[rows].T,
            "confidence": confidence[rows].T,
            "mean": mean[rows],
        }
