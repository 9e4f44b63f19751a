"""Pure functions, tensors in and tensors out: losses, routing rules, target rules, flips, statistics, interpolation.

Nothing here keeps a state, waits for the device, or knows of models, data or training.
"""

from ktlight.functional.flips import (
    complementary_knowledge,
    knowledge_gain,
    knowledge_loss,
    prediction_flips,
    transfer_rate,
)
from ktlight.functional.interpolation import interpolate_
from ktlight.functional.losses import (
    kl_divergence,
    kl_divergence_per_sample,
    masked_mean,
    soft_cross_entropy_per_sample,
)
from ktlight.functional.routing import flip_sources, leave_out_negative, log_odds, most_confident, select_target
from ktlight.functional.statistics import (
    class_counts,
    class_entropy,
    mcnemar_p_value,
    paired_interval,
    top_classes,
)
from ktlight.functional.targets import (
    bidirectional_teacher,
    general_target,
    general_weights,
    linear_target,
    linear_weights,
    minlogit_target,
    naive_target,
    residual_correlation,
)

__all__ = [
    "bidirectional_teacher",
    "class_counts",
    "class_entropy",
    "complementary_knowledge",
    "flip_sources",
    "general_target",
    "general_weights",
    "interpolate_",
    "kl_divergence",
    "kl_divergence_per_sample",
    "knowledge_gain",
    "knowledge_loss",
    "leave_out_negative",
    "linear_target",
    "linear_weights",
    "log_odds",
    "masked_mean",
    "mcnemar_p_value",
    "minlogit_target",
    "most_confident",
    "naive_target",
    "paired_interval",
    "prediction_flips",
    "residual_correlation",
    "select_target",
    "soft_cross_entropy_per_sample",
    "top_classes",
    "transfer_rate",
]
