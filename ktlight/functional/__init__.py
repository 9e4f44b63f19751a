"""Pure functions, tensors in and tensors out: losses, routing rules, target rules, flips, statistics, interpolation.

Nothing here keeps a state, waits for the device, or knows of models, data or training.
"""

from ktlight.functional.averages import average_states
from ktlight.functional.calibration import fit_temperature
from ktlight.functional.confidence import entropy, log_confidence, log_odds, margin
from ktlight.functional.contrastive import (
    log_normalizer,
    noise_contrastive_per_sample,
    other_class_rows,
    random_numbers,
    update_memory_,
)
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
    largest_classes,
    masked_mean,
    soft_cross_entropy_per_sample,
)
from ktlight.functional.mixing import mixed_target, soft_weights
from ktlight.functional.relational import relation_divergence_per_sample
from ktlight.functional.routing import (
    class_errors,
    flip_sources,
    leave_out_negative,
    most_confident,
    random_sources,
    select_target,
)
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
    "average_states",
    "bidirectional_teacher",
    "class_counts",
    "class_entropy",
    "class_errors",
    "complementary_knowledge",
    "entropy",
    "fit_temperature",
    "flip_sources",
    "general_target",
    "general_weights",
    "interpolate_",
    "kl_divergence",
    "kl_divergence_per_sample",
    "knowledge_gain",
    "knowledge_loss",
    "largest_classes",
    "leave_out_negative",
    "linear_target",
    "linear_weights",
    "log_confidence",
    "log_normalizer",
    "log_odds",
    "margin",
    "masked_mean",
    "mcnemar_p_value",
    "minlogit_target",
    "mixed_target",
    "most_confident",
    "naive_target",
    "noise_contrastive_per_sample",
    "other_class_rows",
    "paired_interval",
    "prediction_flips",
    "random_numbers",
    "random_sources",
    "relation_divergence_per_sample",
    "residual_correlation",
    "select_target",
    "soft_cross_entropy_per_sample",
    "soft_weights",
    "top_classes",
    "transfer_rate",
    "update_memory_",
]
