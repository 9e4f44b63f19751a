"""Advice before any training: which teacher and method should bring the student most (task=recommend)."""

import copy
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
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
from ktlight.recommendation.candidates import Candidate, check_different, unique_names
from ktlight.recommendation.cost import costs
from ktlight.recommendation.evaluation import evaluate
from ktlight.recommendation.finished import Transferred, finished_transfers
from ktlight.recommendation.methods import Methods, probe_config, probe_epochs
from ktlight.recommendation.scoring import Scorer, Scores
from ktlight.report.recommendation import (
    EVALUATION,
    FINISHED,
    RECOMMENDATIONS,
    SCORES,
    print_recommendation,
    write_rows,
)
from ktlight.stages.labels import learn_label_map, settle_labels
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
    names, listed = asked(config)
    dataset = load_dataset(config)
    student = trained_classifier(config, "student", model_config(config.student), dataset, run)
    roles = [f"model{number}" for number in range(1, len(listed) + 1)]
    teachers = [
        trained_classifier(config, role, model, dataset, run) for role, model in zip(roles, listed, strict=True)
    ]
    models = {"student": student, **dict(zip(roles, teachers, strict=True))}
    check_classes(dataset, models)
    check_different(student, teachers)
    methods = Methods(with_method, student, copy.deepcopy(teachers[0]))
    methods.check(names)
    scorer = make_scorer(config, dataset, methods)
    settle_labels(dict(zip(roles, teachers, strict=True)), scorer.data, scorer.outputs)
    warn_of_seen_images(["task=recommend"], config.data.holdout, models)
    models = {role: model.frozen_copy() if model is student else model.freeze() for role, model in models.items()}
    run.record_start(run.described(dataset, models))
    run.phase("score")
    candidates = [Candidate(models["student"], teacher, name) for teacher in teachers for name in names]
    scores = scored(scorer, candidates, "Probing")
    known = finished_runs(config, dataset, list(models.values()), scorer, run)
    forecasts, basis = forecast(cases_of(candidates, scores), known, config.recommend.learn_from)
    run.phase("write")
    called = dict(zip(teachers, unique_names(teachers), strict=True))
    spent = costs(candidates, methods, scorer.data, scorer.outputs)
    names_of = [(student.name, called[each.teacher], each.method) for each in candidates]
    rows = ranked([(teacher, method) for _, teacher, method in names_of], scores, forecasts, spent)
    write_rows(run.folder.path, RECOMMENDATIONS, rows)
    write_rows(run.folder.path, SCORES, score_rows(names_of, scores))
    return run.finish(
        {
            "task": "recommend",
            "student": student.name,
            "data": config.data.name,
            "methods": names,
            "num_train": scorer.data.num_train,
            "num_holdout": len(scorer.data.holdout_rows),
            "basis": basis,
            "finished_runs": len(known.delta) if known else 0,
            "best": {key: rows[0][key] for key in ("teacher", "method", "expected_delta")},
            "command": next_command(config, rows[0], dict(zip(called.values(), listed, strict=True))),
            "models": {role: model_facts(model) for role, model in models.items()},
        }
    )


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the ranked list."""
    print_recommendation(results, folder)


def asked(config: DictConfig) -> tuple[list[str], list[ModelConfig]]:
    """Return the methods and the models to compare.

    Raises:
        UserError: There are none, or they cannot be asked.
    """
    names, listed = listed_methods(config, "methods"), listed_models(config, "models")
    if not listed:
        raise UserError("task=recommend needs possible teachers: 'models=[resnet50,vit_s]'")
    if config.store.mode == "off":
        raise UserError("task=recommend asks every model once and keeps the answers: use store=auto")
    return names, listed


def make_scorer(config: DictConfig, dataset: ImageDataset, methods: Methods) -> Scorer:
    """Return what scores candidates on the held-out images."""
    probing = probe_config(config)
    data, outputs = data_module(probing, dataset), OutputStore(probing)
    if outputs.processes > 1:
        raise UserError("task=recommend runs in one process: use trainer.devices=1")
    return Scorer(methods, data, outputs, probe_epochs(probing, data))


def scored(scorer: Scorer, candidates: Sequence[Candidate], doing: str) -> list[Scores]:
    """Return the scores of candidates."""
    bar = tqdm(candidates, desc=doing, unit="candidates", disable=not scorer.outputs.progress, leave=False)
    return [scorer.score(candidate) for candidate in bar]


def finished_runs(
    config: DictConfig,
    dataset: ImageDataset,
    models: Sequence[Classifier],
    scorer: Scorer,
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
    ready = partial(learn_label_map, data=scorer.data, outputs=scorer.outputs)
    transfers, left_out = finished_transfers(listed, config, dataset, models, scorer.methods.transfer, ready)
    for each in left_out:
        logger.warning("%s", each)
    if not transfers:
        logger.warning("recommend.runs=%s: no finished transfer to learn from", ",".join(listed))
        return None
    candidates = [Candidate(each.student, each.teacher, each.method) for each in transfers]
    scores = scored(scorer, candidates, "Probing finished runs")
    known = known_of(transfers, scores)
    names = [(each.student.name, each.teacher.name, each.method) for each in transfers]
    rows = [{**row, **outcome(each)} for row, each in zip(score_rows(names, scores), transfers, strict=True)]
    write_rows(run.folder.path, FINISHED, rows)
    write_rows(run.folder.path, EVALUATION, [asdict(verdict) for verdict in evaluate(known.cases, known.delta)])
    return known


def outcome(transfer: Transferred) -> dict[str, Any]:
    """Return what came of a finished transfer."""
    return {"delta": transfer.delta, "folder": str(transfer.folder)}


def score_rows(names: Sequence[tuple[str, str, str]], scores: Sequence[Scores]) -> list[dict[str, Any]]:
    """Return the rows of ``scores.parquet`` for students, teachers and methods."""
    return [
        {"student": student, "teacher": teacher, "method": method, **score}
        for (student, teacher, method), score in zip(names, scores, strict=True)
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
