"""Scores of candidates from the models' answers on training images; every model is asked once."""

import time
from collections.abc import Sequence
from dataclasses import replace
from math import log
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ktlight.answers.ask import all_logits
from ktlight.answers.stored import OutputStore
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.featuremodule import FeatureDataModule
from ktlight.functional.flips import prediction_flips
from ktlight.functional.pairwise import count_pairs, error_consistency
from ktlight.functional.scores import capa, first_order_agreement, label_residual, leep, target_headroom
from ktlight.functional.statistics import class_counts, class_entropy, paired_error
from ktlight.models.classifier import Classifier, Identity
from ktlight.models.facts import model_facts
from ktlight.models.sources import LiveSource
from ktlight.recommendation.candidates import Candidate
from ktlight.recommendation.methods import Methods
from ktlight.recommendation.probe import learning_head, probe
from ktlight.report.results import accuracy
from ktlight.routing.rules import RoutingRule
from ktlight.stages.head import on_features
from ktlight.stages.setting import Setting
from ktlight.stages.sources import complete_logits, prepared, router_over, routing_rule
from ktlight.stages.stage import build_method
from ktlight.types import Batch, RoutedBatch

ROWS = 4096
"""Training rows at a time, to bound the memory."""

Scores = dict[str, float]


class HeldOut(NamedTuple):
    """A model's answers on the held-out training images.

    Attributes:
        logits_HC: Logits.
        prediction_H: Predicted classes.
    """

    logits_HC: Tensor
    prediction_H: Tensor


class Scorer:
    """Scores how much a student may gain from a teacher with a method.

    Args:
        methods: The config of the probe with each method.
        data: The images that the probe learns on and those held out.
        outputs: The store.
        epochs: Of a probe.
    """

    def __init__(self, methods: Methods, data: ImageDataModule, outputs: OutputStore, epochs: int) -> None:
        self.methods = methods
        self.data = data
        self.outputs = outputs
        self.epochs = epochs
        self.labels_H = torch.from_numpy(data.holdout_images(None).labels)
        self._of_features: dict[str, ImageDataModule] = {}
        self._held_out: dict[Identity, HeldOut] = {}
        self._pairs: dict[tuple[Identity, Identity], Scores] = {}

    def score(self, candidate: Candidate) -> Scores:
        """Return all scores of a candidate by name, as docs/recommendation.md explains them."""
        setting = self.setting(candidate)
        started = time.perf_counter()
        after_HC = probe(setting, candidate.student, candidate.teacher)
        seconds = time.perf_counter() - started
        candidates = prepared(cast(RoutingRule, setting.rule), roles(candidate), setting)
        return {
            **self.pair(candidate.student, candidate.teacher),
            **self.headroom(candidate, setting, candidates),
            "first_order": self.first_order(candidate, setting, candidates),
            **moved(self.held_out(candidate.student).logits_HC, after_HC, self.labels_H),
            "probe_seconds": seconds,
        }

    def setting(self, candidate: Candidate) -> Setting:
        """Return the setting of a probe: a method's config, and the student's features in place of images."""
        config, student = self.methods.probe(candidate.method), candidate.student
        method = build_method(config, [learning_head(student), candidate.teacher])
        rule = routing_rule(config, method, roles(candidate))
        setting = Setting(config, self.data, self.outputs, [], self.epochs, rule)
        key = student.weights_hash()
        if key not in self._of_features:
            self._of_features[key] = on_features(setting, student).data
        return replace(setting, data=self._of_features[key])

    def held_out(self, model: Classifier) -> HeldOut:
        """Return a model's answers on the held-out images."""
        key = model.identity()
        if key not in self._held_out:
            logits_HC = all_logits(model, self.data.holdout_images(model.framing), self.outputs)
            self._held_out[key] = HeldOut(logits_HC, logits_HC.argmax(1))
        return self._held_out[key]

    def pair(self, student: Classifier, teacher: Classifier) -> Scores:
        """Return the scores that say nothing of the method."""
        key = student.identity(), teacher.identity()
        if key not in self._pairs:
            view = self.data.training_view(0)
            (own_logits_BZ,) = self.outputs.outputs(teacher, [view]) or []
            self._pairs[key] = {
                **static(student, teacher),
                **flips(self.held_out(student), self.held_out(teacher), self.labels_H),
                "leep": leep(own_logits_BZ, torch.from_numpy(view.labels)),
            }
        return self._pairs[key]

    def headroom(self, candidate: Candidate, setting: Setting, candidates: Sequence[LiveSource]) -> Scores:
        """Return how much better than the student the target is that a rule builds on the held-out images."""
        own_HC = self.held_out(candidate.student).logits_HC
        told_HC = complete_logits(candidate.teacher, candidate.student, self.data.holdout_images, self.outputs)
        of_role = {"student": own_HC, "teacher": told_HC}
        images = self.data.holdout_images(None)
        batch: Batch = {
            "image": own_HC[:, :0],  # rules look at logits
            "label": self.labels_H,
            "index": torch.from_numpy(images.rows),
            "view": images.view,
        }
        logits_MHC = torch.stack([of_role[source.name] for source in candidates])
        source_H, target_HC = cast(RoutingRule, setting.rule)(logits_MHC, batch, own_HC)
        acc, likelihood = target_headroom(target_HC, source_H, own_HC, self.labels_H)
        return {"headroom": acc, "headroom_likelihood": likelihood}

    def first_order(self, candidate: Candidate, setting: Setting, candidates: Sequence[LiveSource]) -> float:
        """Return how fast the method's first step lowers the held-out loss, on the first training view."""
        head, data = learning_head(candidate.student).freeze(), cast(FeatureDataModule, setting.data)
        features_HD = torch.cat([batch["image"] for batch in data.holdout_images(head.framing).batches()])
        residual_HC = label_residual(self.held_out(candidate.student).logits_HC, self.labels_H)
        method = build_method(setting.config, [learning_head(candidate.student), candidate.teacher])
        router = router_over(candidates, roles(candidate)["student"], cast(RoutingRule, setting.rule), setting, 1)
        router.move(torch.device("cpu"))
        total = 0.0
        for batch in replace(data.training_features(0), batch_size=ROWS).batches():
            routed = cast(RoutedBatch, batch)
            student_BC = head(batch["image"]).requires_grad_(True)
            router.write(routed, router.ask(routed).float(), student_BC.detach())
            loss = torch.stack(list(method.terms([student_BC], routed).values())).sum()
            (pull_BC,) = torch.autograd.grad(loss, student_BC)
            share = len(pull_BC) / data.num_train
            total += share * first_order_agreement(pull_BC, batch["image"], residual_HC, features_HD)
        return total


