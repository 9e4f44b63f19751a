"""Temperature scaling: calibrates a model's probabilities with a single number, leaving its predictions unchanged.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017).
"""

from math import log

import torch
from torch import Tensor

_LOWEST, _HIGHEST = 0.01, 100.0
_HALVINGS = 40  # bisection steps over log(100 / 0.01): the temperature is accurate to 1e-11


@torch.no_grad()
def fit_temperature(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    """Return the temperature T that minimises the cross entropy of ``softmax(z / T)``, on samples unseen in training.

    The labels are smoothed by one sample's worth of weight, spread evenly over all samples and classes (Laplace's
    rule): ``(N onehot(y) + 1 / C) / (N + 1)``. Otherwise a model that is right on all N samples would have no minimum
    and unbounded confidence; with it, such a model claims about N / (N + 1). The effect vanishes for large N.

    The cross entropy is convex in 1 / T, so its slope changes sign once and bisection finds the root: in float64, and
    in a fixed number of steps, which avoids synchronising with the device.

    Args:
        logits_NC: Logits of one model, ``[N, C]``, N at least 1.
        labels_N: True classes, ``int64 [N]``.

    Returns:
        The temperature, a float64 scalar within the search bounds 0.01 and 100. A model no better than chance gets the
        upper bound.
    """
    logits_NC = logits_NC.double()
    gaps_NC = logits_NC - logits_NC.gather(1, labels_N[:, None])
    smoothed = gaps_NC.mean() / (len(labels_N) + 1)
    low, high = logits_NC.new_tensor(log(_LOWEST)), logits_NC.new_tensor(log(_HIGHEST))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The derivative in 1 / T: the expected gap under the model's distribution minus that under the labels'
        # (0 except for the smoothing).
        slope = ((gaps_NC / middle.exp()).softmax(1) * gaps_NC).sum(1).mean() - smoothed
        sharper = slope < 0
        low, high = low.where(sharper, middle), middle.where(sharper, high)
    return ((low + high) / 2).exp()
