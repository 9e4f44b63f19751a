"""Evaluation: the accuracy of a trained model."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ktlight.answers.ask import answers
from ktlight.answers.stored import OutputStore
from ktlight.config.models import model_config
from ktlight.models.facts import model_facts
from ktlight.report.results import accuracy
from ktlight.report.table import print_evaluate
from ktlight.stages.trained import trained_classifier
from ktlight.training.assemble import check_classes, data_module, load_dataset
from ktlight.training.processes import is_first_process
from ktlight.training.record import Run


def run(config: DictConfig, run: Run) -> dict[str, Any]:
    """Measure the student on the validation split (task=evaluate)."""
    dataset = load_dataset(config)
    student = trained_classifier(config, "student", model_config(config.student), dataset, run)
    check_classes(dataset, {"student": student})
    data = data_module(config, dataset)
    run.record_start(run.described(dataset, {"student": student}))
    run.phase("before")
    measured = answers({"student": student.freeze()}, data, OutputStore(config))
    run.phase("write")
    if is_first_process():
        run.folder.write_predictions(
            {"index": measured.index, "label": measured.label, "student": measured.prediction["student"]}
        )
    facts = model_facts(student)
    return run.finish(
        {
            "task": "evaluate",
            "student": student.name,
            "data": config.data.name,
            "class_names": list(dataset.class_names),
            "num_eval": data.num_eval,
            "acc": accuracy(measured.prediction["student"], measured.label),
            "weights": facts["weights"],
            "models": {"student": facts},
        }
    )


def show(results: dict[str, Any], folder: Path) -> None:
    """Print the accuracy."""
    print_evaluate(results, folder)
