"""The main job: let the student learn what the teachers know, and measure what it learned."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig
from torch import Tensor

from ktlight.answers.ask import Answers, answers
from ktlight.answers.stored import OutputStore
from ktlight.config.models import model_config, teacher_configs, teacher_roles
from ktlight.data.dataset import ImageDataset
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.provenance import model_facts
from ktlight.report.folder import RunFolder
from ktlight.report.results import more_confident, stage_figures, transfer_figures
from ktlight.report.table import print_transfer, print_transfer_line
from ktlight.stages.checks import ENSEMBLES, check_holdout, check_method
from ktlight.stages.guard import guard_student
from ktlight.stages.notices import warn_of_guessers
from ktlight.stages.schedule import SCHEDULES, Outcome
from ktlight.stages.stage import Setting
from ktlight.stages.trained import trained_classifier
from ktlight.training.assemble import check_classes, data_module, load_dataset
from ktlight.training.length import transfer_epochs
from ktlight.training.loggers import extra_loggers, log_results
from ktlight.training.processes import is_first_process, wait_for_all
from ktlight.training.record import open_folder, record_start


class Transfer(NamedTuple):
    """What a transfer gives.

    Attributes:
        student: The student after the transfer.
        results: The figures, as in ``results.json``.
        folder: The folder of the run.
    """

    student: Classifier
    results: dict[str, Any]
    folder: RunFolder


def run_transfer(config: DictConfig) -> dict[str, Any]:
    """Transfer from the config's teachers to its student and show the table (task=transfer)."""
    folder = open_folder(config)
    if config.resume and folder.results is not None:
        show(folder.results, folder)
        return folder.results
    models = {"student": model_config(config.student), **teacher_configs(config)}
    dataset = load_dataset(config)
    student, *teachers = (trained_classifier(config, role, model, dataset, folder) for role, model in models.items())
    with extra_loggers(config, folder) as loggers:
        results = transfer(config, dataset, student, teachers, folder, loggers).results
        log_results(loggers, results)
    if is_first_process():
        show(results, folder)
    return results


def show(results: dict[str, Any], folder: RunFolder) -> None:
    """Print the table of a run, or its line in a sweep."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        print_transfer_line(results, folder.path)
        return
    given = [option for option in HydraConfig.get().overrides.task if not option.startswith(("method=", "resume="))]
    print_transfer(
        results, folder.path, " ".join(["python run.py -m method=kl,xe_kl,kl_dp,kl_dp_unsup", *map(shlex.quote, given)])
    )


def transfer(
    config: DictConfig,
    dataset: ImageDataset,
    student: Classifier,
    teachers: Sequence[Classifier],
    folder: RunFolder,
    loggers: Sequence[Logger] = (),
) -> Transfer:
    """Run one transfer and leave everything about it in ``folder``.

    Args:
        config: The composed config.
        dataset: Images to learn from and to be measured on.
        student: Learns; it is changed in place.
        teachers: Teach; they are changed in place only by methods that train them too.
        folder: Where everything goes.
        loggers: Further loggers beside the curves.

    Raises:
        UserError: The parts do not fit each other, or training diverged.
    """
    by_role = dict(zip(teacher_roles(len(teachers)), teachers, strict=True))
    models = {"student": student, **by_role}
    check_classes(dataset, models)
    method, rule = check_method(config, models)
    if method is None or method.learners == 1:
        for teacher in teachers:
            teacher.freeze()  # then one copy of it in memory serves everyone
    data = data_module(config, dataset)
    check_holdout(config, data, method, rule, models)
    initial = {role: model.frozen_copy() for role, model in models.items()}
    record_start(config, folder, dataset, initial)
    epochs = transfer_epochs(config, data, list(models.values())[: method.learners]) if method else 0
    setting = Setting(config, data, OutputStore(config), loggers, epochs, rule)
    before = answers(initial, data, setting.outputs)
    warn_of_guessers(before, by_role)
    columns = columns_before(before)
    outcome, learned, guarded = Outcome(0, None, 0), {}, None
    if method is not None:
        outcome = SCHEDULES[config.schedule.name](setting, student, by_role, folder, before)
        learned = models if outcome.learners > 1 else {"student": student}
        if config.guard.name != "off":
            columns["unguarded"] = answers({"student": student}, data, setting.outputs).prediction["student"]
            guarded = guard_student(student, initial["student"].network.state_dict(), setting)
            if is_first_process():
                folder.write_predictions(guarded.columns, "guard")
        columns |= columns_after(answers(learned, data, setting.outputs), outcome)
    else:
        columns["after"] = columns[ENSEMBLES[config.method.rule]]
    results = {
        "task": "transfer",
        "student": student.name,
        "teacher": "+".join(teacher.name for teacher in teachers),
        "method": config.method.name,
        "schedule": config.schedule.name,
        "data": config.data.name,
        "evaluated_on": config.data.evaluate_on,
        "seed": config.seed,
        "epochs": outcome.epochs,
        "num_train": data.num_train,
        **transfer_figures(columns, dataset.class_names),
        "teacher_share": outcome.teacher_share,
        **stage_records(outcome, by_role, columns),
        "guard": guarded.record if guarded else None,
        "models": {role: model_facts(model) for role, model in initial.items()},
        "weights_before": initial["student"].weights_hash(),
        **{f"weights_{role}": initial[role].weights_hash() for role in by_role},
        "weights_after": student.weights_hash(),
    }
    if is_first_process():
        folder.write_predictions(columns)
        for role, network in learned.items():
            export_classifier(network, folder.path / role, record=results, class_names=dataset.class_names)
        folder.write_results(results)
    wait_for_all()
    return Transfer(student, results, folder)


def columns_before(before: Answers) -> dict[str, Tensor]:
    """Return the columns of ``predictions.parquet`` that are known before training."""
    models = dict(before.prediction)
    return {
        "index": before.index,
        "label": before.label,
        "before": models.pop("student"),
        **models,
        "ensemble": more_confident(
            torch.stack(list(before.prediction.values())), torch.stack(list(before.confidence.values()))
        ),
        "ensemble_mean": before.mean,
    }


def columns_after(after: Answers, outcome: Outcome) -> dict[str, Tensor]:
    """Return the columns of ``predictions.parquet`` that training gives; all figures follow from the columns."""
    networks = {"after" if role == "student" else f"{role}_after": said for role, said in after.prediction.items()}
    stages = {f"after_stage{number}": stage.prediction for number, stage in enumerate(outcome.stages, 1)}
    return {**networks, **stages}


def stage_records(
    outcome: Outcome, teachers: Mapping[str, Classifier], columns: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return what is said of the stages of a schedule; nothing where there is only one."""
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
