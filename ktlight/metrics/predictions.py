"""Predictions of several models on the same samples, gathered over all processes."""

import torch
from torch import Tensor
from torchmetrics import Metric


class Predictions(Metric):
    """Collects what each of K models says of each sample; computes it in the order of the sample indices.

    A sample that two processes saw counts once.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False

    index: list[Tensor]
    label: list[Tensor]
    prediction: list[Tensor]
    confidence: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "label", "prediction", "confidence"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits_KBC: Tensor, labels_B: Tensor, index_B: Tensor) -> None:
        """Add a batch: the logits of all models, the labels and the sample indices."""
        confidence_KB, prediction_KB = logits_KBC.float().softmax(2).max(2)
        self.index.append(index_B)
        self.label.append(labels_B)
        self.prediction.append(prediction_KB.T)
        self.confidence.append(confidence_KB.T)

    def compute(self) -> dict[str, Tensor]:
        """Return ``index`` ``[n]``, ``label`` ``[n]``, ``prediction`` ``[K, n]`` and ``confidence`` ``[K, n]``."""
        index, label, prediction, confidence = (
            torch.cat(state) if isinstance(state, list) else state
            for state in (self.index, self.label, self.prediction, self.confidence)
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
        }
