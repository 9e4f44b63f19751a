"""Scores that tell, before any training, how much a student may gain from a teacher; docs/recommendation.md.

All are computed from logits and features of frozen models on training images, some of them held out. B are training
samples, H held-out ones.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot


def target_headroom(target_BC: Tensor, source_B: Tensor, student_BC: Tensor, labels_B: Tensor) -> tuple[float, float]:
    """Return how much better a router's target is than the student itself.

    Samples that the router leaves out (source -1) count as the student's own, for nothing pulls it there.

    Args:
        target_BC: Target logits.
        source_B: Which source teaches each sample.
        student_BC: Logits of the initial student.
        labels_B: The labels.

    Returns:
        The gain in accuracy in points, and in the mean log-probability of the label in nats.
    """
    reached_BC = torch.where(source_B[:, None] < 0, student_BC, target_BC).double()
    (acc, likelihood), (own_acc, own_likelihood) = (
        (100 * (logits_BC.argmax(1) == labels_B).double().mean(), -cross_entropy(logits_BC, labels_B))
        for logits_BC in (reached_BC, student_BC.double())
    )
    return float(acc - own_acc), float(likelihood - own_likelihood)


def capa(first_BC: Tensor, second_BC: Tensor, labels_B: Tensor) -> float:
    """Return the chance-adjusted probabilistic agreement of two models, kappa_p.

    ``kappa_p = (c_obs - c_exp) / (1 - c_exp)`` with ``c_obs = mean_x sum_c p1_c p2_c`` and, b being the mean
    probability of the label, ``c_exp = b1 b2 + (1 - b1)(1 - b2) / (C - 1)``: Goel et al., "Great Models Think Alike and
    this Undermines AI Oversight" (ICML 2025, arXiv 2502.04313). 1: always the same, 0: as their accuracies make it.

    Args:
        first_BC: Logits of one model.
        second_BC: Logits of the other.
        labels_B: The labels.
    """
    first_BC, second_BC = first_BC.double().softmax(1), second_BC.double().softmax(1)
    observed = float((first_BC * second_BC).sum(1).mean())
    right = [float(each_BC.gather(1, labels_B[:, None]).mean()) for each_BC in (first_BC, second_BC)]
    expected = right[0] * right[1] + (1 - right[0]) * (1 - right[1]) / (first_BC.shape[1] - 1)
    return (observed - expected) / (1 - expected)


def label_residual(logits_HC: Tensor, labels_H: Tensor) -> Tensor:
    """Return the gradient of the mean cross entropy in the logits, ``(softmax - onehot) / H``, ``[H, C]``."""
    classes = logits_HC.shape[1]
    return (logits_HC.softmax(1) - one_hot(labels_H, classes)) / len(labels_H)


def first_order_agreement(pull_BC: Tensor, features_BD: Tensor, residual_HC: Tensor, features_HD: Tensor) -> float:
    """Return how fast following a method's pull lowers the held-out loss, to first order.

    The inner product of two gradients in the weights and the bias of the last layer: of the method's loss on training
    images, and of the cross entropy on held-out ones. It is the decrease of the latter per unit of step along the
    negative gradient of the former (the idea of GRACE, arXiv 2511.02833).

    Args:
        pull_BC: Gradient of the method's loss in the student's logits on training images; for the KL divergence
            ``(p_student - p_target) / B``.
        features_BD: The student's features there.
        residual_HC: Gradient of the cross entropy in its logits on held-out images; see `label_residual`.
        features_HD: Its features there.
    """
    weight = (pull_BC.double().T @ features_BD.double()) * (residual_HC.double().T @ features_HD.double())
    bias = pull_BC.double().sum(0) * residual_HC.double().sum(0)
    return float(weight.sum() + bias.sum())


def leep(source_BC: Tensor, labels_B: Tensor) -> float:
    """Return the log expected empirical prediction: mean ``log sum_z P(y | z) theta(x)_z``, in nats, at most 0.

    theta are the model's probabilities and ``P(y | z)`` comes from their joint distribution with the labels: Nguyen et
    al., "LEEP: A New Measure to Evaluate Transferability of Learned Representations" (ICML 2020, arXiv 2002.12462).

    Args:
        source_BC: Logits of the model.
        labels_B: The labels.
    """
    theta_BC = source_BC.double().softmax(1)
    joint_CC = one_hot(labels_B, source_BC.shape[1]).double().T @ theta_BC / len(labels_B)  # [label, z]
    given_z_CC = joint_CC / joint_CC.sum(0)
    return float((given_z_CC[labels_B] * theta_BC).sum(1).log().mean())
