"""The main job: let the student learn what the teachers know, and measure what it learned."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers.logger import Logger
from omegaconf import DictConfig
from torch import Tensor

from ktlight.config.instantiate import make
from ktlight.data.datamodule import ImageDataModule
from ktlight.data.dataset import ImageDataset
from ktlight.errors import UserError
from ktlight.methods.base import TransferMethod
from ktlight.models.classifier import Classifier
from ktlight.models.export import export_classifier
from ktlight.models.sources import LiveSource
from ktlight.report.folder import RunFolder
from ktlight.report.results import more_confident, transfer_figures
from ktlight.report.table import print_transfer, print_transfer_line
from ktlight.routing.router import SampleRouter
from ktlight.tasks.assemble import data_module, load_dataset, open_folder, optimization, record_start, seed
from ktlight.tasks.caching import OutputCache
from ktlight.tasks.evaluation import Answers, answers, frozen_answers
from ktlight.tasks.loggers import extra_loggers, log_results
from ktlight.tasks.pretrain import trained_classifier
from ktlight.tasks.training import fit, is_first_process, wait_for_all


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
    """Transfer from the config's teacher to its student and show the table (task=transfer)."""
    folder = open_folder(config)
    if config.resume and folder.results is not None:
        show(folder.results, folder)
        return folder.results
    dataset = load_dataset(config)
    student = trained_classifier(config, "student", dataset, folder)
    teacher = trained_classifier(config, "teacher", dataset, folder)
    with extra_loggers(config, folder) as loggers:
        results = transfer(config, dataset, student, teacher, folder, loggers).results
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
    print_transfer(results, folder.path, " ".join(["python run.py -m method=kl,xe_kl,kl_dp,kl_dp_unsup", *given]))


def transfer(
    config: DictConfig,
    dataset: ImageDataset,
    student: Classifier,
    teacher: Classifier,
    folder: RunFolder,
    loggers: Sequence[Logger] = (),
) -> Transfer:
    """Run one transfer and leave everything about it in ``folder``.

    Args:
        config: The composed config.
        dataset: Images to learn from and to be measured on.
        student: Learns; it is changed in place.
        teacher: Teaches; it is changed in place only by methods that train it too.
        folder: Where everything goes.
        loggers: Further loggers beside the curves.

    Raises:
        UserError: The parts do not fit each other, or training diverged.
    """
    check_classes(dataset, {"student": student, "teacher": teacher})
    initial = {"student": student.frozen_copy(), "teacher": teacher.frozen_copy()}
    seed(config)
    method = build_method(config, student, teacher)
    data = data_module(config, dataset, [student, teacher], method.holdout)
    record_start(config, folder, dataset, initial)
    cache = OutputCache(config)
    before = frozen_answers(config.trainer, initial, data, cache)
    curves = fit(
        config.trainer, method, data, folder,
        max_epochs=config.trainer.max_epochs,
        resume=config.resume,
        callbacks=[*sample_router(config, method, initial, data, cache), *restraint(config)],
        loggers=loggers,
    )  # fmt: skip
    learned = {"student": student, "teacher": teacher} if method.learners > 1 else {"student": student}
    columns = predictions(before, answers(config.trainer, learned, data))
    results = {
        "task": "transfer",
        "student": student.name,
        "teacher": teacher.name,
        "method": config.method.name,
        "data": config.data.name,
        "seed": config.seed,
        "epochs": config.trainer.max_epochs,
        "num_train": data.num_train,
        **transfer_figures(columns, dataset.class_names),
        "teacher_share": (curves.mean("share/teacher") or 0.0) if method.routed else None,
        "weights_before": initial["student"].weights_hash(),
        "weights_teacher": initial["teacher"].weights_hash(),
        "weights_after": student.weights_hash(),
    }
    if is_first_process():
        folder.write_predictions(columns)
        for role, network in learned.items():
            export_classifier(network, folder.path / role, record=results, class_names=dataset.class_names)
        folder.write_results(results)
    wait_for_all()
    return Transfer(student, results, folder)


def predictions(before: Answers, after: Answers) -> dict[str, Tensor]:
    """Return the columns of ``predictions.parquet``; all figures of the transfer follow from them.

    Args:
        before: Answers of the initial student and the teacher.
        after: Answers of the student, and of the teacher where the method trains it too.
    """
    columns = {
        "index": before.index,
        "label": before.label,
        "before": before.prediction["student"],
        "teacher": before.prediction["teacher"],
        "ensemble": more_confident(
            torch.stack(list(before.prediction.values())), torch.stack(list(before.confidence.values()))
        ),
        "after": after.prediction["student"],
    }
    if "teacher" in after.prediction:
        columns["teacher_after"] = after.prediction["teacher"]
    return columns


def check_classes(dataset: ImageDataset, models: dict[str, Classifier]) -> None:
    """Raise `UserError` unless every model tells as many classes apart as the data has."""
    for role, model in models.items():
        if model.num_classes != dataset.num_classes:
            raise UserError(
                f"the {role} {model.name} tells {model.num_classes} classes apart, but {dataset.name} has "
                f"{dataset.num_classes}: student, teacher and data must share one label space. Fine-tune the model "
                f"first: python run.py task=pretrain student={model.name} student.checkpoint=..."
            )


def build_method(config: DictConfig, student: Classifier, teacher: Classifier) -> TransferMethod:
    """Return the method that ``method=`` names, and check that its router suits it."""
    method: TransferMethod = make(
        config.method, networks=[student, teacher], optimization=optimization(config.optim, student)
    )
    has_router = config.router._target_ is not None
    if method.routed and not has_router:
        raise UserError(f"method={config.method.name} learns from routed targets: give a router, e.g. router=teacher")
    if has_router and not method.routed:
        raise UserError(f"in method={config.method.name} the networks teach each other: use it with router=none")
    return method


def sample_router(
    config: DictConfig,
    method: TransferMethod,
    initial: dict[str, Classifier],
    data: ImageDataModule,
    cache: OutputCache,
) -> list[Callback]:
    """Return the sample router over the initial student and the teacher, where the method wants one."""
    if not method.routed:
        return []
    rule = make(config.router)
    candidates = rule.candidates([LiveSource(name, model) for name, model in initial.items()])
    return [SampleRouter(cache.sources(candidates, data, config.trainer.max_epochs), rule)]


def restraint(config: DictConfig) -> list[Callback]:
    """Return the callback that restrains the weights, if ``restraint=`` names one."""
    return [make(config.restraint)] if config.restraint._target_ else []
