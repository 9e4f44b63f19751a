"""The main task: train the student with the teachers, and measure what it learned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from torch import Tensor

from ktlight.answers.ask import Answers, answers
from ktlight.answers.stored import OutputStore
from ktlight.config.models import model_config, teacher_configs, teacher_roles
from ktlight.data.dataset import ImageDataset
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.facts import model_facts
from ktlight.publication.finished import nothing_lost
from ktlight.publication.run.page import write_run_page
from ktlight.report.advice import next_step
from ktlight.report.folder import PAGE
from ktlight.report.results import more_confident, stage_figures, transfer_figures
from ktlight.report.table import print_transfer, print_transfer_line, short
from ktlight.stages.averaging import state_of
from ktlight.stages.checks import ENSEMBLES, check_holdout, check_method
from ktlight.stages.guard import guard_student
from ktlight.stages.head import check_head, learner, on_features
from ktlight.stages.labels import settle_labels
from ktlight.stages.notices import warn_of_guessers
from ktlight.stages.pause import Steps, alone
from ktlight.stages.schedule import Outcome
from ktlight.stages.setting import Setting
from ktlight.stages.statistics import settle_statistics
from ktlight.stages.trained import trained_classifier
from ktlight.stages.waiting import Waiting
from ktlight.sweeps.asked import asked
from ktlight.training.assemble import check_classes, data_module, load_dataset
from ktlight.training.length import transfer_epochs
from ktlight.training.loggers import extra_loggers, log_results, log_run_page
from ktlight.training.processes import is_first_process
from ktlight.training.record import Run


def run(config: DictConfig, run: Run) -> Steps[dict[str, Any]]:
    """Transfer from the config's teachers to its student (task=transfer), pausing where it is to learn."""
    models = {"student": model_config(config.student), **teacher_configs(config)}
    dataset = load_dataset(config)
    student, *teachers = (trained_classifier(config, role, model, dataset, run) for role, model in models.items())
    return (yield from transfer_steps(config, dataset, student, teachers, run))


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the table of a run, or its line in a sweep."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        print_transfer_line(results, folder)
        return
    print_transfer(results, folder, next_step(results, list(HydraConfig.get().overrides.task), short(folder)))


def transfer(
    config: DictConfig, dataset: ImageDataset, student: Classifier, teachers: Sequence[Classifier], run: Run
) -> dict[str, Any]:
    """Run one transfer as it is, alone; see `transfer_steps`."""
    return alone(transfer_steps(config, dataset, student, teachers, run))


def transfer_steps(
    config: DictConfig, dataset: ImageDataset, student: Classifier, teachers: Sequence[Classifier], run: Run
) -> Steps[dict[str, Any]]:
    """Run one transfer, write everything about it to its folder, and return its results; it pauses before training.

    Args:
        config: The composed config.
        dataset: Images to train and evaluate on.
        student: The student, changed in place.
        teachers: The teachers, changed in place only by methods that train them too.
        run: The run.

    Raises:
        UserError: If the parts do not fit together, or training diverged.
    """
    by_role = dict(zip(teacher_roles(len(teachers)), teachers, strict=True))
    models = {"student": student, **by_role}
    check_classes(dataset, models)
    method, rule = check_method(config, models)
    check_head(config, method)
    if method is None or method.learners == 1:
        for teacher in teachers:
            teacher.freeze()  # so that one copy in memory is shared
    data = data_module(config, dataset)
    check_holdout(config, data, method, rule, models)
    outputs = OutputStore(config)
    initial = {role: model.frozen_copy() for role, model in models.items()}
    described = run.described(dataset, initial)  # as they were given: before labels are learned and heads sliced
    learn, peers = (method.learners > 1, method.has_peers) if method else (False, False)
    settle_labels(by_role, data, outputs, learn=learn, peers=peers)
    learning = {**models, "student": learner(config, student)}
    initial |= {role: model.frozen_copy() for role, model in by_role.items() if initial[role].label_map is not None}
    run.record_start(described)
    with extra_loggers(config, run.folder) as loggers:
        epochs = transfer_epochs(config, data, list(learning.values())[: method.learners]) if method else 0
        setting = Setting(config, data, outputs, loggers, epochs, rule)
        run.phase("before")
        before = answers(initial, data, setting.outputs)
        warn_of_guessers(before, by_role)
        statistics = {}
        if config.transfer.part == "head":
            setting = on_features(setting, initial["student"])
        elif method:
            statistics = settle_statistics(config, models if learn else {"student": student}, data, outputs)
        trained = (yield from train(setting, learning, run, before)) if method else untrained(config, before)
        for model in models.values():
            model.keeps_statistics = False  # whoever trains them further decides anew
        run.phase("write")
        columns = {**columns_before(before), **trained.columns}
        results = {
            "task": "transfer",
            "student": student.name,
            "teacher": "+".join(teacher.name for teacher in teachers),
            "method": config.method.name,
            "part": config.transfer.part,
            "batchnorm": statistics,
            "schedule": config.schedule.name,
            "data": config.data.name,
            "class_names": list(dataset.class_names),
            "evaluated_on": config.data.evaluate_on,
            "seed": config.seed,
            "epochs": trained.outcome.epochs,
            "num_train": data.num_train,
            **transfer_figures(columns, dataset.class_names),
            "has_teacher": "teacher" in asked(config),
            "teacher_share": trained.outcome.teacher_share,
            **stage_records(trained.outcome, by_role, columns),
            "guard": trained.guard,
            "weights_before": initial["student"].weights_hash(),
            **{f"weights_{role}": initial[role].weights_hash() for role in by_role},
            "weights_after": student.weights_hash(),
            "models": {role: model_facts(model) for role, model in initial.items()},
        }
        log_results(loggers, results)
        if is_first_process():
            run.folder.write_predictions(columns)
            for role in trained.learned:
                export_classifier(models[role], run.folder.path / role, record=results, class_names=dataset.class_names)
        complete = run.finish(results)
        if is_first_process():
            images = dataset.val if config.data.evaluate_on == "val" else dataset.train
            shown = images if config.page.images else None
            with nothing_lost(run.folder.path):
                log_run_page(loggers, write_run_page(run.folder.path, shown), run.folder.path / PAGE)
    return complete