def roles(candidate: Candidate) -> dict[str, Classifier]:
    """Return the sources of a candidate by role, the student as its head."""
    return {"student": learning_head(candidate.student).freeze(), "teacher": candidate.teacher}


def static(student: Classifier, teacher: Classifier) -> Scores:
    """Return what is known of two models without an image."""
    own, other = model_facts(student), model_facts(teacher)
    return {
        "log_params_student": log(own["parameters"]),
        "log_params_difference": log(other["parameters"] / own["parameters"]),
        "same_family": float(own["family"] == other["family"]),
    }


def flips(own: HeldOut, other: HeldOut, labels_H: Tensor) -> Scores:
    """Return what a student's and a teacher's answers on the held-out images say of each other."""
    positive_H, negative_H, _ = prediction_flips(own.prediction_H, other.prediction_H, labels_H)
    positive, negative = (float(100 * each.double().mean()) for each in (positive_H, negative_H))
    right_MH = torch.stack([own.prediction_H, other.prediction_H]) == labels_H
    mean_HC = own.logits_HC.softmax(1) + other.logits_HC.softmax(1)
    acc, acc_teacher = (accuracy(each.prediction_H, labels_H) for each in (own, other))
    return {
        "acc_student": acc,
        "acc_teacher": acc_teacher,
        "acc_difference": acc_teacher - acc,
        "positive_flips": positive,
        "negative_flips": negative,
        "complementary_share": positive / (positive + negative) if positive + negative else 0.5,
        "error_consistency": float(error_consistency(count_pairs(right_MH))[0, 1]),
        "flip_entropy": float(class_entropy(class_counts(positive_H, labels_H, own.logits_HC.shape[1]))),
        "capa": capa(own.logits_HC, other.logits_HC, labels_H),
        "ensemble_headroom": accuracy(mean_HC.argmax(1), labels_H) - acc,
    }


def moved(before_HC: Tensor, after_HC: Tensor, labels_H: Tensor) -> Scores:
    """Return what a probe changed on the held-out images, with the standard error of its delta, in points."""
    gained_H, lost_H, _ = prediction_flips(before_HC.argmax(1), after_HC.argmax(1), labels_H)
    likelihoods = [float(-cross_entropy(logits_HC.double(), labels_H)) for logits_HC in (before_HC, after_HC)]
    return {
        "probe": float(100 * (gained_H.double() - lost_H.double()).mean()),
        "probe_error": float(paired_error(gained_H.sum(), lost_H.sum(), len(labels_H))),
        "probe_likelihood": likelihoods[1] - likelihoods[0],
    }
