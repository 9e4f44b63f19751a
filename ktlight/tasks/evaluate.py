"""Evaluation: the accuracy of a trained model as it is."""

from typing import Any

from omegaconf import DictConfig

from ktlight.answers.ask import answers
from ktlight.answers.stored import OutputStore
from ktlight.config.models import model_config
from ktlight.models.provenance import model_facts
from ktlight.report.folder import RunFolder
from ktlight.report.results import accuracy
from ktlight.report.table import print_evaluate
from ktlight.stages.trained import trained_classifier
from ktlight.training.assemble import check_classes, data_module, load_dataset
from ktlight.training.processes import is_first_process, wait_for_all
from ktlight.training.record import open_folder, record_start


def run_evaluate(config: DictConfig) -> dict[str, Any]:
    """Measure the student on the validation split (task=evaluate)."""
    folder: RunFolder = open_folder(config)
    dataset = load_dataset(config)
    student = trained_classifier(config, "student", model_config(config.student), dataset, folder)
    check_classes(dataset, {"student": student})
    data = data_module(config, dataset)
    record_start(config, folder, dataset, {"student": student})
    measured = answers({"student": student.freeze()}, data, OutputStore(config))
    results = {
        "task": "evaluate",
        "student": student.name,
        "data": config.data.name,
        "num_eval": data.num_eval,
        "acc": accuracy(measured.prediction["student"], measured.label),
        "models": {"student": model_facts(student)},
        "weights": student.weights_hash(),
    }
    if is_first_process():
        folder.write_predictions(
            {"index": measured.index, "label": measured.label, "student": measured.prediction["student"]}
        )
        folder.write_results(results)
        print_evaluate(results, folder.path)
    wait_for_all()
    return results
