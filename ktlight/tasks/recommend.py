"""Advice before any training: which teacher and method should bring the student most (task=recommend)."""

import copy
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig
from tqdm.auto import tqdm

from ktlight.answers.stored import OutputStore
from ktlight.config.methods import listed_methods, with_method, without
from ktlight.config.models import OPTIONS, listed_models, model_config
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.models.classifier import Classifier
from ktlight.models.facts import model_facts
from ktlight.models.spec import ModelConfig
from ktlight.recommendation.advice import Known, cases_of, forecast, known_of, ranked
from ktlight.recommendation.cost import costs
from ktlight.recommendation.evaluation import evaluate
from ktlight.recommendation.finished import finished_transfers
from ktlight.recommendation.methods import Methods, probe_config, probe_epochs
from ktlight.recommendation.scoring import Candidate, Scorer, Scores
from ktlight.report.recommendation import (
    EVALUATION,
    FINISHED,
    RECOMMENDATIONS,
    SCORES,
    print_recommendation,
    write_rows,
)
from ktlight.stages.notices import warn_of_seen_images
from ktlight.stages.trained import trained_classifier
from ktlight.training.assemble import check_classes, data_module, load_dataset
from ktlight.training.record import Run

logger = logging.getLogger(__name__)

OWN = ("task", "models", "methods", "recommend.", "teacher", "teachers", "method", "resume", "hydra.")
"""Options that the recommended command does not take over."""


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Rank teachers and methods for the student (task=recommend).

    Raises:
        UserError: The models or methods cannot be compared, or no image is held out to compare them on.
    """
    names, listed = listed_methods(config, "methods"), listed_models(config, "models")
    if not listed:
        raise UserError("task=recommend needs possible teachers: 'models=[resnet50,vit_s]'")
    if config.store.mode == "off":
        raise UserError("task=recommend asks every model once and keeps the answers: use store=auto")
    dataset = load_dataset(config)
    student = trained_classifier(config, "student", model_config(config.student), dataset, run)
    teachers = [
        trained_classifier(config, f"model{number}", model, dataset, run) for number, model in enumerate(listed, 1)
    ]
    by_role = {"student": student, **{f"model{number}": model for number, model in enumerate(teachers, 1)}}
    check_classes(dataset, by_role)
    check_different(student, teachers)
    methods = Methods(with_method, student, copy.deepcopy(teachers[0]))
    for name in names:
        methods.transfer(name)
    for teacher in teachers:
        teacher.freeze()
    settings = probe_config(config)
    data, outputs = data_module(settings, dataset), OutputStore(settings)
    if outputs.processes > 1:
        raise UserError("task=recommend runs in one process: use trainer.devices=1")
    scorer = Scorer(methods, data, outputs, probe_epochs(settings, data))
    warn_of_seen_images(["task=recommend"], config.data.holdout, by_role)
    frozen = student.frozen_copy()
    run.record_start(dataset, {"student": frozen, **{role: by_role[role] for role in by_role if role != "student"}})
    run.phase("score")
    candidates = [Candidate(frozen, teacher, name) for teacher in teachers for name in names]
    scores = scored(scorer, candidates, "Probing")
    known = finished_runs(config, dataset, [frozen, *teachers], scorer, methods, run)
    run.phase("write")
    cases = cases_of(candidates, scores)
    forecasts, basis = forecast(cases, known, config.recommend.learn_from)
    called = unique_names(teachers)
    teacher_names = [called[each.teacher.weights_hash()] for each in candidates]
    spent = costs(candidates, methods, data, outputs)
    rows = ranked(teacher_names, [each.method for each in candidates], scores, forecasts, spent)
    write_rows(run.folder.path, RECOMMENDATIONS, rows)
    write_rows(run.folder.path, SCORES, score_rows(student.name, teacher_names, candidates, scores))
    return run.finish(
        {
            "task": "recommend",
            "student": student.name,
            "data": config.data.name,
            "methods": names,
            "num_train": data.num_train,
            "num_holdout": len(data.holdout_rows),
            "basis": basis,
            "finished_runs": len(known.delta) if known else 0,
            "best": {key: rows[0][key] for key in ("teacher", "method", "expected_delta")},
            "command": next_command(config, rows[0], dict(zip(called.values(), listed, strict=True))),
            "models": {role: model_facts(model) for role, model in by_role.items()},
        }
    )


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the ranked list."""
    print_recommendation(results, folder)


