"""Promises that hold for the whole folder: no waiting for the device, one graph for the compiler, light imports."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest
import torch

from ktlight import functional
from ktlight.functional import (
    confidence,
    correlation,
    decoupled,
    flips,
    losses,
    mixing,
    powers,
    routing,
    standardization,
    statistics,
    targets,
)

from .examples import random_classes, random_logits

SAMPLES, CLASSES = 6, 5
MODULES = [module.name for module in pkgutil.iter_modules(functional.__path__, "ktlight.functional.")]


def routed_loss(logits_MBC, labels_B):
    student_BC = logits_MBC[-1]
    source_B = routing.most_confident(logits_MBC, labels_B)
    target_BC = routing.select_target(logits_MBC, source_B)
    return losses.masked_mean(losses.kl_divergence_per_sample(student_BC, target_BC, 2.0), source_B)


def unsupervised_loss(logits_MBC, labels_B):
    target_BC = routing.select_target(logits_MBC, routing.most_confident(logits_MBC))
    return losses.soft_cross_entropy_per_sample(logits_MBC[-1], target_BC).mean()


def flip_loss(logits_MBC, labels_B):
    student_B, teacher_B, _ = logits_MBC.argmax(-1).unbind()
    source_B = routing.flip_sources(student_B, teacher_B, labels_B, neutral=2)
    return losses.kl_divergence(logits_MBC[-1], routing.select_target(logits_MBC, source_B))


def left_out_loss(logits_MBC, labels_B):
    student_B, teacher_B, _ = logits_MBC.argmax(-1).unbind()
    source_B = routing.leave_out_negative(student_B, teacher_B, labels_B)
    target_BC = routing.select_target(logits_MBC, source_B)
    return losses.masked_mean(losses.kl_divergence_per_sample(logits_MBC[-1], target_BC), source_B)


def collaborative_loss(logits_MBC, labels_B):
    weights_N = targets.general_weights(targets.residual_correlation(logits_MBC, labels_B))
    rules = [
        targets.naive_target(logits_MBC, labels_B),
        targets.linear_target(logits_MBC, labels_B),
        targets.minlogit_target(logits_MBC, labels_B),
        targets.general_target(logits_MBC, weights_N),
    ]
    return torch.stack([losses.kl_divergence(logits_MBC[-1], target_BC) for target_BC in rules]).sum()


def summaries(logits_MBC, labels_B):
    before_B, teacher_B, after_B = logits_MBC.argmax(-1).unbind()
    positive_B, _, _ = flips.prediction_flips(before_B, teacher_B, labels_B)
    counts_C = statistics.class_counts(positive_B, labels_B, CLASSES)
    return torch.stack(
        [
            flips.complementary_knowledge(before_B, teacher_B, labels_B),
            flips.knowledge_gain(before_B, after_B, labels_B),
            flips.knowledge_loss(before_B, after_B, labels_B),
            flips.transfer_rate(before_B, teacher_B, after_B, labels_B),
            statistics.class_entropy(counts_C),
            statistics.top_classes(counts_C, 50).sum(),
        ]
    )


def confidence_loss(logits_MBC, labels_B):
    mixed_BC = mixing.mixed_target(
        logits_MBC, mixing.soft_weights(confidence.log_confidence(logits_MBC, labels_B), 0.5)
    )
    chosen_BC = routing.select_target(logits_MBC, confidence.margin(logits_MBC, labels_B).argmax(0))
    calm_BC = routing.select_target(logits_MBC, confidence.entropy(logits_MBC).argmin(0))
    return sum(losses.kl_divergence(logits_MBC[-1], target_BC) for target_BC in (mixed_BC, chosen_BC, calm_BC))


def mutual_loss(logits_MBC, labels_B):
    teacher_B = targets.bidirectional_teacher(logits_MBC, labels_B)
    target_BC = routing.select_target(logits_MBC, teacher_B)
    pairs = [losses.largest_classes(logits_BC, target_BC, 3) for logits_BC in logits_MBC]
    return sum(losses.kl_divergence(*pair) for pair in pairs)


def newer_losses(logits_MBC, labels_B):
    student_BC, target_BC = (standardization.standardize_logits(logits_BC) for logits_BC in logits_MBC[:2])
    kept_B = routing.leave_out_negative(student_BC.argmax(-1), target_BC.argmax(-1), labels_B) >= 0
    return torch.stack(
        [
            decoupled.decoupled_divergence(student_BC, target_BC, labels_B, 1.0, 0.5, 2.0),
            correlation.correlation_distance(student_BC, target_BC, 2.0, 2.0),
            correlation.column_distances(student_BC, target_BC, kept_B).mean(),
            powers.transformed_divergence_per_sample(student_BC, target_BC, 0.5).mean(),
            powers.enhanced_cross_entropy_per_sample(student_BC, target_BC, labels_B, 1.5).mean(),
        ]
    )


USES = [
    routed_loss,
    unsupervised_loss,
    flip_loss,
    left_out_loss,
    collaborative_loss,
    confidence_loss,
    mutual_loss,
    newer_losses,
    summaries,
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_reads_a_value_on_the_host(use, dtype):
    # Tensors on the meta device have no values: whatever asks for one, or for a shape that depends on one, raises.
    logits_MBC = torch.empty(3, SAMPLES, CLASSES, dtype=dtype, device="meta")
    use(logits_MBC, torch.empty(SAMPLES, dtype=torch.int64, device="meta"))


@pytest.mark.parametrize("use", USES)
def test_the_compiler_sees_one_graph_with_the_same_result(use):
    logits_MBC, labels_B = random_logits(0, 3, SAMPLES, CLASSES), random_classes(0, SAMPLES, CLASSES)
    compiled = torch.compile(use, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits_MBC, labels_B), use(logits_MBC, labels_B), equal_nan=True)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_importing_loads_torch_and_nothing_heavier():
    imports = f"import sys, {', '.join(MODULES)}"
    code = imports + "; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"scipy", "sklearn", "lightning", "timm", "torchvision", "datasets", "hydra", "omegaconf"} & set(loaded)


@pytest.mark.parametrize("name", functional.STABLE)
def test_a_stable_name_is_the_function_of_its_module(name):
    module = importlib.import_module(f"ktlight.functional.{functional.STABLE[name]}")
    assert getattr(functional, name) is vars(module)[name]
    assert name in dir(functional)


def test_the_package_alone_loads_no_torch_and_has_no_other_names():
    code = "import sys, ktlight.functional as f; print('torch' in sys.modules, hasattr(f, 'kl_divergences'))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == (
        "False False\n"
    )
