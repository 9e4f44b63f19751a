"""Temperature scaling: the one number that makes a model's probabilities honest, without changing its predictions.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017).
"""

from math import log

import torch
from torch import Tensor

_LOWEST, _HIGHEST = 0.01, 100.0
_HALVINGS = 40  # of log(100 / 0.01): the temperature is found to 1e-11


@torch.no_grad()
def fit_temperature(logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    """Return the temperature T that minimises the cross entropy of ``softmax(z / T)``, on samples unseen in training.

    One sample's worth of weight is spread evenly over all samples and classes (Laplace's rule): the labels become
    ``(N onehot(y) + 1 / C) / (N + 1)``. Without it, a model that is right on all N samples would have no minimum, and
    its confidence no bound; so it claims about N / (N + 1). For many samples the effect vanishes.

    The cross entropy is convex in 1 / T, so its slope changes sign once: bisection, always equally many steps, in
    float64, so that nothing waits for the device.

    Args:
        logits_NC: Logits of one model, ``[N, C]``, N at least 1.
        labels_N: True classes, ``int64 [N]``.

    Returns:
        The temperature, a float64 scalar from 0.01 to 100, the bounds of the search. A model that does no better than
        chance gets the upper one.
    """
    logits_NC = logits_NC.double()
    gaps_NC = logits_NC - logits_NC.gather(1, labels_N[:, None])
    smoothed = gaps_NC.mean() / (len(labels_N) + 1)
    low, high = logits_NC.new_tensor(log(_LOWEST)), logits_NC.new_tensor(log(_HIGHEST))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The derivative in 1 / T: gaps under the model's distribution, less those under the labels' (0, but for
        # the smoothing).
        slope = ((gaps_NC / middle.exp()).softmax(1) * gaps_NC).sum(1).mean() - smoothed
        sharper = slope < 0
        low, high = low.where(sharper, middle), middle.where(sharper, high)
    return ((low + high) / 2).exp()