def check_different(student: Classifier, teachers: Sequence[Classifier]) -> None:
    """Raise `UserError` if a model is given twice, by its weights."""
    seen = {student.weights_hash(): student}
    for teacher in teachers:
        twin = seen.setdefault(teacher.weights_hash(), teacher)
        if twin is student:
            raise UserError(f"{teacher.name} in models=[...] is the student itself: leave it out there")
        if twin is not teacher:
            raise UserError(f"{twin.name} and {teacher.name} in models=[...] have the same weights: give one of them")


def scored(scorer: Scorer, candidates: Sequence[Candidate], doing: str) -> list[Scores]:
    """Return the scores of candidates."""
    bar = tqdm(candidates, desc=doing, unit="candidates", disable=not scorer.outputs.progress, leave=False)
    return [scorer.score(candidate) for candidate in bar]


def finished_runs(
    config: DictConfig,
    dataset: ImageDataset,
    models: Sequence[Classifier],
    scorer: Scorer,
    methods: Methods,
    run: Run,
) -> Known | None:
    """Return the finished transfers of ``recommend.runs`` with their scores; judge the scores and write both.

    Returns:
        None if there are none.
    """
    patterns = config.recommend.runs
    if patterns is None:
        return None
    listed = list(patterns) if isinstance(patterns, ListConfig) else [str(patterns)]
    transfers, left_out = finished_transfers(listed, config, dataset, models, methods.transfer)
    for each in left_out:
        logger.warning("%s", each)
    if not transfers:
        logger.warning("recommend.runs=%s: no finished transfer to learn from", ",".join(listed))
        return None
    candidates = [Candidate(each.student, each.teacher, each.method) for each in transfers]
    scores = scored(scorer, candidates, "Probing finished runs")
    known = known_of(transfers, scores)
    rows = [
        {
            "student": each.student.name, "teacher": each.teacher.name, "method": each.method, "delta": each.delta,
            "folder": str(each.folder), **score,
        }
        for each, score in zip(transfers, scores, strict=True)
    ]  # fmt: skip
    write_rows(run.folder.path, FINISHED, rows)
    write_rows(run.folder.path, EVALUATION, [asdict(verdict) for verdict in evaluate(known.cases, known.delta)])
    return known


def unique_names(models: Sequence[Classifier]) -> dict[str, str]:
    """Return what to call models, by their weights: names that occur twice are told apart by these."""
    names = [model.name for model in models]
    return {
        model.weights_hash(): model.name if names.count(model.name) == 1 else f"{model.name}-{model.weights_hash()[:8]}"
        for model in models
    }


def score_rows(
    student: str, teachers: Sequence[str], candidates: Sequence[Candidate], scores: Sequence[Scores]
) -> list[dict[str, Any]]:
    """Return the rows of ``scores.parquet``: the scores of every candidate."""
    return [
        {"student": student, "teacher": teacher, "method": candidate.method, **score}
        for teacher, candidate, score in zip(teachers, candidates, scores, strict=True)
    ]


def next_command(config: DictConfig, best: Mapping[str, Any], listed: Mapping[str, ModelConfig]) -> str | None:
    """Return the command of a recommendation; None if it is to do nothing.

    The images held out here stay so, for models that are trained on the spot have not seen them.

    Args:
        config: The composed config.
        best: The recommendation.
        listed: The teachers by what they are called in it.
    """
    if best["teacher"] is None:
        return None
    model = listed[best["teacher"]]
    own = [(name, getattr(model, name)) for name in OPTIONS if getattr(model, name) != config.teacher[name]]
    teacher = [f"teacher={model.name}", *(f"teacher.{name}={value}" for name, value in own)]
    typed = without(HydraConfig.get().overrides.task, *OWN)
    held_out = f"data.holdout={config.data.holdout}"
    return shlex.join(
        ["python", "run.py", *typed, *[held_out] * (held_out not in typed), *teacher, f"method={best['method']}"]
    )
