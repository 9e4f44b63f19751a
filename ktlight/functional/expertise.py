"""How far a model can be trusted on each class, from few held-out images of each: estimates that borrow strength.

Empirical Bayes (Efron and Morris, "Data Analysis Using Stein's Estimator", JASA 1975) with the beta-binomial model:
the accuracy of a class is drawn from a beta distribution whose mean is the model's overall accuracy; its width is
estimated by moments from how much the classes differ beyond chance (Kleinman, "Proportions with Extraneous Variance",
JASA 1973).
"""

import torch
from torch import Tensor

_WIDEST = 0.5  # correlation at which the overall accuracy counts as one image; keeps the estimates off 0 and 1


@torch.no_grad()
def class_expertise(right_N: Tensor, classes_N: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return how often a model is right on each class, shrunk towards its overall accuracy.

    With overall accuracy mu and correlation rho of two images of one class, the estimate for a class with k of n right
    is ``mu + n rho / (1 + (n - 1) rho) (k / n - mu)``: the posterior mean under a beta prior of ``1 / rho - 1`` images.

    Args:
        right_N: Whether it is right on each held-out image, ``bool [N]``, N at least 1.
        classes_N: The class of each, ``int64 [N]``.
        num_classes: C.

    Returns:
        The estimates, above 0 and below 1, ``float64 [C]``, mu for classes without images; and rho, a float64 scalar,
        from 0 (the classes differ no more than by chance) to 0.5.
    """
    right_N = right_N.double()
    count_C = right_N.new_zeros(num_classes).index_add(0, classes_N, torch.ones_like(right_N))
    right_C = torch.zeros_like(count_C).index_add(0, classes_N, right_N)
    samples = len(right_N)
    overall = (right_N.sum() + 1) / (samples + 2)  # Laplace's rule: neither 0 nor 1
    share_C = right_C / count_C.clamp_min(1)
    # E[sum n (share - mu)^2] = mu (1 - mu) (sum (1 - n / N) + rho sum (1 - n / N) (n - 1)) over classes with images
    rest_C = (1 - count_C / samples) * (count_C > 0)
    spread = (count_C * (share_C - right_N.mean()) ** 2).sum() / (overall * (1 - overall))
    pairs = (rest_C * (count_C - 1)).sum()
    rho = ((spread - rest_C.sum()) / pairs.clamp_min(1)).clamp(0, _WIDEST).where(pairs > 0, 0.0)
    weight_C = count_C * rho / (1 + (count_C - 1) * rho)
    return overall + weight_C * (share_C - overall), rho
