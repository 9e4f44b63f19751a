"""What the config of a run says besides its options."""

import logging
from pathlib import Path

import pytest
import tiny
from omegaconf import OmegaConf

from ktlight.models.label_map import LabelMap
from ktlight.report.folder import RunFolder
from ktlight.training.record import Run, opened


def test_a_run_is_known_by_how_its_models_classes_are_mapped(tmp_path) -> None:
    run, dataset = Run(OmegaConf.create({"seed": 0}), RunFolder(tmp_path)), tiny.dataset()
    said = []
    for classes in (None, [0, 1, 2, 3], [1, 0, 2, 3]):
        teacher = tiny.classifier()
        if classes:
            teacher.answer_in(LabelMap(classes, 4, "file"))
        said.append(OmegaConf.create(run.described(dataset, {"teacher": teacher})).identity)
    assert [set(each) for each in said] == [{"data", "teacher"}, *[{"data", "teacher", "labels_teacher"}] * 2]
    assert said[0].teacher == said[1].teacher and said[1].labels_teacher != said[2].labels_teacher


def test_further_processes_tell_errors_alone_and_only_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ktlight.training.record.is_first_process", lambda: False)
    ours = logging.getLogger("ktlight.training")
    with caplog.at_level(logging.INFO), opened(tiny.config(), tmp_path / "run", "folder="):
        ours.warning("told by the first process")
        ours.error("an error")
    with caplog.at_level(logging.INFO):
        ours.info("afterwards")
    assert caplog.messages == ["an error", "afterwards"] and not (tmp_path / "run").exists()