class Trained(NamedTuple):
    """Result of the training.

    Attributes:
        outcome: Outcome of the schedule.
        columns: Columns that it adds to ``predictions.parquet``.
        learned: The networks that learned, by role.
        guard: The points that the guard tried and the one it kept, if there was a guard.
    """

    outcome: Outcome
    columns: dict[str, Tensor]
    learned: dict[str, Classifier]
    guard: dict[str, Any] | None = None


def train(setting: Setting, models: Mapping[str, Classifier], run: Run, before: Answers) -> Steps[Trained]:
    """Have the student trained, apply the config's guard, then evaluate the networks that learned again.

    Args:
        setting: Shared by all stages.
        models: By role; those that learn are changed in place. The student may be its head alone.
        run: The run.
        before: All models' predictions on the test samples before training.
    """
    config = setting.config
    student, teachers = models["student"], {role: model for role, model in models.items() if role != "student"}
    run.phase("train")
    initial = state_of(student) if config.guard.name != "off" else {}
    outcome = (yield Waiting(setting, student, teachers, run.folder, before))()
    if outcome.seconds is not None:
        run.took(outcome.seconds)
    run.phase("after")
    learned = dict(models) if outcome.learners > 1 else {"student": student}
    columns, guard = {}, None
    if config.guard.name != "off":
        columns["unguarded"] = answers({"student": student}, setting.data, setting.outputs).prediction["student"]
        guarded = guard_student(student, initial, setting)
        guard = guarded.record
        if is_first_process():
            run.folder.write_predictions(guarded.columns, "guard")
    columns |= columns_after(answers(learned, setting.data, setting.outputs), outcome)
    return Trained(outcome, columns, learned, guard)


def untrained(config: DictConfig, before: Answers) -> Trained:
    """Return the result of a method without training: an ensemble's predictions in place of a student's."""
    column = ENSEMBLES[config.method.rule]
    return Trained(Outcome(0, None, 0), {"after": columns_before(before)[column]}, {})


def columns_before(before: Answers) -> dict[str, Tensor]:
    """Return the columns of ``predictions.parquet`` that are known before training."""
    said = {"before" if role == "student" else role: column for role, column in before.prediction.items()}
    sure = {"before" if role == "student" else role: column for role, column in before.confidence.items()}
    return {
        "index": before.index,
        "label": before.label,
        **said,
        **{f"{name}_confidence": column for name, column in sure.items()},
        "ensemble": more_confident(
            torch.stack(list(before.prediction.values())), torch.stack(list(before.confidence.values()))
        ),
        "ensemble_mean": before.mean,
    }


def columns_after(after: Answers, outcome: Outcome) -> dict[str, Tensor]:
    """Return the columns of ``predictions.parquet`` from training; all figures are computed from the columns."""
    columns: dict[str, Tensor] = {}
    for role, said in after.prediction.items():
        name = "after" if role == "student" else f"{role}_after"
        columns |= {name: said, f"{name}_confidence": after.confidence[role]}
    stages = {f"after_stage{number}": stage.prediction for number, stage in enumerate(outcome.stages, 1)}
    return {**columns, **stages}


def stage_records(
    outcome: Outcome, teachers: Mapping[str, Classifier], columns: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return the results of a schedule's stages; empty if there is only one."""
    if not outcome.stages:
        return {}
    chained = outcome.average is None  # in a soup, every student starts from the initial one
    records = [
        {
            "teacher": teachers[stage.teacher].name,
            "epochs": stage.epochs,
            "teacher_share": stage.learned.teacher_share,
            **stage_figures(columns, number, chained=chained),
        }
        for number, stage in enumerate(outcome.stages, 1)
    ]
    average = {} if chained else {"average": dict(outcome.average or {})}
    return {"stages": records, **average}
